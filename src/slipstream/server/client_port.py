"""The port of the clients: its socket, and INFO, which names its address."""

from __future__ import annotations

import socket

from slipstream.config.options import Options
from slipstream.kernel import Kernel
from slipstream.server import listeners
from slipstream.server.errors import StartError
from slipstream.server.identity import Identity
from slipstream.server.info import ServerInfo
from slipstream.server.listeners import AddressError, ListenError, advertised_address
from slipstream.server.running_options import RunningOptions


class ClientPort:
    """Order of use: `check_advertised`, `bind`, `begin_listening`, `open`."""

    def __init__(self, kernel: Kernel, options: RunningOptions, identity: Identity) -> None:
        self._kernel = kernel
        self._options = options
        self._info = ServerInfo(identity.server_id, identity.name)
        self._address: tuple[str, int] | None = None

    @property
    def host(self) -> str:
        return self._bound_address()[0]

    @property
    def port(self) -> int:
        return self._bound_address()[1]

    @property
    def url(self) -> str:
        """Where a client on this machine connects to."""
        host = listeners.reachable_hosts(self.host)[0]
        return f"nats://{listeners.host_port(host, self.port)}"

    def _bound_address(self) -> tuple[str, int]:
        assert self._address is not None, "the server was not started"
        return self._address

    # -- starting

    def check_advertised(self) -> None:
        """Raises StartError."""
        options = self._options.current
        try:
            if options.client_advertise:
                advertised_address(options.client_advertise, options.port)
        except AddressError as error:
            raise StartError(
                "Error setting server INFO with ClientAdvertise value of "
                f"{options.client_advertise}, err={error}"
            ) from None

    def bind(self) -> socket.socket:
        """Takes the port and does not listen yet. Raises StartError."""
        options = self._options.current
        try:
            return listeners.bind(options.host, options.port)
        except ListenError as error:
            raise _cannot_listen(options, error) from None

    def begin_listening(self, bound: socket.socket) -> None:
        """Clients are kept waiting until `open`. Raises StartError."""
        options = self._options.current
        self._address = listeners.address(bound, options.host)
        try:
            listeners.begin_listening(bound, options.host)
        except ListenError as error:
            raise _cannot_listen(options, error) from None
        self.set_info()

    def open(self, bound: socket.socket) -> None:
        self._kernel.listen(bound.detach())  # the kernel closes it

    def close(self) -> None:
        """No further clients; those that are here stay."""
        self._kernel.stop_listening()

    # -- what clients are told

    def set_info(self) -> None:
        """From now on."""
        options = self._options.current
        connected = self._info.render_connected(options, *self._advertised())
        self._kernel.set_info(self._info.render(options, *self._advertised()), connected)

    def broadcast_info(self, *, lame_duck: bool = False) -> None:
        info = self._info.render(self._options.current, *self._advertised(), lame_duck=lame_duck)
        self._kernel.broadcast_info(info)

    def _advertised(self) -> tuple[str, int]:
        options = self._options.current
        if not options.client_advertise:
            return options.host, self.port
        return advertised_address(options.client_advertise, self.port)


def _cannot_listen(options: Options, error: ListenError) -> StartError:
    shown = listeners.host_port(options.host, max(options.port, 0))
    return StartError(f'Error listening on port: {shown}, "{error}"')
