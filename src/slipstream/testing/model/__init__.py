"""The model: a stream with its consumers, small enough to be believed.

Plain data structures and no cleverness: what can be counted is counted when somebody asks. It is
written from the reference of nats-server's behaviour and the log's rule "state changes entry by
entry", and is what tests hold the kernel against: every reply, every state, after every step and
after every crash.

    publishing.py   the judgement on one message: headers, order of checks, limits that refuse
    batches.py      atomic batches: all messages are stored, or none
    message.py      a message as a stream stores it
    stream.py       messages, de-duplication, eviction, expiry, purge
    consumer.py     delivery, acknowledgements, redelivery, what CONSUMER.INFO shows
    pulls.py        pull requests and their statuses
    pins.py         the one client that a pinned_client consumer serves
    inactivity.py   when a consumer that nobody uses is deleted
    configuration.py, answers.py   what the API takes and shows
    go_text.py      times, durations and JSON as Go writes them

Time enters as an argument. `deadline_ns` says when something happens by itself; whoever drives a
model stops at each of these times.
"""

from slipstream.testing.model.consumer import ConsumerModel, ConsumerState, Sent
from slipstream.testing.model.message import Message
from slipstream.testing.model.stream import StreamModel, StreamState

__all__ = ["ConsumerModel", "ConsumerState", "Message", "Sent", "StreamModel", "StreamState"]
