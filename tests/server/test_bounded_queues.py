"""Goal: what waits for Python's threads does not grow with what clients do while these are busy.

Method: a comparison of passwords that the test holds up, with clients that connect and leave
meanwhile; a loop that never runs, asked by a thread that gives up.
"""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import bcrypt
import pytest

from raw_client import wait_until
from slipstream.server import loop as loop_module
from slipstream.server import passwords
from slipstream.server.authentication import Claim, Identity
from slipstream.server.loop import Loop, LoopStopped
from slipstream.server.passwords import PasswordChecker
from slipstream.testing import server

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4, prefix=b"2a")).decode()
CONNECT = b'CONNECT {"verbose":false,"user":"a","pass":"secret"}\r\nPING\r\n'
LEAVING = 20
PATIENCE_S = 30.0


class HeldUp:
    """In the place of `secrets_match`: says yes, once it is let go."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.may_go_on = threading.Event()

    def __call__(self, given: str, secret: str) -> bool:
        self.began.release()
        assert self.may_go_on.wait(PATIENCE_S)
        return True


@pytest.fixture
def held_up(monkeypatch: pytest.MonkeyPatch) -> Any:
    comparison = HeldUp()
    monkeypatch.setattr(passwords, "secrets_match", comparison)
    yield comparison
    comparison.may_go_on.set()


def test_a_comparison_that_is_withdrawn_is_not_made(held_up: HeldUp) -> None:
    verdicts: list[int] = []
    both = threading.Semaphore(0)
    checker = PasswordChecker(lambda what, error: "", threads=1)
    claim = Claim(Identity("user", "a", HASH), given="secret")

    def check(cid: int) -> None:
        def verdict(matches: bool) -> None:
            verdicts.append(cid)
            both.release()

        checker.check(cid, claim, verdict)

    check(1)
    assert held_up.began.acquire(timeout=PATIENCE_S)
    check(2)
    check(3)
    checker.withdraw(2)
    checker.withdraw(1)  # has begun: nothing to take back
    assert len(checker) == 1
    held_up.may_go_on.set()
    assert both.acquire(timeout=PATIENCE_S)
    assert both.acquire(timeout=PATIENCE_S)
    assert verdicts == [1, 3]
    checker.stop()


def test_clients_that_left_do_not_wait_for_their_password(held_up: HeldUp) -> None:
    config = f'authorization {{ user: a, password: "{HASH}" }}'
    with server(config=config) as running:
        port = running.port
        checker = running.server.admission._passwords
        busy = [socket.create_connection(("127.0.0.1", port)) for _ in range(passwords.THREADS_MAX)]
        for client in busy:
            client.sendall(CONNECT)
            assert held_up.began.acquire(timeout=PATIENCE_S)
        leaving = [socket.create_connection(("127.0.0.1", port)) for _ in range(LEAVING)]
        for client in leaving:
            client.sendall(CONNECT)
        wait_until(lambda: len(checker) == LEAVING, "all comparisons")
        for client in leaving:  # by a reset: the end of its bytes alone is not noticed yet
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        wait_until(lambda: len(checker) == 0, "no comparison of clients that left")
        held_up.may_go_on.set()
        for client in busy:
            client.settimeout(PATIENCE_S)
            received = b""
            while b"PONG\r\n" not in received:
                received += client.recv(4096)
            client.close()


def test_a_question_that_nobody_waits_for_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kernel:
        def wake(self) -> None:
            pass

    monkeypatch.setattr(loop_module, "ANSWER_WAIT_MAX_S", 0.0)
    monkeypatch.setattr(loop_module, "WAIT_MAX_S", 0.0)
    asked: list[int] = []
    loop = Loop(Kernel(), lambda event: None, lambda: None, lambda what, error: "")  # type: ignore[arg-type]
    loop.post(lambda: asked.append(1))
    with pytest.raises(LoopStopped):
        loop.ask(lambda: asked.append(2))
    assert len(loop._posted) == 1
    loop._posted.popleft()()
    assert asked == [1]
