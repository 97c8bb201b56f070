"""Goal: a client cannot tell what our streams do with messages from what nats-server's do.

Method: every scenario of feature_scenarios.py runs over a socket against nats-server and against
our server in this process; the notes of both are compared line by line. Random transforms, made of
few pieces so that they often are valid, go to nats-server and to our twin of its functions.
Decided differences are in docs/differences.md.
"""

from __future__ import annotations

import json
import random

import pytest

from consumer_scenarios import Session
from feature_scenarios import SCENARIOS
from side_by_side import notes_of_both
from slipstream.protocol.subject_transform import SubjectTransform as Transform
from slipstream.protocol.subject_transform import TransformError, check_stream_transform
from targets import LiveTarget


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    got, expected = notes_of_both(ours, oracle, SCENARIOS[name], Session)
    assert got == expected


# ---------------------------------------------------------------- transforms at random

_TOKENS = ["a", "b", "$1", "$2", "$x", ">", "ab-cd", "{{wildcard(1)}}", "{{ Wildcard( 2 ) }}"]
_CALLS = [
    "partition",
    "split",
    "splitFromLeft",
    "sliceFromRight",
    "splitfromright",
    "SliceFromLeft",
    "left",
    "Right",
]
_ARGUMENTS = ["1", "2", "1,2", "1, -", "2,-", "3,1,2", "1,1", "1,0", "", "x", "0,1", "1,3,", "7"]


def _random_transform(draw: random.Random) -> tuple[bytes, bytes]:
    source = ["a", *(draw.choice(["*", "*", "b"]) for _ in range(draw.randint(0, 2)))]
    destination = [
        draw.choice(_TOKENS)
        if draw.random() < 0.5
        else f"{{{{{draw.choice(_CALLS)}({draw.choice(_ARGUMENTS)})}}}}"
        for _ in range(draw.randint(1, 3))
    ]
    if draw.random() < 0.3:
        source.append(">")
        destination.append(">")
    return ".".join(source).encode(), ".".join(destination).encode()


def _matched_by(source: bytes, draw: random.Random) -> bytes:
    """A literal subject that the source matches."""
    tokens = []
    for token in source.split(b"."):
        choice = draw.choice([b"abcde", b"a-b--c", b"x", b"--yy-"])
        tokens.append({b"*": choice, b">": choice + b".tail"}.get(token, token))
    return b".".join(tokens)


def test_transforms_at_random(oracle: LiveTarget) -> None:  # S-031
    draw = random.Random(20261123)
    oracle.remove_everything()
    accepted = 0
    for number in range(150):
        name = f"T{number}"  # of its own: nats-server may find old files when one is used again
        source, destination = _random_transform(draw)
        config = {
            "name": name,
            "storage": "memory",
            "subjects": [source.decode()],
            "subject_transform": {"src": source.decode(), "dest": destination.decode()},
        }
        reply = oracle.request(f"STREAM.CREATE.{name}", json.dumps(config).encode(), b"")
        answer = json.loads(reply or b"")
        try:
            check_stream_transform(source, destination)
        except TransformError as fault:
            text = f"stream transform: {fault}"
            assert answer["error"]["description"] == text, (source, destination)
            continue
        assert "error" not in answer, (source, destination, answer)
        accepted += 1
        for _ in range(3):
            subject = _matched_by(source, draw)
            ack = json.loads(oracle.connection.request(subject.decode(), b"").body)
            wanted = json.dumps({"seq": ack["seq"]}).encode()
            got = json.loads(oracle.request(f"STREAM.MSG.GET.{name}", wanted, b"") or b"")
            expected = Transform(source, destination).transform(subject, lambda: 0)
            assert expected is not None
            assert got["message"]["subject"] == expected.decode(), (source, destination, subject)
        oracle.request(f"STREAM.DELETE.{name}", b"", b"")
    assert accepted > 30
