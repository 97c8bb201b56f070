r"""Holds the corpus' conversations with two targets and tells where their answers part.

As a program it compares two running servers:

    PYTHONPATH=src:tests/jetstream:tests/kernel \
        python tests/differential/answer_comparison.py HOST:PORT HOST:PORT
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from api_connection import ANSWER_S_MAX, Connection
from corpus import CONVERSATIONS, CONVERSATIONS_OVER_SOCKETS, Conversation, Store
from normal_form import normal_form
from targets import SILENCE_S, LiveTarget, Target


class Difference(NamedTuple):
    conversation: str
    step: str
    expected: str
    got: str

    def __str__(self) -> str:
        return (
            f"{self.conversation}: {self.step}\n  expected {self.expected}\n  got      {self.got}"
        )


def differences(talk: Conversation, oracle: LiveTarget, ours: Target) -> Iterator[Difference]:
    """Silence of the oracle is believed at once where ours is silent, else after a long time."""
    for step in talk.steps:
        if isinstance(step, Store):
            oracle.store(step.subject, step.body, step.header)
            ours.store(step.subject, step.body, step.header)
            continue
        got = ours.request(step.verb, step.body, step.header)
        timeout_s = SILENCE_S if got is None else ANSWER_S_MAX
        expected = oracle.request(step.verb, step.body, step.header, timeout_s)
        if normal_form(expected) != normal_form(got):
            shown = f"{step.verb} {step.body[:200].decode('utf-8', 'replace')}"
            yield Difference(talk.name, shown, normal_form(expected), normal_form(got))


def main(addresses: list[str]) -> int:
    parts = []
    for address in addresses:
        host, port = address.rsplit(":", 1)
        parts.append(LiveTarget(Connection(host, int(port))))
    oracle, ours = parts
    count = 0
    talks = [*CONVERSATIONS, *CONVERSATIONS_OVER_SOCKETS]
    for talk in talks:
        for difference in differences(talk, oracle, ours):
            print(difference)
            count += 1
        oracle.remove_everything()
        ours.remove_everything()
    print(f"{sum(len(talk.steps) for talk in talks)} steps, {count} differences")
    return 1 if count else 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent / "jetstream"))
    sys.exit(main(sys.argv[1:]))
