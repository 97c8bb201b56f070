"""Goal: what C++, the binding and Python each write down is the same in all of them: the numbers of
enumerations, the fields of specs and limits, the kinds of events, a few constants.

Method: the declarations are read from the sources' text and held against Python's classes. The
functions that write a spec into the log and read it must name its fields once each, in one order.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import get_args

import pytest

from declarations import (
    binding,
    bound_enumerators,
    bound_fields,
    constant,
    enumerators,
    function_body,
    sources,
    struct_fields,
)
from slipstream.cli import repair
from slipstream.jetstream import consumer_config, stream_config
from slipstream.jetstream.api.router import JETSTREAM_SERVICE
from slipstream.kernel import _kernel, events, specs, values
from slipstream.protocol import parser

CPP_NAMES = {"new": "next", "explicit": "explicit_"}  # words that C++ keeps for itself
NOT_SET_BY_PYTHON = {"restoring"}


@pytest.mark.parametrize(
    ("python", "name"),
    [
        (specs.Retention, "Retention"),
        (specs.DeliverPolicy, "DeliverPolicy"),
        (specs.AckPolicy, "AckPolicy"),
        (specs.PriorityPolicy, "PriorityPolicy"),
        (events.RequestQueue, "RequestQueue"),
        (values.StoreCipher, "CipherKind"),
        (_kernel.EntryKind, "EntryKind"),
        (_kernel.Loss, "Loss"),
        (_kernel.SyncMode, "SyncMode"),
    ],
)
def test_enumerations(python: type[IntEnum], name: str) -> None:
    numbers = {CPP_NAMES.get(m.name.lower(), m.name.lower()): m.value for m in python}
    assert numbers == enumerators(name)


@pytest.mark.parametrize("name", ["EventType", "FeedState", "Select", "ScheduleFault", "EntryKind"])
def test_enumerations_of_the_binding(name: str) -> None:
    assert bound_enumerators(name) == list(enumerators(name))


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        ("_BACKUP_OUTCOMES", "BackupOutcome"),
        ("_PARSE_STATUSES", "ParseStatus"),
        ("_VERBS", "Verb"),
    ],
)
def test_enumerations_as_texts(texts: str, name: str) -> None:
    assert list(getattr(_kernel, texts)) == list(enumerators(name))


def test_the_parser_and_its_twin_have_the_same_answers() -> None:
    assert {status.value for status in parser.Status} == set(enumerators("ParseStatus"))


@pytest.mark.parametrize(
    ("shown", "number"),
    [
        (stream_config.Retention, specs.Retention),
        (consumer_config.DeliverPolicy, specs.DeliverPolicy),
        (consumer_config.AckPolicy, specs.AckPolicy),
        (consumer_config.PriorityPolicy, specs.PriorityPolicy),
    ],
)
def test_policies_that_clients_name_have_numbers(
    shown: type[consumer_config.GoEnum], number: type[IntEnum]
) -> None:
    assert list(shown.__members__) == list(number.__members__)


def test_open_modes() -> None:
    modes = enumerators("OpenMode")
    del modes["kOpenSparing"]  # of the kernel alone
    for name, number in modes.items():
        assert getattr(_kernel, f"OPEN_{name.removeprefix('kOpen').upper()}") == number


def test_constants() -> None:
    assert constant("kShortRead") == _kernel.SHORT_READ
    assert constant("kStoreGroup") == repair.STORE_GROUP
    assert constant("kJetStreamService") == JETSTREAM_SERVICE


# ---------------------------------------------------------------- events


def test_each_event_becomes_a_class_of_its_own() -> None:
    made = re.findall(r"if e\.type == EventType\.(\w+):\s+return _events\.(\w+)\(", binding())
    assert sorted([*(kind for kind, _ in made), "failed"]) == sorted(enumerators("EventType"))
    classes = [*(name for _, name in made), events.FailedEvent.__name__]
    assert sorted(classes) == sorted(kind.__name__ for kind in get_args(events.Event))


def test_events_are_made_with_all_of_their_fields() -> None:
    """Fields with a default too: what the kernel says would be lost otherwise."""
    body = re.search(r"^cdef object _event\(.*?(?=^cdef|\Z)", binding(), re.MULTILINE | re.DOTALL)
    assert body is not None
    for name, arguments in re.findall(
        r"return _events\.(\w+)\((.*?)\)(?=\n    (?:if|return)|\s*\Z)", body[0], re.DOTALL
    ):
        flat = re.sub(r"\([^()]*\)", "", arguments).strip().rstrip(",")
        given = len(flat.split(","))
        assert given == len(getattr(events, name)._fields), name


def test_kinds_of_advisories() -> None:
    sent = set(re.findall(r'\badvise\("(\w+)"', sources()))
    assert sent == {"max_deliver", "terminated", "nak", "ack_sample", "pinned", "unpinned"}


# ---------------------------------------------------------------- specs and limits


@pytest.mark.parametrize(
    ("python", "struct", "bound"),
    [
        (specs.StreamSpec, "StreamSpec", "CStreamSpec"),
        (specs.ConsumerSpec, "ConsumerSpec", "CConsumerSpec"),
        (specs.FeedSpec, "FeedSpec", "CFeedSpec"),
        (specs.KernelLimits, "KernelLimits", "KernelLimits"),
    ],
)
def test_fields(python: type, struct: str, bound: str) -> None:
    named = set(python.__annotations__)
    assert set(struct_fields(struct)) - NOT_SET_BY_PYTHON == named
    assert set(bound_fields(bound)) == named


@pytest.mark.parametrize(
    ("python", "function"),
    [
        (specs.StreamSpec, "cdef CStreamSpec _stream_spec"),
        (specs.ConsumerSpec, "cdef CConsumerSpec _consumer_spec"),
        (specs.FeedSpec, "    def open_feed"),
    ],
)
def test_the_binding_hands_down_each_field(python: type, function: str) -> None:
    body = _cython_function(function)
    assert set(re.findall(r'spec\["(\w+)"\]', body)) == set(python.__annotations__)
    assert set(re.findall(r"\bs\.(\w+)", body)) >= set(python.__annotations__)


def test_the_binding_takes_each_limit() -> None:
    taken = re.findall(r'if name == "(\w+)": l\.(\w+) = value', binding())
    assert all(name == field for name, field in taken)
    assert {name for name, _ in taken} == set(specs.KernelLimits.__annotations__)


@pytest.mark.parametrize("struct", ["StreamSpec", "ConsumerSpec"])
def test_specs_are_written_and_read_in_one_order(struct: str) -> None:
    fields = struct_fields(struct)
    written = _in_order(function_body(f"void {struct}::encode(Buffer& out) const"), fields)
    read = _in_order(function_body(f"bool {struct}::decode(Reader& in)"), fields)
    assert written == read
    texts = {
        "transform_source", "transform_destination", "republish_source", "republish_destination",
        "mirror_origin",
    }  # fmt: skip
    in_texts_of_a_stream = texts if struct == "StreamSpec" else set()
    assert set(written) == set(fields) - in_texts_of_a_stream


def _in_order(body: str, fields: list[str]) -> list[str]:
    """Each field where it is first named."""
    found = [word for word in re.findall(r"\w+", body) if word in fields]
    return list(dict.fromkeys(found))


def _cython_function(heading: str) -> str:
    inside = " " * (len(heading) - len(heading.lstrip()) + 4)
    found = re.search(
        rf"^{re.escape(heading)}\([^\n]*\n(?:{inside}[^\n]*\n|\s*\n)+", binding(), re.MULTILINE
    )
    assert found is not None, heading
    return found[0]
