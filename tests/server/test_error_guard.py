"""Goal: an exception that no code expected ends the step that raised it, with an id that the answer
and the log share; the server goes on, and the log stays small.

Method: the guard by itself with a clock of the test; a server in this process whose parts the test
makes raise.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from raw_client import wait_until
from slipstream.server.error_guard import IDS_MAX, LOG_INTERVAL_S, ErrorGuard
from slipstream.server.log import ServerLog
from slipstream.testing import server
from slipstream.testing.in_process import EmbeddedServer
from wire import WireClient, get

CONNECT = b'CONNECT {"verbose":false}\r\n'


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def raised(text: str = "broken") -> Exception:
    try:
        raise ValueError(text)
    except ValueError as error:
        return error


def guard_into(lines: list[str], clock: Clock) -> ErrorGuard:
    return ErrorGuard(ServerLog(sink=lines.append), clock)


def test_one_fault_has_one_id_and_one_entry_a_minute() -> None:
    lines: list[str] = []
    clock = Clock()
    guard = guard_into(lines, clock)
    ids = {guard.report("a step", raised()) for _ in range(1000)}
    assert len(ids) == 1
    assert len(lines) == 1
    assert f"Unexpected error {ids.pop()} in a step: ValueError: broken\n" in lines[0]
    assert "raise ValueError(text)" in lines[0]
    assert guard.errors == 1000
    clock.now_s += LOG_INTERVAL_S
    guard.report("a step", raised())
    assert len(lines) == 2
    assert "(999 more since it was logged last)" in lines[1]


def test_texts_of_clients_cannot_forge_lines() -> None:
    lines: list[str] = []
    guard = guard_into(lines, Clock())
    guard.report("$JS.API.\r\n[1] forged", raised("\x1b[0m\r\n[1] forged \ud800" + "x" * 10_000))
    (entry,) = lines
    first, *frames = entry.rstrip("\n").split("\n")
    assert r"in $JS.API.\r\n[1] forged: ValueError: \x1b[0m\r\n[1] forged " in first
    assert first.endswith("...")
    assert frames
    assert all(line.startswith("  ") for line in frames)


def test_deep_tracebacks_and_many_places_are_bounded() -> None:
    def deep(depth: int) -> None:
        if depth:
            deep(depth - 1)
        raise ValueError

    lines: list[str] = []
    guard = guard_into(lines, Clock())
    try:
        deep(900)
    except ValueError as error:
        guard.report("a step", error)
    assert len(lines[0]) < 8_000
    for number in range(2 * IDS_MAX):
        scope: dict[str, object] = {}
        code = compile("raise ValueError", f"place{number}", "exec")
        try:
            exec(code, scope)
        except ValueError as error:
            guard.report("a step", error)
    assert len(guard._logged) == IDS_MAX


# -- in a server


def unexpected(running: EmbeddedServer) -> int:
    page = get(running.monitoring_url, "/varz").json
    count: int = page["slipstream"]["unexpected_errors"]
    return count


def fail(*_: object) -> None:
    raise RuntimeError("no code expected this")


def test_every_kind_of_step_is_contained(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(http_port=-1) as running:
        inner = running.server
        assert unexpected(running) == 0
        inner.loop.post(fail)
        inner.loop.post(lambda: inner.loop.timers.at(0.0, fail))
        wait_until(lambda: inner.guard.errors == 2, "two errors")
        with monkeypatch.context() as patched:
            patched.setattr(inner.admission, "closed", fail)
            with WireClient(running.url) as client:
                assert client.answer(CONNECT) == b""
            wait_until(lambda: inner.guard.errors == 3, "the third error")
        with monkeypatch.context() as patched:
            assert inner.jetstream is not None
            patched.setattr(inner.jetstream, "work", fail)
            inner.loop.post(lambda: None)
            wait_until(
                lambda: inner.guard.errors > 5, "further tries"
            )  # it is tried again and again, with pauses
        with WireClient(running.url) as client:
            assert client.answer(CONNECT) == b""
            client.send(b"SUB i 1\r\nPUB $JS.API.INFO i 0\r\n\r\n")
            assert client.until(b"\r\n").startswith(b"MSG i 1 ")
        wait_until(lambda: unexpected(running) == inner.guard.errors, "the count")
        assert any("in ClosedEvent: RuntimeError" in line for line in running.log_lines)


def test_connect_that_raises_closes_its_connection_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(http_port=-1) as running, WireClient(running.url) as friend:
        assert friend.answer(CONNECT) == b""
        with monkeypatch.context() as patched:
            patched.setattr("slipstream.server.admission.decode_connect", fail)
            with WireClient(running.url) as stranger:
                stranger.send(CONNECT + b"PING\r\n")
                answer = stranger.until_closed()
        found = re.fullmatch(rb"-ERR 'Unexpected error ([0-9a-f]{8})'\r\n", answer)
        assert found
        assert any(f"error {found[1].decode()} in CONNECT" in line for line in running.log_lines)
        assert friend.answer(b"") == b""


def test_a_comparison_of_passwords_that_raises(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hashed = "$2a$04$" + "a" * 53
    with server(authorization__user="u", authorization__password=hashed) as running:
        monkeypatch.setattr("slipstream.server.passwords.secrets_match", fail)
        with WireClient(running.url) as client:
            client.send(b'CONNECT {"user":"u","pass":"x"}\r\n')
            assert b"Authorization Violation" in client.until_closed()
        assert running.server.guard.errors == 1


def test_services_and_pages_answer_500(monkeypatch: pytest.MonkeyPatch) -> None:
    with server(http_port=-1) as running:
        monkeypatch.setattr("slipstream.server.services.connz", fail)
        monkeypatch.setattr("slipstream.server.monitoring.pages.connz", fail)
        with WireClient(running.url) as client:
            client.send(CONNECT + b"SUB i 1\r\nPUB $SYS.REQ.ACCOUNT.PING.CONNZ i 0\r\n\r\n")
            client.until(b"\r\n")
            error = json.loads(client.until(b"\r\n"))["error"]
            assert error["code"] == 500
            assert "unexpected error" in error["description"]
        page = get(running.monitoring_url, "/connz")
        assert page.status == 500
        assert b"unexpected error" in page.body
        assert unexpected(running) == 2
