"""Goal: nothing that comes in from outside makes a step of the loop raise what no code expected.

Method: every way into the loop gets hostile values, from a seed: all subjects of the JetStream API
with bodies and headers, answers and deliveries of origins, chunks of restores, over a real kernel
and a simulated disk, where an unexpected exception goes through to the test; CONNECT, $SYS and the
monitoring pages in a running server, whose count of unexpected errors has to stay 0; and
configurations. What the kernel publishes meanwhile must be lines of the protocol.

SLIPSTREAM_FUZZ_RUNS multiplies how much is tried, SLIPSTREAM_FUZZ_SEED draws others.
"""

from __future__ import annotations

import dataclasses
import io
import itertools
import os
import random
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
import pytest

from hostile_json import BODIES, DEEP, FORGED, NUMBERS, TEXTS, damaged, render, spoiled
from raw_client import wait_until
from served_api import ServedApi
from slipstream.config.load import build, check, read_document
from slipstream.config.options import Options
from slipstream.config.parser import parse_text
from slipstream.config.source import ConfigError
from slipstream.jetstream.api.router import ROUTES
from slipstream.jetstream.archive.compression import Compressor, Decompressor
from slipstream.kernel.events import ConnectEvent, RequestEvent
from slipstream.server.authentication import Connect
from slipstream.server.monitoring.pages import PAGES
from slipstream.server.services import SERVICE_FIRST
from slipstream.testing import server
from wire import WireClient, get

RUNS = int(os.environ.get("SLIPSTREAM_FUZZ_RUNS", "1"))
SEED = int(os.environ.get("SLIPSTREAM_FUZZ_SEED", "1"))

EXTERNAL = {"api": "ext.api", "deliver": "ext.deliver"}
SOURCE = {
    "name": "O",
    "opt_start_seq": 5,
    "filter_subject": "o.>",
    "external": EXTERNAL,
    "subject_transforms": [{"src": "o.a", "dest": "p.a"}],
}
STREAM: dict[str, Any] = {
    "name": "S",
    "description": "d",
    "subjects": ["s.>"],
    "retention": "limits",
    "max_consumers": 10,
    "max_msgs": 100,
    "max_bytes": 10_000,
    "max_age": 10**12,
    "max_msgs_per_subject": 10,
    "max_msg_size": 1000,
    "discard": "old",
    "storage": "memory",
    "num_replicas": 1,
    "duplicate_window": 10**9,
    "placement": {"cluster": "c", "tags": ["t"]},
    "mirror": SOURCE,
    "sources": [SOURCE],
    "compression": "s2",
    "first_seq": 7,
    "subject_transform": {"src": "s.>", "dest": "t.>"},
    "republish": {"src": "s.>", "dest": "r.>", "headers_only": True},
    "consumer_limits": {"inactive_threshold": 10**9, "max_ack_pending": 5},
    "metadata": {"k": "v"},
    "allow_direct": True,
    "allow_msg_ttl": True,
    "subject_delete_marker_ttl": 10**9,
    "allow_msg_schedules": True,
    "persist_mode": "default",
}
CONSUMER: dict[str, Any] = {
    "name": "N",
    "durable_name": "N",
    "description": "d",
    "deliver_policy": "by_start_time",
    "opt_start_seq": 3,
    "opt_start_time": "2026-01-01T00:00:00Z",
    "ack_policy": "explicit",
    "ack_wait": 10**9,
    "max_deliver": 3,
    "backoff": [10**9, 10**10],
    "filter_subject": "s.a",
    "filter_subjects": ["s.a", "s.b"],
    "replay_policy": "instant",
    "sample_freq": "5%",
    "rate_limit_bps": 1000,
    "max_ack_pending": 10,
    "max_waiting": 10,
    "idle_heartbeat": 10**9,
    "flow_control": True,
    "deliver_subject": "deliver.n",
    "deliver_group": "g",
    "inactive_threshold": 10**9,
    "metadata": {"k": "v"},
    "pause_until": "2026-01-01T00:00:00Z",
    "priority_groups": ["g"],
    "priority_policy": "pinned_client",
    "priority_timeout": 10**9,
    "direct": True,
    "sourcing": True,
}
BODIES_OF: dict[str, Any] = {
    "STREAM.CREATE": STREAM | {"pedantic": True},
    "STREAM.UPDATE": STREAM,
    "STREAM.RESTORE": {"config": STREAM, "state": {"first_seq": 1, "last_seq": 9, "last_ts": "x"}},
    "STREAM.SNAPSHOT": {"deliver_subject": "snap", "chunk_size": 1024, "window_size": 1024},
    "STREAM.PURGE": {"filter": "s.a", "seq": 1, "keep": 1},
    "STREAM.INFO": {"offset": 1, "deleted_details": True, "subjects_filter": "s.>"},
    "STREAM.NAMES": {"offset": 1, "subject": "s.>"},
    "STREAM.LIST": {"offset": 1, "subject": "s.>"},
    "STREAM.MSG.GET": {"seq": 1, "last_by_subj": "s.a", "next_by_subj": "s.a", "start_time": "x"},
    "STREAM.MSG.DELETE": {"seq": 1, "no_erase": True},
    "CONSUMER.CREATE": {"stream_name": "S", "config": CONSUMER, "action": "", "pedantic": False},
    "CONSUMER.DURABLE.CREATE": {"stream_name": "S", "config": CONSUMER},
    "CONSUMER.NAMES": {"offset": 1},
    "CONSUMER.LIST": {"offset": 1},
    "CONSUMER.PAUSE": {"pause_until": "2026-01-01T00:00:00Z"},
    "CONSUMER.UNPIN": {"group": "g"},
    "CONSUMER.RESET": {"seq": 1},
    "CONSUMER.MSG.NEXT": {
        "batch": 1, "expires": 10**9, "no_wait": True, "max_bytes": 100, "idle_heartbeat": 10**8,
        "group": "g", "min_pending": 1, "min_ack_pending": 1, "id": "x", "priority": 1,
    },
}  # fmt: skip
HEADERS = ("Nats-Required-Api-Level", "Nats-Stream-Identity", "Nats-Response-Type")


@pytest.fixture
def node() -> Iterator[ServedApi]:
    """Whatever no code expected goes through to the test."""
    served = ServedApi()
    yield served
    served.kernel.check()
    served.api.check()


def draw(name: str, run: int) -> random.Random:
    return random.Random(f"{SEED}/{name}/{run}")


def prepare(node: ServedApi) -> None:
    node.request("STREAM.DELETE.S")
    node.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"]})
    for number in range(5):
        node.publish("s.a", b"%d" % number)
    for name, more in (("C", {}), ("P", {"deliver_subject": "deliver.p"})):
        config = {"durable_name": name, "ack_policy": "explicit"} | more
        node.ok(f"CONSUMER.DURABLE.CREATE.S.{name}", {"stream_name": "S", "config": config})


def header_of(random_: random.Random) -> bytes:
    if random_.random() < 0.8:
        return b""
    worth = random_.choice([t for t in TEXTS if FORGED not in t]).encode("utf-8", "replace")
    return b"NATS/1.0\r\n" + random_.choice(HEADERS).encode() + b": " + worth + b"\r\n\r\n"


def body_of(verb: str, random_: random.Random) -> bytes:
    if verb not in BODIES_OF or random_.random() < 0.15:
        return random_.choice(BODIES)
    plain = BODIES_OF[verb]
    some = random_.sample(sorted(plain), random_.randint(1, len(plain)))
    chosen = {key: plain[key] for key in plain if key in some}
    if "config" in plain and verb.endswith("CREATE"):
        config = {k: CONSUMER[k] for k in random_.sample(sorted(CONSUMER), random_.randint(0, 4))}
        chosen = {"stream_name": "S", "config": {"durable_name": "N"} | config}
    if verb in ("STREAM.CREATE", "STREAM.UPDATE"):
        chosen = {"name": "S"} | dict(itertools.islice(chosen.items(), 3))
    text = render(spoiled(chosen, random_)).encode("utf-8", "surrogatepass")
    return damaged(text, random_) if random_.random() < 0.1 else text


@pytest.mark.parametrize("verb", sorted(ROUTES))
def test_requests_to_the_api(node: ServedApi, verb: str) -> None:
    node.subscribe("$JS.EVENT.>")
    reply = node.inbox()
    for run in range(25 * RUNS):
        random_ = draw(verb, run)
        if run % 10 == 0:
            prepare(node)
        words = {0: [], 1: ["S"], 2: ["S", random_.choice(["C", "P", "N"])]}
        count = ROUTES[verb].words.start if verb != "CONSUMER.CREATE" else random_.choice([1, 2])
        subject = ".".join(["$JS.API", verb, *words[count]])
        node.send(subject, body_of(verb, random_), reply, header_of(random_))
        node.settle()
    assert node.ok("INFO")["type"].endswith("account_info_response")  # it still answers


def test_answers_of_origins(node: ServedApi) -> None:
    """The test is the origin, at the end of an external prefix; it answers and delivers."""
    node.subscribe("ext.>")
    answer = {
        "type": "x",
        "name": "D",
        "config": {"deliver_subject": "ext.deliver.M.x", "ack_policy": "none"},
        "delivered": {"consumer_seq": 0, "stream_seq": 3},
        "error": {"code": 400, "err_code": 10012, "description": "d"},
    }
    for run in range(60 * RUNS):
        random_ = draw("origin", run)
        kind = random_.choice(["mirror", "sources"])
        origin = {"name": "O", "external": EXTERNAL}
        config = {"name": "M", kind: origin if kind == "mirror" else [origin]}
        node.ok("STREAM.CREATE.M", config)
        for _ in range(3):
            node.pass_time(2_000_000_000)
            for subject in [name for name in node.received if name.startswith("ext.api.")]:
                for asked in node.received.pop(subject):
                    say_something(node, asked, answer, random_)
        assert node.ok("STREAM.INFO.M")["config"]["name"] == "M"
        node.ok("STREAM.DELETE.M")
        node.received.clear()


def say_something(
    node: ServedApi, asked: RequestEvent, answer: dict[str, Any], random_: random.Random
) -> None:
    said = {key: answer[key] for key in answer if key != "error" or random_.random() < 0.2}
    body = render(spoiled(said, random_) if random_.random() < 0.8 else said).encode(
        "utf-8", "surrogatepass"
    )
    if random_.random() < 0.1:
        body = random_.choice(BODIES)
    identity = random_.choice([b"", b"\xff", b"id", b"a\nb", b"x" * 500])
    header = b"NATS/1.0\r\nNats-Stream-Identity: " + identity + b"\r\n\r\n"
    node.send(asked.reply.decode(), body, "", header)
    node.settle()
    for _ in range(3):
        numbers = [random_.choice([0, 1, 2, 3, 2**63, 2**64, 10**40, -1, "x"]) for _ in range(5)]
        reply = ".".join(["$JS.ACK", "O", "D", *map(str, numbers)])
        node.send("ext.deliver.M.x", b"x", random_.choice([reply, "", "a"]), header)
    node.settle()


def test_chunks_of_restores(node: ServedApi) -> None:
    prepare(node)
    node.publish(
        "s.b", b"x", b"NATS/1.0\r\nNats-Msg-Id: 1\r\nNats-Stream-Source: O 1 > > a id\r\n\r\n"
    )
    archive = node.backup("S").archive
    decompressor = Decompressor()
    decompressor.feed(archive)
    plain = b"".join(iter(decompressor.next, b""))
    node.ok("STREAM.DELETE.S")
    config = {"name": "S", "subjects": ["s.>"], "sources": [SOURCE | {"filter_subject": ""}]}
    del config["sources"][0]["subject_transforms"]  # type: ignore[index]
    for run in range(60 * RUNS):
        random_ = draw("restore", run)
        match random_.randrange(3):
            case 0:
                sent = damaged(archive, random_)
            case 1:
                sent = Compressor().compress(damaged(plain, random_))
            case _:
                sent = Compressor().compress(tar_of(random_))
        node.restore(config, sent, 4096)
        node.request("STREAM.DELETE.S")
        assert node.stream_names() == []


TAR_NAMES = [
    "meta.inf", "meta.sum", "msgs/1.blk", f"msgs/{'1' * 5_000}.blk", "obs/C/meta.inf",
    "obs/C/o.dat", "obs/C/meta.sum", "msgs/index.db", "errors.txt", "x" * 3_000, "\u00b2",
]  # fmt: skip


def tar_of(random_: random.Random) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in random_.sample(TAR_NAMES, 6):
            body = random_.choice([*BODIES, b"\x16\x02" + random_.randbytes(30)])
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            entry.pax_headers = {"path": name, "size": "9" * random_.choice([3, 40])}
            if random_.random() < 0.7:
                entry.pax_headers = {}
            tar.addfile(entry, io.BytesIO(body))
    return damaged(packed.getvalue(), random_) if random_.random() < 0.3 else packed.getvalue()


# -- what a server has beside the API

CONNECTIONS = {
    "sort": "cid", "auth": True, "offset": 1, "limit": 1, "cid": 1, "state": 1, "user": "x",
    "acc": "x", "filter_subject": "x", "subscriptions": True,
}  # fmt: skip
PARAMETERS = [
    "offset", "limit", "cid", "sort", "state", "subs", "auth", "acc", "user", "streams", "config",
    "consumers", "accounts", "js-enabled-only", "test", "consumer", "stream", "account",
]  # fmt: skip
CONNECT = {field.encode_name: field.default for field in msgspec.structs.fields(Connect)}


def test_connects_services_and_pages() -> None:
    with server(
        http_port=-1, trace=True, authorization__user="a", authorization__password="b"
    ) as running:
        inner = running.server
        account = inner.kernel.account(b"$G")

        def step(event: ConnectEvent | RequestEvent) -> None:
            inner.loop.ask(partial(inner._handle, event))

        def connect(payload: bytes) -> None:
            step(ConnectEvent(1_000_000, payload, "127.0.0.1", 1, False))

        def ask(number: int, body: bytes) -> None:
            service = SERVICE_FIRST + number
            step(RequestEvent(service, account, 1, b"$SYS", b"_INBOX.x", b"", body))

        for run in range(300 * RUNS):
            random_ = draw("connect", run)
            login = {"user": "a", "pass": "b"} if random_.random() < 0.5 else {}
            text = render(spoiled(CONNECT | login, random_)).encode("utf-8", "surrogatepass")
            connect(damaged(text, random_) if random_.random() < 0.2 else text)
            connect(random_.choice(BODIES))
            text = render(spoiled(CONNECTIONS, random_)).encode("utf-8", "surrogatepass")
            ask(random_.randrange(4), text)
            ask(1, random_.choice(BODIES))
            report_nothing(running, f"connect/{run}")
        for run in range(100 * RUNS):
            path = page_of(draw("page", run))
            assert get(running.monitoring_url, path).status < 500, path
            report_nothing(running, path)
        with WireClient(running.url) as client:
            assert client.answer(b'CONNECT {"verbose":false,"user":"a","pass":"b"}\r\n') == b""
        wait_until(lambda: not len(inner.clients), "the client is gone")
        forged = [line for line in running.log_lines if "\n" in line.rstrip("\n")]
        assert forged == []


def report_nothing(running: Any, what: str) -> None:
    found = [line for line in running.log_lines if "Unexpected error" in line]
    assert running.server.guard.errors == 0, (what, found)


def page_of(random_: random.Random) -> str:
    texts = [str(v) for v in (*TEXTS, *NUMBERS)]
    query = {name: random_.choice(texts)[:6_000] for name in random_.sample(PARAMETERS, 3)}
    path = random_.choice([*PAGES, "//[", "/%ff", "/" + "x" * 3_000, "/..;/varz"])
    return quote(path, safe="/%[;") + "?" + urlencode(query, errors="replace")


# -- configurations


def paths_of(options: Any) -> Iterator[tuple[str, ...]]:
    for field in dataclasses.fields(options):
        keys = field.metadata["spec"].keys if "spec" in field.metadata else ()
        inner = getattr(options, field.name)
        for key in keys[:1]:
            if dataclasses.is_dataclass(inner):
                yield from ((key, *rest) for rest in paths_of(inner))
            else:
                yield (key,)


def test_configurations() -> None:
    texts = [f"'{text}'" for text in map(str, TEXTS) if "'" not in text] + [str(n) for n in NUMBERS]
    texts += [render(deep).replace('"a":', "a:") for deep in DEEP] + ["[" * 5_000]
    texts += ["[]", "{}", "true", "{a: [1]}", "1k", "-5", "'-5s'", "9" * 5_000 + "GB", "$X"]
    texts += ["1." + "9" * 5_000, "2026-99-99T00:00:00Z", "'" + "9" * 5_000 + "s'"]
    keys = [*paths_of(Options()), ("users",), ("authorization", "users"), ("listen",), ("http",)]
    accepted = 0
    for run in range(1500 * RUNS):
        random_ = draw("config", run)
        path = random_.choice(keys)
        text = random_.choice(texts)
        for key in reversed(path):
            text = f"{key}: {text}" if text.startswith(("'", "[")) else f"{key} {{ {text} }}"
        if random_.random() < 0.1:
            text = damaged(text.encode("utf-8", "replace"), random_).decode("utf-8", "replace")
        with suppress(ConfigError):
            configured, _ = read_document(parse_text(text, "config"))
            check(build(configured))
            accepted += 1
    assert accepted
