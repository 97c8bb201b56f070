"""Goal: clients that are turned away leave a trace: a line of the log for the first ones of a
second, with the number of the others, and counts of dropped messages in /varz.

Method: the limit of lines with a clock that stands still; a server that admits one client.
"""

from __future__ import annotations

from pathlib import Path

from raw_client import wait_until
from slipstream.server.line_limit import LINES_PER_S, LineLimit
from slipstream.testing import ServerProcess, server
from wire import WireClient, get


def test_lines_of_a_second() -> None:
    now_s = [5.0]
    limit = LineLimit(lambda: now_s[0])
    first = [limit.suffix() for _ in range(LINES_PER_S + 3)]
    assert first == [""] * LINES_PER_S + [None] * 3
    now_s[0] += 1
    assert limit.suffix() == " (and 3 others before it)"
    assert limit.suffix() == ""


def test_client_beyond_the_limit_is_logged(tmp_path: Path) -> None:
    config = "max_connections: 1"
    with (
        ServerProcess(folder=tmp_path, config=config) as process,
        WireClient(process.url) as admitted,
    ):
        assert admitted.answer(b"CONNECT {}\r\n")
        with WireClient(process.url) as turned_away:
            assert b"maximum connections exceeded" in turned_away.until_closed()
        wait_until(lambda: " - maximum connections exceeded" in process.log, "the line")


def test_dropped_requests_and_advisories_are_counted() -> None:
    with server(http_port=-1) as running:
        page = get(running.monitoring_url, "/varz").json["slipstream"]
    assert (page["requests_dropped"], page["advisories_dropped"]) == (0, 0)
