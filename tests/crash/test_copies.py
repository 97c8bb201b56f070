"""Goal: mirrors and sources outlive everything that happens to them and to their origins: silence,
deletion, a new life of the origin, purges, full streams, restarts.

Method: the whole API over the kernel with a simulated disk and clock, so that ten seconds of
silence cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simulated_server import SECOND, SimulatedServer
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import SimulatedClock

Bodies = list[bytes]


@pytest.fixture
def server() -> Iterator[SimulatedServer]:
    opened = SimulatedServer(SimDisk(1), SimulatedClock(), domain="hub")
    yield opened
    opened.stop()


def again(server: SimulatedServer, loss: Loss | None = None) -> SimulatedServer:
    """After a clean stop, or after a power loss."""
    if loss is None:
        server.stop()
        disk = server.disk
    else:
        disk = server.disk.image(loss, 7)
    return SimulatedServer(disk, server.clock, domain="hub")


def numbered(first: int, last: int) -> Bodies:
    return [b"%d" % i for i in range(first, last + 1)]


def copied(server: SimulatedServer, messages: int = 5) -> None:
    """An origin, its mirror, and a stream that has it as a source."""
    server.stream("O", subjects=["o.>"])
    server.store("o.1", *numbered(1, messages))
    server.stream("M", mirror={"name": "O"})
    server.stream("S", sources=[{"name": "O"}])
    server.after(SECOND)
    assert server.bodies("M") == server.bodies("S") == numbered(1, messages)


def test_a_deleted_origin_that_comes_back(server: SimulatedServer) -> None:  # S-196
    copied(server)
    server.ok("STREAM.DELETE.O")
    server.after(60 * SECOND)
    assert server.info("S")["sources"][0]["error"]["err_code"] == 10059
    assert server.info("M")["mirror"]["error"]["err_code"] == 10059
    server.stream("O", subjects=["o.>"])
    server.store("o.1", *[b"new %d" % i for i in range(1, 8)])
    server.after(300 * SECOND)
    # A source starts over; a mirror keeps the sequences that it has.
    assert server.bodies("S") == numbered(1, 5) + [b"new %d" % i for i in range(1, 8)]
    assert server.bodies("M") == [*numbered(1, 5), b"new 6", b"new 7"]
    assert "error" not in server.info("S")["sources"][0]


def test_a_new_life_of_the_origin_unseen(server: SimulatedServer) -> None:
    copied(server)
    server.ok("STREAM.DELETE.O")
    server.stream("O", subjects=["o.>"])
    server.store("o.1", b"new")
    server.after(60 * SECOND)
    assert server.bodies("S") == [*numbered(1, 5), b"new"]


def test_a_purged_origin(server: SimulatedServer) -> None:
    copied(server)
    server.ok("STREAM.PURGE.O")
    server.store("o.1", b"6")
    server.after(SECOND)
    assert server.bodies("M") == server.bodies("S") == numbered(1, 6)
    server.ok("STREAM.PURGE.O", {"seq": 100})
    server.store("o.1", b"100")
    server.after(SECOND)
    assert server.bodies("M") == server.bodies("S") == [*numbered(1, 6), b"100"]
    assert server.state("M")["last_seq"] == 100


@pytest.mark.parametrize("loss", [None, *Loss])
def test_restarts(server: SimulatedServer, loss: Loss | None) -> None:
    copied(server)
    for round_ in range(3):
        server = again(server, loss)
        server.store("o.2", b"round %d" % round_)
        server.after(SECOND)
        expected = numbered(1, 5) + [b"round %d" % i for i in range(round_ + 1)]
        assert server.bodies("M") == server.bodies("S") == expected
        assert server.info("S")["sources"][0]["seq"] == 6 + round_
        if loss is not None:
            server.kernel.checkpoint()
            server.settle()


def test_what_came_while_the_copies_were_away(server: SimulatedServer) -> None:
    copied(server)
    server.stop()
    later = SimulatedServer(server.disk, server.clock)
    for body in numbered(6, 9):  # before the first question to the origin
        later.send("o.1", body)
    later.kernel_turns()
    later.kernel.propose_delete(0, later.stream_id("O"), 7, False)
    later.kernel_turns()
    later.after(SECOND)
    assert later.bodies("M") == later.bodies("S") == [*numbered(1, 6), b"8", b"9"]
    assert later.state("M")["num_deleted"] == 1
    later.stop()


def test_positions_outlive_a_purge_and_a_restart(server: SimulatedServer) -> None:  # S-195
    copied(server)
    server.ok("STREAM.PURGE.S")
    server.ok("STREAM.PURGE.M")
    server = again(server)
    server.after(SECOND)
    assert server.bodies("S") == server.bodies("M") == []
    server.store("o.1", b"6")
    server.after(SECOND)
    assert server.bodies("S") == server.bodies("M") == [b"6"]


def test_a_full_stream_takes_the_rest_later(server: SimulatedServer) -> None:  # S-199
    server.stream("O", subjects=["o.>"])
    server.stream("S", sources=[{"name": "O"}], discard="new", max_msgs=3)
    server.store("o.1", *numbered(1, 6))
    server.after(10 * SECOND)
    assert server.bodies("S") == numbered(1, 3)
    server.ok("STREAM.MSG.DELETE.S", {"seq": 1})
    server.after(5 * SECOND)
    assert server.bodies("S") == numbered(2, 4)
    server.ok("STREAM.PURGE.S")
    server.after(5 * SECOND)
    assert server.bodies("S") == numbered(5, 6)
    server = again(server)
    server.ok("STREAM.PURGE.S")
    server.store("o.1", b"7")
    server.after(5 * SECOND)
    assert server.bodies("S") == [b"7"]


def test_a_message_that_does_not_fit_holds_up_its_source(server: SimulatedServer) -> None:
    server.stream("O", subjects=["o.>"])
    server.stream("P", subjects=["p.>"])
    server.stream("S", sources=[{"name": "O"}, {"name": "P"}], max_msg_size=200)
    server.store("o.1", b"1", b"x" * 300, b"3")
    server.store("p.1", b"p1")
    server.after(10 * SECOND)
    assert sorted(server.bodies("S")) == [b"1", b"p1"]
    server.update("S", sources=[{"name": "O"}, {"name": "P"}], max_msg_size=1000)
    server.after(5 * SECOND)
    assert sorted(server.bodies("S")) == [b"1", b"3", b"p1", b"x" * 300]


def test_a_mirror_that_was_purged_beyond_its_end_goes_on(server: SimulatedServer) -> None:
    copied(server)
    server.ok("STREAM.PURGE.M", {"seq": 8})
    server.store("o.1", *numbered(6, 9))
    server.after(10 * SECOND)
    assert server.bodies("M") == [b"8", b"9"]
    assert [m.seq for m in server.content("M")] == [8, 9]


def test_an_origin_in_the_own_domain(server: SimulatedServer) -> None:
    """Through an external prefix, as another server would be reached."""
    server.stream("O", subjects=["o.>"])
    server.store("o.1", *numbered(1, 3))
    external = {"api": "$JS.hub.API", "deliver": "from.hub"}
    server.stream("M", mirror={"name": "O", "external": external})
    server.stream("S", sources=[{"name": "O", "external": external}])
    server.after(SECOND)
    assert server.bodies("M") == server.bodies("S") == numbered(1, 3)
    header = server.content("S")[0].header
    assert header.startswith(b"NATS/1.0\r\nNats-Stream-Source: O:")
    assert b" 1 > > o.1" in header
    assert server.info("M")["mirror"]["external"] == external


def test_durable_sourcing(server: SimulatedServer) -> None:  # S-193, C-117
    server.stream("O", subjects=["o.>"])
    config = {
        "durable_name": "D",
        "deliver_subject": "to.s",
        "ack_policy": "flow_control",
        "flow_control": True,
        "idle_heartbeat": SECOND,
    }
    server.ok("CONSUMER.CREATE.O.D", {"stream_name": "O", "config": config})
    server.store("o.1", *numbered(1, 4))
    consumer = {"name": "D", "deliver_subject": "to.s"}
    server.stream("S", sources=[{"name": "O", "consumer": consumer}])
    server.after(20 * SECOND)
    assert server.bodies("S") == numbered(1, 4)
    info = server.ok("CONSUMER.INFO.O.D")
    assert info["ack_floor"]["stream_seq"] == 4
    assert info["num_ack_pending"] == 0
    server = again(server, Loss.all)
    server.store("o.1", b"5")
    server.after(20 * SECOND)
    assert server.bodies("S") == numbered(1, 5)


def test_a_promoted_mirror_takes_nothing_more(server: SimulatedServer) -> None:  # S-198
    copied(server)
    server.send("o.1", b"under way")
    server.update("M", subjects=["m"])
    server.store("o.1", b"later")
    server.store("m", b"own")
    server.after(60 * SECOND)
    assert server.bodies("M")[-1] == b"own"
    assert b"later" not in server.bodies("M")


def test_many_messages(server: SimulatedServer) -> None:
    server.stream("O", subjects=["o.>"])
    server.stream("M", mirror={"name": "O"})
    server.stream("S", sources=[{"name": "O", "filter_subject": "o.1"}], storage="memory")
    for i in range(10_000):
        server.send(f"o.{i % 10}", b"%d" % i)
    server.settle()
    server.after(2 * SECOND)
    assert server.bodies("M") == numbered(0, 9_999)
    assert server.bodies("S") == [b"%d" % i for i in range(1, 10_000, 10)]
    assert server.info("M")["mirror"]["lag"] == 0
    server.kernel.check()


def test_large_messages(server: SimulatedServer) -> None:
    """Each an entry of its own, and the origin waits for the copy."""
    server.stream("O", subjects=["o.>"])
    bodies = [bytes([65 + i]) * 900_000 for i in range(24)]
    server.stream("M", mirror={"name": "O"})
    server.store("o.1", *bodies)
    server.after(5 * SECOND)
    assert server.bodies("M") == bodies
