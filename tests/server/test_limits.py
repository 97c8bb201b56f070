"""The configured limits and the protocol's errors on the wire, byte for byte as nats-server's
(K-045..K-079).

Method: per configuration a list of requests, each on a connection of its own to both servers;
connections stay open so that limits on their number count.
"""

from __future__ import annotations

from functools import partial

import pytest

from raw_client import wait_until
from wire import Place, StartBoth, WireClient, get, without_unasked

C = b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n'
LONG = b"a" * 100

CASES: dict[str, list[bytes]] = {
    "max_payload: 10": [  # K-069
        C + b"PUB a 11\r\nhello world\r\n",
        C + b"PUB a 10\r\nhello worl\r\n",
        C + b"HPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
    ],
    "max_control_line: 64": [  # K-068
        C,
        C + b"SUB " + LONG + b" 1\r\n",
        C + b"PUB " + LONG + b" 1\r\nx\r\n",
    ],
    "max_subs: 2": [  # K-067
        C + b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPUB c 1\r\nx\r\n",
        C + b"SUB a 1\r\nSUB b 2\r\nUNSUB 1\r\nSUB c 4\r\nPUB c 1\r\nx\r\n",
    ],
    "max_connections: 1": [C, C],  # K-065
    "no_header_support: true": [
        C,
        b'CONNECT {"verbose":false,"headers":true}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n',
        b'CONNECT {"verbose":false,"headers":true}\r\nHPUB a 12 13\r\nNATS/1.0\r\n\r\nx\r\n',
    ],
    "": [  # K-059, K-070, K-071, K-087, K-093
        C + b"SUB a. 1\r\n",
        C + b"PUB a..b 1\r\nx\r\n",
        C + b"SUB a.> 1\r\nPUB a.b r 1\r\nx\r\n",
        C + b"SUB r 1\r\nPUB nobody r 1\r\nx\r\n",
        C + b"FOO\r\n",
        C + b"SUB a 1\r\nUNSUB 1 2\r\n" + b"PUB a 1\r\nx\r\n" * 3,
        C + b"PUB a 3\r\nabcd\r\n",
        b'CONNECT {"verbose":true,"pedantic":true}\r\nPUB a.* 1\r\nx\r\nSUB a.>.b 1\r\n',
        b'CONNECT {"verbose":false,"echo":false}\r\nSUB a 1\r\nPUB a 1\r\nx\r\n',
    ],
}  # fmt: skip


@pytest.mark.parametrize("config", CASES, ids=[config or "none" for config in CASES])
def test_answers_are_those_of_nats_server(config: str, both: StartBoth) -> None:
    answers: list[list[bytes]] = []
    for place in both(config):
        clients = []
        answers.append([])
        for request in CASES[config]:
            clients.append(WireClient(place.url))
            answers[-1].append(without_unasked(clients[-1].answer(request)))
        for client in clients:
            client.close()
    for request, ours, theirs in zip(CASES[config], *answers, strict=True):
        assert ours == theirs, request


def test_stale_connections_are_closed(both: StartBoth) -> None:  # K-050, K-075
    places = both("ping_interval: '200ms', ping_max: 1")
    for place in places:
        with WireClient(place.url) as client:
            client.send(b'CONNECT {"verbose":false}\r\n')
            left = client.until_closed()
        assert left.endswith(b"-ERR 'Stale Connection'\r\n")
        assert left.count(b"PING\r\n") == 1
    page = partial(get, places[0].monitoring_url, "/varz")
    wait_until(lambda: page().json["stale_connections"] == 1, "the stale connection is counted")


def test_a_slow_consumer_is_disconnected(both: StartBoth) -> None:  # K-047, K-082
    assert [slow_consumer(place) for place in both("max_pending: 1MB, max_payload: 512KB")] == [
        ["Slow Consumer (Pending Bytes)"],
        ["Slow Consumer (Pending Bytes)"],
    ]


def slow_consumer(place: Place) -> list[str]:
    """Publishes to a client that does not read until it is gone; the reasons that /connz shows."""
    message = b"PUB a 500000\r\n" + b"x" * 500_000 + b"\r\n"
    with WireClient(place.url) as slow, WireClient(place.url) as fast:
        assert slow.answer(b'CONNECT {"verbose":false}\r\nSUB a 1\r\n') == b""
        fast.answer(b'CONNECT {"verbose":false}\r\n')
        reasons: list[str] = []

        def is_gone() -> bool:
            fast.answer(message)
            page = get(place.monitoring_url, "/connz?state=closed").json
            reasons[:] = [one["reason"] for one in page["connections"]]
            return bool(reasons)

        wait_until(is_gone, "the slow consumer is gone")
        assert get(place.monitoring_url, "/varz").json["slow_consumers"] == 1
        return reasons
