"""Who may connect: decisions of `Authenticator` for every kind of configuration, without sockets.

Method: a table of CONNECT texts per configuration with the expected identity or refusal; the same
table was put to nats-server 2.15.1 over real sockets, and tests/server/test_connect.py puts both
servers through it again.
"""

from __future__ import annotations

import contextlib

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.config.load import build
from slipstream.config.options import Options, User
from slipstream.server.authentication import (
    Authenticator,
    Connect,
    ConnectError,
    decode_connect,
    redacted,
    secrets_match,
    violation_detail,
    wrong_protocol,
)

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4, prefix=b"2a")).decode()


def configured(**settings: object) -> Options:
    return build({path.replace("__", "."): value for path, value in settings.items()})


def let_in(options: Options, connect: Connect) -> str | None:
    """The kind and the user, or nothing."""
    claim = Authenticator(options).claim(connect)
    if claim is None:
        return None
    if not claim.trusted and not secrets_match(claim.given, claim.identity.secret):
        return None
    return f"{claim.identity.kind}:{claim.identity.user}"


OPEN = configured()
TOKEN = configured(authorization__token="t")
HASHED_TOKEN = configured(authorization__token=HASH)
SINGLE = configured(authorization__user="a", authorization__password="b")
USERS = configured(
    authorization__users=(
        User("a", "b"),
        User("h", HASH),
        User("w", "x", ("websocket",)),
        User("s", "x", ("standard", "MQTT")),
        User("empty", ""),
    )
)
NO_AUTH = configured(authorization__users=(User("a", "b"),), no_auth_user="a")


@pytest.mark.parametrize(
    ("options", "connect", "expected"),
    [
        (OPEN, Connect(), "open:"),
        (OPEN, Connect(user="u", password="p"), "open:u"),
        (TOKEN, Connect(auth_token="t"), "token:"),
        (TOKEN, Connect(auth_token="x"), None),
        (TOKEN, Connect(), None),
        (TOKEN, Connect(user="t", password="t"), None),
        (HASHED_TOKEN, Connect(auth_token="secret"), "token:"),
        (HASHED_TOKEN, Connect(auth_token=HASH), None),
        (SINGLE, Connect(user="a", password="b"), "user:a"),
        (SINGLE, Connect(user="a", password="B"), None),
        (SINGLE, Connect(user="A", password="b"), None),
        (SINGLE, Connect(auth_token="b"), None),
        (USERS, Connect(user="a", password="b"), "user:a"),
        (USERS, Connect(user="h", password="secret"), "user:h"),
        (USERS, Connect(user="h", password=HASH), None),
        (USERS, Connect(user="h", password="s" * 100), None),
        (USERS, Connect(user="w", password="x"), None),
        (USERS, Connect(user="s", password="x"), "user:s"),
        (USERS, Connect(user="empty"), "user:empty"),
        (USERS, Connect(user="zz", password="b"), None),
        (USERS, Connect(), None),
        (NO_AUTH, Connect(), "user:a"),
        (NO_AUTH, Connect(nkey="UABC"), "user:a"),
        (NO_AUTH, Connect(user="a", password="x"), None),
        (NO_AUTH, Connect(auth_token="x"), None),
    ],
)
def test_claims(options: Options, connect: Connect, expected: str | None) -> None:  # K-110, K-117
    assert let_in(options, connect) == expected


def test_only_hashes_are_slow() -> None:
    hashed = Authenticator(USERS).claim(Connect(user="h", password="x"))
    plain = Authenticator(USERS).claim(Connect(user="a", password="x"))
    assert hashed is not None
    assert hashed.needs_hashing
    assert plain is not None
    assert not plain.needs_hashing


def test_a_reload_keeps_those_whose_entry_is_unchanged() -> None:  # K-320
    claims = {name: Authenticator(USERS).claim(Connect(user=name)) for name in ("a", "h", "s")}
    changed = configured(authorization__users=(User("a", "b"), User("h", "new")))
    kept = {
        name
        for name, claim in claims.items()
        if claim is not None and Authenticator(changed).still_valid(claim.identity)
    }
    assert kept == {"a"}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"{}", Connect()),
        (b"null", Connect()),
        (b'{"VERBOSE":false,"Protocol":1,"nope":[1]}', Connect(verbose=False, protocol=1)),
        (b'{"verbose":null,"pass":"x"}', Connect(password="x")),
        (b'{"name":"\xff"}', Connect(name="\ufffd")),
    ],
)
def test_connect_is_read_as_go_reads_it(payload: bytes, expected: Connect) -> None:  # K-035
    assert decode_connect(payload) == expected


@pytest.mark.parametrize(
    "payload",
    [b"", b"{bad}", b"[]", b"1", b'{"verbose":"x"}', b'{"protocol":"1"}', b'{"protocol":1.5}'],
)
def test_broken_connect(payload: bytes) -> None:  # K-043
    with pytest.raises(ConnectError):
        decode_connect(payload)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(payload: bytes) -> None:
    with contextlib.suppress(ConnectError):
        assert isinstance(decode_connect(payload), Connect)


@pytest.mark.parametrize(
    ("connect", "error"),
    [
        (Connect(protocol=1), None),
        (Connect(protocol=2), b"invalid client protocol"),
        (Connect(protocol=-1), b"invalid client protocol"),
        (Connect(no_responders=True), b"no responders requires headers support"),
        (Connect(no_responders=True, headers=True), None),
    ],
)
def test_wrong_protocol(connect: Connect, error: bytes | None) -> None:  # K-038, K-039
    found = wrong_protocol(connect)
    assert (found[0] if found else None) == error


def test_secrets_stay_out_of_the_log() -> None:
    text = redacted(b'{"user":"a","pass":"p\\"w","Auth_Token" : "t","sig":"s","jwt":"j"}')
    assert text == (
        '{"user":"a","pass":"[REDACTED]","Auth_Token" : "[REDACTED]","sig":"[REDACTED]","jwt":"j"}'
    )
    assert violation_detail(Connect(auth_token="t")) == 'authentication error - Token "[REDACTED]"'
    assert violation_detail(Connect(user="u")) == 'authentication error - User "u"'
    assert violation_detail(Connect()) == "authentication error"
