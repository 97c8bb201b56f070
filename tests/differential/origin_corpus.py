"""What mirrors and sources may say: attempts whose answers nats-server and Slipstream must give
alike. None of them gets as far as copying anything; origin_scenarios.py does.
"""

from __future__ import annotations

from typing import Any

from corpus import Call, Conversation, Step, attempts, stream, update

TIME = "2026-01-02T03:04:05Z"


def mirror(name: str = "O", pedantic: bool = False, external: Any = None, **fields: Any) -> Call:
    return _attempt("mirror", {"name": name} | _external(external), fields, pedantic)


def sources(*found: Any, pedantic: bool = False, **fields: Any) -> Call:
    return _attempt("sources", list(found), fields, pedantic)


def _attempt(kind: str, value: object, fields: dict[str, Any], pedantic: bool) -> Call:
    more = {"pedantic": True} if pedantic else {}
    stream_fields = {key: fields.pop(key) for key in list(fields) if key in _STREAM_FIELDS}
    if isinstance(value, dict):
        value |= fields
    return stream(**{kind: value}, **stream_fields, **more)


def _external(prefixes: tuple[str, str] | None) -> dict[str, Any]:
    return {"external": {"api": prefixes[0], "deliver": prefixes[1]}} if prefixes else {}


def source(name: str = "O", external: tuple[str, str] | None = None, **fields: Any) -> Any:
    return {"name": name} | _external(external) | fields


_STREAM_FIELDS = {
    "subjects",
    "sources",
    "mirror",
    "first_seq",
    "allow_msg_counter",
    "allow_atomic",
    "allow_batched",
    "allow_msg_schedules",
    "subject_delete_marker_ttl",
    "max_msg_size",
    "mirror_direct",
    "duplicate_window",
    "retention",
    "allow_direct",
}


def transforms(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"src": source, "dest": destination} for source, destination in pairs]


def durable(name: str = "C", deliver_subject: str = "d") -> dict[str, str]:
    return {"name": name, "deliver_subject": deliver_subject}


# S-005, S-025, S-027, S-051, S-182, S-187, S-188, S-193
MIRROR_ATTEMPTS: list[Call] = [
    mirror(),
    mirror(name="none"),
    mirror(name=""),
    mirror(name="a.b"),
    mirror(subjects=["a"]),
    mirror(subjects=[]),
    mirror(sources=[{"name": "O"}]),
    mirror(first_seq=5),
    mirror(first_seq=5, subjects=["a"]),
    mirror(allow_msg_counter=True),
    mirror(allow_atomic=True),
    mirror(allow_batched=True),
    mirror(allow_msg_schedules=True),
    mirror(subject_delete_marker_ttl=1_000_000_000),
    mirror(subject_delete_marker_ttl=1_000_000_000, subjects=["a"]),
    mirror(duplicate_window=1_000_000_000),
    mirror(opt_start_seq=5),
    mirror(opt_start_time=TIME),
    mirror(opt_start_seq=5, opt_start_time=TIME),
    mirror(filter_subject="o.a"),
    mirror(filter_subject="o..a"),
    mirror(filter_subject="x.>"),
    mirror(filter_subject="o.a", subject_transforms=transforms(("o.>", "p.>"))),
    mirror(subject_transforms=transforms(("o.>", "p.>"))),
    mirror(subject_transforms=transforms(("o.>", ""))),
    mirror(subject_transforms=transforms(("", "p.>"))),
    mirror(subject_transforms=transforms(("", ""))),
    mirror(subject_transforms=transforms(("o..a", "p.>"))),
    mirror(subject_transforms=transforms(("o.*", "p.{{wildcard(2)}}"))),
    mirror(subject_transforms=transforms(("o.*", "p.{{nothing(2)}}"))),
    mirror(subject_transforms=transforms(("o.*", "p.>"))),
    mirror(subject_transforms=transforms(("o.*", "p..a"))),
    mirror(subject_transforms=transforms(("o.*", "p.{{split(1,-)}}"))),
    mirror(subject_transforms=transforms(("o.a", "p.a"), ("o.b", "p.b"))),
    mirror(subject_transforms=transforms(("o.*", "p.$1"), ("o.b", "p.b"))),
    mirror(subject_transforms=transforms(("o.b", "p.b"), ("o.*", "p.$1"))),
    mirror(subject_transforms=transforms(("", "p.>"), ("o.b", "p.b"))),
    mirror(external=("$JS.hub.API", "")),
    mirror(external=("$JS.hub.API", "deliver.hub")),
    mirror(external=("$JS.API", "")),
    mirror(external=("$JS.API.x", "")),
    mirror(external=("$JS.hub.>", "")),
    mirror(external=("$JS..API", "")),
    mirror(external=("", "")),
    mirror(external=("", "deliver.*")),
    mirror(external=("", "deliver..x")),
    mirror(external=("$JS.hub.>", "deliver.*")),
    mirror(max_msg_size=10),
    mirror(max_msg_size=100),
    mirror(max_msg_size=1000),
    mirror(name="D"),
    mirror(name="D", mirror_direct=True),
    mirror(mirror_direct=True),
    mirror(mirror_direct=True, pedantic=True),
    mirror(name="D", pedantic=True),
    mirror(name="D", mirror_direct=True, pedantic=True),
    stream(mirror_direct=True),
    mirror(consumer=durable()),
    mirror(consumer=durable(name="")),
    mirror(consumer=durable(name="a.b")),
    mirror(consumer=durable(deliver_subject="")),
    mirror(consumer=durable(deliver_subject="d.*")),
    mirror(consumer=durable(deliver_subject="d..x")),
    mirror(consumer=durable(), opt_start_seq=5),
    mirror(consumer=durable(), opt_start_time=TIME),
    mirror(consumer=durable(), filter_subject="o.a"),
    mirror(consumer=durable(), subject_transforms=transforms(("o.>", "p.>"))),
    mirror(consumer=durable(), filter_subject="o.a", subject_transforms=transforms(("o.>", "p.>"))),
    mirror(name="S"),
    mirror(name="M"),
    stream(mirror={}),
    stream(mirror=None),
]

# S-028, S-186, S-187, S-188, S-189, S-193
SOURCE_ATTEMPTS: list[Call] = [
    sources(source()),
    sources(source(), subjects=["s"]),
    sources(source(), source("D")),
    sources(source("none")),
    sources(source("")),
    sources(source("a.b")),
    sources(source("a.b", external=("$JS.hub.API", ""))),
    sources(None),
    sources(source(), None),
    sources(),
    sources(source(), source()),
    sources(source(filter_subject="o.a"), source(filter_subject="o.b")),
    sources(source(filter_subject="o.a"), source(filter_subject="o.a")),
    sources(source(filter_subject="o.a"), source(filter_subject="o.a", opt_start_seq=5)),
    sources(source(filter_subject=">"), source()),
    sources(source(), source(external=("$JS.hub.API", ""))),
    sources(source(external=("$JS.b.API", "")), source(external=("$JS.hub.API", ""))),
    sources(source(external=("$JS.hub.API", "a")), source(external=("$JS.hub.API", "b"))),
    sources(source(filter_subject="o..a")),
    sources(source(filter_subject="o.a", subject_transforms=transforms(("o.>", "p.>")))),
    sources(source(subject_transforms=transforms(("o.>", "p.>")))),
    sources(source(subject_transforms=transforms(("o..a", "p.>")))),
    sources(source(subject_transforms=transforms(("o.*", "p.{{wildcard(2)}}")))),
    sources(source(subject_transforms=transforms(("o.*", "p.{{nothing(2)}}")))),
    sources(source(subject_transforms=transforms(("o.a", "p"), ("o.a", "q")))),
    sources(source(subject_transforms=transforms(("o.a", "p"), ("o.*", "q.$1")))),
    sources(source(subject_transforms=transforms(("o.*", "q.$1"), ("o.a", "p")))),
    sources(source(subject_transforms=transforms(("*.a", "q.$1"), ("o.*", "p.$1")))),
    sources(
        source(subject_transforms=transforms(("o.a", "p"))),
        source(subject_transforms=transforms(("o.a", "p"))),
    ),
    sources(
        source(subject_transforms=transforms(("o.a", "p"))),
        source(subject_transforms=transforms(("o.a", "q"))),
    ),
    sources(source(subject_transforms=transforms(("", ""))), source()),
    sources(source(opt_start_seq=5)),
    sources(source(opt_start_time=TIME)),
    stream("F", sources=[source()], first_seq=5),  # leaves traces
    sources(source(), duplicate_window=1_000_000_000),
    sources(source(), allow_msg_schedules=True),
    sources(source(external=("$JS.API", ""))),
    sources(source(external=("$JS.hub.>", ""))),
    sources(source(external=("$JS.hub.API", "deliver.*"))),
    sources(source(external=("$JS.hub.API", "o"))),
    sources(source("O"), source("X", external=("$JS.hub.API", "o"))),
    sources(source(), max_msg_size=10),
    sources(source(), max_msg_size=100),
    sources(source("none"), max_msg_size=10),
    sources(source(consumer=durable())),
    sources(source(consumer=durable()), source()),
    sources(source(consumer=durable()), source(consumer=durable())),
    sources(
        source(consumer=durable()),
        source(consumer=durable(), subject_transforms=transforms(("o.a", "p"))),
    ),
    sources(source(consumer=durable()), source("D", consumer=durable())),
    sources(source(consumer=durable(name="a.b"))),
    sources(source(consumer=durable(deliver_subject="d.>"))),
    sources(source(consumer=durable(), opt_start_seq=5)),
    sources(source(consumer=durable(), filter_subject="o.a")),
    sources(source("S")),
    sources(source("S", filter_subject="x"), subjects=["s"]),
    sources(source("S", filter_subject="s"), subjects=["s"]),
    sources(source("S"), subjects=["s"]),
    sources(source("M")),
    sources(source("Y"), subjects=["a"]),
]

# A stream that others name in their sources and mirrors.
_ORIGINS: list[Step] = [
    stream("O", subjects=["o.>"], max_msg_size=100),
    stream("D", subjects=["dir.>"], allow_direct=True),
    stream("M", mirror={"name": "S"}),
    stream("Y", subjects=["y"], sources=[{"name": "S", "filter_subject": "a"}]),
]

_UPDATES: list[Step] = [
    stream("O", subjects=["o.>"]),
    stream("P", subjects=["p.>"]),
    stream("N", subjects=["n"]),
    stream("S", sources=[source("none1")]),
    update("S", sources=[source("none1")]),
    update("S", sources=[source("none1"), source("none2")]),
    update("S", sources=[source("none2"), source("none2")]),
    update("S", sources=[source("none2")], subjects=["s"]),
    update("S", sources=[], subjects=["s"]),
    update("S", subjects=["s"]),
    update("S", mirror={"name": "none1"}),
    update("S", subjects=["s"], sources=[source("none1", filter_subject="a..b")]),
    stream("T", mirror={"name": "none1"}),
    stream("T", mirror={"name": "none1"}),
    stream("T", mirror={"name": "none2"}),
    update("T", mirror={"name": "none1"}),
    update("T", mirror={"name": "none2"}),
    update("T", mirror={"name": "none1", "opt_start_seq": 5}),
    update("T", mirror={"name": "none1"}, subjects=["t"]),
    update("T", sources=[source("none1")]),
    update("T"),
    update("T", mirror={"name": "none1"}),
]

ORIGIN_CONVERSATIONS: list[Conversation] = [
    *attempts("mirror create", _ORIGINS, MIRROR_ATTEMPTS),
    *attempts("source create", _ORIGINS, SOURCE_ATTEMPTS),
    Conversation("mirror and source updates", _UPDATES),
]
