"""Goal: whatever the mix of pull requests, messages and acknowledgements, each policy gives the
next message to the request that nats-server would give it to (C-080, C-086, C-095..C-098).

Method: hypothesis plays random requests, publishes, acknowledgements and unpins against one
consumer of the kernel under a simulated clock and against waiting_model.py; who got what, in which
order, is compared after each step. Each inbox is a service of its own, so that a delivery shows
whose it is.
"""

from __future__ import annotations

import json
import re

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from slipstream.kernel import Kernel
from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import RequestEvent
from slipstream.testing.simulated_node import consumer_spec, stream_spec
from waiting_model import Queue, Request

POLICIES = ("none", "overflow", "pinned_client", "prioritized")
NEXT = b"$JS.API.CONSUMER.MSG.NEXT.S.C"
SUBJECT = b"s"


class Waiting(RuleBasedStateMachine):
    @initialize(policy=st.sampled_from(POLICIES))
    def begin(self, policy: str) -> None:
        self.model = Queue(policy)
        self.now_ns = 1_900_000_000_000_000_000
        self.kernel = Kernel(seed=5)
        self.account = self.kernel.account(b"$G")
        self._turn()
        self.kernel.open_store(disk=SimDisk(1), threads=False)
        spec = stream_spec(subjects=[SUBJECT], memory=True)
        self.stream = self.kernel.propose_stream_create(1, self.account, b"S", b"S", spec)
        groups = [] if policy == "none" else [b"a"]
        spec = consumer_spec(
            memory=True,
            priority_policy=POLICIES.index(policy),
            priority_groups=groups,
            priority_timeout_ns=10**18 if policy == "pinned_client" else 0,
        )
        self.consumer = self.kernel.propose_consumer_create(2, self.stream, b"C", b"C", spec)
        self._turn()
        self.kernel.start_consumer(self.stream, self.consumer)
        self._turn()
        self.stored: list[int] = []  # body sizes by sequence
        self.delivered = 0
        self.to_ack: list[bytes] = []
        self.pin_ids: list[str] = []
        self.seen: list[tuple[int, object]] = []
        self.inboxes = 0

    # -- what happens

    @rule(
        batch=st.integers(1, 3),
        max_bytes=st.sampled_from([0, 0, 0, 60, 150, 400]),
        priority=st.integers(0, 3),
        thresholds=st.tuples(st.integers(0, 4), st.integers(0, 4)),
        pin=st.integers(0, 3),
    )
    def ask(
        self, batch: int, max_bytes: int, priority: int, thresholds: tuple[int, int], pin: int
    ) -> None:
        policy = self.model.policy
        request = Request(self._inbox(), batch, max_bytes)
        body: dict[str, object] = {"batch": batch, "max_bytes": max_bytes, "group": "a"}
        if policy == "overflow":
            request.min_pending, request.min_ack_pending = thresholds
            body |= {"min_pending": thresholds[0], "min_ack_pending": thresholds[1]}
        if policy == "prioritized":
            request.priority = priority
            body["priority"] = priority
        if policy == "pinned_client" and 0 < pin <= len(self.pin_ids):
            request.pin_id = str(pin)
            body["id"] = self.pin_ids[pin - 1]
        self._pull(request, json.dumps(body).encode())

    @rule(batch=st.integers(1, 2))
    def ask_plainly(self, batch: int) -> None:
        self._pull(Request(self._inbox(), batch, grouped=False), str(batch).encode())

    @rule(size=st.integers(0, 120))
    def publish(self, size: int) -> None:
        self.stored.append(size)
        self.kernel.publish(self.account, SUBJECT, b"", b"", b"x" * size)
        self._turn()

    @rule()
    def acknowledge_all(self) -> None:
        for subject in self.to_ack:
            self.kernel.publish(self.account, subject, b"", b"", b"")
        self.to_ack.clear()
        self._turn()

    @rule()
    def unpin(self) -> None:
        self.kernel.unpin_consumer(self.stream, self.consumer)
        self.model.unpin()
        self._turn()

    # -- what must be

    @invariant()
    def same_receivers(self) -> None:
        assert self.seen == self.model.notes
        state = self.kernel.consumer_state(self.stream, self.consumer)
        assert state.num_waiting == len(self.model.waiting)
        assert state.num_pending == len(self.stored) - self.delivered
        pinned = self.pin_ids[self.model.pinned - 1] if self.model.pinned else ""
        assert state.pin_id == pinned

    # -- the two sides

    def _inbox(self) -> int:
        self.inboxes += 1
        self.kernel.serve(self.account, b"in.%d" % self.inboxes, self.inboxes)
        return self.inboxes

    def _pull(self, request: Request, body: bytes) -> None:
        self.model.ask(request)
        self.kernel.publish(self.account, NEXT, b"in.%d" % request.inbox, b"", body)
        self._turn()

    def _turn(self) -> None:
        for _ in range(3):  # what a turn begins, a later one may end
            self.now_ns += 1_000_000
            self.kernel.turn(self.now_ns, self.now_ns)
        if hasattr(self, "to_ack"):
            events = [e for e in self.kernel.wait_events(0) if isinstance(e, RequestEvent)]
            self._run_model([e for e in events if e.subject == SUBJECT])
            self.seen.extend(self._seen(event) for event in events)

    def _run_model(self, deliveries: list[RequestEvent]) -> None:
        """The model needs sizes as the consumer counts them: with the acknowledgement's subject."""
        sizes = [len(SUBJECT) + len(e.reply) + len(e.body) for e in deliveries]
        while self.delivered < len(self.stored):
            pending = len(self.stored) - self.delivered
            size = sizes.pop(0) if sizes else self._size_of_next(pending)
            if not self.model.offer(self.delivered + 1, size, pending, len(self.to_ack)):
                break
            self.delivered += 1
            self.to_ack.append(deliveries[len(deliveries) - len(sizes) - 1].reply)

    def _size_of_next(self, pending: int) -> int:
        seq = self.delivered + 1
        time = len(str(self.now_ns))
        numbers = len(f"1.{seq}.{seq}..{pending - 1}") + time
        return len(SUBJECT) + len("$JS.ACK.S.C.") + numbers + self.stored[seq - 1]

    def _seen(self, event: RequestEvent) -> tuple[int, object]:
        if event.subject != SUBJECT:
            line = event.header.split(b"\r\n")[0].decode()
            return event.service, line.removeprefix("NATS/1.0 ")
        seq = int(event.reply.split(b".")[5])
        found = re.findall(rb"Nats-Pin-Id: (\w*)", event.header)
        if not found or not found[0]:
            return event.service, (seq, 0)
        pin = found[0].decode()
        if pin not in self.pin_ids:
            self.pin_ids.append(pin)
        return event.service, (seq, self.pin_ids.index(pin) + 1)


TestWaiting = Waiting.TestCase
TestWaiting.settings = settings(max_examples=15, stateful_step_count=25, deadline=None)
