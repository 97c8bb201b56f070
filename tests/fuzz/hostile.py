"""Clients that mean harm, or were written badly. Each is a generator: one step of mischief, then a
yield, so that a test can look at the server between the steps; a generator ends by itself or when
the budget of time is used up.
"""

from __future__ import annotations

import contextlib
import random
import socket
import struct
from collections.abc import Callable, Iterator

CONNECT = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
SCRIPT = (
    CONNECT
    + b"SUB a.b 1\r\nSUB a.* q 2\r\nSUB > 3\r\nUNSUB 3 5\r\nPUB a.b r 5\r\nhello\r\n"
    + b"HPUB a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\nPING\r\nUNSUB 1\r\nPONG\r\n+OK\r\n"
)
Steps = Iterator[None]


class Crowd:
    """Sockets that close together; a server may refuse or close any of them at any time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.sockets: list[socket.socket] = []

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *exc: object) -> None:
        for connection in self.sockets:
            connection.close()

    def connect(self, receive_buffer_bytes: int = 0) -> socket.socket:
        connection = socket.socket()
        if receive_buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", self._port))
        connection.setblocking(False)
        self.sockets.append(connection)
        return connection

    def drop(self, connection: socket.socket, *, reset: bool = False) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.close()
        self.sockets.remove(connection)


def send(connection: socket.socket, sent: bytes) -> int:
    """What the socket takes now; nothing when the server has closed."""
    try:
        return connection.send(sent)
    except (BlockingIOError, ConnectionError):
        return 0


def read(connection: socket.socket, size: int = 65536) -> bytes:
    try:
        return connection.recv(size)
    except (BlockingIOError, ConnectionError):
        return b""


def random_bytes(port: int, rng: random.Random) -> Steps:
    alphabet = b"PUBSCONNECTHIGpubsub \t\r\n0123456789.*>{}\"'+-\x00\xff"
    while True:
        with Crowd(port) as crowd:
            for _ in range(20):
                connection = crowd.connect()
                if rng.random() < 0.5:
                    send(connection, CONNECT)
                for _ in range(rng.randrange(1, 8)):
                    size = rng.randrange(1, 2000)
                    if rng.random() < 0.5:
                        send(connection, rng.randbytes(size))
                    else:
                        send(connection, bytes(rng.choices(alphabet, k=size)))
                if rng.random() < 0.3:
                    crowd.drop(connection, reset=rng.random() < 0.5)
            yield


def mutated_scripts(port: int, rng: random.Random) -> Steps:
    while True:
        with Crowd(port) as crowd:
            for _ in range(20):
                script = bytearray(SCRIPT * rng.randrange(1, 4))
                for _ in range(rng.randrange(4)):
                    at = rng.randrange(len(CONNECT), len(script))
                    action = rng.randrange(3)
                    if action == 0:
                        script[at] = rng.choice(b"\r\n \t019PSU->*.\x00\xff")
                    elif action == 1:
                        del script[at : at + rng.randrange(1, 10)]
                    else:
                        script[at:at] = rng.choice([b"9", b"\r\n", b" ", b"PUB x 3\r\n"])
                connection = crowd.connect()
                cut = rng.randrange(len(script))
                send(connection, bytes(script[:cut]))
                if rng.random() < 0.5:
                    send(connection, bytes(script[cut:]))
                if rng.random() < 0.5:
                    crowd.drop(connection, reset=rng.random() < 0.5)
            yield


def oversized_lines(port: int, rng: random.Random) -> Steps:
    verbs = [
        b"PUB ",
        b"SUB ",
        b"CONNECT ",
        b"UNSUB ",
        b"PING",
        b"HPUB ",
        b"INFO ",
        b"-ERR ",
        b"+OK",
    ]
    while True:
        with Crowd(port) as crowd:
            for verb in verbs:
                connection = crowd.connect()
                filler = rng.choice([b"a", b" ", b"a ", b"1", b"\r", b"."])
                send(connection, verb + filler * rng.randrange(4000, 200_000))
                send(connection, b"\r\n")
            yield


def byte_at_a_time(port: int, rng: random.Random) -> Steps:
    """Many at once, each at another place of the same script, forgetting to read."""
    with Crowd(port) as crowd:
        writers = {crowd.connect(): rng.randrange(len(SCRIPT)) for _ in range(50)}
        script = SCRIPT * 3
        while writers:
            for connection in list(writers):
                at = writers[connection]
                send(connection, script[at : at + 1])
                writers[connection] = at + 1
                if at + 1 == len(script):
                    del writers[connection]
            yield


def silent_crowd(port: int, rng: random.Random) -> Steps:
    """1,000 connections that never speak; then half of them vanish without a word."""
    with Crowd(port) as crowd:
        for _ in range(20):
            for _ in range(50):
                crowd.connect()
            yield
        for connection in rng.sample(crowd.sockets, 500):
            crowd.drop(connection, reset=rng.random() < 0.5)
        yield


def announced_payloads(port: int, rng: random.Random) -> Steps:
    """The largest payload announced, a little of it sent, the rest never."""
    with Crowd(port) as crowd:
        for _ in range(12):
            for _ in range(25):
                connection = crowd.connect()
                some = rng.randrange(0, 3000)
                send(connection, CONNECT + b"PUB a 1048576\r\n" + b"x" * some)
            yield
        for connection in list(crowd.sockets):
            send(connection, b"y")
        yield


def slow_readers(port: int, rng: random.Random) -> Steps:
    """Subscribers that read nothing or little while others publish without end."""
    with Crowd(port) as crowd:
        readers = [crowd.connect(receive_buffer_bytes=4096) for _ in range(5)]
        for connection in readers:
            send(connection, CONNECT + b"SUB storm.> 1\r\nSUB storm.* q 2\r\n")
        writers = [crowd.connect() for _ in range(3)]
        rest = dict.fromkeys(writers, CONNECT)
        while True:
            for writer in writers:
                for _ in range(20):
                    if not rest[writer]:
                        size = rng.choice([0, 100, 10_000, 60_000])
                        rest[writer] = b"PUB storm.x %d\r\n" % size + b"x" * size + b"\r\n"
                    rest[writer] = rest[writer][send(writer, rest[writer]) :]
                read(writer)
            read(readers[0], 100)
            yield


def subscription_storm(port: int, rng: random.Random) -> Steps:
    """Subscriptions come, go, reach their maximum and are reused while messages hit them."""
    subjects = [b"s.a", b"s.*", b"s.>", b">", b"*.a", b"s.a.b", b"_INBOX.s", b"$JS.ACK.>"]
    commands: list[Callable[[], bytes]] = [
        lambda: b"SUB %b %d\r\n" % (rng.choice(subjects), rng.randrange(30)),
        lambda: b"SUB %b q%d %d\r\n" % (rng.choice(subjects), rng.randrange(3), rng.randrange(30)),
        lambda: b"UNSUB %d\r\n" % rng.randrange(30),
        lambda: b"UNSUB %d %d\r\n" % (rng.randrange(30), rng.randrange(4)),
        lambda: b"PUB %b 2\r\nhi\r\n" % rng.choice([b"s.a", b"s.a.b", b"_INBOX.s", b"s.*"]),
        lambda: b"PUB nobody _INBOX.s 0\r\n\r\n",
        lambda: CONNECT,
    ]
    weights = [30, 30, 20, 20, 60, 10, 1]
    with Crowd(port) as crowd:
        for _ in range(10):
            send(crowd.connect(), CONNECT)
        while True:
            for connection in list(crowd.sockets):
                chosen = rng.choices(commands, weights, k=50)
                send(connection, b"".join(command() for command in chosen))
                read(connection)
                if rng.random() < 0.02:
                    crowd.drop(connection, reset=rng.random() < 0.5)
                    send(crowd.connect(), CONNECT)
            yield


_JETSTREAM_BODIES = [
    b"",
    b"1",
    b'{"batch":5,"expires":1000000000}',
    b'{"batch":3,"no_wait":true}',
    b'{"batch":-1,"expires":-1,"max_bytes":-1,"idle_heartbeat":1}',
    b"{",
    b"+ACK",
    b"-NAK",
    b'-NAK {"delay": 1000000}',
    b"+TERM",
    b"+WPI",
    b"+NXT",
    b"\xff" * 50,
]
_JETSTREAM_PREFIXES = [
    b"$JS.API.CONSUMER.MSG.NEXT.",
    b"$JS.API.DIRECT.GET.",
    b"$JS.ACK.",
    b"$JS.API.",
    b"$JS.FC.",
]


def jetstream_nonsense(port: int, rng: random.Random) -> Steps:
    """Publishes, pulls, acks and requests with wrong bodies, from clients that come and go."""
    words = [b"FUZZ", b"dur", b"push", b"*", b">", b"", b"1", b"-1", b"99999999999999999999", b"x"]

    def subject(prefix: bytes) -> bytes:
        return prefix + b".".join(rng.choices(words, k=rng.randrange(1, 9)))

    def command() -> bytes:
        kind = rng.randrange(10)
        if kind < 4:
            return _publish(b"fuzz.%d" % rng.randrange(20), b"_INBOX.f", rng.randbytes(20))
        if kind < 6:
            to = b"$JS.API.CONSUMER.MSG.NEXT.FUZZ.dur"
            return _publish(to, b"_INBOX.%d" % rng.randrange(9), rng.choice(_JETSTREAM_BODIES))
        if kind < 7:
            ack = b"$JS.ACK.FUZZ.dur.1.%d.%d.1.0" % (rng.randrange(99), rng.randrange(99))
            return _publish(ack, rng.choice([b"", b"_INBOX.f"]), rng.choice(_JETSTREAM_BODIES))
        if kind < 8:
            return b"SUB fuzzed.push %d\r\nUNSUB %d 3\r\n" % (rng.randrange(9), rng.randrange(9))
        wild = subject(rng.choice(_JETSTREAM_PREFIXES))
        return _publish(wild, b"_INBOX.f", rng.choice(_JETSTREAM_BODIES))

    with Crowd(port) as crowd:
        first = crowd.connect()
        send(
            first,
            CONNECT
            + _publish(
                b"$JS.API.STREAM.CREATE.FUZZ",
                b"_INBOX.f",
                b'{"name":"FUZZ","subjects":["fuzz.*"],"max_msgs":500,"allow_direct":true,'
                b'"storage":"memory"}',
            )
            + _publish(
                b"$JS.API.CONSUMER.CREATE.FUZZ.dur",
                b"_INBOX.f",
                b'{"stream_name":"FUZZ","action":"","config":{"durable_name":"dur",'
                b'"ack_policy":"explicit","ack_wait":100000000}}',
            )
            + _publish(
                b"$JS.API.CONSUMER.CREATE.FUZZ.push",
                b"_INBOX.f",
                b'{"stream_name":"FUZZ","action":"","config":{"durable_name":"push",'
                b'"ack_policy":"none","deliver_subject":"fuzzed.push"}}',
            ),
        )
        for _ in range(6):
            send(crowd.connect(), CONNECT + b"SUB _INBOX.* 1\r\n")
        while True:
            for connection in list(crowd.sockets):
                send(connection, b"".join(command() for _ in range(30)))
                read(connection)
                if rng.random() < 0.05:
                    crowd.drop(connection, reset=rng.random() < 0.5)
                    send(crowd.connect(), CONNECT + b"SUB _INBOX.> 1\r\nUNSUB 1 50\r\n")
            yield


def _publish(subject: bytes, reply: bytes, body: bytes) -> bytes:
    return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(body), body)


def everything(port: int, rng: random.Random) -> Steps:
    """All of them at the same time."""
    running = [make(port, rng) for make in ALL]
    while running:
        for steps in list(running):
            with contextlib.suppress(StopIteration):
                next(steps)
                continue
            running.remove(steps)
        yield


ALL = [
    random_bytes,
    mutated_scripts,
    oversized_lines,
    byte_at_a_time,
    silent_crowd,
    announced_payloads,
    slow_readers,
    subscription_storm,
    jetstream_nonsense,
]
