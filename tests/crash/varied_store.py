"""A store of 20 streams of all kinds on the simulated disk, plain, compressed or encrypted, and
what is in it: the tests of damage flip bits in copies of it.

Most messages of each stream are in segments under a checkpoint, the newest in the journal alone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache

from slipstream.kernel._kernel import Loss, SimDisk, read_back
from slipstream.kernel.values import StoreKeys
from slipstream.server.store_keys import Passphrases, unlock
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

STREAMS = 20
MESSAGES = 40
IN_JOURNAL = 3
KINDS = ("plain", "compressed", "encrypted")
PASSPHRASES = Passphrases("a key for tests")
READ_MAX = 1 << 20
VARIANTS: list[dict[str, object]] = [
    {},
    {"retention": 2},
    {"retention": 1},
    {"allow_msg_ttl": True},
    {"counter": True},
    {"allow_schedules": True, "allow_msg_ttl": True},
    {"max_msgs_per_subject": 4},
    {"max_msgs": 25},
]


Message = tuple[bytes, bytes, bytes]  # subject, header, body


@dataclass(frozen=True)
class Content:
    """Of one stream."""

    state: str  # as canonical_states() has it
    messages: dict[int, Message]  # by sequence


@dataclass(frozen=True)
class VariedStore:
    disk: SimDisk
    keys: StoreKeys | None
    now_ns: int
    contents: dict[int, Content]
    names: dict[int, str]
    stored: dict[int, dict[int, Message]]  # by stream and sequence, removed ones too

    def opened(self, disk: SimDisk) -> SimulatedNode:
        """Raises StoreError as a start does."""
        clock = SimulatedClock()
        clock.advance(self.now_ns - clock.now_ns)
        return SimulatedNode(disk, clock, keys=self.keys)


@cache
def varied_store(kind: str) -> VariedStore:
    disk, clock = SimDisk(3), SimulatedClock()
    passphrases = PASSPHRASES if kind == "encrypted" else Passphrases()
    keys = unlock(disk, passphrases, random.Random(7).randbytes)
    node = SimulatedNode(disk, clock, keys=keys)
    streams = [_create(node, number, kind == "compressed") for number in range(STREAMS)]
    stored: dict[int, dict[int, Message]] = {stream: {} for stream in streams}
    for number in range(MESSAGES):
        if number == MESSAGES - IN_JOURNAL:
            node.kernel.checkpoint()
            _turns(node, 80)
        for stream in range(STREAMS):
            node.publish(b"s%d.%d" % (stream, number % 7), *message_of(stream, number))
        _turns(node, 2)
        _keep(node, stored)
        if number % 10 == 5:
            _consume(node)
    _turns(node, 8)
    _keep(node, stored)
    assert not node.failed
    image = disk.image(Loss.none)
    names = {stream: f"S{number}" for number, stream in enumerate(streams)}
    whole = VariedStore(image, keys, clock.now_ns, {}, names, stored)
    opened = whole.opened(image.image(Loss.none))
    contents = {stream: content_of(opened, stream)[0] for stream in streams}
    opened.kernel.check()
    assert sum(len(content.messages) for content in contents.values()) > STREAMS * 15
    for stream, content in contents.items():
        assert content.messages.items() <= stored[stream].items()
    return VariedStore(image, keys, clock.now_ns, contents, names, stored)


def _create(node: SimulatedNode, number: int, compressed: bool) -> int:
    variant = VARIANTS[number % len(VARIANTS)]
    spec = stream_spec(subjects=[b"s%d.>" % number], compress=compressed, **variant)
    name = b"S%d" % number
    description = b'{"config":{"name":"%s"}}' % name
    stream = node.commit(
        lambda token: node.kernel.propose_stream_create(
            token, node.account, name, description, spec
        )
    )
    for consumer in (b"a", b"b")[: 1 if variant.get("retention") == 2 else 2]:
        created = node.commit(
            lambda token, consumer=consumer: node.kernel.propose_consumer_create(
                token, stream, consumer, consumer, consumer_spec()
            )
        )
        node.kernel.start_consumer(stream, created)
    return stream


def message_of(stream: int, number: int) -> tuple[bytes, bytes]:
    variant = VARIANTS[stream % len(VARIANTS)]
    lines = []
    if variant.get("counter"):
        return b"", b"NATS/1.0\r\nNats-Incr: %d\r\n\r\n" % (number + 1)
    if number % 3 == 0:
        lines.append(b"Nats-Msg-Id: %d" % number)
    if variant.get("allow_msg_ttl") and number % 4 == 1:
        lines.append(b"Nats-TTL: %ds" % (3600 + number))
    if variant.get("allow_schedules") and number % 7 == 2:
        lines += [b"Nats-Schedule: @every 5h", b"Nats-Schedule-Target: s%d.target" % stream]
    header = (
        b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n" if lines else b""
    )
    return b"stream %d message %d " % (stream, number) + b"content " * (number % 5 * 20), header


def _consume(node: SimulatedNode) -> None:
    """Two thirds of what is delivered are acknowledged."""
    for stream in range(STREAMS):
        node.pull(f"S{stream}", "a", 6)
    _turns(node, 4)
    for delivery in node.deliveries:
        if delivery.stream_seq % 3:
            node.acknowledge(delivery.ack_subject, confirm=False)
    node.deliveries.clear()
    _turns(node, 4)


def _keep(node: SimulatedNode, stored: dict[int, dict[int, Message]]) -> None:
    """What is stored since the last time."""
    for stream, kept in stored.items():
        last = node.kernel.stream_state(stream).last_seq
        for seq in range(max(kept, default=0) + 1, last + 1):
            if message := node.kernel.get_message(stream, seq):
                kept[seq] = (message.subject, message.header, message.body)


def _turns(node: SimulatedNode, count: int) -> None:
    for _ in range(count):
        node.turn()


def content_of(node: SimulatedNode, stream: int) -> tuple[Content, list[int]]:
    """What is whole, and the sequences of what is not."""
    if stream not in node.kernel.canonical_states():
        _turns(node, 2)  # it says in its log what is lost
    read, damaged = read_back(node.kernel, stream, READ_MAX)
    messages = {}
    state = node.kernel.stream_state(stream)
    for seq in range(state.first_seq, state.last_seq + 1):
        if seq in damaged:
            continue
        message = node.kernel.get_message(stream, seq)
        if message is not None:
            messages[seq] = (message.subject, message.header, message.body)
    assert len(messages) == read
    return Content(node.kernel.canonical_states()[stream], messages), damaged
