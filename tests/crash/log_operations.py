"""The entries of a stream's log that a ledger keeps, and what each does to the model of the stream
(slipstream.testing.model).

The kernel promises that recovery finds a *prefix* of each stream's log, at least as long as
everything that was acknowledged. So the tests keep the operations in order, make the state after
each of them here, and look for the recovered state among these. Time enters through the
operations alone.
"""

from __future__ import annotations

from typing import NamedTuple

from slipstream.kernel.specs import ConsumerSpec, StreamSpec
from slipstream.testing.model import Message, StreamModel
from slipstream.testing.model.publishing import Duplicate


class Publish(NamedTuple):
    """The id is in the header; it is kept beside it for the tests that publish it again."""

    message: Message
    message_id: str = ""


class PublishBatch(NamedTuple):
    """An atomic one. All of its messages have the time of the commit."""

    messages: tuple[Message, ...]


class Purge(NamedTuple):
    subject: bytes = b""  # a literal; empty: everything
    seq: int = 0
    keep: int = 0


class Delete(NamedTuple):
    seq: int
    erase: bool = False


class Update(NamedTuple):
    description: bytes
    spec: StreamSpec


class ConsumerCreate(NamedTuple):
    name: str
    description: bytes
    spec: ConsumerSpec


class ConsumerUpdate(NamedTuple):
    name: str
    description: bytes
    spec: ConsumerSpec


class ConsumerDelete(NamedTuple):
    name: str


class Nothing(NamedTuple):
    """In the place of what was refused before it reached the log."""


Operation = (
    Nothing
    | Publish
    | PublishBatch
    | Purge
    | Delete
    | Update
    | ConsumerCreate
    | ConsumerUpdate
    | ConsumerDelete
)


class Stored(NamedTuple):
    """The verdict on a publish."""

    seq: int
    duplicate: bool


REFUSED = Stored(0, False)


def apply(model: StreamModel, operation: Operation) -> object:
    """The verdict on a publish, the number of messages removed by a purge or delete."""
    match operation:
        case Publish(message):
            verdict, seq = model.publish(*message.content, message.time_ns)
            return Stored(seq, isinstance(verdict, Duplicate))
        case PublishBatch(messages):
            contents = [message.content for message in messages]
            _, seq = model.publish_batch(contents, messages[0].time_ns)
            return Stored(seq, duplicate=False)
        case Purge(subject, seq, keep):
            return model.purge(subject, seq, keep)
        case Delete(seq):
            return model.delete(seq)
        case Update(description, spec):
            model.update(spec, description)
        case ConsumerCreate(name, description, spec):
            model.create_consumer(name, spec, description, 0)
        case ConsumerUpdate(name, description, spec):
            model.consumers[name].description = description
        case ConsumerDelete(name):
            model.consumers.pop(name, None)
    return 0
