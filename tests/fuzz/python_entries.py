"""Coverage-guided fuzzing of Python's entries: where foreign bytes meet code in Python.

    python tests/fuzz/python_entries.py [--seconds N] [--seed S] [entry ...]

Each entry takes bytes, and may raise what its callers expect, nothing else, and within a second. An
input that runs lines which none before it ran becomes a seed of further ones. A finding prints the
entry, the seed and the bytes; test_python_entries.py keeps those that were found.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import hostile_archives
import hostile_values as values
from api_grammar import CONSUMER_CONFIG, STREAM_CONFIG, RequestWriter
from slipstream.config.load import build, check, read_document
from slipstream.config.parser import parse_text
from slipstream.config.source import ConfigError
from slipstream.gotext.decode import DecodeError, decode, decode_single
from slipstream.gotext.encode import encode
from slipstream.gotext.objects import to_json
from slipstream.gotext.times import parse_time
from slipstream.jetstream.archive.compression import Decompressor
from slipstream.jetstream.archive.consumer_records import decode_consumer
from slipstream.jetstream.archive.reader import ArchiveReader
from slipstream.jetstream.archive.records import ArchiveError
from slipstream.jetstream.archive.tar_reader import TarArchiveReader, decode_consumer_state
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.jetstream.schedule import next_run
from slipstream.jetstream.stream_config import StreamConfig
from slipstream.protocol.subject_transform import SubjectTransform
from slipstream.server.authentication import ConnectError, decode_connect, redacted

SLOW_S = 1.0
SEEDS_MAX = 400


class Entry(NamedTuple):
    call: Callable[[bytes], object]
    expected: tuple[type[Exception], ...]
    seeds: Callable[[random.Random], bytes]


class Finding(Exception):
    pass


def _stream(text: bytes) -> None:
    encode(to_json(decode(text, StreamConfig)))
    decode(text, StreamConfig, strict=False)


def _consumer(text: bytes) -> None:
    encode(to_json(decode_single(text, ConsumerConfig)))


def _connect(text: bytes) -> None:
    redacted(text)
    decode_connect(text)


def _tar(text: bytes) -> None:
    reader = TarArchiveReader("R0", 1, 3, 0)
    for at in range(0, len(text), 700):
        reader.feed(text[at : at + 700])
        while reader.next() is not None:
            pass
        reader.records.clear()


def _archive(text: bytes) -> None:
    reader = ArchiveReader()
    for at in range(0, len(text), 700):
        reader.feed(text[at : at + 700])
        while reader.next() is not None:
            pass


def _compressed(text: bytes) -> None:
    decompressor = Decompressor()
    decompressor.feed(text)
    while decompressor.next():
        pass


def _configuration(text: bytes) -> None:
    settings, _ = read_document(parse_text(text.decode("utf-8", "replace")))
    check(build(settings))


def _schedule(text: bytes) -> None:
    next_run(text.decode("latin-1"), None, 1_900_000_000 * 10**9, 1_900_000_001 * 10**9)


def _transform(text: bytes) -> None:
    source, _, destination = text.partition(b"\n")
    SubjectTransform(source, destination)


def _json(table: dict[str, object]) -> Callable[[random.Random], bytes]:
    def make(rng: random.Random) -> bytes:
        writer = RequestWriter(rng, hostility=rng.choice([0, 0.1, 0.3]))
        return values.encoded(writer.fields(table, [], "F0", share=0.3))

    return make


def _one_of(*texts: bytes) -> Callable[[random.Random], bytes]:
    return lambda rng: rng.choice(texts)


_CONFIGURATIONS = (
    b'port: 4222\nhost: "127.0.0.1"\njetstream { store_dir: "/x", max_mem: 1GB, max_file: 10G }\n',
    b"authorization { users: [ {user: a, password: b}, {user: c, pass: $x} ], timeout: 1.5 }\n",
    b"ping_interval: 10s\nmax_payload = 1MB\nwrite_deadline: '2s'\ndebug true; trace: false\n",
    b'server_tags: ["a:b", c]\nlogtime: yes\n# text\n// text\nlog_size_limit: -1\nhttp: 8222\n',
    b"listen: '[::1]:4222'\nfeature_flags { js_ack_fc_v2: true }\nserver_metadata { a: b }\n",
    b"blob: (\nlines\n)\nmax_connections: 64k\naccounts { A: { users: [{user: x}] } }\n",
)
ENTRIES = {
    "stream": Entry(_stream, (DecodeError,), _json(STREAM_CONFIG)),
    "consumer": Entry(_consumer, (DecodeError,), _json(CONSUMER_CONFIG)),
    "connect": Entry(
        _connect,
        (ConnectError,),
        _one_of(
            b'{"verbose":false,"user":"a","pass":"b","name":"n","lang":"py","protocol":1}',
            b'{"auth_token":"x","headers":true,"no_responders":true,"NAME":"\\ud83d","echo":null}',
        ),
    ),
    "archive": Entry(_archive, (ArchiveError,), lambda rng: hostile_archives.records(rng, "R0")),
    "tar": Entry(_tar, (ArchiveError,), lambda rng: hostile_archives.tar(rng, "R0")),
    "compressed": Entry(
        _compressed, (ArchiveError,), lambda rng: hostile_archives.framed(rng.randbytes(300), rng)
    ),
    "consumer record": Entry(
        lambda text: decode_consumer("c", text),
        (ArchiveError,),
        lambda rng: hostile_archives.consumer(rng, 3),
    ),
    "consumer state": Entry(
        decode_consumer_state, (ArchiveError,), hostile_archives.consumer_state
    ),
    "configuration": Entry(_configuration, (ConfigError,), _one_of(*_CONFIGURATIONS)),
    "time": Entry(
        lambda text: parse_time(text.decode("utf-8", "replace")),
        (ValueError,),
        lambda rng: str(rng.choice(values.TIMES)).encode(),
    ),
    "schedule": Entry(
        _schedule,
        (ValueError,),
        _one_of(
            b"@every 1m30s", b"@at 2030-01-01T00:00:00Z", b"0 */5 1-3 * JAN-MAR 2,4", b"@daily"
        ),
    ),
    "transform": Entry(
        _transform,
        (ValueError,),
        _one_of(
            b"a.*.>\nb.{{wildcard(1)}}.>", b"a.*\n{{partition(3,1)}}.{{split(1,-)}}", b">\nx.$1"
        ),
    ),
}


class Lines:
    """Which lines of the package ran."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, int]] = set()
        self.fresh = False

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        if "/slipstream/" not in frame.f_code.co_filename:
            return None
        line = (frame.f_code.co_filename, frame.f_lineno)
        if line not in self._seen:
            self._seen.add(line)
            self.fresh = True
        return self.trace

    def __len__(self) -> int:
        return len(self._seen)


def verify(entry: Entry, text: bytes, *, is_timed: bool = True) -> None:
    """Raises Finding."""
    began = time.process_time()
    try:
        entry.call(text)
    except entry.expected:
        pass
    except Exception:
        raise Finding(traceback.format_exc(limit=-4)) from None
    if (took := time.process_time() - began) > SLOW_S and is_timed:
        raise Finding(f"it took {took:.1f} s")


def fuzz(name: str, seconds: float, rng: random.Random) -> tuple[int, int]:
    """How many inputs it tried, and how many lines they ran. Raises Finding."""
    entry, lines, tried = ENTRIES[name], Lines(), 0
    seeds = [entry.seeds(rng) for _ in range(20)]
    end = time.monotonic() + seconds
    while tried < 20 or time.monotonic() < end:
        if tried < len(seeds) and tried < 20:
            text = seeds[tried]
        elif rng.random() < 0.3:
            text = entry.seeds(rng)
        else:
            text = values.damaged(rng.choice(seeds), rng)
            if rng.random() < 0.2:
                text = values.encoded(values.anything(rng)).join([text[: len(text) // 2], b"}"])
        tried += 1
        lines.fresh = False
        is_traced = tried % 4 == 0  # tracing costs ten times the time
        sys.settrace(lines.trace if is_traced else None)
        try:
            verify(entry, text, is_timed=not is_traced)
        except Finding as finding:
            sys.settrace(None)
            shown = text if len(text) < 2000 else text[:2000] + b"..."
            raise Finding(f"{name} ({len(text)} bytes): {shown!r}\n{finding}") from None
        finally:
            sys.settrace(None)
        if lines.fresh and len(seeds) < SEEDS_MAX:
            seeds.append(text)
    return tried, len(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5, help="for each entry")
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    parser.add_argument("entries", nargs="*", default=list(ENTRIES))
    options = parser.parse_args()
    seed = options.seed or random.SystemRandom().getrandbits(31)
    found = 0
    for name in options.entries:
        try:
            tried, lines = fuzz(name, options.seconds, random.Random(seed))
            print(f"{name}: {tried} inputs, {lines} lines, nothing found", flush=True)
        except Finding as finding:
            found += 1
            print(f"FINDING, seed {seed}, {finding}", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
