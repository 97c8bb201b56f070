"""The client protocol's parser: what each line of bytes means, and that the kernel's parser and its
readable twin agree about everything.

Method: a table of examples (bytes -> status, command) runs on both; then generated streams, well
formed, mutated and random, are fed to both in every split that is tried, and every answer is
compared: status, command, consumed and wanted bytes. A split must never change what comes out.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.kernel import _kernel
from slipstream.protocol.parser import Command, Parser, Status, Step


class CompiledParser:
    """The kernel's parser behind the twin's interface."""

    def __init__(self, **limits: int) -> None:
        self._parser = _kernel.ProtocolParser(**limits)

    def next(self, received: bytes) -> Step:
        status, consumed, wanted, fields = self._parser.next(received)
        return Step(Status(status), consumed, wanted, Command(*fields) if fields else None)


@pytest.fixture(params=[Parser, CompiledParser], ids=["twin", "compiled"])
def parser_class(request):
    return request.param


LIMITS = {"max_control_line": 64, "max_payload": 1024}

COMMANDS = [
    # K-001: CONNECT; nats-server needs no blank
    (b'CONNECT {"verbose":false}\r\n', Command("connect", text=b'{"verbose":false}')),
    (b"connect{}\r\n", Command("connect", text=b"{}")),
    (b"CONNECT \t {}  \r\n", Command("connect", text=b"{}  ")),
    (b"CONNECT\r\n", Command("connect")),
    # K-002: PUB
    (b"PUB a 5\r\nhello\r\n", Command("pub", subject=b"a", body=b"hello")),
    (b"PUB a r 5\r\nhello\r\n", Command("pub", subject=b"a", reply=b"r", body=b"hello")),
    (b"pub a 0\r\n\r\n", Command("pub", subject=b"a")),
    (b"pUb\ta\t\tr \t 2\t\r\nhi\r\n", Command("pub", subject=b"a", reply=b"r", body=b"hi")),
    (b"PUB a 2\nhi\r\n", Command("pub", subject=b"a", body=b"hi")),  # a bare LF ends a line
    (b"PUB a 000000002\r\nhi\r\n", Command("pub", subject=b"a", body=b"hi")),
    (b"PUB a.b..c> 2\r\n\r\n\r\n", Command("pub", subject=b"a.b..c>", body=b"\r\n")),
    # K-003: HPUB
    (
        b"HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
        Command("hpub", subject=b"a", header=b"NATS/1.0\r\n\r\n", body=b"hi"),
    ),
    (b"hpub a r 0 2\r\nhi\r\n", Command("hpub", subject=b"a", reply=b"r", body=b"hi")),
    (b"HPUB a 2 2\r\nhi\r\n", Command("hpub", subject=b"a", header=b"hi")),
    # K-004: SUB
    (b"SUB a 1\r\n", Command("sub", subject=b"a", sid=b"1")),
    (b"sub a q 1\r\n", Command("sub", subject=b"a", queue=b"q", sid=b"1")),
    (b"SUB  a\tq  sid-7 \n", Command("sub", subject=b"a", queue=b"q", sid=b"sid-7")),
    (b"SUB a 1\r2\r\n", Command("sub", subject=b"a", queue=b"1", sid=b"2")),
    # K-005: UNSUB
    (b"UNSUB 1\r\n", Command("unsub", sid=b"1")),
    (b"unsub 1 5\r\n", Command("unsub", sid=b"1", max=5)),
    (b"UNSUB 1 -5\r\n", Command("unsub", sid=b"1")),
    (b"UNSUB 1 1234567890\r\n", Command("unsub", sid=b"1")),
    # K-006: PING, PONG; what follows the verb is skipped
    (b"PING\r\n", Command("ping")),
    (b"ping\n", Command("ping")),
    (b"PINGPONG\r\n", Command("ping", text=b"PONG")),
    (b"PONG x\r\n", Command("pong", text=b"x")),
    # K-007, K-008
    (b"INFO {}\r\n", Command("info", text=b"{}")),
    (b"+OK\r\n", Command("ok")),
    (b"-ERR 'no'\r\n", Command("err", text=b"'no'")),
    # K-046: the limit itself is allowed
    (b"SUB " + b"a" * 62 + b" 1\r\n", Command("sub", subject=b"a" * 62, sid=b"1")),
    # K-045: likewise
    (b"PUB a 1024\r\n" + b"x" * 1024 + b"\r\n", Command("pub", subject=b"a", body=b"x" * 1024)),
]

REFUSED = [
    # K-059: no such verb, and at the first wrong byte
    (b"X", Status.UNKNOWN),
    (b"\r\n", Status.UNKNOWN),
    (b"\n", Status.UNKNOWN),
    (b" PING\r\n", Status.UNKNOWN),
    (b"PUX", Status.UNKNOWN),
    (b"PIN\r\n", Status.UNKNOWN),
    (b"PUBX", Status.UNKNOWN),
    (b"PUB\r\n", Status.UNKNOWN),
    (b"SUB\r", Status.UNKNOWN),
    (b"UNSUB\n", Status.UNKNOWN),
    (b"MSG a 1 2\r\nhi\r\n", Status.UNKNOWN),  # K-007
    (b"RS+ A a\r\n", Status.UNKNOWN),
    (b"LS+ a\r\n", Status.UNKNOWN),
    (b"A+ a\r\n", Status.UNKNOWN),
    (b"HMSG a 1 2 2\r\n", Status.UNKNOWN),
    (b"-ERR\r\n", Status.UNKNOWN),
    (b"+KO\r\n", Status.UNKNOWN),
    (b"\xd0UB a 1\r\n", Status.UNKNOWN),
    (b"0UB a 1\r\n", Status.UNKNOWN),
    # K-059: a payload that does not end where it should
    (b"PUB a 2\r\nhix", Status.UNKNOWN),
    (b"PUB a 2\r\nhi\r\r", Status.UNKNOWN),
    (b"PUB a 2\r\nhi\n", Status.UNKNOWN),
    (b"PUB a 0\r\nPUB", Status.UNKNOWN),
    # arguments
    (b"PUB \r\n", Status.BAD_ARGUMENTS),
    (b"PUB a\r\n", Status.BAD_ARGUMENTS),
    (b"PUB a b c 1\r\n", Status.BAD_ARGUMENTS),
    (b"PUB a b c d e f 1\r\n", Status.BAD_ARGUMENTS),
    (b"PUB a -1\r\n", Status.BAD_ARGUMENTS),
    (b"PUB a +1\r\n", Status.BAD_ARGUMENTS),
    (b"PUB a 1x\r\n", Status.BAD_ARGUMENTS),
    (b"PUB a 0000000002\r\n", Status.BAD_ARGUMENTS),  # ten digits
    (b"PUB a 9999999999\r\n", Status.BAD_ARGUMENTS),
    (b"HPUB a 5\r\n", Status.BAD_ARGUMENTS),
    (b"HPUB a 5 2\r\n", Status.BAD_ARGUMENTS),
    (b"HPUB a -1 2\r\n", Status.BAD_ARGUMENTS),
    (b"HPUB a b c 1 2\r\n", Status.BAD_ARGUMENTS),
    (b"SUB a\r\n", Status.BAD_ARGUMENTS),
    (b"SUB \r\n", Status.BAD_ARGUMENTS),
    (b"SUB a b c d\r\n", Status.BAD_ARGUMENTS),
    (b"UNSUB \r\n", Status.BAD_ARGUMENTS),
    (b"UNSUB 1 2 3\r\n", Status.BAD_ARGUMENTS),
    # K-068: too long, with and without an end in sight
    (b"SUB " + b"a" * 63 + b" 1\r\n", Status.LINE_LONG),
    (b"SUB " + b"a" * 65, Status.LINE_LONG),
    (b"PUB " + b"a" * 63 + b" 1\r\n", Status.LINE_LONG),
    (b"CONNECT " + b"a" * 65, Status.LINE_LONG),
    (b"PING" + b" " * 66, Status.LINE_LONG),
    (b"PUB " + b" " * 500, Status.LINE_LONG),
    # K-069: before the payload has come
    (b"PUB a 1025\r\n", Status.PAYLOAD_BIG),
    (b"PUB a 999999999\r\n", Status.PAYLOAD_BIG),
    (b"HPUB a 12 1025\r\n", Status.PAYLOAD_BIG),
]

WANTED = [
    (b"", 1),
    (b"P", 2),
    (b"PUB a", 6),
    (b"PUB a 5\r", 9),
    (b"PUB a 5\r\n", 16),
    (b"PUB a 5\r\nhello", 16),
    (b"PUB a 5\r\nhello\r", 16),
    (b"SUB " + b"a" * 64, 69),
    (b"SUB " + b"a" * 64 + b"\r", 70),
]


@pytest.mark.parametrize(("received", "command"), COMMANDS, ids=range(len(COMMANDS)))
def test_commands(parser_class, received, command):
    parser = parser_class(**LIMITS)
    assert parser.next(received) == Step(Status.COMMAND, len(received), 0, command)
    # What follows belongs to the next command.
    assert parser.next(received + b"PING\r\n").consumed == len(received)


@pytest.mark.parametrize(("received", "status"), REFUSED, ids=range(len(REFUSED)))
def test_refused(parser_class, received, status):
    assert parser_class(**LIMITS).next(received) == Step(status)


@pytest.mark.parametrize(("received", "wanted"), WANTED, ids=range(len(WANTED)))
def test_incomplete(parser_class, received, wanted):
    assert parser_class(**LIMITS).next(received) == Step(Status.NEED_MORE, wanted=wanted)


def test_headers_refused(parser_class):
    """K-078: HPUB on a connection without headers, whatever its numbers."""
    parser = parser_class(**LIMITS, headers=False)
    assert parser.next(b"HPUB a 12 14\r\n") == Step(Status.HEADERS_REFUSED)
    assert parser.next(b"HPUB nonsense\r\n") == Step(Status.HEADERS_REFUSED)


def test_no_payload_limit(parser_class):
    parser = parser_class(max_payload=-1)
    assert parser.next(b"PUB a 999999999\r\n").wanted == len(b"PUB a 999999999\r\n") + 999999999 + 2


# ---------------------------------------------------------------- both on the same bytes

WORDS = st.one_of(
    st.sampled_from([b"a", b"a.b", b"foo.*", b">", b"_INBOX.x", b"1", b"5", b"12", b"-1", b"{}"]),
    st.integers(0, 1200).map(lambda n: b"%d" % n),
    st.binary(max_size=5),
)
VERBS = st.sampled_from(
    [
        "PUB",
        "HPUB",
        "SUB",
        "UNSUB",
        "PING",
        "PONG",
        "CONNECT",
        "INFO",
        "+OK",
        "-ERR",
        "MSG",
        "pub",
        "sUb",
        "hPub",
        "unsuB",
    ]
).map(str.encode)
BLANK = st.sampled_from([b" ", b"\t", b"  ", b" \t"])
LINE_END = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b""])


@st.composite
def well_formed(draw):
    body = draw(st.binary(max_size=40))
    header = draw(st.binary(max_size=20))
    subject = draw(st.sampled_from([b"a", b"foo.bar", b"x" * 20]))
    reply = draw(st.sampled_from([b"", b"r.1 "]))
    return draw(
        st.sampled_from(
            [
                b"PUB %b %b%d\r\n%b\r\n" % (subject, reply, len(body), body),
                b"HPUB %b %b%d %d\r\n%b%b\r\n"
                % (subject, reply, len(header), len(header) + len(body), header, body),
                b"SUB %b %d\r\n" % (subject, len(body)),
                b"UNSUB %d %d\r\n" % (len(header), len(body)),
                b"PING\r\n",
                b"CONNECT {}\r\n",
            ]
        )
    )


@st.composite
def nearly_formed(draw):
    words = draw(st.lists(WORDS, max_size=5))
    line = draw(VERBS) + b"".join(draw(BLANK) + word for word in words) + draw(LINE_END)
    return line + draw(st.binary(max_size=12)) + draw(LINE_END)


@st.composite
def mutated(draw):
    text = bytearray(b"".join(draw(st.lists(well_formed(), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text) - 1))
        text[at] = draw(st.sampled_from(list(b"\r\n \t0129PSUB-+\x00\xff")))
    return bytes(text)


STREAMS = st.lists(
    st.one_of(well_formed(), nearly_formed(), mutated(), st.binary(max_size=30)), max_size=6
).map(b"".join)


def run(parser, stream: bytes, cuts: list[int]) -> list[Step]:
    """Every answer to a stream that arrives in pieces, up to the first refusal."""
    steps = []
    received = b""
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += stream[start:end]
        while True:
            step = parser.next(received)
            steps.append(step)
            if step.status is not Status.COMMAND:
                break
            received = received[step.consumed :]
        if step.status is not Status.NEED_MORE:
            return steps
        assert step.wanted > len(received)
    return steps


def outcome(steps: list[Step]) -> tuple[list[Command | None], Status]:
    return [step.command for step in steps if step.command], steps[-1].status


@settings(max_examples=1500, deadline=None)
@given(stream=STREAMS, limit=st.sampled_from([16, 64, 4096]), headers=st.booleans(), data=st.data())
def test_both_agree_at_every_split(stream, limit, headers, data):
    limits = {"max_control_line": limit, "max_payload": 100, "headers": headers}
    twin, compiled = Parser(**limits), CompiledParser(**limits)
    whole = run(twin, stream, [])
    assert run(compiled, stream, []) == whole
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    for pieces in (cuts, list(range(len(stream)))):
        steps = run(twin, stream, pieces)
        assert run(compiled, stream, pieces) == steps
        assert outcome(steps) == outcome(whole)


def test_both_agree_on_long_random_streams():
    """Beyond what hypothesis generates: long streams with few errors, byte for byte."""
    seed = 20250806
    rng = random.Random(seed)
    commands = [received for received, _ in COMMANDS]
    for _ in range(30):
        stream = bytearray(b"".join(rng.choice(commands) for _ in range(200)))
        for _ in range(rng.randrange(3)):
            stream[rng.randrange(len(stream))] = rng.randrange(256)
        cuts = sorted(rng.randrange(len(stream)) for _ in range(50))
        twin = run(Parser(**LIMITS), bytes(stream), cuts)
        assert run(CompiledParser(**LIMITS), bytes(stream), cuts) == twin, seed
