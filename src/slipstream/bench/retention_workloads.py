"""Workloads of streams that let go of what was acknowledged, and of streams with many consumers."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from slipstream.bench._load import LoadError, LoadRun
from slipstream.bench.api_client import ApiClient, ServerAddress
from slipstream.bench.core_workloads import payload
from slipstream.bench.stream_workloads import StreamPublish, StreamWorkload
from slipstream.bench.workload import Message, inbox, option

EMPTY_SETTLE_S = 60.0
EMPTY_POLL_S = 0.01


def wait_until_empty(api: ApiClient, stream: str) -> None:
    """The server applies acknowledgements behind its reads."""
    deadline = time.monotonic() + EMPTY_SETTLE_S
    while (state := api.stream_state(stream))["messages"]:
        if time.monotonic() > deadline:
            raise LoadError(f"the stream does not become empty: {json.dumps(state)}")
        time.sleep(EMPTY_POLL_S)


@dataclass(frozen=True, kw_only=True)
class WorkQueue(StreamWorkload):
    name = "work-queue"
    summary = "workers fetch from one work-queue consumer and acknowledge until nothing is left"

    count: int = option(100_000, "messages in the stream, all of which are worked off")
    size: int = option(128, "payload bytes")
    clients: int = option(50, "workers, each with a connection and one pull request at a time")
    batch: int = option(10, "messages per pull request")

    def stream_config(self) -> dict[str, Any]:
        return super().stream_config() | {"retention": "workqueue"}

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        self.fill(server, self.count, self.size)
        config = {"name": "workers", "durable_name": "workers", "ack_policy": "explicit"}
        api.create_consumer(self.stream, config | {"max_ack_pending": -1})

    def add_roles(self, run: LoadRun) -> None:
        run.add_pullers(
            self.stream,
            "workers",
            inbox=inbox(),
            count=self.count,
            payload_bytes=self.size,
            clients=self.clients,
            batch=self.batch,
            acknowledge=True,
        )

    def verify(self, api: ApiClient) -> None:
        wait_until_empty(api, self.stream)


@dataclass(frozen=True, kw_only=True)
class InterestFlow(StreamWorkload):
    name = "interest"
    summary = "publish to an interest stream while its consumers take and acknowledge everything"

    count: int = option(20_000, "messages, each of which goes to every consumer")
    size: int = option(128, "payload bytes")
    consumers: int = option(10, "durable pull consumers, each with a connection")
    window: int = option(500, "publishes in flight")

    def stream_config(self) -> dict[str, Any]:
        return super().stream_config() | {"retention": "interest"}

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        for number in range(self.consumers):
            name = f"reader{number}"
            config = {"name": name, "durable_name": name, "ack_policy": "explicit"}
            api.create_consumer(self.stream, config | {"max_ack_pending": -1})

    def add_roles(self, run: LoadRun) -> None:
        for number in range(self.consumers):
            run.add_pullers(
                self.stream,
                f"reader{number}",
                inbox=inbox(),
                count=self.count,
                payload_bytes=self.size,
                batch=500,
                continuous=True,
                acknowledge=True,
            )
        run.add_requesters(
            [Message(self.subject, payload(self.size))],
            count=self.count,
            inbox=inbox(),
            check="pub_ack",
            stream=self.stream,
            window=self.window,
            name="publish",
        )

    def verify(self, api: ApiClient) -> None:
        wait_until_empty(api, self.stream)


@dataclass(frozen=True, kw_only=True)
class PublishBesideConsumers(StreamPublish):
    name = "js-pub-consumers"
    summary = "publish to a stream whose consumers do not ask for anything at the moment"

    consumers: int = option(10, "durable pull consumers without pull requests")

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        for number in range(self.consumers):
            name = f"idle{number}"
            config = {"name": name, "durable_name": name, "ack_policy": "explicit"}
            api.create_consumer(self.stream, config)
