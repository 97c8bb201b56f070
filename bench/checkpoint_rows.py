"""Rows about publishing beside checkpoints: Slipstream against itself.

The first server takes one checkpoint after the other while the second one, with the same load,
takes none. Publishes are sent at a fixed rate, and their latency counts from when each was due.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filter_rows import make_idle_consumers
from latency_rows import PAYLOAD, p99_us
from rows import Row, Sample
from servers import Product, RunningServer
from slipstream.bench._load import INDEX, SUBJECT_NUMBER, LoadError, LoadRun
from slipstream.bench.api_client import ApiClient
from slipstream.bench.workload import Message, execute, headers, inbox, new_run
from state_rows import STREAM

MEASURED = "MEASURED"
PUBLISH_RATE, PUBLISH_WINDOW = 2_000, 256
CHANGE_RATE = 20_000
SECONDS = 10.0
SCALE_MIN = 0.3  # less than one checkpoint would fit in
ROUND_S_MAX, POLL_S = 120.0, 0.002


@dataclass(frozen=True, kw_only=True)
class CheckpointRow(Row):
    """99th percentile of publish acknowledgements while checkpoints run, against without them."""

    def sides(self, ours: Product, theirs: Product) -> tuple[Product, Product]:
        server = Path(__file__).with_name("checkpointing_server.py")
        product = Product(ours.name, (sys.executable, str(server)))
        return product, product

    def modes(self) -> tuple[str, str]:
        return self.ours.label, f"{self.ours.label}, no checkpoint"

    def begin(self, server: RunningServer) -> None:
        server.start()
        self.fill(server)

    def fill(self, server: RunningServer) -> None:
        raise NotImplementedError

    def add_load(self, run: LoadRun, count: int) -> None:
        """The first role is the measured one."""
        raise NotImplementedError

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        begin_checkpoints(server)
        end_checkpoints(server)  # the journal is empty now: the server takes none by itself
        run = new_run(server.address)
        self.add_load(run, int(SECONDS * max(scale, SCALE_MIN) * PUBLISH_RATE))
        run.connect()
        rounds = newest_round(server)
        if ours:
            begin_checkpoints(server)
        execute(run)
        taken = newest_round(server) - rounds
        if ours:
            end_checkpoints(server)
        if bool(taken) != ours:
            raise LoadError(f"{taken} checkpoints were taken beside what is measured")
        sample = p99_us(run.results()[0])
        return Sample(sample.value, sample.measured | {"checkpoints": taken})


def begin_checkpoints(server: RunningServer) -> None:
    os.kill(server.process.pid, signal.SIGRTMIN)
    wait_until(lambda: not (server.folder / "idle").exists())


def end_checkpoints(server: RunningServer) -> None:
    os.kill(server.process.pid, signal.SIGRTMIN)
    wait_until(lambda: (server.folder / "idle").exists())


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + ROUND_S_MAX
    while not reached():
        if time.monotonic() > deadline:
            raise LoadError("a checkpoint does not end")
        time.sleep(POLL_S)


def newest_round(server: RunningServer) -> int:
    """Every checkpoint is a file with a number of its own."""
    rounds = (int(path.stem, 16) for path in (server.store / "checkpoints").glob("*.checkpoint"))
    return max(rounds, default=0)


def add_measured(run: LoadRun, stream: str, message: Message, count: int) -> None:
    run.add_requesters(
        [message],
        count=count,
        inbox=inbox(),
        check="pub_ack",
        stream=stream,
        rate=PUBLISH_RATE,
        window=PUBLISH_WINDOW,
        name="measured",
    )


@dataclass(frozen=True, kw_only=True)
class StreamsCheckpointRow(CheckpointRow):
    """Many streams, all of which change all the time."""

    streams: int

    def fill(self, server: RunningServer) -> None:
        with ApiClient(server.address) as api:
            api.create_stream({"name": MEASURED, "subjects": ["measured"], "storage": "file"})
        config = f'{{"name":"S{INDEX}","subjects":["s.{INDEX}"],"storage":"file"}}'
        run = new_run(server.address)
        run.add_requesters(
            [Message(f"$JS.API.STREAM.CREATE.S{INDEX}", config.encode())],
            count=self.streams,
            inbox=inbox(),
            check="api",
            window=10,
            name="create streams",
        )
        run.connect()
        execute(run)

    def add_load(self, run: LoadRun, count: int) -> None:
        add_measured(run, MEASURED, Message("measured", PAYLOAD), count)
        run.add_publishers(
            Message(f"s.{SUBJECT_NUMBER}", PAYLOAD),
            count=0,
            subjects=self.streams,
            rate=CHANGE_RATE,
            background=True,
        )


@dataclass(frozen=True, kw_only=True)
class ConsumersCheckpointRow(CheckpointRow):
    """One stream with many consumers."""

    consumers: int

    def fill(self, server: RunningServer) -> None:
        make_idle_consumers(server, self.consumers)

    def add_load(self, run: LoadRun, count: int) -> None:
        add_measured(run, STREAM, Message("subjects.one", PAYLOAD), count)


@dataclass(frozen=True, kw_only=True)
class WindowCheckpointRow(CheckpointRow):
    """One stream that remembers many message ids."""

    ids: int

    def fill(self, server: RunningServer) -> None:
        with ApiClient(server.address) as api:
            hour_ns = 3600 * 10**9
            config = {"name": STREAM, "subjects": ["subjects.>"], "storage": "file"}
            api.create_stream(config | {"duplicate_window": hour_ns, "max_msgs": 1000})
        run = new_run(server.address)
        run.add_requesters(
            [Message("subjects.one", PAYLOAD, headers(Nats_Msg_Id="fill-" + INDEX))],
            count=self.ids,
            inbox=inbox(),
            check="pub_ack",
            stream=STREAM,
            window=4000,
        )
        run.connect()
        execute(run)

    def add_load(self, run: LoadRun, count: int) -> None:
        message_id = f"{time.monotonic_ns()}-{INDEX}"
        message = Message("subjects.one", PAYLOAD, headers(Nats_Msg_Id=message_id))
        add_measured(run, STREAM, message, count)
