"""Goal: what a stream has no room for is refused with the reason that nats-server gives.

Method: a kernel over a simulated disk; bounds that take many messages are reached between two
turns.
"""

from __future__ import annotations

from batch_driver import Publisher
from slipstream.testing.simulated_node import stream_spec


def error(answer: dict[str, dict[str, object]]) -> tuple[object, object, object]:
    found = answer["error"]
    return found["code"], found["err_code"], found["description"]


def test_messages_in_flight_are_bounded() -> None:  # S-134
    p = Publisher(memory=True)
    for _ in range(100_000):
        p.node.kernel.publish(p.node.account, b"s.a", b"", b"", b"")
    number = p.node.publish(b"s.a", b"one too many", b"")
    p.turn()
    (reply,) = p.node.replies[number]
    assert reply.header == b"NATS/1.0 429 Too Many Requests\r\n\r\n"
    assert error(p.answer(number)) == (429, 10167, "too many requests")
    p.turn(100)
    assert "error" not in p.ask("s.a")


def test_the_bytes_in_flight_of_all_streams_are_bounded() -> None:  # S-134
    """No stream is near its own bound of 128 MiB. An entry that is still open does not count."""
    p = Publisher(memory=True, max_msgs=1)
    kernel, account, body = p.node.kernel, p.node.account, b"b" * (1 << 20)
    for i in range(4):
        name = b"T%d" % i
        spec = stream_spec(subjects=[name], memory=True, max_msgs=1)
        kernel.propose_stream_create(p.node.next_number(), account, name, b"{}", spec)
    p.turn()
    for i in range(264):
        kernel.publish(account, b"T%d" % (i % 4), b"", b"", body)
    number = p.node.publish(b"s.a", b"one too many", b"")
    p.turn()
    assert error(p.answer(number)) == (429, 10167, "too many requests")
    p.turn(10)
    assert kernel.store_stats().bytes_in_flight == 0
    assert "error" not in p.ask("s.a")


def test_an_account_has_its_own_limit() -> None:  # S-130, S-238
    p = Publisher()
    p.node.kernel.set_account_storage_limits(p.node.account, -1, 100)
    assert p.ask("s.a", b"x" * 30) == {"stream": "S", "seq": 1}
    assert error(p.ask("s.a", b"x" * 30)) == (400, 10002, "resource limits exceeded for account")
    missing = p.ask("s.a", b"x" * 30, Nats_Expected_Stream="T")
    assert error(missing) == (400, 10060, "expected stream does not match")


def test_a_counter_over_what_is_none() -> None:  # S-203
    p = Publisher()
    p.ask("s.a", b"no total")
    p.ask("s.b", b'{"val":"x"}')
    p.update(counter=True)
    assert error(p.ask("s.a", Nats_Incr=1)) == (400, 10172, "message counter is broken")
    # The total of what was there is not known before the leader has read it.
    assert error(p.ask("s.b", Nats_Incr=1)) == (400, 10172, "message counter is broken")
    assert p.ask("s.b", Nats_Incr=1) == {"stream": "S", "seq": 3, "val": "1"}


def test_times_to_live_that_never_end() -> None:  # S-122
    p = Publisher(allow_msg_ttl=True)
    for seconds in (9_223_372_036, 9_223_372_036_854_775_807, 18_446_744_073_709_551_615):
        assert "error" not in p.ask("s.a", Nats_TTL=seconds)
    p.wait(100 * 365 * 86_400)
    assert len(p.bodies()) == 3


def test_many_lines_that_only_the_server_may_write() -> None:  # S-128
    p = Publisher()
    lines = b"Nats-Request-Info: x\r\n" * 20_000
    header = b"NATS/1.0\r\nA: 1\r\n%bB: 2\r\n%bC: 3\r\n\r\n" % (lines, lines)
    p.node.publish(b"s.a", b"", header)
    p.node.publish(b"s.a", b"", b"NATS/1.0\r\n%b\r\n" % lines)
    p.turn(4)
    stored = [header for _, header, _ in p.messages()]
    assert stored == [b"NATS/1.0\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n", b""]


def test_an_age_limit_passes_what_stays_for_ever() -> None:  # S-122
    for memory in (True, False):
        p = Publisher(allow_msg_ttl=True, max_age_ns=10_000_000_000, memory=memory)
        for round_ in range(3):
            for place in range(4):
                never = {"Nats_TTL": "never"} if place % 2 else {}
                p.ask("s.a", b"%d.%d" % (round_, place), **never)
            p.wait(11)
        stay = [b"%d.%d" % (r, place) for r in range(3) for place in (1, 3)]
        assert p.bodies() == stay
        p.node.kernel.propose_delete(p.node.next_number(), p.stream, 2, False)
        p.ask("s.a", b"last")
        p.wait(11)
        assert p.bodies() == stay[1:]


def test_times_to_live_of_messages_that_are_gone_are_forgotten() -> None:
    """Also where there is no checkpoint: of a stream in memory."""
    p = Publisher(allow_msg_ttl=True, memory=True, max_msgs=50)
    for turn in range(40):
        for place in range(50):
            ttl = b"never" if place % 2 else b"1h"
            p.node.publish(b"s.a", b"", b"NATS/1.0\r\nNats-TTL: %b\r\n\r\n" % ttl)
        p.turn(2)
        assert p.node.kernel.index_sizes(p.stream)[0] <= 300, turn
    assert len(p.bodies()) == 50
