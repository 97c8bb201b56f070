"""Much of one thing: what a hostile client sends so that others wait, or memory grows.

Each flood is a list of pieces of protocol text for one connection that has logged in. Where others
than this server's author look for limits: queues of requests, long answers, subscriptions that make
each publish slow, pull requests that wait for ever, batches, schedules, backups that nobody ends.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator

STREAM = "FLOOD"


def publish(to: str, body: bytes = b"", reply: str = "", header: bytes = b"") -> bytes:
    start = to + (" " + reply if reply else "")
    if not header:
        return b"PUB %b %d\r\n%b\r\n" % (start.encode(), len(body), body)
    size = len(header) + len(body)
    return b"HPUB %b %d %d\r\n%b%b\r\n" % (start.encode(), len(header), size, header, body)


def ask(verb: str, asked: object, inbox: str) -> bytes:
    return publish(f"$JS.API.{verb}", json.dumps(asked).encode(), inbox)


def header(**lines: str) -> bytes:
    text = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"NATS/1.0\r\n{text}\r\n".encode()


def stream(inbox: str, **more: object) -> bytes:
    """A new one each time: what the last flood left goes."""
    config = {"name": STREAM, "subjects": ["flood.>"], "max_bytes": 16 << 20, **more}
    deleted = ask(f"STREAM.DELETE.{STREAM}", None, inbox)
    return deleted + ask(f"STREAM.CREATE.{STREAM}", config, inbox)


def consumer(inbox: str, **config: object) -> bytes:
    asked = {"stream_name": STREAM, "config": {"durable_name": "c", **config}}
    return ask(f"CONSUMER.CREATE.{STREAM}.c", asked, inbox)


def long_answers(_: random.Random, inbox: str) -> Iterator[bytes]:
    yield stream(inbox)
    yield b"".join(publish(f"flood.{n}") for n in range(10_000))
    yield ask(f"STREAM.INFO.{STREAM}", {"subjects_filter": ">"}, inbox) * 500


def questions(rng: random.Random, inbox: str) -> Iterator[bytes]:
    verb = rng.choice(["STREAM.LIST", "STREAM.NAMES", "INFO", f"CONSUMER.LIST.{STREAM}"])
    for _ in range(10):
        yield publish(f"$JS.API.{verb}", b"", inbox) * 3000


def creations(_: random.Random, inbox: str) -> Iterator[bytes]:
    yield stream(inbox)
    for first in range(0, 2000, 200):
        yield b"".join(
            ask(
                f"CONSUMER.CREATE.{STREAM}.t{n}",
                {
                    "stream_name": STREAM,
                    "config": {
                        "name": f"t{n}",
                        "inactive_threshold": 10**9,
                        "metadata": {"a": "b" * 2000},
                        "filter_subjects": [f"flood.{k}.*" for k in range(n % 50)],
                    },
                },
                inbox,
            )
            for n in range(first, first + 200)
        )


def comb(rng: random.Random, _: str) -> Iterator[bytes]:
    """Each publish walks all subscriptions and matches none."""
    tokens = 12
    kinds = [
        ["*" if kind >> at & 1 else "a" for at in range(tokens)] for kind in range(1 << tokens)
    ]
    lines = [f"SUB {'.'.join(kind)}.never {90_000 + n}\r\n" for n, kind in enumerate(kinds)]
    yield "".join(lines).encode()
    subject = ".".join(["a"] * tokens)
    for _ in range(4):
        yield b"".join(publish(f"{subject}.{rng.randrange(1 << 40)}") for _ in range(1000))
    yield b"".join(b"UNSUB %d\r\n" % (90_000 + n) for n in range(len(kinds)))


def one_subject(rng: random.Random, _: str) -> Iterator[bytes]:
    """As many receivers, or queue groups, of one message."""
    group = " g%d" if rng.random() < 0.5 else ""
    lines = [f"SUB fz.hot{group % n if group else ''} {90_000 + n}\r\n" for n in range(20_000)]
    yield "".join(lines).encode()
    yield publish("fz.hot", b"x" * 20) * 5
    yield b"".join(b"UNSUB %d\r\n" % (90_000 + n) for n in range(20_000))


def pulls(rng: random.Random, inbox: str) -> Iterator[bytes]:
    groups = {"priority_policy": "prioritized", "priority_groups": ["g"]}
    policy: dict[str, object] = rng.choice([groups, {}])
    yield stream(inbox)
    yield consumer(inbox, ack_policy="explicit", max_waiting=1_000_000, **policy)
    for _ in range(10):
        requests = []
        for number in range(2000):
            asked = {"batch": 1_000_000, "expires": 3600 * 10**9}
            if policy:
                asked |= {"group": "g", "priority": number % 10}
            asked["no_wait"] = number % 7 == 0
            requests.append(ask(f"CONSUMER.MSG.NEXT.{STREAM}.c", asked, f"{inbox}.{number}"))
        yield b"".join(requests)
    yield publish("flood.a", b"x") * 500


def open_batches(rng: random.Random, inbox: str) -> Iterator[bytes]:
    yield stream(inbox, allow_atomic=True, allow_batched=True)
    if rng.random() < 0.5:
        for n in range(500):
            first = header(Nats_Batch_Id=f"b{n}", Nats_Batch_Sequence="1")
            yield publish("flood.a", b"x" * 10_000, inbox, first)
    else:
        yield b"".join(
            publish("flood.a", b"x", f"{inbox}.u{n}.65000.ok.1.0.$FI") for n in range(20_000)
        )


def schedules(rng: random.Random, inbox: str) -> Iterator[bytes]:
    yield stream(inbox, allow_msg_schedules=True, allow_msg_ttl=True)
    pattern = rng.choice(["@every 1s", "0 0 0 29 2 1", "* * * * * *", "@at 2035-01-01T00:00:00Z"])
    for first in range(0, 20_000, 2000):
        yield b"".join(
            publish(
                f"flood.{n}",
                header=header(Nats_Schedule=pattern, Nats_Schedule_Target="flood.to"),
            )
            for n in range(first, first + 2000)
        )


def large_counters(_: random.Random, inbox: str) -> Iterator[bytes]:
    yield stream(inbox, allow_msg_counter=True)
    digits = "9" * 60_000
    for n in range(100):
        yield publish(f"flood.{n % 3}", b"", inbox, header(Nats_Incr=f"+{digits}"))


def message_ids(rng: random.Random, inbox: str) -> Iterator[bytes]:
    yield stream(inbox, max_msgs=100)
    for _ in range(20):
        yield b"".join(
            publish("flood.a", header=header(Nats_Msg_Id=f"{rng.randrange(1 << 60)}"))
            for _ in range(1000)
        )


def loops(_: random.Random, inbox: str) -> Iterator[bytes]:
    """Answers that are requests, and acknowledgements that are stored."""
    yield stream(inbox, republish={"src": "flood.>", "dest": "flood2.>"}, allow_direct=True)
    config = {"name": "FLOOD2", "subjects": ["flood2.>"], "max_msgs": 1000}
    config |= {"republish": {"src": "flood2.>", "dest": "flood.>"}}
    yield ask("STREAM.CREATE.FLOOD2", config, inbox)
    pull = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.c"
    yield consumer(inbox, ack_policy="explicit", max_ack_pending=-1)
    for to in ("$JS.API.INFO", "$JS.API.STREAM.NAMES", pull, f"$JS.API.DIRECT.GET.{STREAM}"):
        yield publish(to, b"", to) * 50
    yield publish(pull, b'{"batch":1000000,"expires":3600000000000}', "flood.own")
    yield publish("flood.a", b"x", "flood.b") * 200
    yield ask("STREAM.DELETE.FLOOD2", None, inbox)


def backups(_: random.Random, inbox: str) -> Iterator[bytes]:
    """To somebody who confirms no chunk."""
    yield stream(inbox)
    for _ in range(20):
        yield publish("flood.a", b"x" * 100_000) * 5
    asked = {"deliver_subject": "fz.backup", "chunk_size": 1 << 20, "window_size": 1 << 30}
    yield b"SUB fz.backup 89999\r\n" + ask(f"STREAM.SNAPSHOT.{STREAM}", asked, inbox) * 30


def direct_gets(_: random.Random, inbox: str) -> Iterator[bytes]:
    yield stream(inbox, allow_direct=True)
    yield b"".join(publish(f"flood.{n}", b"x" * 500) for n in range(5000))
    batch = {"seq": 1, "batch": 10**9, "next_by_subj": "flood.*", "max_bytes": 10**12}
    for asked in (batch, {"multi_last": ["flood.>"], "batch": 10**6}):
        yield publish(f"$JS.API.DIRECT.GET.{STREAM}", json.dumps(asked).encode(), inbox) * 100


FLOODS: list[Callable[[random.Random, str], Iterator[bytes]]] = [
    *(long_answers, questions, creations, comb, one_subject, pulls, open_batches, schedules),
    *(large_counters, message_ids, loops, backups, direct_gets),
]

# What each connection of a crowd sends before it says nothing more.
CROWDS = [
    b"",
    b"C",
    b"CONNECT {",
    b'CONNECT {"verbose":true}\r\n',
    b"CONNECT {}\r\nPUB a 500000\r\n" + b"x" * 5000,
    b"CONNECT {}\r\nSUB fz.> 1\r\nPING\r\n",
    b"\r\n",
]
HTTP_CROWDS = [
    b"",
    b"G",
    b"GET /jsz?consumers=1 HTTP/1.1\r\nHost: x\r\n\r\n" * 20,
    b"GET / HTTP/1.1\r\n",
]
