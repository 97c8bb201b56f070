"""Goal: in a compressed or encrypted segment of many frames a flipped bit costs the messages of one
frame at most, whether it is in the frame's head or content, after `slipstream repair` too: what
lies before and behind is kept, although reads take several frames at once.

Method: a stream of a few frames on the simulated disk; bits at many places of its segment's file;
what the repaired store holds is compared with what was published.
"""

from __future__ import annotations

import random
from functools import cache

import pytest

from disk_files import files
from slipstream.cli.repair import repair
from slipstream.cli.store_folder import Outcome
from slipstream.cli.verify import verify
from slipstream.kernel._kernel import Loss, SimDisk, read_back
from slipstream.server.store_keys import Passphrases, unlock
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    stream_spec,
)
from small_journals import use_small_journals

PASSPHRASES = Passphrases("a key for tests")
FRAME, BODY, MESSAGES, PLACES = 64 << 10, 1000, 400, 12


def body_of(seq: int) -> bytes:
    return random.Random(seq).randbytes(BODY)


@cache
def filled(encrypted: bool) -> SimDisk:
    disk, clock = SimDisk(4), SimulatedClock()
    keys = unlock(disk, PASSPHRASES if encrypted else Passphrases(), random.Random(7).randbytes)
    sizes = StoreSizes(1 << 20, 16 << 20, 1 << 20)
    node = SimulatedNode(disk, clock, keys=keys, sizes=sizes)
    spec = stream_spec(subjects=[b"s.*"], compress=not encrypted)
    stream = node.commit(
        lambda token: node.kernel.propose_stream_create(
            token, node.account, b"S", b'{"config":{"name":"S"}}', spec
        )
    )
    for seq in range(1, MESSAGES + 1):
        node.publish(b"s.%d" % (seq % 5), body_of(seq))
        node.turn()
    for _ in range(8):
        node.turn()
    assert node.kernel.stream_state(stream).messages == MESSAGES
    node.kernel.stop()
    return disk.image(Loss.none)


@pytest.mark.parametrize("encrypted", [False, True], ids=["compressed", "encrypted"])
def test_a_flipped_bit_costs_a_frame_at_most(
    encrypted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_small_journals(monkeypatch)
    sound = filled(encrypted)
    passphrases = PASSPHRASES if encrypted else Passphrases()
    segments = {path: size for path, size in files(sound).items() if path.endswith(".segment")}
    path, size = max(segments.items(), key=lambda found: found[1])
    assert size > 3 * FRAME, segments
    rng = random.Random(8)
    for number in range(PLACES):
        disk = sound.image(Loss.none)
        disk.flip_bit(path, rng.randrange(64, size), number % 8)
        assert verify(disk.image(Loss.none), passphrases).outcome == Outcome.DAMAGED
        report = repair(disk, passphrases, apply=True)
        assert not report.remains, report.lines()
        assert verify(disk.image(Loss.none), passphrases).outcome == Outcome.SOUND
        keys = unlock(disk, passphrases, random.Random(7).randbytes)
        node = SimulatedNode(disk, SimulatedClock(), keys=keys)
        read, damaged = read_back(node.kernel, 1, MESSAGES)
        assert not damaged
        kept = [seq for seq in range(1, MESSAGES + 1) if node.kernel.get_message(1, seq)]
        gone = sorted(set(range(1, MESSAGES + 1)) - set(kept))
        assert read == len(kept)
        assert gone == list(range(gone[0], gone[-1] + 1))
        assert len(gone) <= FRAME // BODY + 2
        for seq in kept:
            found = node.kernel.get_message(1, seq)
            assert found is not None
            assert found.body == body_of(seq)
