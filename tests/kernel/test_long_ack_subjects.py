"""Goal: the subject of an acknowledgement is whole however long the names in it are.

Method: a stream and a consumer with names of 255 bytes, in a domain with a long name, deliver a
message with large numbers, by the simulated server; the reply subject must name all of it.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import RequestEvent
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

NAME_BYTES = 255
SERVICES = {b"_SIM.>": 1, b"inbox.here": 7}


@pytest.mark.parametrize("domain", [b"", b"d" * 26, b"d" * 2000])
def test_acknowledgement_of_long_names(domain: bytes) -> None:
    node = SimulatedNode(SimDisk(1), SimulatedClock(), services=SERVICES)
    node.kernel.set_domain(domain)
    node.kernel.set_long_ack_subjects(True)
    stream, consumer = b"S" * NAME_BYTES, b"C" * NAME_BYTES
    spec = stream_spec(subjects=[b"s"], first_seq=2**62)
    id_ = node.commit(
        lambda t: node.kernel.propose_stream_create(t, node.account, stream, stream, spec)
    )
    number = node.commit(
        lambda t: node.kernel.propose_consumer_create(t, id_, consumer, consumer, consumer_spec())
    )
    node.kernel.start_consumer(id_, number)
    node.publish(b"s", b"x")
    for _ in range(4):
        node.turn()
    pull = b"$JS.API.CONSUMER.MSG.NEXT." + stream + b"." + consumer
    node.kernel.publish(node.account, pull, b"inbox.here", b"", b"1")
    (message,) = [e for _ in range(4) for e in node.step(1) if isinstance(e, RequestEvent)]
    words = message.reply.split(b".")
    assert words[:3] == [b"$JS", b"ACK", domain or b"_"]
    assert words[4:8] == [stream, consumer, b"1", b"%d" % 2**62]
    assert words[-1] == b"0"
