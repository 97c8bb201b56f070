"""Goal: a schedule makes exactly one message for each of its times, whatever happens between.

Method: one node over the simulated disk and clock. The clock stands still unless a test moves it,
so that "due" is a fact; power is lost at every disk operation around a run. What clients see is
compared with nats-server (tests/differential/schedule_scenarios.py).
"""

from __future__ import annotations

import errno
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch_driver import Publisher, error
from slipstream.kernel._kernel import Loss, schedule_next_run

SECOND_NS = 1_000_000_000


def scheduled(**spec: Any) -> Publisher:
    return Publisher(allow_schedules=True, allow_rollup=True, **spec)


def at(p: Publisher, seconds: float) -> str:
    moment = datetime.fromtimestamp((p.clock.now_ns + seconds * SECOND_NS) / SECOND_NS, UTC)
    return f"@at {moment.isoformat().replace('+00:00', 'Z')}"


def plan(p: Publisher, subject: str, pattern: str, target: str = "s.t", **headers: object) -> Any:
    body = f"of {subject}".encode()
    return p.ask(subject, body, Nats_Schedule=pattern, Nats_Schedule_Target=target, **headers)


def on(p: Publisher, subject: str) -> list[bytes]:
    return [body for found, _, body in p.messages() if found == subject.encode()]


def test_a_single_run():  # S-209
    p = scheduled()
    assert plan(p, "s.once", at(p, 10))["seq"] == 1
    p.wait(9)
    assert on(p, "s.t") == []
    p.wait(2)
    assert on(p, "s.t") == [b"of s.once"]
    assert on(p, "s.once") == []
    p.wait(100)
    assert on(p, "s.t") == [b"of s.once"]


def test_missed_runs_collapse():  # S-211
    p = scheduled()
    plan(p, "s.every", "@every 10s")
    p.wait(11)
    assert len(on(p, "s.t")) == 1
    p.wait(95)
    assert len(on(p, "s.t")) == 2
    p.wait(11)
    assert len(on(p, "s.t")) == 3


@pytest.mark.parametrize("checkpointed", [False, True])
def test_schedules_survive_restarts(checkpointed: bool):
    p = scheduled()
    plan(p, "s.once", at(p, 10))
    plan(p, "s.every", "@every 10s", "s.u")
    if checkpointed:
        p.node.kernel.checkpoint()
        p.turn(6)
        image = p.disk.image(Loss.all, 1)
        p = Publisher(image, p.clock)
    else:
        p = p.restarted()
    p.clock.advance(25 * SECOND_NS)
    p = p.restarted()
    p.wait(0.3)
    p.turn()
    assert (on(p, "s.t"), on(p, "s.u")) == ([b"of s.once"], [b"of s.every"])


@pytest.mark.parametrize("how", ["delete", "purge", "replace", "plain", "limit"])
def test_what_ends_a_schedule(how: str):
    p = scheduled(max_msgs=3)
    plan(p, "s.once", at(p, 10))
    if how == "delete":
        p.node.kernel.propose_delete(p.node.next_number(), p.stream, 1, False)
    elif how == "purge":
        p.node.kernel.propose_purge(p.node.next_number(), p.stream, b"s.once", 0, 0)
    elif how == "replace":
        plan(p, "s.once", at(p, 1000))
    elif how == "plain":
        p.ask("s.once", b"plain")
    else:
        for _ in range(3):
            p.ask("s.other")
    p.turn()
    p = p.restarted()
    p.wait(20)
    p.turn()
    assert on(p, "s.t") == []


def test_a_full_stream_is_tried_again():
    p = scheduled(max_msgs=2, discard_new=True)
    plan(p, "s.once", at(p, 1))
    p.ask("s.fills")
    p.wait(5)
    assert on(p, "s.t") == []
    p.node.kernel.propose_purge(p.node.next_number(), p.stream, b"s.fills", 0, 0)
    p.turn()
    p.wait(20)
    p.turn()
    assert on(p, "s.t") == [b"of s.once"]


def test_the_verdict_on_a_pattern_rides_in_the_log():
    """A schedule that was accepted stays one when it is applied again, at another time."""
    p = scheduled()
    plan(p, "s.once", at(p, 1))
    assert error(plan(p, "s.bad", "@every 1")) == 10189
    p.clock.advance(400 * 86_400 * SECOND_NS)
    p = Publisher(p.disk.image(Loss.all, 1), p.clock)
    p.wait(1)
    assert on(p, "s.t") == [b"of s.once"]


@pytest.mark.parametrize("pattern", ["@at", "@every 10s", "*/10 * * * * *"])
@pytest.mark.parametrize("loss", list(Loss))
def test_power_goes_around_a_run(loss: Loss, pattern: str):
    """Exactly one message for the one time that came, at every crash point."""
    for operation in range(1, 100):
        p = scheduled()
        plan(p, "s.p", at(p, 8) if pattern == "@at" else pattern)
        p.node.kernel.checkpoint()
        p.turn()
        p.disk.crash_at(p.disk.operations + operation)
        p.wait(11)
        p.turn()
        crashed = p.disk.crashed
        survivor = Publisher(p.disk.image(loss, operation), p.clock)
        survivor.wait(0.3)
        survivor.turn()
        survivor.node.kernel.check()
        assert on(survivor, "s.t") == [b"of s.p"], f"operation {operation}"
        assert len(on(survivor, "s.p")) == (pattern != "@at")
        if not crashed:
            break
    assert not crashed


class Times:
    """The model: when each schedule has to have run, by the second."""

    def __init__(self) -> None:
        self.next_ns: dict[str, tuple[int, int]] = {}  # next time, interval (0: once)
        self.runs: dict[str, int] = {}

    def run_until(self, now_ns: int) -> None:
        for name, (next_ns, interval_ns) in list(self.next_ns.items()):
            if next_ns > now_ns:
                continue
            self.runs[name] = self.runs.get(name, 0) + 1
            if interval_ns:
                rounded = (now_ns + SECOND_NS // 2) // SECOND_NS * SECOND_NS
                following = next_ns + interval_ns
                self.next_ns[name] = (
                    following if following >= now_ns else rounded + interval_ns,
                    interval_ns,
                )
            else:
                del self.next_ns[name]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("every"), st.integers(0, 3), st.integers(1, 20)),
        st.tuples(st.just("at"), st.integers(0, 3), st.integers(1, 30)),
        st.tuples(st.just("plain"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("delete"), st.integers(0, 3), st.just(0)),
        st.tuples(st.just("wait"), st.just(0), st.integers(1, 25)),
        st.tuples(st.just("checkpoint"), st.just(0), st.just(0)),
        st.tuples(st.just("restart"), st.just(0), st.just(0)),
        st.tuples(st.just("power"), st.just(0), st.integers(0, len(Loss) - 1)),
    ),
    min_size=5,
    max_size=25,
)


@given(steps)
@settings(max_examples=40, deadline=None)
def test_against_a_model(script: list[tuple[str, int, int]]) -> None:
    """Whole seconds, so that rounding never matters; what runs is looked at after each wait."""
    p, model = scheduled(), Times()
    for kind, which, number in script:
        name = f"s.p{which}"
        if kind == "every":
            plan(p, name, f"@every {number}s", f"s.t{which}")
            stored = next(m for m in reversed(p.messages()) if m[0] == name.encode())
            assert stored
            base = (p.clock.now_ns + SECOND_NS // 2) // SECOND_NS * SECOND_NS
            model.next_ns[name] = (base + number * SECOND_NS, number * SECOND_NS)
        elif kind == "at":
            base = p.clock.now_ns // SECOND_NS * SECOND_NS
            plan(p, name, at(p, (base - p.clock.now_ns) / SECOND_NS + number), f"s.t{which}")
            model.next_ns[name] = (base + number * SECOND_NS, 0)
        elif kind == "plain":
            p.ask(name, b"plain")
            model.next_ns.pop(name, None)
        elif kind == "delete":
            p.node.kernel.propose_purge(p.node.next_number(), p.stream, name.encode(), 0, 0)
            p.turn()
            model.next_ns.pop(name, None)
        elif kind == "checkpoint":
            p.node.kernel.checkpoint()
            p.turn()
        elif kind == "restart":
            p = p.restarted()
        elif kind == "power":
            p = Publisher(p.disk.image(list(Loss)[number], which + 1), p.clock)
        else:
            # To the middle of a second: every time is on one.
            now = p.clock.now_ns
            goal = now // SECOND_NS * SECOND_NS + number * SECOND_NS + SECOND_NS // 4
            p.wait((goal - now) / SECOND_NS)
            model.run_until(p.clock.now_ns)
        p.wait(0.26)
        p.turn()
        model.run_until(p.clock.now_ns)
        p.node.kernel.check()
        for other in range(4):
            found = len(on(p, f"s.t{other}"))
            assert found == model.runs.get(f"s.p{other}", 0), (kind, other)


def test_due_in_the_order_of_their_sequences():
    p = scheduled()
    for subject, seconds in (("s.a", 3), ("s.b", 1), ("s.c", 2)):
        plan(p, subject, at(p, seconds), f"{subject}.t")
    p.wait(10)
    p.turn()
    assert [subject for subject, _, _ in p.messages()] == [b"s.a.t", b"s.b.t", b"s.c.t"]


def test_many_at_once():
    p = Publisher(allow_schedules=True, allow_rollup=True, memory=True)
    for n in range(1200):
        header = f"NATS/1.0\r\nNats-Schedule: {at(p, 5)}\r\nNats-Schedule-Target: s.t\r\n\r\n"
        p.node.kernel.publish(p.node.account, b"s.p%d" % n, b"", header.encode(), b"%d" % n)
    p.turn()
    p.wait(6)
    p.wait(0.3)
    assert on(p, "s.t") == [b"%d" % n for n in range(1200)]


def test_zones_that_are_none_and_one_that_is() -> None:  # S-213
    p = scheduled()
    for name in ("America", "Europe/Nowhere", "tzdata.zi", "zone.tab", "UTC\t", "x" * 1000):
        refused = plan(p, "s.zone", "0 0 9 * * *", Nats_Schedule_Time_Zone=name)
        assert refused["error"]["code"] == 400, name
    assert "error" not in plan(p, "s.zone", "0 0 9 * * *", Nats_Schedule_Time_Zone="UTC")
    assert "error" not in plan(p, "s.zone", "0 0 9 * * *", Nats_Schedule_Time_Zone="Local")


def test_schedules_whose_messages_are_gone_are_forgotten() -> None:
    p = scheduled(memory=True, max_msgs=20)
    for number in range(800):
        assert "error" not in plan(p, f"s.plan.{number}", at(p, 10**6))
    assert p.node.kernel.index_sizes(p.stream)[1] <= 200


@pytest.mark.parametrize("pattern", [b"@yearly", b"@daily", b"0 0 0 29 2 *", b"@every 1h"])
@pytest.mark.parametrize("before_the_end_ns", [0, 1, 10**9, 3600 * 10**9, 40 * 86_400 * 10**9])
def test_a_run_behind_the_end_of_time_is_not_in_the_past(pattern: bytes, before_the_end_ns: int):
    """A message of an archive or of an origin has any time."""
    late_ns = 2**63 - 1 - before_the_end_ns
    run = schedule_next_run(pattern, None, late_ns, late_ns)
    assert isinstance(run, tuple)
    assert run[0] >= late_ns - 10**9


@pytest.mark.parametrize("failing", ["schedule", "source"])
def test_a_schedule_that_cannot_be_read_is_tried_again(failing: str) -> None:
    """The message stays a schedule, and what it makes has no other content."""
    p = scheduled()
    plan(p, "s.every", "@every 10s", Nats_Schedule_Source="s.source")
    p.ask("s.source", b"of the source")
    for _ in range(2):  # the second one finds the stream at rest, and gives its memory back
        p.node.kernel.checkpoint()
        p.turn(8)
    # More than one: where a read took in more, it is repeated for the message alone.
    p.disk.inject(errno.EIO, 0 if failing == "schedule" else 1, 9, "streams/")
    p.wait(11)
    assert 0 < p.disk.injected < 9
    p.disk.inject(0)
    assert on(p, "s.t") == []
    p.wait(11)
    assert on(p, "s.t") == [b"of the source"]
    p.wait(11)
    assert on(p, "s.t") == [b"of the source"] * 2
