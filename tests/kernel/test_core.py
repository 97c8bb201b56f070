"""Core NATS over raw sockets: subscriptions, queue groups, the rules of delivery, INFO, limits,
time limits, lame duck mode and shutdown.

Method: a server in this process; clients that send bytes and compare bytes. What concerns time uses
short intervals and waits for what must happen. Byte-exact answers to odd requests are the matter of
tests/differential/test_core_protocol.py.
"""

from __future__ import annotations

import contextlib
import re
import select
from collections import Counter

import pytest

from raw_client import QUIET, RawClient, bodies, wait_until
from slipstream.testing import server


@pytest.fixture(scope="module")
def port():
    with server() as running:
        yield running.port


# ---------------------------------------------------------------- publish and subscribe


def test_fan_out_and_order(port):
    """Each plain subscription gets each message, in the publisher's order (K-094)."""
    with RawClient(port) as publisher, RawClient(port) as first, RawClient(port) as second:
        for client in (first, second):
            client.send(b"SUB a.* 7\r\n")
            client.flush()
        for i in range(500):
            publisher.publish(b"a.b", b"%d" % i)
        publisher.flush()
        for client in (first, second):
            assert bodies(client.flush()) == [(b"7", b"%d" % i) for i in range(500)]


def test_queue_group_gives_each_message_to_one_member_fairly(port):
    """K-090: random among equals. With 3,000 messages to 3 members, 800 for one is far off."""
    with RawClient(port) as publisher:
        members = [RawClient(port) for _ in range(3)]
        for member in members:
            member.send(b"SUB work q 1\r\n")
            member.flush()
        for _ in range(3000):
            publisher.publish(b"work", b"x")
        publisher.flush()
        counts = [len(bodies(member.flush())) for member in members]
        assert sum(counts) == 3000
        assert min(counts) > 800
        # A member that is gone is skipped.
        members[0].socket.close()
        wait_until(lambda: _interest_gone(publisher, members[1:]), "the closed member is out")
        for member in members[1:]:
            member.socket.close()


def _interest_gone(publisher, members):
    for _ in range(20):
        publisher.publish(b"work", b"y")
    publisher.flush()
    return sum(len(bodies(member.flush())) for member in members) == 20


def test_maximum_is_honoured_across_queue_picks(port):
    """K-093: a member that had its maximum is not picked again, and nothing is lost for it."""
    with RawClient(port) as client:
        client.send(b"SUB m q 1\r\nSUB m q 2\r\nSUB m q 3\r\nUNSUB 1 2\r\nUNSUB 2 3\r\n")
        for _ in range(30):
            client.publish(b"m", b"x")
        counts = Counter(sid for sid, _ in bodies(client.flush()))
        assert counts == {b"1": 2, b"2": 3, b"3": 25}


def test_maximum_and_unsub_in_one_read(port):
    """The sid is free as soon as the maximum is reached, within one read of the server."""
    with RawClient(port) as client:
        script = b"SUB u 1\r\nUNSUB 1 1\r\nPUB u 1\r\na\r\nUNSUB 1\r\n"
        client.send(script * 50 + b"SUB u 1\r\nPUB u 1\r\nb\r\n")
        assert bodies(client.flush()) == [(b"1", b"a")] * 50 + [(b"1", b"b")]
        client.send(b"UNSUB 1\r\n")
        script = b"SUB u 1\r\nUNSUB 1 1\r\nPUB u 1\r\na\r\nSUB u 1\r\nPUB u 1\r\nb\r\nUNSUB 1\r\n"
        client.send(script * 50)
        assert bodies(client.flush()) == [(b"1", b"a"), (b"1", b"b")] * 50


def test_headers_are_cut_off_for_clients_without(port):
    """K-011."""
    block = b"NATS/1.0\r\nA: b\r\n\r\n"
    with RawClient(port) as knows, RawClient(port, b'CONNECT {"verbose":false}\r\n') as plain:
        plain.send(b"SUB h 1\r\n")
        plain.flush()
        knows.send(b"SUB h 2\r\n")
        knows.send(b"HPUB h %d %d\r\n%bhello\r\n" % (len(block), len(block) + 5, block))
        assert knows.flush() == b"HMSG h 2 %d %d\r\n%bhello\r\n" % (
            len(block),
            len(block) + 5,
            block,
        )
        assert plain.flush() == b"MSG h 1 5\r\nhello\r\n"


def test_accounts_of_many_wildcards(port):
    """Literal, `*` and `>` at every level of one subject."""
    subjects = [b"p.q.r", b"*.q.r", b"p.*.r", b"p.q.*", b"*.*.*", b">", b"p.>", b"p.q.>", b"p.*.>"]
    with RawClient(port) as client:
        for sid, subject in enumerate(subjects):
            client.send(b"SUB %b %d\r\n" % (subject, sid))
        client.send(b"SUB p.q 90\r\nSUB p.q.r.> 91\r\nSUB *.r.q 92\r\n")
        client.publish(b"p.q.r", b"x")
        received = sorted(int(sid) for sid, _ in bodies(client.flush()))
        assert received == list(range(len(subjects)))


# ---------------------------------------------------------------- INFO


def test_info_fields(port):
    """K-014..K-024."""
    with RawClient(port) as first, RawClient(port) as second:
        info = first.info
        assert re.fullmatch(r"N[A-Z2-7]{55}", info["server_id"])
        assert info["port"] == port
        assert info["proto"] == 1
        assert info["headers"] is True
        assert info["jetstream"] is True
        assert info["max_payload"] == 1048576
        assert info["client_ip"] == "127.0.0.1"
        assert second.info["client_id"] > info["client_id"]
        assert not {"auth_required", "tls_required", "nonce", "ldm"} & set(info)


def test_second_info_after_the_first_ping(port):
    """K-009, K-034: once, for protocol 1, and only for a PING behind CONNECT."""
    with RawClient(port, b"PING\r\n") as client:
        client.until(b"PONG\r\n")
        client.send(b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n')
        received = client.until(b'"connect_info":true')
        assert b"PONG\r\nINFO {" in received  # in one piece: a client reads it before it goes on
        client.until(b"\r\n")
        assert client.flush() == b""
    with RawClient(port) as old:
        assert old.flush() == b""
        assert old.flush() == b""


# ---------------------------------------------------------------- limits


def test_connection_limit():
    """K-065; a place that becomes free can be taken."""
    with server(max_connections=2) as running:
        with RawClient(running.port) as first, RawClient(running.port) as second:
            first.flush()
            second.flush()
            with RawClient(running.port, b"") as third:
                assert third.until_closed() == b"-ERR 'maximum connections exceeded'\r\n"
            first.flush()
        kernel = running.server.kernel
        wait_until(lambda: not kernel.connections(), "both are gone")
        with RawClient(running.port) as fourth:
            fourth.flush()


def test_authentication_timeout():
    """K-061: whoever says nothing, or begins a CONNECT and never ends it."""
    with server("authorization { user: u, password: p, timeout: 0.3 }") as running:
        silent = RawClient(running.port, b"")
        slow = RawClient(running.port, b'CONNECT {"user":"u"')
        assert silent.until_closed() == b"-ERR 'Authentication Timeout'\r\n"
        assert slow.until_closed() == b"-ERR 'Authentication Timeout'\r\n"
        for client in (silent, slow):
            client.socket.close()


def test_authentication():
    with server("authorization { user: u, password: p, timeout: 60 }") as running:
        good = RawClient(running.port, b'CONNECT {"verbose":false,"user":"u","pass":"p"}\r\n')
        assert good.flush() == b""
        for first in (b"PUB a 1048576\r\n", b"P", b"PING\r\n", b"x"):
            with RawClient(running.port, first) as stranger:
                assert stranger.until_closed() == b"-ERR 'Authorization Violation'\r\n"
        with RawClient(running.port, b"CXX") as garbled:
            assert garbled.until_closed() == b"-ERR 'Unknown Protocol Operation'\r\n"
        good.socket.close()


# ---------------------------------------------------------------- stale connections

SHORT_PINGS = "ping_interval: '200ms'\nping_max: 2\n"
MANY_PINGS = "ping_interval: '150ms'\nping_max: 9\n"  # who does not answer has a second and more


def test_stale_connections_are_pinged_and_closed():
    """K-050, K-075: two PINGs unanswered, then the error; a client that never spoke likewise."""
    with server(SHORT_PINGS) as running:
        spoke, mute = RawClient(running.port), RawClient(running.port, b"")
        for client in (spoke, mute):
            assert client.until_closed() == b"PING\r\nPING\r\n-ERR 'Stale Connection'\r\n"
            client.socket.close()
        wait_until(lambda: running.server.kernel.stats().stale_connections == 2, "both counted")


def test_answering_and_talking_clients_stay():
    """A PONG counts; so does other traffic, which delays the PINGs behind the first."""
    with server(MANY_PINGS) as running, RawClient(running.port) as client:
        for _ in range(12):
            assert client.line() == b"PING"
            client.send(b"PONG\r\n")
        assert client.flush() == b""
        kernel = running.server.kernel
        assert kernel.connections()[0].rtt_ns > 0


# ---------------------------------------------------------------- slow consumers and back-pressure


def test_pending_bytes_limit():
    """K-047, K-082: closed without a word; the reason is told to those who ask."""
    with server("max_pending: 1MB\nmax_payload: 100KB") as running:
        stuck = RawClient(running.port, receive_buffer_bytes=4096)
        stuck.send(b"SUB flood 1\r\n")
        stuck.flush()
        with RawClient(running.port) as publisher:
            kernel = running.server.kernel

            def counted():  # it takes more than the sockets' buffers can hide
                for _ in range(16):
                    publisher.publish(b"flood", b"x" * 65536)
                return kernel.stats().slow_consumers == 1

            wait_until(counted, "the slow consumer is counted")
            assert publisher.flush() == b""
            assert len(kernel.connections()) == 1
            log = running.log_lines
            wait_until(
                lambda: any("Slow Consumer (Pending Bytes)" in line for line in log), "the log"
            )
        stuck.socket.close()


def test_write_deadline():
    """K-051: a few bytes now and then do not extend it."""
    with server("write_deadline: '500ms'") as running:
        stuck = RawClient(running.port, receive_buffer_bytes=4096)
        stuck.send(b"SUB flood 1\r\n")
        stuck.flush()
        kernel = running.server.kernel
        with RawClient(running.port) as publisher:

            def stuffed():  # the sockets' buffers are full
                publisher.publish(b"flood", b"x" * 1_000_000)
                waiting = any(c.pending_bytes for c in kernel.connections())
                return waiting or kernel.stats().slow_consumers

            wait_until(stuffed, "bytes wait")

            def closed():
                if not kernel.stats().slow_consumers:
                    with contextlib.suppress(ConnectionResetError):
                        stuck.socket.recv(1)
                return kernel.stats().slow_consumers == 1

            wait_until(closed, "the slow consumer is closed")
            assert publisher.flush() == b""
            log = running.log_lines
            wait_until(
                lambda: any("Slow Consumer (Write Deadline)" in line for line in log), "the log"
            )
        stuck.socket.close()


def test_stuck_subscriber_holds_its_publisher_for_a_bounded_time_only():
    """The publisher is paused when 8 MB wait, goes on after a second at most, and the subscriber is
    given up at max_pending; others never notice.
    """
    with server("max_pending: 24MB") as running:
        kernel = running.server.kernel
        stuck = RawClient(running.port, receive_buffer_bytes=4096)
        stuck.send(b"SUB flood 1\r\n")
        stuck.flush()
        with RawClient(running.port) as publisher, RawClient(running.port) as other:
            other.send(b"SUB alive 1\r\n")
            publisher.socket.setblocking(False)
            message = b"PUB flood 65536\r\n" + b"x" * 65536 + b"\r\n"
            rest = b""
            answered = 0

            def pour_and_talk():
                nonlocal rest, answered
                try:
                    rest = rest or message
                    rest = rest[publisher.socket.send(rest) :]
                except BlockingIOError:
                    pass
                other.publish(b"alive", b"x")
                answered += len(bodies(other.flush()))
                return kernel.stats().slow_consumers == 1

            wait_until(pour_and_talk, "the stuck subscriber is closed")
            assert kernel.stats().stalls >= 1
            assert answered > 0
            publisher.socket.setblocking(True)
            publisher.send(rest)
            assert publisher.flush() == b""
        stuck.socket.close()


def test_publisher_is_paused_and_goes_on_when_the_subscriber_reads():
    """Nothing is lost, nobody is closed."""
    with server() as running:
        kernel = running.server.kernel
        with RawClient(running.port) as slow, RawClient(running.port) as publisher:
            slow.send(b"SUB flood 1\r\n")
            slow.flush()
            publisher.socket.setblocking(False)
            message = b"PUB flood 65536\r\n" + b"x" * 65536 + b"\r\n"
            sent, rest = 0, b""

            def pour():
                nonlocal sent, rest
                try:
                    while True:
                        rest = rest or message
                        rest = rest[publisher.socket.send(rest) :]
                        sent += not rest
                except BlockingIOError:
                    return kernel.stats().stalls >= 1

            wait_until(pour, "the publisher is paused")
            expected = (sent + (1 if rest else 0)) * len(b"MSG flood 1 65536\r\n" + message[17:])
            received = 0
            while received < expected:
                sockets = [publisher.socket] if rest else []
                readable, writable, _ = select.select([slow.socket], sockets, [], 10)
                assert readable or writable, "both stand still"
                if writable:
                    rest = rest[publisher.socket.send(rest) :]
                if readable:
                    received += len(slow.socket.recv(1 << 20))
            publisher.socket.setblocking(True)
            assert received == expected
            assert publisher.flush() == b""
            assert kernel.stats().slow_consumers == 0


# ---------------------------------------------------------------- the end


def test_lame_duck_info_then_the_end():
    """K-030, K-053: clients are told, stay for the grace period, and leave with a closed server."""
    config = "lame_duck_duration: '30s'\nlame_duck_grace_period: '100ms'"
    with server(config) as running:
        told = RawClient(running.port, b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n')
        told.until(b'"connect_info":true')
        told.until(b"\r\n")
        loop = running.server.loop
        loop.post(running.server.lame_duck.enter)
        told.until(b"INFO ")
        assert b'"ldm":true' in told.line()
        assert told.until_closed() in (b"", b"PING\r\n")  # which comes in the third second
        told.socket.close()


def test_clean_shutdown_flushes_and_closes():
    """What was answered before the stop still arrives."""
    with server() as running:
        client = RawClient(running.port)
        client.send(b"SUB last 1\r\n")
        client.flush()
        kernel = running.server.kernel
        kernel.publish(kernel.account(b"$G"), b"last", b"", b"", b"words")
        running.stop()
        assert client.until_closed() == b"MSG last 1 5\r\nwords\r\n"
        client.socket.close()


def test_quiet_connect_is_quiet(port):
    """The tests above rely on it."""
    with RawClient(port, QUIET) as client:
        assert client.flush() == b""
