"""Workloads that read single messages (direct get), and a key-value bucket as clients make it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipstream.bench._load import NUMBER, SUBJECT_NUMBER, LoadRun
from slipstream.bench.api_client import ApiClient, ServerAddress
from slipstream.bench.consumer_workloads import add_push_replay
from slipstream.bench.core_workloads import payload
from slipstream.bench.stream_workloads import StreamWorkload
from slipstream.bench.workload import Message, inbox, option

DUPLICATE_WINDOW_NS = 120_000_000_000


@dataclass(frozen=True, kw_only=True)
class DirectGet(StreamWorkload):
    name = "get"
    summary = "direct get of single messages"

    count: int = option(100_000, "gets of all clients together")
    stored: int = option(100_000, "messages in the stream, one subject each")
    size: int = option(128, "payload bytes")
    clients: int = option(1, "connections")
    window: int = option(1, "gets in flight per client")
    by: str = option("sequence", "what to ask for", ("sequence", "subject"))

    def stream_config(self) -> dict[str, Any]:
        return super().stream_config() | {"allow_direct": True}

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        self.fill(server, self.stored, self.size, self.stored)

    def add_roles(self, run: LoadRun) -> None:
        by_sequence = Message(f"$JS.API.DIRECT.GET.{self.stream}", b'{"seq":%s}' % NUMBER.encode())
        by_subject = Message(f"$JS.API.DIRECT.GET.{self.stream}.{self.subject}")
        run.add_requesters(
            [by_sequence if self.by == "sequence" else by_subject],
            count=self.count,
            inbox=inbox(),
            check="direct",
            stream=self.stream,
            answer_bytes=self.size,
            subjects=self.stored,
            clients=self.clients,
            window=self.window,
            number="cycle",
            number_cycle=self.stored,
            name="get",
        )


@dataclass(frozen=True, kw_only=True)
class Bucket(StreamWorkload):
    count: int = option(100_000, "operations of all clients together")
    keys: int = option(1000, "keys, in turn")
    size: int = option(128, "payload bytes")
    clients: int = option(1, "connections")
    window: int = option(1, "operations in flight per client")

    @property
    def stream(self) -> str:
        return f"KV_bench_{self.suffix}"

    @property
    def subject(self) -> str:
        return f"$KV.bench_{self.suffix}.key{SUBJECT_NUMBER}"

    def stream_config(self) -> dict[str, Any]:
        return {
            "name": self.stream,
            "subjects": [f"$KV.bench_{self.suffix}.>"],
            "retention": "limits",
            "storage": self.storage,
            "discard": "new",
            "max_consumers": -1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": 0,
            "max_msg_size": -1,
            "max_msgs_per_subject": 1,
            "duplicate_window": DUPLICATE_WINDOW_NS,
            "num_replicas": 1,
            "allow_direct": True,
            "allow_rollup_hdrs": True,
            "deny_delete": True,
        }


@dataclass(frozen=True, kw_only=True)
class KeyValuePut(Bucket):
    name = "kv-put"
    summary = "put values of a key-value bucket"

    def add_roles(self, run: LoadRun) -> None:
        run.add_requesters(
            [Message(self.subject, payload(self.size))],
            count=self.count,
            inbox=inbox(),
            check="pub_ack",
            stream=self.stream,
            subjects=self.keys,
            clients=self.clients,
            window=self.window,
            name="put",
        )

    def verify(self, api: ApiClient) -> None:
        self.require_state(api, messages=min(self.keys, self.count), last_seq=self.count)


@dataclass(frozen=True, kw_only=True)
class KeyValueGet(Bucket):
    name = "kv-get"
    summary = "get values of a key-value bucket"

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        self.fill(server, self.keys, self.size, self.keys)

    def add_roles(self, run: LoadRun) -> None:
        run.add_requesters(
            [Message(f"$JS.API.DIRECT.GET.{self.stream}.{self.subject}")],
            count=self.count,
            inbox=inbox(),
            check="direct",
            stream=self.stream,
            answer_bytes=self.size,
            subjects=self.keys,
            clients=self.clients,
            window=self.window,
            number="cycle",
            number_cycle=self.keys,
            name="get",
        )

    def verify(self, api: ApiClient) -> None:
        self.require_state(api, messages=self.keys, last_seq=self.keys)


@dataclass(frozen=True, kw_only=True)
class KeyValueWatch(Bucket):
    name = "kv-watch"
    summary = "watch all keys of a bucket: the newest value of each comes once"

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        super().prepare(server, api)
        self.fill(server, self.count, self.size, self.count)

    def add_roles(self, run: LoadRun) -> None:
        consumer = {
            "name": "watch",
            "deliver_policy": "last_per_subject",
            "ack_policy": "none",
            "max_deliver": 1,
            "mem_storage": True,
            "num_replicas": 1,
            "filter_subject": f"$KV.bench_{self.suffix}.>",
        }
        add_push_replay(
            run, self.stream, consumer, count=self.count, payload_bytes=self.size, filtered=True
        )
