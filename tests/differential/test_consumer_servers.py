"""Goal: what depends on a server's configuration or on its end looks like nats-server's: subjects
of acknowledgements with domain and account (C-111, C-112), pull requests that wait when the server
stops (C-084).

Method: as in test_consumers.py, with a pair of servers for each question.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api_connection import Connection
from consumer_detail_scenarios import play_long_ack_subjects, play_long_flow_subjects
from consumer_scenarios import MS, Session
from slipstream.testing import server
from targets import running_oracle

LONG = "feature_flags { js_ack_fc_v2: true }"


@contextmanager
def two_sessions(nats_server: str, store: Path, config: str) -> Iterator[tuple[Session, Session]]:
    """nats-server's, then ours."""
    with (
        running_oracle(nats_server, store, config) as oracle,
        server(config) as running,
        Connection("127.0.0.1", running.port) as connection,
    ):
        yield Session(oracle.connection), Session(connection)


@pytest.mark.parametrize("play", [play_long_ack_subjects, play_long_flow_subjects])
def test_long_subjects(  # C-111, C-112
    nats_server: str, tmp_path: Path, play: Callable[[Session], None]
) -> None:
    with two_sessions(nats_server, tmp_path, LONG) as (theirs, ours):
        play(theirs)
        play(ours)
        assert ours.notes == theirs.notes
        assert any("$JS.ACK._." in note or "$JS.FC._." in note for note in ours.notes)


def wait_with_pulls(s: Session) -> None:
    s.stream()
    s.store("1")
    s.consumer()
    s.pull({"batch": 3, "expires": 60_000 * MS, "max_bytes": 1000})
    s.take(1)
    s.pull({"batch": 2, "expires": 60_000 * MS})
    s.waits(2)


def last_words(s: Session) -> list[str]:
    heard = []
    while True:
        try:
            message = s.connection.next_of_any(5)
        except ConnectionError:
            return sorted(heard)
        assert message is not None, "the server neither speaks nor closes"
        heard.append(f"{message.subject} {message.header!r}")


def test_waiting_pulls_hear_that_the_server_stops(  # C-084
    nats_server: str, tmp_path: Path
) -> None:
    with running_oracle(nats_server, tmp_path) as oracle:
        theirs = Session(Connection(*oracle.connection.peer))
        wait_with_pulls(theirs)
    with server() as running:
        ours = Session(Connection("127.0.0.1", running.port))
        wait_with_pulls(ours)
    assert ours.notes == theirs.notes
    heard = last_words(ours)
    assert heard == last_words(theirs)
    assert len(heard) == 2
