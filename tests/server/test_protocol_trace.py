"""--trace writes what clients send and get as nats-server writes it (K-301).

Method: the same conversation with both servers, one request at a time; their logs are compared
line by line without time, process and address. nats-server's DELSUB lines are left out: they tell
of its own books, not of the protocol.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from raw_client import wait_until
from slipstream.testing import ServerProcess
from slipstream.testing.process import PROGRAM
from wire import NATS_SERVER, WireClient

CONNECT = b'CONNECT {"verbose":true,"headers":true,"no_responders":true,"pass":"x","name":"n"}\r\n'
CONVERSATION = (
    b"SUB foo 1\r\n",
    b"SUB bar q 2\r\n",
    b"sub baz 3\r\n",
    b"PUB foo 5\r\nhello\r\n",
    b'PUB foo reply 3\r\n\x01\x7f"\r\n',
    "PUB foo 15\r\nn\u00e4her \u20ac \U0001f600\r\n".encode(),
    b"PUB foo 4\r\n\xff\t\\\n\r\n",
    b"HPUB foo 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    b"PUB nobody 0\r\n\r\n",
    b"PUB bar 40\r\n" + b"0123456789" * 4 + b"\r\n",
    b"UNSUB 1\r\n",
    b"UNSUB 2 5\r\n",
    b"PUB $SYS.REQ.USER.INFO 0\r\n\r\n",
    b"SUB foo. 4\r\n",
    b"PUB end 0\r\n\r\n",
)
END = "<<- [PUB end 0]"


def traced(program: tuple[str, ...], *flags: str) -> list[str]:
    with ServerProcess(["-V", *flags], program=program) as server:
        with WireClient(server.url) as client:
            client.answer(b"PING\r\n" + CONNECT)
            for request in CONVERSATION:
                client.answer(request)
        wait_until(lambda: END in server.log, "the last line")
        server.stop()
        lines = [line.partition("[TRC] ")[2] for line in server.log.splitlines()]
    return [
        re.sub(r"^127\.0\.0\.1:\d+ - cid:\d+", "ADDRESS", line)
        for line in lines[: next(i for i, line in enumerate(lines) if END in line)]
        if line and "DELSUB" not in line
    ]


@pytest.mark.skipif(NATS_SERVER is None, reason="nats-server is not installed")
@pytest.mark.parametrize("flags", [(), ("--max_traced_msg_len", "12")], ids=["whole", "cut"])
def test_lines_are_those_of_nats_server(flags: tuple[str, ...]) -> None:
    assert NATS_SERVER is not None
    ours, theirs = traced(PROGRAM, *flags), traced((NATS_SERVER,), *flags)
    assert ours == theirs
    assert 'ADDRESS - "n" - <<- [PUB foo 5]' in ours


def test_nothing_is_traced_without_the_flag(tmp_path: Path) -> None:
    with ServerProcess([], folder=tmp_path) as server:
        with WireClient(server.url) as client:
            client.answer(CONNECT + b"SUB foo 1\r\nPUB foo 2\r\nhi\r\n")
        server.stop()
        assert "[TRC]" not in server.log
