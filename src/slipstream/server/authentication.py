"""Who a client is: its CONNECT against the configured token, user or users (K-035..K-043, K-110,
K-117).

Pure decisions, no sockets: `decode_connect` reads the JSON, `Authenticator.claim` says whom the
client claims to be and which stored secret must match, `secrets_match` compares. Comparing a bcrypt
hash takes tens of milliseconds by design, so the caller runs that elsewhere (see passwords.py).
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from typing import Any

import bcrypt
import msgspec

from slipstream.config.options import Options, User
from slipstream.gotext.decode import DecodeError, readable
from slipstream.gotext.objects import folded
from slipstream.gotext.quoting import one_line, quote

CONNECTION_STANDARD = "STANDARD"
AUTHORIZATION_VIOLATION = b"Authorization Violation"
_BCRYPT = re.compile(r"\$2[abxy]\$\d{2}\$.*", re.DOTALL)


class ConnectError(Exception):
    """CONNECT is not what the protocol says."""


class Connect(msgspec.Struct, frozen=True):
    """CONNECT's fields. What is absent has nats-server's default: verbose and pedantic are on."""

    verbose: bool = True
    pedantic: bool = True
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    protocol: int = 0
    name: str = ""
    lang: str = ""
    version: str = ""
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    auth_token: str = ""
    nkey: str = ""
    account: str = ""
    new_account: bool = False


_FIELDS = frozenset(Connect.__struct_encode_fields__)
_SECRETS = frozenset(("pass", "auth_token", "nkey", "sig", "jwt"))


def decode_connect(payload: bytes) -> Connect:
    """Keys in any case, unknown ones ignored, null as absent, as Go's decoder takes them.

    Raises ConnectError.
    """
    decoded = _decode(payload)
    if decoded is None:
        return Connect()
    if not isinstance(decoded, dict):
        raise ConnectError(f"expected a JSON object, got {type(decoded).__name__}")
    known = {
        folded(key): value
        for key, value in decoded.items()
        if folded(key) in _FIELDS and value is not None
    }
    try:
        return msgspec.convert(known, Connect)
    except msgspec.ValidationError as error:
        raise ConnectError(str(error)) from None


def _decode(payload: bytes) -> Any:
    try:
        return msgspec.json.decode(readable(payload))
    except (msgspec.DecodeError, DecodeError) as error:
        raise ConnectError(str(error)) from None


def redacted(payload: bytes) -> str:
    """CONNECT for the log, written anew from what was decoded: a secret is blanked however its key
    and its value were spelled. What cannot be read is not shown.
    """
    try:
        decoded = _decode(payload)
    except ConnectError:
        return f"{len(payload)} bytes that cannot be read"
    if isinstance(decoded, dict):
        decoded = {
            key: "[REDACTED]" if folded(key) in _SECRETS else value
            for key, value in decoded.items()
        }
    return one_line(msgspec.json.encode(decoded).decode())


@dataclass(frozen=True, slots=True)
class Identity:
    """The entry of the configuration that let a client in; `secret` is as stored there."""

    kind: str  # "open", "token" or "user"
    user: str = ""
    secret: str = ""

    @property
    def shown(self) -> str:
        """As /connz names it."""
        return "[REDACTED]" if self.kind == "token" else self.user


OPEN = Identity("open")


@dataclass(frozen=True, slots=True)
class Claim:
    """Whom a client says it is. It is, if `given` matches the identity's secret."""

    identity: Identity
    given: str
    trusted: bool = False  # nothing to compare

    @property
    def needs_hashing(self) -> bool:
        return not self.trusted and is_bcrypt(self.identity.secret)


class Authenticator:
    """The configured credentials, ready to be asked."""

    def __init__(self, options: Options) -> None:
        auth = options.authorization
        self._token = auth.token
        self._single = User(auth.user, auth.password) if auth.user or auth.password else None
        self._users = None if auth.users is None else {user.user: user for user in auth.users}
        self._no_auth_user = options.no_auth_user
        self.required = auth.required

    def claim(self, connect: Connect) -> Claim | None:
        """None when nothing that the client could mean exists."""
        if not self.required:
            return Claim(Identity("open", connect.user), "", trusted=True)
        if self._users is not None:
            return self._claim_of_users(connect)
        if self._token:
            return Claim(Identity("token", "", self._token), connect.auth_token)
        assert self._single is not None
        if connect.user != self._single.user:
            return None
        return Claim(_identity(self._single), connect.password)

    def _claim_of_users(self, connect: Connect) -> Claim | None:
        assert self._users is not None
        nothing_given = not (connect.user or connect.password or connect.auth_token)
        if nothing_given and self._no_auth_user:
            user = self._users[self._no_auth_user]
            return Claim(_identity(user), "", trusted=True) if _may_connect(user) else None
        found = self._users.get(connect.user)
        if found is None or not connect.user or not _may_connect(found):
            return None
        return Claim(_identity(found), connect.password)

    def still_valid(self, identity: Identity) -> bool:
        """Whether a client that was let in as `identity` would be let in with the same secret."""
        if not self.required:
            return True
        if self._users is not None:
            user = self._users.get(identity.user)
            return user is not None and _may_connect(user) and _identity(user) == identity
        if self._token:
            return identity == Identity("token", "", self._token)
        assert self._single is not None
        return identity == _identity(self._single)


def _identity(user: User) -> Identity:
    return Identity("user", user.user, user.password)


def _may_connect(user: User) -> bool:
    kinds = {kind.upper() for kind in user.allowed_connection_types}
    return not kinds or CONNECTION_STANDARD in kinds


def is_bcrypt(secret: str) -> bool:
    return _BCRYPT.fullmatch(secret) is not None


def secrets_match(given: str, stored: str) -> bool:
    """In a time that does not tell how much of a plain secret was right."""
    if not is_bcrypt(stored):
        return hmac.compare_digest(given.encode(), stored.encode())
    try:
        return bcrypt.checkpw(given.encode(), stored.encode())
    except ValueError:  # longer than bcrypt's 72 bytes, or a hash that is none
        return False


def plaintext_secrets(options: Options) -> bool:
    """Whether a password stands readable in the configuration."""
    auth = options.authorization
    secrets = [auth.password, auth.token, *(user.password for user in auth.users or ())]
    return any(secret and not is_bcrypt(secret) for secret in secrets)


def wrong_protocol(connect: Connect, *, served_headers: bool = True) -> tuple[bytes, str] | None:
    """The -ERR and the disconnect reason for a CONNECT that cannot be served (K-038, K-039)."""
    if not 0 <= connect.protocol <= 1:
        return b"invalid client protocol", "Bad Client Protocol Version"
    if connect.no_responders and not (connect.headers and served_headers):
        return b"no responders requires headers support", "No Responders Requires Headers"
    return None


def violation_detail(connect: Connect) -> str:
    """What nats-server logs behind `authentication error`."""
    parts: list[tuple[str, Any]] = [
        ("Nkey", connect.nkey),
        ("User", connect.user),
        ("Token", "[REDACTED]" if connect.auth_token else ""),
    ]
    for kind, value in parts:
        if value:
            return f"authentication error - {kind} {quote(value)}"
    return "authentication error"
