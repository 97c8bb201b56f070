"""Workloads without JetStream: publish, deliver, fan out, request and reply."""

from __future__ import annotations

from dataclasses import dataclass

from slipstream.bench._load import SUBJECT_NUMBER, LoadRun
from slipstream.bench.workload import Message, Workload, inbox, option


def payload(size: int) -> bytes:
    return b"x" * size


@dataclass(frozen=True, kw_only=True)
class CorePublish(Workload):
    name = "pub"
    summary = "publish without subscribers; ends when the server has read everything"

    count: int = option(5_000_000, "messages of all clients together")
    size: int = option(16, "payload bytes")
    clients: int = option(1, "publishing connections")
    subjects: int = option(1, "subjects, in turn")

    def add_roles(self, run: LoadRun) -> None:
        subject = f"bench.{self.suffix}.{SUBJECT_NUMBER}"
        run.add_publishers(
            Message(subject, payload(self.size)),
            count=self.count,
            subjects=self.subjects,
            clients=self.clients,
        )


@dataclass(frozen=True, kw_only=True)
class CoreSubscribe(Workload):
    name = "sub"
    summary = "receive what others publish"

    subject: str = option("bench.>", "what to subscribe to")
    count: int = option(1_000_000, "messages that each client receives")
    size: int = option(16, "payload bytes that every message has")
    clients: int = option(1, "subscribing connections")

    def add_roles(self, run: LoadRun) -> None:
        run.add_subscribers(
            self.subject, count=self.count, payload_bytes=self.size, clients=self.clients
        )


@dataclass(frozen=True, kw_only=True)
class CoreDelivery(Workload):
    name = "pubsub"
    summary = "publish and deliver: 1:1, 1:N (fan-out), N:N; counts deliveries"

    count: int = option(2_000_000, "messages published, of all publishers together")
    size: int = option(16, "payload bytes")
    publishers: int = option(1, "publishing connections")
    subscribers: int = option(1, "subscribing connections; each receives its subject's messages")
    subjects: int = option(
        1, "subjects; publishers take turns, subscriber i listens on i % subjects"
    )

    def __post_init__(self) -> None:
        if self.count % (self.publishers * self.subjects):
            raise ValueError("count must be a multiple of publishers * subjects")
        if self.subscribers < self.subjects:
            raise ValueError("every subject needs a subscriber")

    def add_roles(self, run: LoadRun) -> None:
        subject = f"bench.{self.suffix}.{SUBJECT_NUMBER}"
        run.add_subscribers(
            subject,
            count=self.count // self.subjects,
            payload_bytes=self.size,
            subjects=self.subjects,
            clients=self.subscribers,
        )
        run.add_publishers(
            Message(subject, payload(self.size)),
            count=self.count,
            subjects=self.subjects,
            clients=self.publishers,
        )


@dataclass(frozen=True, kw_only=True)
class CoreRequest(Workload):
    name = "request"
    summary = "requests answered by a responder of the load generator; round-trip latency"

    count: int = option(100_000, "requests of all clients together")
    size: int = option(16, "payload bytes of request and answer")
    clients: int = option(1, "requesting connections")
    window: int = option(1, "requests in flight per client")
    responders: int = option(1, "answering connections, in one queue group")
    rate: float = option(
        0.0, "requests per second, latency counted from when each was due; 0: closed loop"
    )

    def add_roles(self, run: LoadRun) -> None:
        subject = f"bench.{self.suffix}"
        run.add_requesters(
            [Message(subject, payload(self.size))],
            count=self.count,
            inbox=inbox(),
            check="size",
            answer_bytes=self.size,
            clients=self.clients,
            window=self.window,
            rate=self.rate,
        )
        run.add_responders(subject, payload_bytes=self.size, queue="bench", clients=self.responders)
