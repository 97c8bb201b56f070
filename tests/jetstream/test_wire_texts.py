"""Goal: no text of a client becomes a line of the protocol for somebody else.

Method: every text of a stream's and a consumer's configuration is given line ends and blanks; the
fake kernel raises, as the real one does, when the API publishes to a subject with one. The binding
is asked itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from conversation import Conversation
from served_api import ServedApi
from slipstream.kernel import Kernel

SECOND = 1_000_000_000
BLANKS = ("a\r\nMSG forged 1 2\r\nhi", "a\nb", "a\rb", "a b", "a\tb")
EXTERNAL = {"api": "ext.api", "deliver": "ext.deliver"}
ORIGIN = {"name": "O", "filter_subject": "o.>", "external": EXTERNAL}
KEPT = {"name": "O", "external": EXTERNAL, "consumer": {"name": "D", "deliver_subject": "ext.d"}}
STREAMS: list[dict[str, Any]] = [
    {"name": "M", "mirror": ORIGIN},
    {"name": "M", "mirror": KEPT},
    {"name": "M", "sources": [ORIGIN]},
    {"name": "M", "sources": [KEPT]},
    {"name": "M", "sources": [{"name": "O", "subject_transforms": [{"src": "o", "dest": "p"}]}]},
    {"name": "M", "subjects": ["s"], "republish": {"src": "s", "dest": "r"}},
    {"name": "M", "subjects": ["s"], "subject_transform": {"src": "s", "dest": "t"}},
]
CONSUMERS: list[dict[str, Any]] = [
    {"name": "C", "durable_name": "C", "deliver_subject": "d", "deliver_group": "g"},
    {"name": "C", "filter_subject": "s"},
    {"name": "C", "filter_subjects": ["s", "t"]},
    {"name": "C", "priority_policy": "overflow", "priority_groups": ["g"]},
]


def forged(plain: Any, text: str) -> Iterator[Any]:
    """Copies with one text exchanged; the name that stands in the request's subject stays."""
    if isinstance(plain, dict):
        for key, inner in plain.items():
            yield from ({**plain, key: changed} for changed in forged(inner, text))
    elif isinstance(plain, list):
        for place, inner in enumerate(plain):
            for changed in forged(inner, text):
                yield [*plain[:place], changed, *plain[place + 1 :]]
    else:
        yield text


@pytest.mark.parametrize("text", BLANKS)
@pytest.mark.parametrize("plain", STREAMS)
def test_configurations_of_streams(plain: dict[str, Any], text: str) -> None:
    for config in forged(plain, text):
        for verb in ("CREATE", "UPDATE"):
            talk = Conversation()
            talk.kernel.subscriptions.add(b">")
            if verb == "UPDATE":
                talk.ok("STREAM.CREATE.M", plain)
            talk.request(f"STREAM.{verb}.M", config)
            for _ in range(40):  # it asks its origin, and asks again
                talk.kernel.now_ns += SECOND
                talk.settle()
            assert talk.request("STREAM.DELETE.M")["type"].endswith("stream_delete_response")


@pytest.mark.parametrize("text", BLANKS)
def test_a_republished_subject(text: str) -> None:
    """On the real kernel, whose last line of defence raises."""
    node = ServedApi()
    node.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s.*"]})
    for verb in ("STREAM.CREATE.T", "STREAM.UPDATE.S"):
        name = verb[-1]
        config = {"name": name, "subjects": [f"{name.lower()}.*"]}
        republish = {"src": f"{name.lower()}.*", "dest": f"{{{{ wildcard(1) }}}}.{text}"}
        assert node.error(verb, {**config, "republish": republish})[0] == 10052
        republish["dest"] = "{{ wildcard(1) }}.r"
        node.ok(verb, {**config, "republish": republish})
        node.subscribe("x.r")
        node.publish(f"{name.lower()}.x", b"y")
        assert [event.body for event in node.received.pop("x.r")] == [b"y"]
        node.unsubscribe("x.r")


@pytest.mark.parametrize("text", BLANKS)
@pytest.mark.parametrize("plain", CONSUMERS)
def test_configurations_of_consumers(plain: dict[str, Any], text: str) -> None:
    node = ServedApi()
    node.subscribe("$JS.EVENT.>")
    node.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s", "t"]})
    node.publish("s", b"x")
    for config in forged(plain, text):
        body = {"stream_name": "S", "config": config}
        node.request("CONSUMER.CREATE.S", body)
        node.request("CONSUMER.CREATE.S.C", body)
        node.request("CONSUMER.DELETE.S.C")
    assert node.ok("CONSUMER.LIST.S")["consumers"] is not None


def test_an_external_origin_has_a_valid_name() -> None:
    talk = Conversation()
    for name in ("a\r\nb", "a b", "a.b", "a>", ""):
        mirror = {"name": name, "external": EXTERNAL}
        assert talk.error("STREAM.CREATE.M", {"name": "M", "mirror": mirror})[0] == 10142
    talk.ok("STREAM.CREATE.M", {"name": "M", "mirror": {"name": "a", "external": EXTERNAL}})


@pytest.mark.parametrize(
    ("subject", "reply"),
    [(b"", b""), *((t.encode(), b"") for t in BLANKS), *((b"a", t.encode()) for t in BLANKS)],
)
def test_the_binding_refuses_what_would_break_a_line(subject: bytes, reply: bytes) -> None:
    kernel = Kernel(seed=1)
    account = kernel.account(b"A")
    kernel.serve(account, b">", 1)
    with pytest.raises(ValueError, match=r"subject|line of the protocol"):
        kernel.publish(account, subject, reply, b"", b"")
    assert kernel.publish(account, b"a", b"b", b"", b"x\r\ny") == 1
