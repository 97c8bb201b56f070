"""What hostile clients do, as a list of actions that can be written down and played again.

An action is a dict: "do" says what, "c" which connection, bytes are text in Latin-1.

    open   c, login (sends CONNECT with credentials first), reads (or never does), buffer
    send   c, data
    answer c, data: a list; each request that c receives from now on is answered with the next one
    close  c, reset
    restore  request (subject, body), chunks: of an archive, sent to where the answer says
    http   data: of one connection to the monitoring port
    reload text: appended to the configuration file, then SIGHUP; "" takes it back
    crowd  count, data: connections that each send it and then nothing; port is "http" for the
           monitoring port; the crowd before goes (reset: rudely)
    rest   ms
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import hostile_archives as archives
import hostile_floods as floods
import hostile_values as values
from api_grammar import (
    CONSUMER_CONFIG,
    CONSUMERS,
    PULL,
    ROWS,
    STREAMS,
    WORDS,
    RequestWriter,
    subject,
)
from hostile_values import Raw, encoded

Action = dict[str, Any]
CONNECTIONS = 24


def text(data: bytes) -> str:
    return data.decode("latin-1")


def frame(to: bytes, body: bytes, reply: bytes = b"", header: bytes = b"") -> bytes:
    start = to + (b" " + reply if reply else b"")
    if header:
        size = len(header) + len(body)
        return b"HPUB %b %d %d\r\n%b%b\r\n" % (start, len(header), size, header, body)
    return b"PUB %b %d\r\n%b\r\n" % (start, len(body), body)


def utf8(value: object) -> bytes:
    return value.text if isinstance(value, Raw) else str(value).encode("utf-8", "surrogatepass")


# Header names with values that are right; any may get a hostile one.
HEADERS: dict[str, list[str]] = {
    "Nats-Msg-Id": ["1", "2", "3"],
    "Nats-Expected-Stream": ["F0", "F1"],
    "Nats-Expected-Last-Sequence": ["0", "1", "7"],
    "Nats-Expected-Last-Subject-Sequence": ["0", "1"],
    "Nats-Expected-Last-Subject-Sequence-Subject": ["f0.a", "f1.b.c"],
    "Nats-Expected-Last-Msg-Id": ["1", "2"],
    "Nats-Rollup": ["sub", "all"],
    "Nats-TTL": ["1s", "1h", "never", "1"],
    "Nats-Incr": ["+1", "-5", "1000000"],
    "Nats-Schedule": ["@every 1s", "@at 2026-01-01T00:00:00Z", "@daily", "0 * * * * *"],
    "Nats-Schedule-Target": ["f0.a", "f1.d0"],
    "Nats-Schedule-Source": ["f0.a", "f1.b"],
    "Nats-Schedule-TTL": ["1s", "5m"],
    "Nats-Schedule-Time-Zone": ["Europe/Berlin", "UTC", "Nowhere/None"],
    "Nats-Schedule-Rollup": ["sub"],
    "Nats-Schedule-Next": ["purge", "2026-01-01T00:00:00Z"],
    "Nats-Batch-Id": ["b0", "b1", "b2"],
    "Nats-Batch-Sequence": ["1", "2", "3"],
    "Nats-Batch-Commit": ["1", "eob"],
    "Nats-Required-Api-Level": ["0", "1", "2"],
    "Nats-Stream-Source": ["F0 1 > > f0.a", "F1:abc 5"],
    "Nats-Counter-Sources": ['{"F0":{"f0.a":"5"}}'],
    "Nats-Marker-Reason": ["MaxAge"],
    "Nats-Request-Info": ["{}"],
    "Nats-Pin-Id": ["x"],
    "Status": ["503"],
    "X": ["y"],
}
HEADER_VALUES = [
    b"",
    b" ",
    b"\x00",
    b"-1",
    b"+",
    b"9" * 5000,
    b"18446744073709551615",
    b"18446744073709551616",
    b"-9223372036854775808",
    b"9223372036854775807s",
    b"106751d23h47m",
    b"0.0000000001ns",
    b"1h" * 500,
    b"@every 0.0000001s",
    b"@every 9223372036s",
    b"@at 9999-12-31T23:59:59Z",
    b"@at 0000-00-00T00:00:00Z",
    b"99 99 99 99 99 99",
    b"*/0 * * * * *",
    b"0-59/4294967296 * * * * *",
    b"0 0 0 31 2 *",
    b"../../../etc/passwd",
    b"/" * 300,
    b"Europe/" + b"A" * 300,
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"a\rb",
    b"a\nNats-TTL: 1s",
    b"[" * 2000,
    b'{"a":' * 1000,
    b"x" * 60_000,
]
PULL_BODIES = [b"", b"5", b"-1", b"0", b"9" * 40, b"+NXT", b"\x00", b"{", b"[[[[", b"null", b"true"]
ACK_BODIES = [
    b"",
    b"+ACK",
    b"-NAK",
    b"+WPI",
    b"+TERM",
    b"+TERM reason " + b"r" * 500,
    b"+NXT",
    b"+NXT 5",
    b'+NXT {"batch":3,"expires":1000000}',
    b"+NXT " + b"[" * 3000,
    b'-NAK {"delay":9223372036854775807}',
    b'-NAK {"delay":-1}',
    b"-NAK 9223372036854775807s",
    b'-NAK {"delay":1e400}',
    b"-NAK " + b'{"a":' * 1000,
    b"+TERM\r\nx",
    b"\xff",
]
CONNECT_FIELDS: dict[str, str] = {
    "verbose": "boolean",
    "pedantic": "boolean",
    "tls_required": "boolean",
    "auth_token": "string",
    "user": "string",
    "pass": "string",
    "name": "string",
    "lang": "string",
    "version": "string",
    "protocol": "integer",
    "account": "string",
    "echo": "boolean",
    "jwt": "string",
    "nkey": "string",
    "sig": "string",
    "headers": "boolean",
    "no_responders": "boolean",
}
PATHS = [
    "/",
    "/varz",
    "/connz",
    "/subsz",
    "/jsz",
    "/healthz",
    "/accstatz",
    "/routez",
    "/gatewayz",
    "/leafz",
    "/accountz",
    "/ipqueuesz",
    "/stacksz",
]
PARAMETERS = {
    "sort": ["cid", "start", "subs", "bytes_to", "idle", "\x00", "a" * 3000],
    "limit": ["0", "-1", "1", "9223372036854775807", "9" * 5000, "x", "1.5"],
    "offset": ["0", "-1", "9223372036854775808", "5"],
    "subs": ["1", "detail", "true", "x"],
    "auth": ["1", "0"],
    "state": ["open", "closed", "any", "2"],
    "cid": ["1", "-1", "18446744073709551616"],
    "filter_subject": ["f0.>", ">", "a..b", "%00", "%0d%0a", "%ff"],
    "test": ["f0.a", "*", "%ff"],
    "acc": ["$G", "$SYS", "x%0d%0aX: y"],
    "streams": ["1", "true"],
    "consumers": ["true", "2"],
    "config": ["true"],
    "leader-only": ["true"],
    "js-enabled-only": ["true"],
    "stream": ["F0", "%00", "WITNESS"],
    "consumer": ["c0", "x"],
    "raft": ["1"],
    "callback": ["f", "<script>", "%0d%0a"],
}
# Options that may change while others work; each gets right values and hostile ones.
RELOADED = {
    "debug": ["true", "false", "1"],
    "trace": ["true", "false"],
    "logtime": ["true", "false"],
    "ping_interval": ['"10s"', "5", "-1", '"-5s"', '"106751d"'],
    "ping_max": ["5", "-1"],
    "write_deadline": ['"2s"', '"1ns"', "-1"],
    "lame_duck_duration": ['"30s"', '"1ns"'],
    "client_advertise": ['"a:b:c"', '"host:notaport"', '"h:1"', '"\\r\\nPUB x 0"'],
    "server_name": ['"x"', '"a b"', '"\\x00"'],
    "pid_file": ['"/nonexistent/folder/pid"'],
    "max_subscriptions": ["100000", "-1"],
    "connect_error_reports": ["1", "-1", "99999999999999999999"],
    "cluster": ["{ port: -1 }", "{}"],
    "tls": ["{}", '{ cert_file: "x" }'],
    "nonsense": ["1"],
    "include": ['"server.conf"', '"/nonexistent"', '"/dev/null"'],
    "max_traced_msg_len": ["10", "-1", "9223372036854775808"],
    "system_account": ["SYS", '"$G"'],
}


class ActionWriter:
    """An endless list of actions, of which each belongs to a piece of mischief."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.requests = RequestWriter(rng)
        self._open: dict[int, bool] = {}  # by connection: whether it logged in
        self._replies = 0
        self._pieces: list[tuple[Callable[[], Iterator[Action]], int]] = [
            (self._api, 40),
            (self._publishes, 14),
            (self._pulls_and_acks, 14),
            (self._protocol, 6),
            (self._connects, 6),
            (self._http, 5),
            (self._restore, 6),
            (self._origin, 4),
            (self._system, 3),
            (self._reload, 2),
            (self._flood, 3),
            (self._flood_of_one_thing, 3),
            (self._crowd, 2),
            (self._subscriptions, 4),
            (self._vanish, 3),
            (self._tidy, 2),
        ]

    def setup(self) -> list[Action]:
        """Streams and consumers that the rest meets."""
        actions: list[Action] = [{"do": "open", "c": 0, "login": True, "reads": True}]
        self._open[0] = True
        wide = ["allow_direct", "allow_rollup_hdrs", "allow_msg_ttl"]
        special = ["", "allow_msg_schedules", "allow_msg_counter", "allow_atomic", "", ""]
        retention = ["limits", "limits", "limits", "limits", "interest", "workqueue"]
        for number, stream in enumerate(STREAMS):
            config: dict[str, object] = {
                "name": stream,
                "subjects": [f"f{number}.>"],
                "retention": retention[number],
                "storage": "memory" if number == 3 else "file",
                "max_bytes": 8 << 20,
            }
            config |= dict.fromkeys(wide, True)
            if special[number]:
                config[special[number]] = True
            if number == 2:
                del config["allow_msg_ttl"]
            actions.append(self._ask(f"$JS.API.STREAM.CREATE.{stream}", encoded(config), 0))
            for consumer in CONSUMERS[:2] if number < 5 else CONSUMERS[:1]:
                asked = {
                    "stream_name": stream,
                    "config": {
                        "durable_name": consumer,
                        "ack_policy": "all" if consumer == "c1" else "explicit",
                        "ack_wait": 2 * 10**9,
                    },
                }
                to = f"$JS.API.CONSUMER.CREATE.{stream}.{consumer}"
                actions.append(self._ask(to, encoded(asked), 0))
        return actions

    def some(self) -> list[Action]:
        """The next piece of mischief."""
        makers = [maker for maker, _ in self._pieces]
        make = self.rng.choices(makers, [weight for _, weight in self._pieces])[0]
        return list(make())

    # -- connections

    def _connection(self, logged_in: bool = True) -> tuple[int, list[Action]]:
        rng = self.rng
        fitting = [c for c, login in self._open.items() if login == logged_in]
        if fitting and (len(self._open) >= CONNECTIONS or rng.random() < 0.9):
            return rng.choice(fitting), []
        actions: list[Action] = []
        if len(self._open) >= CONNECTIONS:
            actions.append(self._close(rng.choice(list(self._open))))
        number = next(n for n in range(CONNECTIONS + 1) if n not in self._open)
        self._open[number] = logged_in
        reads = rng.random() < 0.8
        new: Action = {"do": "open", "c": number, "login": logged_in, "reads": reads}
        if rng.random() < 0.1:
            new["buffer"] = 4096
        return number, [*actions, new]

    def _close(self, number: int) -> Action:
        self._open.pop(number, None)
        return {"do": "close", "c": number, "reset": self.rng.random() < 0.5}

    def _ask(self, to: str, body: bytes, number: int, header: bytes = b"") -> Action:
        self._replies += 1
        reply = b"_INBOX.fz%d.%d" % (number, self._replies)
        subject_bytes = to.encode("utf-8", "surrogatepass")
        return {"do": "send", "c": number, "data": text(frame(subject_bytes, body, reply, header))}

    # -- mischief

    def _api(self) -> Iterator[Action]:
        for _ in range(self.rng.randrange(1, 12)):
            number, opened = self._connection()
            yield from opened
            to, body = self.requests.request()
            header = b""
            if self.rng.random() < 0.05:
                header = self._header(["Nats-Required-Api-Level"])
            yield self._ask(to, body, number, header)

    def _header(self, names: list[str]) -> bytes:
        rng = self.rng
        lines = []
        for name in names:
            right = rng.choice(HEADERS[name]).encode()
            value = rng.choice(HEADER_VALUES) if rng.random() < 0.12 else right
            lines.append(name.encode() + b": " + value + b"\r\n")
        if rng.random() < 0.02:
            lines = lines * rng.choice([50, 2000])
        block = b"NATS/1.0\r\n" + b"".join(lines) + b"\r\n"
        if rng.random() < 0.05:
            block = values.damaged(block, rng)
        return block

    def _publishes(self) -> Iterator[Action]:
        rng = self.rng
        number, opened = self._connection()
        yield from opened
        data = b""
        families = [["Batch-"], ["Schedule"], ["Expected"], ["Incr"], ["TTL", "Rollup", "Msg-Id"]]
        family = rng.choice(families)
        fitting = [name for name in HEADERS if any(word in name for word in family)]
        for _ in range(rng.choice([1, 3, 30])):
            stream = rng.randrange(len(STREAMS))
            names = rng.sample(fitting, rng.randrange(1, len(fitting) + 1))
            if rng.random() < 0.2:
                names += rng.sample(list(HEADERS), 3)
            header = self._header(names) if rng.random() < 0.8 else b""
            body = rng.choice([b"", b"x", b'{"val":"12"}', rng.randbytes(200), b"z" * 40_000])
            self._replies += 1
            reply = b"_INBOX.fz%d.%d" % (number, self._replies) if rng.random() < 0.7 else b""
            if rng.random() < 0.1:
                fast = b"_INBOX.fz%d.u.%d.ok.%d.0.$FI"
                reply = fast % (number, rng.choice([0, 1, 10, 2**63]), rng.choice([0, 1, 2**64]))
            data += frame(subject(rng, f"f{stream}").encode(), body, reply, header)
        yield {"do": "send", "c": number, "data": text(data)}

    def _pulls_and_acks(self) -> Iterator[Action]:
        rng = self.rng
        number, opened = self._connection()
        yield from opened
        data = b""
        for _ in range(rng.randrange(1, 20)):
            stream, consumer = rng.choice(STREAMS), rng.choice(CONSUMERS)
            if rng.random() < 0.4:
                to, body = self.requests.request(("CONSUMER.MSG.NEXT.S.C", 1, [], PULL))
                if rng.random() < 0.1:
                    body = rng.choice(PULL_BODIES)
                self._replies += 1
                reply = b"_INBOX.fz%d.%d" % (number, self._replies)
                data += frame(to.encode("utf-8", "surrogatepass"), body, reply)
            else:
                numbers = [rng.choice([1, 2, 3, 5, 9, 0, 2**64 - 1, 2**63, 10**25, -1])]
                numbers += [rng.randrange(1, 60) for _ in range(2)] + [1, 0]
                if rng.random() < 0.1:
                    rng.shuffle(numbers)
                tail = ".".join(map(str, numbers[: rng.choice([5, 5, 5, 5, 4, 3])]))
                to = f"$JS.ACK.{stream}.{consumer}.{tail}"
                if rng.random() < 0.05:
                    to = f"$JS.ACK._.x.{stream}.{consumer}.{tail}.y.z"
                body = rng.choice(ACK_BODIES) if rng.random() < 0.5 else b"+ACK"
                reply = b"_INBOX.fz%d.a" % number if rng.random() < 0.4 else b""
                data += frame(to.encode(), body, reply)
        yield {"do": "send", "c": number, "data": text(data)}

    def _protocol(self) -> Iterator[Action]:
        rng = self.rng
        number, opened = self._connection(rng.random() < 0.5)
        yield from opened
        lines = [
            b"PUB a.b 5\r\nhello\r\n",
            b"HPUB a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
            b"SUB a.> q 7\r\n",
            b"UNSUB 7 3\r\n",
            b"PING\r\n",
            b"PONG\r\n",
            b"+OK\r\n",
            b"-ERR 'x'\r\n",
            b'INFO {"a":1}\r\n',
            b"CONNECT {}\r\n",
            b"PUB a 99999999999999999999\r\n",
            b"PUB a -1\r\n\r\n",
            b"HPUB a 5 2\r\nx\r\n",
            b"SUB " + b"a." * 1500 + b"a 1\r\n",
            b"PUB " + b"x" * 5000,
            b"SUB a\x00b 1\r\n",
            b"PUB a\xff\xfe 0\r\n\r\n",
            b"UNSUB " + b"9" * 300 + b"\r\n",
        ]
        data = b"".join(rng.choice(lines) for _ in range(rng.randrange(1, 6)))
        if rng.random() < 0.6:
            data = values.damaged(data, rng)
        yield {"do": "send", "c": number, "data": text(data)}
        if rng.random() < 0.5:
            yield self._close(number)

    def _connects(self) -> Iterator[Action]:
        rng = self.rng
        number, opened = self._connection(False)
        yield from opened
        table: dict[str, object] = dict(CONNECT_FIELDS)
        writer = RequestWriter(rng, hostility=0.15)
        body = encoded(writer.fields(table, [], "F0", share=0.5))
        kind = rng.random()
        if kind < 0.2:
            body = values.nested(rng).text
        elif kind < 0.4:
            body = values.damaged(body, rng)
        if rng.random() < 0.3:  # it has to fit into a control line to be read at all
            body = b'{"a":' + b"[" * rng.choice([500, 1000, 2000]) + b"}"
        yield {"do": "send", "c": number, "data": text(b"CONNECT " + body + b"\r\nPING\r\n")}
        yield self._close(number)

    def _http(self) -> Iterator[Action]:
        rng = self.rng
        for _ in range(rng.randrange(1, 4)):
            path = rng.choice(PATHS)
            names = rng.sample(list(PARAMETERS), rng.randrange(5))
            path += "?" + "&".join(f"{n}={rng.choice(PARAMETERS[n])}" for n in names)
            data = b"%b %b HTTP/1.%d\r\nHost: x\r\n\r\n" % (
                rng.choice([b"GET", b"GET", b"GET", b"POST", b"HEAD", b"\x00"]),
                path.encode(),
                rng.choice([0, 1, 1, 9]),
            )
            kind = rng.random()
            if kind < 0.1:
                data = data[: rng.randrange(len(data))]
            elif kind < 0.25:
                data = values.damaged(data, rng)
            elif kind < 0.3:
                extra = b"".join(b"H%d: %b\r\n" % (n, b"v" * 50) for n in range(3000))
                data = data[:-2] + extra + b"\r\n"
            elif kind < 0.35:
                data = data[:-2] + b"Content-Length: 99999999999999999999\r\n\r\nx"
            yield {"do": "http", "data": text(data)}

    def _restore(self) -> Iterator[Action]:
        rng = self.rng
        stream = rng.choice(["R0", "R1", rng.choice(STREAMS)])
        request = {
            "config": {"name": stream, "subjects": [f"{stream.lower()}.>"], "storage": "file"},
            "state": {"messages": 3, "bytes": 100, "first_seq": 1, "last_seq": 3},
        }
        if rng.random() < 0.5:
            writer = RequestWriter(rng, hostility=0.1)
            to, body = writer.request(next(r for r in ROWS if r[0].endswith("RESTORE.S")))
        else:
            to, body = f"$JS.API.STREAM.RESTORE.{stream}", encoded(request)
        chunks = archives.hostile_archive(rng, stream)
        yield {
            "do": "restore",
            "subject": text(to.encode("utf-8", "surrogatepass")),
            "body": text(body),
            "chunks": [text(chunk) for chunk in chunks],
        }
        if rng.random() < 0.7:
            number, opened = self._connection()
            yield from opened
            yield self._ask(f"$JS.API.STREAM.DELETE.{stream}", b"", number)

    def _origin(self) -> Iterator[Action]:
        """An external origin whose answers and deliveries are ours."""
        rng = self.rng
        number, opened = self._connection()
        yield from opened
        yield {"do": "send", "c": number, "data": "SUB fz.origin.api.> 900\r\nSUB fz.fc.> 901\r\n"}
        answers = [encoded(self._origin_answer()) for _ in range(6)]
        answers += [encoded(values.anything(rng)) for _ in range(3)]
        deliveries = [self._delivery() for _ in range(rng.randrange(1, 30))]
        yield {
            "do": "answer",
            "c": number,
            "data": [text(answer) for answer in answers],
            "deliveries": [[text(part) for part in delivery] for delivery in deliveries],
        }
        stream = rng.choice(["M0", "M1"])
        origin: dict[str, object] = {
            "name": "ORIGIN",
            "external": {"api": "fz.origin.api", "deliver": "fz.origin.deliver"},
        }
        if rng.random() < 0.3:
            origin["filter_subject"] = "f0.>"
        config: dict[str, object] = {"name": stream, "storage": rng.choice(["file", "memory"])}
        config |= {"mirror": origin} if rng.random() < 0.5 else {"sources": [origin]}
        if rng.random() < 0.3:
            config["allow_msg_counter"] = True
        yield self._ask(f"$JS.API.STREAM.CREATE.{stream}", encoded(config), number)
        yield {"do": "rest", "ms": rng.choice([20, 100])}
        yield self._ask(f"$JS.API.STREAM.INFO.{stream}", b"", number)
        if rng.random() < 0.8:
            yield self._ask(f"$JS.API.STREAM.DELETE.{stream}", b"", number)

    def _origin_answer(self) -> object:
        rng = self.rng
        writer = RequestWriter(rng, hostility=0.12)
        right: dict[str, object] = {
            "type": "io.nats.jetstream.api.v1.consumer_create_response",
            "stream_name": "ORIGIN",
            "name": writer.value("CONSUMER", "F0"),
            "created": writer.value("time", "F0"),
            "config": writer.fields(CONSUMER_CONFIG, [], "ORIGIN"),
            "delivered": {
                "consumer_seq": writer.value("SEQ", "F0"),
                "stream_seq": writer.value("SEQ", "F0"),
            },
            "ack_floor": {"consumer_seq": 0, "stream_seq": writer.value("SEQ", "F0")},
            "num_pending": writer.value("SEQ", "F0"),
        }
        if rng.random() < 0.2:
            return {"error": {"code": 404, "err_code": rng.choice([10059, 10014, 2**63, "x"])}}
        return right

    def _delivery(self) -> tuple[bytes, bytes, bytes, bytes]:
        """Subject suffix, reply, header and body of what an origin delivers."""
        rng = self.rng
        ends = [1, 2, 3, 4, 5, 10, 0, 2**64 - 1, 2**63, 10**30]
        weights = [9, 9, 9, 9, 9, 2, 1, 1, 1, 1]
        seq, consumer_seq = rng.choices(ends, weights, k=2)
        when = rng.choice([1_760_000_000 * 10**9, 1_760_000_001 * 10**9, 0, 2**63 - 1, 2**64])
        reply = b"$JS.ACK.ORIGIN.x.1.%d.%d.%d.0" % (seq, consumer_seq, when)
        if rng.random() < 0.1:
            reply = rng.choice(
                [b"", b"$JS.ACK.ORIGIN", b"fz.fc.1", b"$JS.ACK." + b"9." * 20 + b"9"]
            )
        header = b""
        if rng.random() < 0.5:
            names = ["Nats-Incr", "Nats-Counter-Sources", "Nats-Stream-Source", "Nats-TTL", "X"]
            header = self._header(rng.sample(names, 2))
        if rng.random() < 0.15:
            status = rng.choice(
                [b"100 Idle Heartbeat", b"100 FlowControl Request", b"503", b"409 x"]
            )
            header = b"NATS/1.0 " + status + b"\r\nNats-Last-Consumer: 5\r\n"
            header += b"Nats-Last-Stream: " + rng.choice([b"9", b"9" * 30]) + b"\r\n\r\n"
        return b"f0.a", reply, header, rng.choice([b"", b"body", b'{"val":"5"}', b"[" * 500])

    def _system(self) -> Iterator[Action]:
        rng = self.rng
        number, opened = self._connection()
        yield from opened
        for _ in range(rng.randrange(1, 5)):
            to = rng.choice(
                [
                    "$SYS.REQ.SERVER.PING",
                    "$SYS.REQ.SERVER.PING."
                    + rng.choice(["VARZ", "CONNZ", "JSZ", "SUBSZ", "HEALTHZ"]),
                    "$SYS.REQ.ACCOUNT.PING." + rng.choice(["CONNZ", "STATZ"]),
                    "$SYS.REQ.ACCOUNT.$G." + rng.choice(["CONNZ", "JSZ", "INFO", "SUBSZ"]),
                    "$SYS.REQ.USER.INFO",
                    "$SRV.PING",
                ]
            )
            body = rng.choice([b"", b"{}", encoded(values.anything(rng))])
            if rng.random() < 0.5:
                table: dict[str, object] = {
                    "sort": "string",
                    "auth": "boolean",
                    "subscriptions": "boolean",
                    "offset": "integer",
                    "limit": "integer",
                    "cid": "integer",
                    "state": "integer",
                    "filter_subject": "FILTER",
                    "accounts": ["string"],
                }
                writer = RequestWriter(rng, hostility=0.2)
                body = encoded(writer.fields(table, [], "F0", share=0.4))
            yield self._ask(to, body, number)

    def _reload(self) -> Iterator[Action]:
        rng = self.rng
        lines = []
        for name in rng.sample(list(RELOADED), rng.randrange(1, 4)):
            lines.append(f"{name}: {rng.choice(RELOADED[name])}\n")
        body = "".join(lines).encode()
        kind = rng.random()
        if kind < 0.2:
            body += rng.choice(
                [b"{" * 2000, b"[" * 2000, b"a: $UNSET\n", b'a: "\xff\n', b"a = (\n"]
            )
        elif kind < 0.3:
            body = values.damaged(body, rng)
        yield {"do": "reload", "text": text(body)}
        yield {"do": "rest", "ms": 50}
        yield {"do": "reload", "text": ""}

    def _flood(self) -> Iterator[Action]:
        """Much at once, from somebody who may not read."""
        rng = self.rng
        number, opened = self._connection()
        yield from opened
        kind = rng.randrange(6)
        if kind == 0:
            data = b"PING\r\n" * 20_000
        elif kind == 1:
            to, body = self.requests.request()
            reply = b"_INBOX.fz%d.flood" % number
            one = frame(to.encode("utf-8", "surrogatepass"), body[:2000], reply)
            data = one * min(3000, 2_000_000 // len(one))
        elif kind == 2:
            one = frame(b"f0.a", b"x" * 100, b"_INBOX.fz%d.flood" % number)
            data = one * 10_000
        elif kind == 3:
            data = b"".join(b"SUB fz.many.%d %d\r\n" % (n, 10_000 + n) for n in range(10_000))
        elif kind == 4:
            data = frame(b"f1.b", b"y" * 900_000) * 8
        else:
            header = b"NATS/1.0\r\n" + b"A: b\r\n" * 100_000 + b"\r\n"
            data = frame(b"f1.b", b"", b"", header) * 3
        for at in range(0, len(data), 1 << 20):
            yield {"do": "send", "c": number, "data": text(data[at : at + (1 << 20)])}

    def _flood_of_one_thing(self) -> Iterator[Action]:
        number, opened = self._connection()
        yield from opened
        flood = self.rng.choice(floods.FLOODS)
        for piece in flood(self.rng, f"_INBOX.fz{number}.much"):
            yield {"do": "send", "c": number, "data": text(piece)}

    def _crowd(self) -> Iterator[Action]:
        rng = self.rng
        port = rng.choice(["client", "client", "http"])
        said = rng.choice(floods.CROWDS if port == "client" else floods.HTTP_CROWDS)
        crowd: Action = {"do": "crowd", "count": rng.choice([10, 100, 500]), "data": text(said)}
        yield crowd | {"port": port, "reset": rng.random() < 0.5}

    def _subscriptions(self) -> Iterator[Action]:
        rng = self.rng
        number, opened = self._connection()
        yield from opened
        subjects = ["fz.>", "f0.>", "f1.*", "$JS.EVENT.>", "$SYS.>", "fz.inbox.a", "fz.to.>", ">"]
        subjects += [".".join(rng.choices([*WORDS, "*"], k=3)) for _ in range(5)]
        data = b""
        for _ in range(rng.randrange(1, 20)):
            sid = rng.randrange(800)
            queue = " q" if rng.random() < 0.3 else ""
            data += f"SUB {rng.choice(subjects)}{queue} {sid}\r\n".encode()
            if rng.random() < 0.5:
                data += f"UNSUB {sid} {rng.choice(['', '1', '5'])}\r\n".encode()
        yield {"do": "send", "c": number, "data": text(data)}

    def _vanish(self) -> Iterator[Action]:
        if len(self._open) > 2:
            yield self._close(self.rng.choice([c for c in self._open if c]))

    def _tidy(self) -> Iterator[Action]:
        """Streams go, and come back."""
        number, opened = self._connection()
        yield from opened
        for stream in self.rng.sample([*STREAMS, "R0", "R1", "M0", "M1"], 4):
            yield self._ask(f"$JS.API.STREAM.DELETE.{stream}", b"", number)
        for action in self.setup()[1:]:
            yield action | {"c": 0}
