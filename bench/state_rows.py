"""Rows about what a server holds: the memory of a million subjects, and how fast it is back with
them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from rows import Row, Sample
from servers import RunningServer
from slipstream.bench._load import SUBJECT_NUMBER, LoadError
from slipstream.bench.api_client import ApiClient
from slipstream.bench.workload import Message, execute, inbox, new_run

STREAM = "SUBJECTS"
SUBJECTS = 1_000_000
PAYLOAD = b"x" * 128
FILL_WINDOW = 1000


def fill_subjects(server: RunningServer, subjects: int, *, allow_direct: bool = False) -> None:
    """One message on each of `subjects` subjects."""
    with ApiClient(server.address) as api:
        config = {"name": STREAM, "subjects": ["subjects.>"], "storage": "file"}
        api.create_stream(config | {"allow_direct": allow_direct})
    publish_filling(server, f"subjects.{SUBJECT_NUMBER}", range(subjects), subjects)


def publish_filling(server: RunningServer, subject: str, indices: range, subjects: int = 1) -> None:
    """Publishes a message for each index; returns when all are acknowledged."""
    run = new_run(server.address)
    run.add_requesters(
        [Message(subject, PAYLOAD)],
        count=len(indices),
        index_first=indices.start,
        subjects=subjects,
        inbox=inbox(),
        check="pub_ack",
        stream=STREAM,
        window=FILL_WINDOW,
    )
    run.connect()
    execute(run)


def require_subjects(server: RunningServer, subjects: int) -> None:
    with ApiClient(server.address) as api:
        state = api.stream_state(STREAM)
    if (state["messages"], state["num_subjects"]) != (subjects, subjects):
        raise LoadError(f"{subjects} messages and subjects were stored, the server has {state}")


@dataclass(frozen=True, kw_only=True)
class SubjectMemoryRow(Row):
    """Resident memory after the load minus that of the idle server, per million subjects."""

    def begin(self, server: RunningServer) -> None:
        """Each sample starts a server of its own."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        subjects = max(1, int(SUBJECTS * scale))
        server.start()
        try:
            idle_bytes = server.process.rss_bytes()
            fill_subjects(server, subjects)
            loaded_bytes = server.process.rss_bytes()
            require_subjects(server, subjects)
            with ApiClient(server.address) as api:
                api.delete_stream(STREAM)
        finally:
            server.stop()
        per_million_mib = (loaded_bytes - idle_bytes) / 2**20 * 1_000_000 / subjects
        return Sample(per_million_mib, {"idle_bytes": idle_bytes, "loaded_bytes": loaded_bytes})


@dataclass(frozen=True, kw_only=True)
class RestartRow(Row):
    """Seconds from the start of the process until it is ready and the stream's state is right.

    Every sample starts on the same copy of the store, as the clean stop or the kill left it right
    after the load; its pages are in memory on both sides.
    """

    killed: bool

    def begin(self, server: RunningServer) -> None:
        """The first sample loads the store."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        subjects = max(1, int(SUBJECTS * scale))
        kept = server.folder / "kept"
        if not kept.exists():
            server.start()
            fill_subjects(server, subjects)
            server.kill() if self.killed else server.stop()
            server.keep_store()
        server.restore_store(kept)
        start = time.monotonic()
        ready_s = server.start()
        require_subjects(server, subjects)
        answered_s = time.monotonic() - start
        rss_bytes = server.process.rss_bytes()
        server.kill()
        return Sample(answered_s, {"ready_s": ready_s, "rss_bytes": rss_bytes})
