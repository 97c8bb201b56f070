"""Listening sockets and the addresses they are known by."""

from __future__ import annotations

import errno
import json
import os
import socket
from contextlib import suppress
from pathlib import Path

BACKLOG = 4096
WILDCARDS = ("0.0.0.0", "::")


class ListenError(Exception):
    """A port cannot be listened on; the text is nats-server's."""


class AddressError(Exception):
    """No host and port; the text is nats-server's."""


def listen(host: str, port: int) -> socket.socket:
    """A non-blocking listening socket; see `bind`. Raises ListenError."""
    bound = bind(host, port)
    begin_listening(bound, host)
    return bound


def bind(host: str, port: int) -> socket.socket:
    """A non-blocking socket that has the port and does not listen yet; port -1 takes a free one.
    Either wildcard means every interface, over IPv4 and IPv6 (as in Go). Raises ListenError.
    """
    number = 0 if port == -1 else port
    try:
        bound = _bind_to_both(number) if host in WILDCARDS else None
        bound = bound or _bind_to(host, number)
    except OverflowError:
        raise ListenError(f"listen tcp: address {number}: invalid port") from None
    except socket.gaierror as error:
        reason = (error.strerror or str(error)).lower()
        raise ListenError(f"listen tcp: lookup {host}: {reason}") from None
    except OSError as error:
        raise _not_bound(host, number, error) from None
    bound.setblocking(False)
    return bound


def begin_listening(bound: socket.socket, host: str) -> None:
    """Raises ListenError, and has closed the socket, when another process was faster."""
    number = bound.getsockname()[1]
    try:
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _not_bound(host, number, error) from None


def _not_bound(host: str, number: int, error: OSError) -> ListenError:
    reason = os.strerror(error.errno or 0).lower()
    return ListenError(f"listen tcp {_bracketed(host)}:{number}: bind: {reason}")


def _bind_to_both(port: int) -> socket.socket | None:
    """None on a machine without IPv6."""
    if not socket.has_dualstack_ipv6():
        return None
    try:
        return _bound(socket.AF_INET6, ("::", port), both=True)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:  # it is there, but switched off
            return None
        raise


def _bind_to(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if family == socket.AF_INET:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return _bound(family, (host, port))


def _bound(family: int, where: tuple[str, int], *, both: bool = False) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both)
        made.bind(where)
    except BaseException:
        made.close()
        raise
    return made


def address(listener: socket.socket, asked: str) -> tuple[str, int]:
    """Its host is shown as it was asked for, when that was a wildcard."""
    host, port = listener.getsockname()[:2]
    return asked if asked in WILDCARDS else host, port


def host_port(host: str, port: int) -> str:
    return f"{_bracketed(host)}:{port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def advertised_address(text: str, port: int) -> tuple[str, int]:
    """The host and port of a `client_advertise`; the given port when it names none, 0 or -1.

    Raises AddressError. A host with colons stands in brackets.
    """
    bracketed = text.startswith("[") and "]" in text
    host, _, behind = text[1:].partition("]") if bracketed else text.partition(":")
    if bracketed and behind:
        if not behind.startswith(":"):
            raise AddressError(f"address {text}: missing port in address")
        behind = behind[1:]
    elif bracketed or ":" not in text:
        return host, port
    if ":" in behind:
        raise AddressError(f"address {text}: too many colons in address")
    try:
        number = int(behind.strip())
    except ValueError:
        raise AddressError(f'strconv.Atoi: parsing "{behind}": invalid syntax') from None
    return host, number if number not in (0, -1) else port


def reachable_hosts(host: str) -> list[str]:
    """The addresses behind a listening host: for all interfaces those of this machine."""
    if host not in ("0.0.0.0", "::"):
        return [host]
    found = {"127.0.0.1"} if host == "0.0.0.0" else {"::1"}
    family = socket.AF_INET if host == "0.0.0.0" else socket.AF_UNSPEC
    try:
        resolved = socket.getaddrinfo(socket.gethostname(), None, family, socket.SOCK_STREAM)
    except socket.gaierror:
        resolved = []  # a machine whose name means nothing still has its loopback
    found.update(str(entry[4][0]) for entry in resolved)
    return sorted(found)


class PortsFile:
    """`<program>_<pid>.ports`: the URLs in use, for harnesses that asked for free ports (K-326)."""

    def __init__(self, folder: str, program: str) -> None:
        self.path = Path(folder) / f"{program}_{os.getpid()}.ports"

    def write(self, urls: dict[str, list[str]]) -> None:
        """Raises OSError. Readers never see half a file."""
        temporary = self.path.with_suffix(".ports.tmp")
        try:
            temporary.write_text(json.dumps(urls, separators=(",", ":")))
            temporary.replace(self.path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def urls(scheme: str, host: str, port: int) -> list[str]:
    return [f"{scheme}://{host_port(one, port)}" for one in reachable_hosts(host)]
