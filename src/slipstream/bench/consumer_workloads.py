"""Workloads that take messages out of a stream by a consumer: fetch, consume, replay."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

from slipstream.bench._load import LoadError, LoadRun
from slipstream.bench.api_client import ApiClient, ServerAddress
from slipstream.bench.stream_workloads import StreamWorkload
from slipstream.bench.workload import inbox, option

ACK_SETTLE_S = 60.0
ACK_POLL_S = 0.01
IDLE_HEARTBEAT_NS = 5_000_000_000


@dataclass(frozen=True, kw_only=True)
class Consumption(StreamWorkload):
    """A stream filled before the clock starts."""

    count: int = option(200_000, "messages in the stream, all of which are taken")
    size: int = option(128, "payload bytes")

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        self.fill(server, self.count, self.size)

    def verify(self, api: ApiClient) -> None:
        self.require_state(api, messages=self.count)


@dataclass(frozen=True, kw_only=True)
class Fetch(Consumption):
    name = "fetch"
    summary = "fetch batches from a pull consumer, one pull request at a time per client"
    continuous = False

    clients: int = option(1, "connections that share the consumer")
    batch: int = option(100, "messages per pull request")
    ack: str = option("explicit", "acknowledge every message, or none", ("explicit", "none"))

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        config = {"name": "bench", "durable_name": "bench", "ack_policy": self.ack}
        api.create_consumer(self.stream, config | {"deliver_policy": "all"})

    def add_roles(self, run: LoadRun) -> None:
        run.add_pullers(
            self.stream,
            "bench",
            inbox=inbox(),
            count=self.count,
            payload_bytes=self.size,
            clients=self.clients,
            batch=self.batch,
            continuous=self.continuous,
            acknowledge=self.ack == "explicit",
        )

    def verify(self, api: ApiClient) -> None:
        super().verify(api)
        deadline = time.monotonic() + ACK_SETTLE_S
        while self._unsettled(state := api.consumer(self.stream, "bench")):
            if time.monotonic() > deadline:
                raise LoadError(f"the consumer does not come to rest: {json.dumps(state)}")
            time.sleep(ACK_POLL_S)  # the server applies acknowledgements behind its reads

    def _unsettled(self, state: dict[str, Any]) -> bool:
        return bool(
            state["num_pending"]
            or state["num_ack_pending"]
            or state["num_redelivered"]
            or state["delivered"]["stream_seq"] != self.count
            or (self.ack == "explicit" and state["ack_floor"]["stream_seq"] != self.count)
        )


@dataclass(frozen=True, kw_only=True)
class Consume(Fetch):
    name = "consume"
    summary = "consume continuously: the next pull request goes out when half of the last has come"
    continuous = True

    batch: int = option(500, "messages asked for at most (the default of nats.go's Consume)")


@dataclass(frozen=True, kw_only=True)
class Replay(Consumption):
    name = "replay"
    summary = "replay a stream in order without acknowledgements"

    method: str = option("push", "push consumer with flow control, or pull", ("push", "pull"))
    batch: int = option(500, "messages asked for at most with pull")

    def consumer_config(self) -> dict[str, Any]:
        return {
            "name": "replay",
            "deliver_policy": "all",
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": 300_000_000_000,
        }

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        if self.method == "pull":
            api.create_consumer(self.stream, self.consumer_config())

    def add_roles(self, run: LoadRun) -> None:
        if self.method == "pull":
            run.add_pullers(
                self.stream,
                "replay",
                inbox=inbox(),
                count=self.count,
                payload_bytes=self.size,
                batch=self.batch,
                continuous=True,
            )
            return
        add_push_replay(
            run, self.stream, self.consumer_config(), count=self.count, payload_bytes=self.size
        )


def add_push_replay(
    run: LoadRun,
    stream: str,
    config: dict[str, Any],
    *,
    count: int,
    payload_bytes: int,
    filtered: bool = False,
) -> None:
    """The ordered consumer of the clients: created when the clock starts, acknowledges nothing,
    answers flow control.
    """
    deliver_subject = inbox()
    push = {
        "deliver_subject": deliver_subject,
        "flow_control": True,
        "idle_heartbeat": IDLE_HEARTBEAT_NS,
    }
    body = {"stream_name": stream, "config": config | push, "action": "create"}
    subject = f"$JS.API.CONSUMER.CREATE.{stream}.{config['name']}"
    run.add_receiver(
        stream,
        deliver_subject=deliver_subject,
        inbox=inbox(),
        create_subject=f"{subject}.{config['filter_subject']}" if filtered else subject,
        create_request=json.dumps(body).encode(),
        count=count,
        payload_bytes=payload_bytes,
    )
