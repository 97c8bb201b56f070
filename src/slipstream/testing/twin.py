"""A second replica of everything that a simulated node keeps.

It starts from a copy of the node's disk, applies the entries that the node has applied, as a
follower does, and must then have the same state: an apply that looks at anything but the entry and
the group's state (the clock, a device, what only the leader knows) shows as a difference. The
twin's clock is a day behind, and its random numbers are others.
"""

from __future__ import annotations

import difflib

from slipstream.kernel import Kernel
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.kernel.values import StoreKeys

DAY_NS = 86_400_000_000_000
SEED = 4711
DIFFERENCE_LINES_MAX = 40


class ReplicasDiffer(AssertionError):
    """The leader and its twin have applied the same entries and have different states."""


class Twin:
    """Create it before the node opens its disk; `begin` once it is open, `follow` after each of
    its turns, `compare` whenever the states are wanted.
    """

    def __init__(self, disk: SimDisk, now_ns: int, keys: StoreKeys | None = None) -> None:
        self._disk = disk.image(Loss.none)
        self._now_ns = now_ns - DAY_NS
        self._keys = keys
        self._kernel = Kernel(seed=SEED)
        self._leader: Kernel | None = None

    def begin(self, leader: Kernel) -> None:
        self._leader = leader
        leader.take_applied()
        self._kernel.turn(self._now_ns, 1)
        self._kernel.open_store(
            disk=self._disk, threads=False, unlock=lambda _: self._keys, follows=True
        )

    def follow(self) -> None:
        assert self._leader is not None
        for entry in self._leader.take_applied():
            self._kernel.follow(entry)

    def compare(self) -> int:
        """Raises ReplicasDiffer. Returns how many streams were at rest and could be compared."""
        assert self._leader is not None
        leading, following = self._leader.canonical_states(), self._kernel.canonical_states()
        for stream, state in leading.items():
            if state != following.get(stream, ""):
                raise ReplicasDiffer(_difference(state, following.get(stream, "")))
        return len(leading)


def _difference(leader: str, follower: str) -> str:
    lines = difflib.unified_diff(
        leader.splitlines(), follower.splitlines(), "leader", "follower", lineterm="", n=0
    )
    return "\n".join(list(lines)[:DIFFERENCE_LINES_MAX])
