"""CONNECT over real sockets: our answers against nats-server's, byte for byte, and the reasons it
leaves in /connz.

Method: the same list of first words on fresh connections to both servers, under each kind of
authorization.
"""

from __future__ import annotations

from typing import Any

import bcrypt
import pytest

from raw_client import wait_until
from wire import Place, StartBoth, WireClient, get, without_unasked

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4, prefix=b"2a")).decode()

REQUESTS = [
    b"",
    b"PUB a 1\r\nx\r\n",
    b"SUB a 1\r\n",
    b"CONNECT {bad}\r\n",
    b"CONNECT {}\r\n",
    b"CONNECT null\r\n",
    b'CONNECT {"verbose":"x"}\r\n',
    b'CONNECT {"VERBOSE":false,"nope":[1]}\r\n',
    b'CONNECT {"verbose":false,"protocol":1}\r\n',
    b'CONNECT {"verbose":false,"protocol":5}\r\n',
    b'CONNECT {"verbose":false,"protocol":-1}\r\n',
    b'CONNECT {"verbose":false,"no_responders":true}\r\n',
    b'CONNECT {"verbose":false,"no_responders":true,"headers":true}\r\n',
    b'CONNECT {"verbose":false,"account":"X"}\r\n',
    b'CONNECT {"verbose":false,"new_account":true}\r\n',
    b'CONNECT {"verbose":false,"user":"a","pass":"b"}\r\n',
    b'CONNECT {"verbose":true,"user":"a","pass":"b"}\r\n',
    b'CONNECT {"verbose":false,"user":"a","pass":"X"}\r\n',
    b'CONNECT {"verbose":false,"user":"a"}\r\n',
    b'CONNECT {"verbose":false,"user":"zz","pass":"b"}\r\n',
    b'CONNECT {"verbose":false,"user":"h","pass":"secret"}\r\n',
    b'CONNECT {"verbose":false,"user":"h","pass":"X"}\r\n',
    b'CONNECT {"verbose":false,"user":"w","pass":"b"}\r\n',
    b'CONNECT {"verbose":false,"auth_token":"t"}\r\n',
    b'CONNECT {"verbose":false,"auth_token":"secret"}\r\n',
    b'CONNECT {"verbose":false,"auth_token":"X"}\r\n',
    b'CONNECT {"verbose":false,"nkey":"UABC","sig":"x"}\r\n',
    b'CONNECT {"user":"a","pass":"b"}\r\nCONNECT {"user":"zz","pass":"b"}\r\n',
    b'CONNECT {"user":"a","pass":"b"}\r\nCONNECT {"user":"a","pass":"b"}\r\n',
    b'CONNECT {"user":"a","pass":"b"}\r\nCONNECT {"protocol":"1"}\r\n',
]

USERS = f"""users: [
    {{user: a, password: b}}, {{user: h, password: "{HASH}"}},
    {{user: w, password: b, allowed_connection_types: [WEBSOCKET]}}
]"""


@pytest.mark.parametrize(
    "config",
    [
        "",
        "authorization { user: a, password: b }",
        "authorization { token: t }",
        f'authorization {{ token: "{HASH}" }}',
        f"authorization {{ {USERS} }}",
        f"authorization {{ {USERS} }}, no_auth_user: a",
    ],
    ids=["open", "user", "token", "hashed token", "users", "no_auth_user"],
)
def test_answers_are_those_of_nats_server(config: str, both: StartBoth) -> None:
    ours, theirs = both(config)
    for request in REQUESTS:
        answers = []
        for place in (ours, theirs):
            with WireClient(place.url) as client:
                answers.append(
                    (client.info.get("auth_required"), without_unasked(client.answer(request)))
                )
        assert answers[0] == answers[1], request
    assert disconnect_reasons(ours) == disconnect_reasons(theirs)


def disconnect_reasons(place: Place) -> list[str]:
    """Of all that were connected, once they are all gone."""

    def closed() -> list[dict[str, Any]]:
        page = get(place.monitoring_url, "/connz?state=closed").json
        found: list[dict[str, Any]] = page["connections"]
        return found

    wait_until(lambda: len(closed()) == len(REQUESTS), "all are gone")
    return [one["reason"] for one in closed()]


def test_authentication_timeout(both: StartBoth) -> None:  # K-061
    ours, theirs = both("authorization { token: t, timeout: 0.2 }")
    answers = []
    for place in (ours, theirs):
        with WireClient(place.url) as client:
            answers.append(client.until_closed())
    assert answers[0] == answers[1] == b"-ERR 'Authentication Timeout'\r\n"


def test_the_second_info(both: StartBoth) -> None:  # K-034
    ours, theirs = both("server_name: n")
    shapes = []
    for place in (ours, theirs):
        with WireClient(place.url) as client:
            client.send(b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n')
            client.until(b"INFO ")
            shapes.append((client.info, client.until(b"\r\n")))
    for first, second in shapes:
        assert b'"connect_info":true' in second
        assert b'"remote_account":"$G"' in second
        assert f'"client_id":{first["client_id"]}'.encode() in second
    expected = set(shapes[1][0]) - {"git_commit", "xkey"}  # no commit, no key to encrypt with
    assert set(shapes[0][0]) | {"api_lvl"} == expected | {"api_lvl"}


def test_a_password_is_compared_while_messages_flow(both: StartBoth) -> None:
    """A slow hash (about half a second) does not hold up a client that is already in."""
    slow = bcrypt.hashpw(b"secret", bcrypt.gensalt(12, prefix=b"2a")).decode()
    ours, _ = both(
        f'authorization {{ users: [{{user: a, password: b}}, {{user: s, password: "{slow}"}}] }}'
    )
    with WireClient(ours.url) as fast, WireClient(ours.url) as waiting:
        fast.answer(b'CONNECT {"verbose":false,"user":"a","pass":"b"}\r\n')
        waiting.send(b'CONNECT {"verbose":false,"user":"s","pass":"secret"}\r\nPING\r\n')
        fast.answer(b"SUB x 1\r\n")
        assert fast.answer(b"PUB x 1\r\ny\r\n") == b"MSG x 1 1\r\ny\r\n"
        assert fast.answer(b'CONNECT {"verbose":false,"user":"a","pass":"b"}\r\n') == b""
        assert waiting.until(b"PONG\r\n") == b"PONG\r\n"
