"""What clients send, bytes to commands: the readable twin of the kernel's protocol_parser.hpp, and
its specification. The same tests run on both.

The parser has no memory. The caller keeps the bytes that came, calls `next`, drops `consumed`
bytes after each command, and calls again with more when `next` says `NEED_MORE`:

    step = parser.next(received)
    if step.status is Status.COMMAND:
        received = received[step.consumed:]

A line is a verb, blanks (space or tab), words; it ends in LF or CR LF. Verbs are case-insensitive.
A publish is followed by as many bytes as its line announces and CR LF.

Where nats-server and this parser differ, on purpose: behind a verb, what comes after the first
blank counts towards `max_control_line` (nats-server skips any number of blanks first, and does not
limit the tail of PING, PONG and +OK at all); a CR inside a PUB line is part of a word.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

SIZE_DIGITS_MAX = 9  # larger numbers are refused, leading zeros count
BLANKS = b" \t"
_WORD = re.compile(rb"[^ \t]+")
_WORD_WITHOUT_CR = re.compile(rb"[^ \t\r]+")


class Status(Enum):
    COMMAND = "command"
    NEED_MORE = "need_more"
    UNKNOWN = "unknown"  # -ERR 'Unknown Protocol Operation' and close (K-059)
    BAD_ARGUMENTS = "bad_arguments"  # close without words
    HEADERS_REFUSED = "headers_refused"  # HPUB where no headers were agreed: likewise (K-078)
    LINE_LONG = "line_long"  # -ERR 'maximum control line exceeded' and close (K-068)
    PAYLOAD_BIG = "payload_big"  # -ERR 'Maximum Payload Violation' and close (K-069)


class Command(NamedTuple):
    """Only the fields that belong to the verb are filled."""

    verb: str
    subject: bytes = b""
    reply: bytes = b""
    queue: bytes = b""
    sid: bytes = b""
    text: bytes = b""  # what follows CONNECT, INFO, -ERR, and PING, PONG, +OK (where nobody looks)
    max: int = 0  # of UNSUB; 0: at once
    header: bytes = b""
    body: bytes = b""


class Step(NamedTuple):
    status: Status
    consumed: int = 0  # with COMMAND
    wanted: int = 0  # with NEED_MORE: useless to call again before so many bytes are there
    command: Command | None = None


class _Refused(Exception):
    def __init__(self, status: Status) -> None:
        self.status = status


class _Form(NamedTuple):
    verb: str
    word: bytes
    needs_blank: bool


_FORMS = (
    _Form("pub", b"pub", True),
    _Form("hpub", b"hpub", True),
    _Form("sub", b"sub", True),
    _Form("unsub", b"unsub", True),
    _Form("ping", b"ping", False),
    _Form("pong", b"pong", False),
    _Form("connect", b"connect", False),
    _Form("info", b"info", False),
    _Form("ok", b"+ok", False),
    _Form("err", b"-err", True),
)
_AROUND_ARGUMENTS = max(len(form.word) for form in _FORMS) + 1 + len(b"\r\n")


class Parser:
    def __init__(
        self, *, max_control_line: int = 4096, max_payload: int = 1048576, headers: bool = True
    ) -> None:
        """`max_payload` -1: unlimited. `headers`: whether HPUB is allowed on this connection."""
        self.max_control_line = max_control_line
        self.max_payload = max_payload
        self.headers = headers

    def next(self, received: bytes) -> Step:
        """The first command of `received`, or why there is none."""
        newline = received.find(b"\n", 0, self.max_control_line + _AROUND_ARGUMENTS)
        try:
            if newline < 0:
                return self._incomplete(received)
            line = received[:newline].removesuffix(b"\r")
            return self._complete(line, received, newline + 1)
        except _Refused as refused:
            return Step(refused.status)

    def _incomplete(self, received: bytes) -> Step:
        """A line without its end fails at its first wrong byte."""
        form = _find_form(received, complete=False)
        self._arguments(received.removesuffix(b"\r"), form)
        return Step(Status.NEED_MORE, wanted=len(received) + 1)

    def _complete(self, line: bytes, received: bytes, payload_start: int) -> Step:
        form = _find_form(line, complete=True)
        arguments = self._arguments(line, form)
        if form.verb in ("pub", "hpub"):
            return self._publish(form.verb, arguments, received, payload_start)
        if form.verb == "sub":
            command = _subscribe(arguments)
        elif form.verb == "unsub":
            command = _unsubscribe(arguments)
        else:
            command = Command(form.verb, text=arguments.lstrip(BLANKS))
        return Step(Status.COMMAND, consumed=payload_start, command=command)

    def _arguments(self, line: bytes, form: _Form) -> bytes:
        """What follows the verb and one blank."""
        arguments = line[len(form.word) :]
        if arguments[:1] in (b" ", b"\t"):
            arguments = arguments[1:]
        if len(arguments) > self.max_control_line:
            raise _Refused(Status.LINE_LONG)
        return arguments

    def _publish(self, verb: str, arguments: bytes, received: bytes, start: int) -> Step:
        with_header = verb == "hpub"
        if with_header and not self.headers:
            raise _Refused(Status.HEADERS_REFUSED)
        words = _WORD.findall(arguments)
        fewest = 3 if with_header else 2
        if len(words) not in (fewest, fewest + 1):
            raise _Refused(Status.BAD_ARGUMENTS)
        size = _size(words[-1])
        header_size = _size(words[-2]) if with_header else 0
        if size is None or header_size is None or header_size > size:
            raise _Refused(Status.BAD_ARGUMENTS)
        if 0 <= self.max_payload < size:
            raise _Refused(Status.PAYLOAD_BIG)
        end = start + size
        terminator = received[end : end + 2]
        if not b"\r\n".startswith(terminator):
            raise _Refused(Status.UNKNOWN)
        if len(terminator) < 2:
            return Step(Status.NEED_MORE, wanted=end + 2)
        command = Command(
            verb,
            subject=words[0],
            reply=words[1] if len(words) > fewest else b"",
            header=received[start : start + header_size],
            body=received[start + header_size : end],
        )
        return Step(Status.COMMAND, consumed=end + 2, command=command)


def _find_form(line: bytes, *, complete: bool) -> _Form:
    """The form whose verb begins the line; of an incomplete line, one that it may still become."""
    for form in _FORMS:
        n = len(form.word)
        if complete and len(line) < n:
            continue
        if not form.word.startswith(line[:n].lower()):
            continue
        blank_follows = line[n] in BLANKS if len(line) > n else not complete
        if blank_follows or not form.needs_blank:
            return form
    raise _Refused(Status.UNKNOWN)


def _size(word: bytes) -> int | None:
    if len(word) > SIZE_DIGITS_MAX or not word.isdigit():
        return None
    return int(word)


def _subscribe(arguments: bytes) -> Command:
    words = _WORD_WITHOUT_CR.findall(arguments)
    if len(words) not in (2, 3):
        raise _Refused(Status.BAD_ARGUMENTS)
    queue = words[1] if len(words) == 3 else b""
    return Command("sub", subject=words[0], queue=queue, sid=words[-1])


def _unsubscribe(arguments: bytes) -> Command:
    """A maximum that is no number counts as none."""
    words = _WORD_WITHOUT_CR.findall(arguments)
    if len(words) not in (1, 2):
        raise _Refused(Status.BAD_ARGUMENTS)
    maximum = _size(words[1]) if len(words) == 2 else None
    return Command("unsub", sid=words[0], max=maximum or 0)
