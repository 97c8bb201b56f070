"""A long walk: operations drawn with weights, by a seed, in the place of hypothesis's own choice.

Hypothesis draws short and varied sequences and shrinks them well; most of what consumers do takes a
long one, in which messages are published again and again. A walk is a list of steps, so that a
failing one can be shortened by leaving steps out and is printed as calls.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

import client_rules as rules
from client_rules import MS, SECOND_NS, ClientOperations
from slipstream.kernel._kernel import Loss


class Step(NamedTuple):
    name: str
    arguments: dict[str, Any]

    def __str__(self) -> str:
        return f"machine.{self.name}({', '.join(f'{k}={v!r}' for k, v in self.arguments.items())})"


Draw = Callable[[random.Random], dict[str, Any]]


def _target(r: random.Random) -> dict[str, Any]:
    return {"name": r.choice(rules.NAMES), "consumer": r.choice(rules.CONSUMERS)}


HEADERS = {
    "Nats-Msg-Id": ("a", "b", "c", "d"),
    "Nats-TTL": ("1", "2s", "never", "1m"),
    "Nats-Expected-Last-Sequence": ("last", "last", "3"),
    "Nats-Expected-Last-Subject-Sequence": ("last", "0"),
    "Nats-Rollup": ("sub", "all"),
}
COUNTED = {**HEADERS, "Nats-Incr": ("1", "-20", "+3")}


def _headers(r: random.Random, known: dict[str, tuple[str, ...]]) -> dict[str, str]:
    if r.random() < 0.7:
        return {}
    return {key: r.choice(known[key]) for key in r.sample(sorted(known), r.choice((1, 1, 2)))}


def _messages(r: random.Random, known: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    messages = [
        (r.choice(rules.SUBJECTS), _headers(r, known), r.choice(rules.BODIES))
        for _ in range(r.randint(1, 4))
    ]
    return {"name": r.choice(rules.NAMES), "messages": messages}


def _publish(r: random.Random) -> dict[str, Any]:
    return _messages(r, COUNTED)


def _publish_batch(r: random.Random) -> dict[str, Any]:
    return _messages(r, HEADERS)


def _pull(r: random.Random) -> dict[str, Any]:
    optional = {
        "expires": (400 * MS, 1100 * MS, 5 * SECOND_NS),
        "no_wait": (True,),
        "max_bytes": (120, 260, 1000),
        "idle_heartbeat": (190 * MS, 450 * MS),
        "id": ("pinned", "pinned", "wrong"),
        "priority": (0, 1, 9, 10),
        "min_pending": (1, 4),
        "min_ack_pending": (1, 3),
    }
    body: Any = {"batch": r.randint(1, 5)}
    if r.random() < 0.8:
        body["group"] = "g"
    for key in r.sample(sorted(optional), r.choice((0, 1, 1, 2))):
        body[key] = r.choice(optional[key])
    plain = r.random() < 0.15
    return {**_target(r), "body": r.choice((None, 1, 3)) if plain else body}


def _consumer(r: random.Random) -> dict[str, Any]:
    return {
        **_target(r),
        "acks": r.choice(rules.ACKS),
        "kind": r.choice(rules.KINDS),
        "policy": r.choice(rules.POLICIES),
        "filters": r.choice(rules.FILTERS),
        "push": r.randint(0, 3),
    }


def _purge(r: random.Random) -> dict[str, Any]:
    return {
        "name": r.choice(rules.NAMES),
        "filter_": r.choice(("", "0", "x.*", ">")),
        "back": r.randint(-3, 5),
        "keep": r.randint(0, 3),
        "by_seq": r.random() < 0.5,
    }


STEPS: tuple[tuple[str, float, Draw], ...] = (
    ("publish", 10, _publish),
    ("pull", 10, _pull),
    (
        "acknowledge",
        10,
        lambda r: {
            "name": r.choice(rules.NAMES),
            "back": r.randint(0, 7),
            "kind": r.choice(rules.ACK_KINDS),
            "confirm": r.random() < 0.5,
        },
    ),
    ("create_consumer", 4, _consumer),
    ("unpin", 1, lambda r: {**_target(r), "group": r.choice("ggh")}),
    ("reset", 1, lambda r: {**_target(r), "seq": r.choice((0, 0, 1, 3, 4, 6))}),
    ("pause", 1, lambda r: {**_target(r), "ms": r.choice((0, 150, 1500))}),
    (
        "update_consumer",
        1,
        lambda r: {
            **_target(r),
            "filters": r.choice(rules.FILTERS),
            "acks": r.randint(0, 3),
        },
    ),
    ("delete_consumer", 2, lambda r: {**_target(r), "really": r.randint(0, 3)}),
    (
        "create_stream",
        1,
        lambda r: {"name": r.choice(rules.NAMES), "kind": r.choice(rules.STREAMS)},
    ),
    ("delete_stream", 0.5, lambda r: {"name": r.choice(rules.NAMES), "really": r.randint(0, 4)}),
    (
        "update_stream",
        0.5,
        lambda r: {"name": r.choice(rules.NAMES), "change": r.choice(rules.UPDATES)},
    ),
    ("purge", 0.7, _purge),
    (
        "delete_message",
        1,
        lambda r: {
            "name": r.choice(rules.NAMES),
            "back": r.randint(-1, 6),
            "erase": r.random() < 0.5,
        },
    ),
    ("get_message", 0.3, lambda r: {"name": r.choice(rules.NAMES), "back": r.randint(0, 8)}),
    ("publish_batch", 1, _publish_batch),
)
SIMULATED: tuple[tuple[str, float, Draw], ...] = (
    (
        "acknowledge_together",
        2,
        lambda r: {
            "name": r.choice(rules.NAMES),
            "order": r.sample(range(8), r.randint(2, 4)),
            "made_up": r.choice((None, None, 0, 99)),
            "confirm": r.random() < 0.5,
        },
    ),
    ("time_goes_on", 5, lambda r: {"ms": r.choice((1, 150, 400, 900, 1300))}),
    ("checkpoint", 0.7, lambda r: {}),
    ("power_goes_soon", 0.4, lambda r: {"operations": r.randint(1, 40)}),
    ("power_goes_now", 0.3, lambda r: {"loss": r.choice(list(Loss))}),
    ("clean_restart", 0.3, lambda r: {}),
)


def first_step(r: random.Random) -> Step:
    wanted = []
    for _ in range(r.randint(1, 3)):
        fields = _consumer(r)
        del fields["name"], fields["consumer"]
        wanted.append(fields)
    drawn = [r.choice(rules.STREAMS) for _ in range(r.randint(1, 2))]
    relaxed = r.random() < 0.3
    seed = r.getrandbits(32)
    return Step("start", {"seed": seed, "relaxed": relaxed, "drawn": drawn, "wanted": wanted})


def drawn_walk(seed: int, length: int, *, simulated: bool) -> list[Step]:
    """`simulated`: time and power are the machine's."""
    r = random.Random(seed)
    kinds = STEPS + SIMULATED if simulated else STEPS
    weights = [weight for _, weight, _ in kinds]
    chosen = r.choices(kinds, weights, k=length)
    return [first_step(r), *(Step(name, draw(r)) for name, _, draw in chosen)]


def failure_of(machine: Callable[[], ClientOperations], walk: list[Step]) -> str:
    """What went wrong; empty if nothing did."""
    player = machine()
    try:
        for step in walk:
            getattr(player, step.name)(**step.arguments)
    except Exception as error:  # the kernel's and the model's own too
        return f"{type(error).__name__}: {error}"
    finally:
        player.teardown()
    return ""


def check_walks(
    machine: Callable[[], ClientOperations], seeds: range, length: int, *, simulated: bool
) -> None:
    for seed in seeds:
        walk = drawn_walk(seed, length, simulated=simulated)
        if failure_of(machine, walk):
            short = shortened(machine, walk)
            steps = "\n".join(map(str, short))
            raise AssertionError(f"seed {seed}: {failure_of(machine, short)}\n{steps}")


def shortened(machine: Callable[[], ClientOperations], walk: list[Step]) -> list[Step]:
    """A walk that fails, with as few of its steps as leaving some out can get at."""
    before: list[Step] = []
    while before != walk:
        before, size = walk, len(walk) // 2
        while size:
            walk = _without_parts(machine, walk, size)
            size //= 2
    return walk


def _without_parts(
    machine: Callable[[], ClientOperations], walk: list[Step], size: int
) -> list[Step]:
    at = 1
    while at < len(walk):
        shorter = walk[:at] + walk[at + size :]
        if failure_of(machine, shorter):
            walk = shorter
        else:
            at += size
    return walk
