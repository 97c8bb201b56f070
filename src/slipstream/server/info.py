"""INFO: what a server says about itself to a client (K-014..K-034)."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from slipstream.config.options import ACCOUNT_GLOBAL, Options
from slipstream.gotext.encode import encode
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.version import NATS_VERSION

PROTOCOL = 1
IMPLEMENTATION = f"python{platform.python_version()}"  # where nats-server names its Go


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The parts that do not change while the server runs."""

    server_id: str
    server_name: str

    def render(self, options: Options, host: str, port: int, *, lame_duck: bool = False) -> bytes:
        """The JSON for everybody; the kernel adds client_id and client_ip."""
        return encode(self._fields(options, host, port, lame_duck))

    def render_connected(self, options: Options, host: str, port: int) -> bytes:
        """The second INFO, after the first PING: says which account the client is in (K-034)."""
        fields = self._fields(options, host, port, lame_duck=False)
        return encode(fields | {"connect_info": True, "remote_account": ACCOUNT_GLOBAL})

    def _fields(self, options: Options, host: str, port: int, lame_duck: bool) -> dict[str, object]:
        fields: dict[str, object] = {
            "server_id": self.server_id,
            "server_name": self.server_name,
            "version": NATS_VERSION,
            "proto": PROTOCOL,
            "go": IMPLEMENTATION,
            "host": host,
            "port": port,
            "headers": not options.no_header_support,
        }
        if options.authorization.required and not options.no_auth_user:
            fields["auth_required"] = True
        fields["max_payload"] = options.max_payload
        if options.jetstream.enabled:
            fields["jetstream"] = True
            if API_LEVEL:
                fields["api_lvl"] = API_LEVEL
        if lame_duck:
            fields["ldm"] = True
        return fields
