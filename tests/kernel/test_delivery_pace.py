"""Goal: time decides as nats-server's documentation says: replay at the original pace, also after a
restart; rate limits with their burst; ack waits that change; the end of consumers that nobody uses.

Method: one node under a simulated clock. The clock is moved, never waited for, so each deadline is
met or missed by a known margin.
"""

from __future__ import annotations

from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import CommittedEvent, InactiveEvent, RequestEvent
from slipstream.testing.simulated_node import (
    PUSH_INBOX,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

MS = 1_000_000
SECOND = 1_000 * MS
DELIVER = PUSH_INBOX


class Pace:
    def __init__(self, **stream: object) -> None:
        self.disk, self.clock = SimDisk(1), SimulatedClock()
        self.node = SimulatedNode(self.disk, self.clock)
        spec = stream_spec(subjects=[b"s"], **stream)
        self.stream = self.node.commit(
            lambda token: self.node.kernel.propose_stream_create(
                token, self.node.account, b"S", b"S", spec
            )
        )
        self.consumer = 0
        self.inactive: list[int] = []

    def create(self, **spec: object) -> None:
        kernel = self.node.kernel
        self.consumer = self.node.commit(
            lambda token: kernel.propose_consumer_create(
                token, self.stream, b"C", b"C", consumer_spec(**spec)
            )
        )
        kernel.start_consumer(self.stream, self.consumer)
        self.pass_time(0)

    def update(self, **spec: object) -> None:
        kernel = self.node.kernel
        self.node.commit(
            lambda token: kernel.propose_consumer_update(
                token, self.stream, self.consumer, b"C", consumer_spec(**spec)
            )
        )
        kernel.start_consumer(self.stream, self.consumer)

    def store(self, *bodies: bytes, gap_ns: int = 0) -> None:
        for body in bodies:
            self.node.publish(b"s", body)
            self.pass_time(gap_ns)

    def pass_time(self, duration_ns: int) -> None:
        """In one step, and then the turns in which its consequences happen."""
        self.clock.advance(duration_ns)
        for _ in range(3):
            self.turn()

    def turn(self) -> None:
        self.clock.advance(MS)
        self.node.kernel.turn(self.clock.now_ns, self.clock.monotonic_ns)
        for event in self.node.kernel.wait_events(0):
            if isinstance(event, InactiveEvent):
                self.inactive.append(event.consumer)
            elif isinstance(event, CommittedEvent):
                self.node.committed[event.token] = event.result
            elif isinstance(event, RequestEvent):
                self.node._take(event)

    def taken(self) -> list[int]:
        """Stream sequences that came since the last call."""
        found = [d.stream_seq for d in self.node.deliveries]
        self.node.deliveries.clear()
        return found

    def checkpoint(self) -> None:
        kernel = self.node.kernel
        written = kernel.store_stats().checkpoints
        kernel.checkpoint()
        while kernel.store_stats().checkpoints == written:
            self.turn()

    def restart(self) -> None:
        self.node.stop()
        self.node = SimulatedNode(self.disk, self.clock)
        self.pass_time(0)


# -- replay


def test_replay_at_the_original_pace() -> None:  # C-107
    pace = Pace()
    pace.store(b"1", b"2", b"3", gap_ns=SECOND)
    pace.create(deliver_subject=DELIVER, replay_original=True)
    assert pace.taken() == [1]
    pace.pass_time(900 * MS)
    assert pace.taken() == []
    pace.pass_time(200 * MS)
    assert pace.taken() == [2]
    pace.pass_time(1100 * MS)
    assert pace.taken() == [3]
    pace.store(b"4", gap_ns=0)  # what was not there at the beginning comes at once
    pace.store(b"5", gap_ns=0)
    assert pace.taken() == [4, 5]


def test_a_restart_replays_the_rest_at_its_pace() -> None:  # C-107
    pace = Pace()
    pace.store(b"1", b"2", b"3", gap_ns=SECOND)
    pace.create(deliver_subject=DELIVER, replay_original=True)
    assert pace.taken() == [1]
    pace.restart()
    assert pace.taken() == [2]
    pace.pass_time(900 * MS)
    assert pace.taken() == []
    pace.pass_time(200 * MS)
    assert pace.taken() == [3]


# -- rate limit


def test_rate_limit_lets_a_burst_pass_and_then_paces() -> None:  # C-105
    pace = Pace(max_msg_size=1000)
    pace.store(*(b"x" * 400 for _ in range(6)))
    pace.create(deliver_subject=DELIVER, rate_limit_bps=8 * 500)  # 500 bytes a second
    assert pace.taken() == [1, 2]  # about 450 bytes each; the bucket holds 1000
    pace.pass_time(500 * MS)
    assert pace.taken() == []
    pace.pass_time(300 * MS)
    assert pace.taken() == [3]
    pace.pass_time(20 * SECOND)  # the bucket is full again, not fuller
    assert pace.taken() == [4, 5]


def test_a_message_larger_than_the_bucket_goes_when_it_is_full() -> None:  # C-105
    pace = Pace()
    pace.store(b"x" * 100, b"y" * 100)
    pace.create(deliver_subject=DELIVER, rate_limit_bps=8 * 10)
    assert pace.taken() == [1, 2]


def test_a_new_rate_takes_effect_at_once() -> None:  # C-032
    pace = Pace(max_msg_size=500)
    pace.store(*(b"x" * 400 for _ in range(3)))
    pace.create(deliver_subject=DELIVER, rate_limit_bps=8)
    assert pace.taken() == [1]
    pace.update(deliver_subject=DELIVER)
    pace.pass_time(0)
    assert pace.taken() == [2, 3]


# -- acknowledgements


def test_a_shorter_ack_wait_holds_for_what_is_out_already() -> None:  # C-026
    pace = Pace()
    pace.store(b"1")
    pace.create(deliver_subject=DELIVER)
    assert pace.taken() == [1]
    pace.pass_time(10 * SECOND)
    pace.update(deliver_subject=DELIVER, ack_wait_ns=5 * SECOND)
    pace.pass_time(0)
    assert pace.taken() == [1]
    pace.update(deliver_subject=DELIVER, ack_wait_ns=60 * SECOND)
    pace.pass_time(50 * SECOND)
    assert pace.taken() == []
    pace.pass_time(11 * SECOND)
    assert pace.taken() == [1]


def test_a_delayed_nak_keeps_its_delay() -> None:  # C-119
    pace = Pace()
    pace.store(b"1")
    pace.create(deliver_subject=DELIVER, ack_wait_ns=5 * SECOND)
    (delivery,) = pace.node.deliveries
    pace.taken()
    pace.node.acknowledge(delivery.ack_subject, b"-NAK 20s", confirm=False)
    pace.pass_time(0)
    pace.pass_time(19 * SECOND)
    assert pace.taken() == []
    pace.pass_time(2 * SECOND)
    assert pace.taken() == [1]


def test_flow_control_acks_are_never_due() -> None:  # C-025
    pace = Pace()
    pace.store(b"1")
    pace.create(
        deliver_subject=DELIVER,
        ack_policy=3,
        ack_wait_ns=0,
        flow_control=True,
        idle_heartbeat_ns=SECOND,
    )
    assert pace.taken() == [1]
    pace.pass_time(3600 * SECOND)
    assert pace.taken() == []
    pace.node.kernel.check()


# -- consumers that nobody uses


def test_an_idle_pull_consumer_ends_after_its_threshold() -> None:  # C-092, C-108
    pace = Pace()
    pace.create(inactive_threshold_ns=10 * SECOND)
    pace.pass_time(9 * SECOND)
    assert pace.inactive == []
    pace.node.pull("S", "C", 1)  # activity
    pace.pass_time(9 * SECOND)
    assert pace.inactive == []
    pace.pass_time(2 * SECOND)
    assert pace.inactive == [pace.consumer]


def test_what_waits_for_its_acknowledgement_counts() -> None:  # C-109
    pace = Pace()
    pace.store(b"1", b"2")
    pace.create(inactive_threshold_ns=10 * SECOND, ack_wait_ns=60 * SECOND)
    pace.node.pull("S", "C", 2)
    pace.pass_time(0)
    first, _ = pace.node.deliveries
    pace.pass_time(50 * SECOND)
    pace.node.acknowledge(first.ack_subject, confirm=False)
    pace.pass_time(18 * SECOND)  # the other one was due at 60 s, and may be at work as long again
    assert pace.inactive == []
    pace.pass_time(55 * SECOND)
    assert pace.inactive == []
    pace.pass_time(10 * SECOND)
    assert pace.inactive == [pace.consumer]


def test_a_push_consumer_with_a_listener_does_not_end() -> None:  # C-108
    pace = Pace()
    pace.create(deliver_subject=DELIVER, inactive_threshold_ns=SECOND)
    pace.pass_time(100 * SECOND)
    assert pace.inactive == []


def test_a_push_consumer_without_a_listener_ends() -> None:  # C-108
    pace = Pace()
    pace.create(deliver_subject=b"nobody.here", inactive_threshold_ns=5 * SECOND)
    pace.pass_time(4 * SECOND)
    assert pace.inactive == []
    pace.pass_time(2 * SECOND)
    assert pace.inactive == [pace.consumer]


# -- across a restart


def test_what_is_due_is_due_after_a_restart_too() -> None:  # C-123
    """Nobody pulled between the end of the ack wait and the checkpoint."""
    pace = Pace()
    pace.store(b"1", b"2")
    pace.create(ack_wait_ns=10 * SECOND)
    pace.node.pull("S", "C", 2)
    pace.pass_time(0)
    assert pace.taken() == [1, 2]
    pace.pass_time(11 * SECOND)
    pace.checkpoint()
    pace.restart()
    pace.node.pull("S", "C", 2)
    pace.pass_time(0)
    assert pace.taken() == [1, 2]
    pace.node.kernel.check()
