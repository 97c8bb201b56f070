"""The load generator's compiled core: groups of clients (roles), one native thread each, driven
without the GIL.

Add roles to a LoadRun, then connect(), execute() and results(), once each and in this order. Roles
that count to an end are foreground; execute() returns when all of them are done and verified, or
raises LoadError with the first thing that was not as it must be: an -ERR, a lost connection, a
wrong, missing, doubled or superfluous message, or silence for stall_seconds.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol

# Markers in a message's subject, header and payload; numbers take their place in every frame.
INDEX: str  # the message's number in the run, eight digits
SUBJECT_NUMBER: str  # index % subjects, eight digits
NUMBER: str  # what `number` of add_requesters says, without leading zeros

class LoadError(RuntimeError):
    """The run did not go as it must; the text says what was seen."""

class MessageLike(Protocol):
    @property
    def subject(self) -> str: ...
    @property
    def header(self) -> bytes: ...  # with its version line and the empty line, or b""
    @property
    def payload(self) -> bytes: ...

def parse_frames(pieces: Sequence[bytes]) -> list[tuple[Any, ...]]:
    """Frames of a server's byte stream that arrives in `pieces`, as tuples that start with the
    kind.
    """

class LoadRun:
    def __init__(
        self,
        host: str,
        port: int,
        *,
        user: str = "",
        password: str = "",
        token: str = "",
        stall_seconds: float = 30.0,
    ) -> None: ...
    def add_publishers(
        self,
        message: MessageLike,
        *,
        count: int,
        subjects: int = 1,
        clients: int = 1,
        rate: float = 0.0,
        timestamps: bool = False,
        background: bool = False,
    ) -> None:
        """`count` messages of all clients together; `rate` messages per second, or 0 for as fast as
        the server reads.
        """
    def add_subscribers(
        self,
        subject: str,
        *,
        count: int,
        payload_bytes: int,
        queue: str = "",
        subjects: int = 1,
        clients: int = 1,
        timestamps: bool = False,
        background: bool = False,
    ) -> None:
        """Each client receives `count` messages (with `queue`: all together), or until the run ends
        with 0.
        """
    def add_responders(
        self, subject: str, *, payload_bytes: int, queue: str = "", clients: int = 1
    ) -> None: ...
    def add_requesters(
        self,
        messages: Sequence[MessageLike],
        *,
        count: int,
        inbox: str,
        check: Literal["size", "pub_ack", "direct", "api"],
        stream: str = "",
        answer_bytes: int = 0,
        subjects: int = 1,
        index_first: int = 0,
        clients: int = 1,
        window: int = 1,
        rate: float = 0.0,
        number: Literal["none", "cycle", "previous_on_subject"] = "none",
        number_first: int = 1,
        number_cycle: int = 1,
        background: bool = False,
        name: str = "request",
    ) -> None:
        """`window` requests in flight per client. Several messages are one atomic batch; the last
        one carries the reply.
        """
    def add_pullers(
        self,
        stream: str,
        consumer: str,
        *,
        inbox: str,
        count: int,
        payload_bytes: int,
        first_sequence: int = 1,
        clients: int = 1,
        batch: int = 100,
        continuous: bool = False,
        acknowledge: bool = False,
        background: bool = False,
    ) -> None: ...
    def add_receiver(
        self,
        stream: str,
        *,
        deliver_subject: str,
        inbox: str,
        create_subject: str,
        create_request: bytes,
        count: int,
        payload_bytes: int,
        first_sequence: int = 1,
        background: bool = False,
    ) -> None: ...
    def connect(self) -> None: ...
    def execute(self) -> None: ...
    def stop(self) -> None: ...
    def progress(self) -> list[tuple[int, int]]:
        """(messages so far, messages in all or 0) of each role; may be called while execute() runs
        in another thread.
        """
    def results(self) -> list[dict[str, Any]]: ...
