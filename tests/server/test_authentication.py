"""Who may connect: decisions of `Authenticator` for every kind of configuration, without sockets.

Method: a table of CONNECT texts per configuration with the expected identity or refusal; the same
table was put to nats-server 2.15.1 over real sockets, and tests/server/test_connect.py puts both
servers through it again.
"""

from __future__ import annotations

import contextlib
import json

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
    Identity,
    decode_connect,
    redacted,
    secrets_match,
    violation_detail,
    wrong_protocol,
)
from slipstream.server.clients import Client, label

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
        '{"user":"a","pass":"[REDACTED]","Auth_Token":"[REDACTED]","sig":"[REDACTED]",'
        '"jwt":"[REDACTED]"}'
    )
    assert violation_detail(Connect(auth_token="t")) == 'authentication error - Token "[REDACTED]"'
    assert violation_detail(Connect(user="u")) == 'authentication error - User "u"'
    assert violation_detail(Connect()) == "authentication error"


@pytest.mark.parametrize(
    "payload",
    [
        b'{"\\u0070ass":"secret"}',
        b'{"PA\\u0053S":"secret"}',
        '{"pa\u017f\u017f":"secret"}'.encode(),  # Go takes the long s for an s
        b'{"pass" : ["secret"]}',
        b'{"pass":{"a":"secret"}}',
        b'{"pass":"secret","pass":"secret"}',
        b'{"pass":"secret","PASS":null}',
        b'{"pass":"sec\\u0072et"}',
        b'{"pass":"secret"',
        b'{"pass":"secret"} trailing',
        b'{"x":' + b"[" * 2_000 + b'],"pass":"secret"}',
        b"\xff pass secret",
    ],
)
def test_secrets_stay_out_however_they_are_spelled(payload: bytes) -> None:
    assert "secret" not in redacted(payload)


def test_texts_of_clients_stay_in_their_line() -> None:
    forged = "x\n[1] 2026/01/01 [INF] forged\x1b[31m\u009b"
    shown = [
        violation_detail(Connect(user=forged)),
        violation_detail(Connect(nkey=forged)),
        redacted(json.dumps({"name": forged}).encode()),
        label(1, "::1", 2, Client(1, "::1", 2, Connect(name=forged), Identity("user", forged), 0)),
    ]
    for line in shown:
        assert line.isprintable(), line


def test_half_a_surrogate_pair_is_replaced() -> None:
    found = decode_connect(rb'{"name":"caf\ud83d","user":"\udc00a","x":"\ud83d\ude00"}')
    assert (found.name, found.user) == ("caf\ufffd", "\ufffda")


@pytest.mark.parametrize("depth", [64, 65, 990, 2_000, 4_000])
def test_deep_values_of_unknown_fields_are_ignored(depth: int) -> None:
    for opened, inmost, closed in ((b"[", b"", b"]"), (b'{"a":', b"1", b"}")):
        value = opened * depth + inmost + closed * depth
        assert decode_connect(b'{"x":' + value + b',"name":"n"}').name == "n"
        with pytest.raises(ConnectError):
            decode_connect(b'{"name":' + value + b"}")
        with pytest.raises(ConnectError):
            decode_connect(b'{"x":' + value[:-1] + b"}")


@pytest.mark.parametrize("number", [b"9" * 400, b"9" * 5_000, b"1e999", b"-" + b"9" * 400])
def test_numbers_of_any_size(number: bytes) -> None:
    try:
        found = decode_connect(b'{"protocol":' + number + b',"x":' + number + b"}")
    except ConnectError:
        return
    assert wrong_protocol(found) is not None
