"""A message as a stream stores it, and what judging another one asks of the stream."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from slipstream.kernel.specs import StreamSpec


class Message(NamedTuple):
    subject: bytes
    header: bytes
    body: bytes
    time_ns: int
    ttl_s: int = 0

    @property
    def content(self) -> tuple[bytes, bytes, bytes]:
        return self.subject, self.header, self.body


class Stored(Protocol):
    """See StreamModel."""

    name: str
    spec: StreamSpec
    last_seq: int
    last_message_id: str

    @property
    def messages(self) -> Mapping[int, Message]: ...
    @property
    def stored_bytes(self) -> int: ...
    def size(self, subject: bytes, header: bytes, body: bytes) -> int: ...
    def last_on(self, subject: bytes) -> int: ...
    def counted(self, subject: bytes) -> int: ...
    def keeps(self, subject: bytes) -> bool: ...
    def sequence_of_id(self, message_id: str, now_ns: int) -> int: ...
