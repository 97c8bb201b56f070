"""Rows about the latency of core messages while the server is busy with something else.

Messages and requests are sent at a fixed rate and their latency counts from when each was due, so
that a server which stops for a while cannot hide the messages that waited meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rows import Row, Sample
from servers import RunningServer
from slipstream.bench._load import INDEX, LoadError, LoadRun
from slipstream.bench.api_client import ApiClient, ApiError
from slipstream.bench.consumer_workloads import add_push_replay
from slipstream.bench.measurement import Latency
from slipstream.bench.workload import Message, execute, inbox, new_run

PAYLOAD = b"x" * 128
SAMPLES_MIN = 500  # fewer say nothing about a 99th percentile

REPLAY_BYTES = 2 * 10**9
REPLAY_PAYLOAD = b"x" * 1024
REPLAY_STREAM = "REPLAY"
DELIVERY_RATE = 10_000

STREAMS = 1000
REQUEST_RATE = 2_000
REQUEST_WINDOW = 256  # independent clients do not wait for each other


def p99_us(result: dict[str, Any]) -> Sample:
    if not result["latency_ns"] or result["latency_ns"]["samples"] < SAMPLES_MIN:
        raise LoadError(f"too few samples for a percentile: {result}")
    latency = Latency.from_ns(result["latency_ns"])
    return Sample(latency.p99_us, {"latency": latency.__dict__, "messages": result["messages"]})


@dataclass(frozen=True, kw_only=True)
class ColdReplayRow(Row):
    """Core 1:1 at a fixed rate beside an ordered replay of a stream whose pages were dropped."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        count = max(1, int(REPLAY_BYTES * scale) // len(REPLAY_PAYLOAD))
        self._fill_once(server, count)
        server.drop_cached_files()
        run = new_run(server.address)
        consumer = {
            "name": "cold",
            "deliver_policy": "all",
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
        }
        payload_bytes = len(REPLAY_PAYLOAD)
        add_push_replay(run, REPLAY_STREAM, consumer, count=count, payload_bytes=payload_bytes)
        run.add_subscribers(
            "beside", count=0, payload_bytes=len(PAYLOAD), timestamps=True, background=True
        )
        run.add_publishers(
            Message("beside", PAYLOAD),
            count=0,
            rate=DELIVERY_RATE,
            timestamps=True,
            background=True,
        )
        run.connect()
        execute(run)
        with ApiClient(server.address) as api:
            api.request(f"$JS.API.CONSUMER.DELETE.{REPLAY_STREAM}.cold")
        replay, beside, _ = run.results()
        sample = p99_us(beside)
        return Sample(sample.value, sample.measured | {"replay_seconds": replay["seconds"]})

    def _fill_once(self, server: RunningServer, count: int) -> None:
        with ApiClient(server.address) as api:
            try:
                if api.stream_state(REPLAY_STREAM)["messages"] == count:
                    return
                api.delete_stream(REPLAY_STREAM)
            except ApiError as error:
                if error.code != 404:
                    raise
            api.create_stream({"name": REPLAY_STREAM, "subjects": ["replay"], "storage": "file"})
        run = new_run(server.address)
        run.add_requesters(
            [Message("replay", REPLAY_PAYLOAD)],
            count=count,
            inbox=inbox(),
            check="pub_ack",
            stream=REPLAY_STREAM,
            window=1000,
        )
        run.connect()
        execute(run)


@dataclass(frozen=True, kw_only=True)
class BusyApiRow(Row):
    """Core request-reply at a fixed rate, while streams are created and listed."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        run = new_run(server.address)  # fewer streams would leave too few samples: not scaled
        self._add_api_clients(run, STREAMS)
        run.add_requesters(
            [Message("beside", PAYLOAD)],
            count=0,
            inbox=inbox(),
            check="size",
            answer_bytes=len(PAYLOAD),
            rate=REQUEST_RATE,
            window=REQUEST_WINDOW,
            background=True,
        )
        run.add_responders("beside", payload_bytes=len(PAYLOAD))
        run.connect()
        try:
            execute(run)
        finally:
            self._delete_streams(server, STREAMS)
        create, lists, beside, _ = run.results()
        sample = p99_us(beside)
        api = {"create_seconds": create["seconds"], "lists": lists["messages"]}
        return Sample(sample.value, sample.measured | api)

    def _add_api_clients(self, run: LoadRun, streams: int) -> None:
        config = f'{{"name":"S{INDEX}","subjects":["s.{INDEX}"],"storage":"file"}}'
        run.add_requesters(
            [Message(f"$JS.API.STREAM.CREATE.S{INDEX}", config.encode())],
            count=streams,
            inbox=inbox(),
            check="api",
            name="create streams",
        )
        run.add_requesters(
            [Message("$JS.API.STREAM.LIST")],
            count=0,
            inbox=inbox(),
            check="api",
            background=True,
            name="list streams",
        )

    def _delete_streams(self, server: RunningServer, streams: int) -> None:
        run = new_run(server.address)
        run.add_requesters(
            [Message(f"$JS.API.STREAM.DELETE.S{INDEX}")],
            count=streams,
            inbox=inbox(),
            check="api",
            name="delete streams",
        )
        run.connect()
        execute(run)
