"""Goal: a client that asks for many long answers neither holds the memory of all of them nor delays
the others' answers.

Method: answers that are plain generators, run slice by slice; and lists of subjects over the fake
kernel.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from conversation import Conversation
from slipstream.jetstream.api.long_answers import (
    CLIENTS_AT_ONCE,
    LONG_ANSWERS_MAX,
    LongAnswer,
    LongAnswers,
)

SLICES = 3


class Recorder:
    def __init__(self) -> None:
        self.answers = LongAnswers()
        self.begun: set[str] = set()
        self.ended: list[str] = []
        self.under_way_max = 0

    def ask(self, cid: int, name: str) -> None:
        self.answers.add(cid, self._answer(name))

    def _answer(self, name: str) -> LongAnswer:
        def slices() -> Iterator[None]:
            self.begun.add(name)
            for _ in range(SLICES):
                yield
            self.begun.discard(name)
            self.ended.append(name)

        return name, slices()

    def run(self, slices_max: int = 1 << 30) -> int:
        count = 0
        while self.answers and count < slices_max:
            _, answer = self.answers.turn()
            ended = next(answer, "ended") == "ended"
            self.answers.end_turn(ended=ended)
            self.under_way_max = max(self.under_way_max, len(self.begun))
            count += 1
        return count


def test_one_client_has_one_answer_under_way() -> None:
    recorder = Recorder()
    for number in range(100):
        recorder.ask(1, f"flood {number}")
    recorder.ask(2, "other")
    recorder.run(2 * (SLICES + 1))
    assert "other" in recorder.ended
    assert recorder.under_way_max == 2
    recorder.run()
    assert [name for name in recorder.ended if name != "other"] == [
        f"flood {n}" for n in range(100)
    ]


def test_answers_of_many_clients_are_bounded_and_all_come() -> None:
    recorder = Recorder()
    for cid in range(1000):
        recorder.ask(cid, str(cid))
        recorder.ask(cid, f"{cid} again")
    recorder.run()
    assert recorder.under_way_max == CLIENTS_AT_ONCE
    assert len(recorder.ended) == 2000


def test_a_flood_leaves_room_for_others() -> None:
    recorder = Recorder()
    for number in range(2 * LONG_ANSWERS_MAX):
        recorder.ask(1, str(number))
    recorder.ask(2, "other")
    recorder.run()
    assert "other" in recorder.ended
    assert len(recorder.ended) == LONG_ANSWERS_MAX // 2 + 1


def test_subjects_are_listed_for_one_client_at_a_time() -> None:
    """Each listing keeps the names of all subjects that match."""
    talk = Conversation()
    talk.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"]})
    for number in range(5):
        talk.publish(f"s.{number}")
    talk.kernel.take_published()
    for cid in range(3):
        talk.send("STREAM.INFO.S", b'{"subjects_filter":">"}', cid=cid)
    largest = 0
    while talk.api.step(talk.kernel.now_ns):
        largest = max(largest, sum(listing.is_under_way for listing in talk.kernel.listings))
    assert largest == 1
    answers = [json.loads(p.body) for p in talk.kernel.take_published() if p.subject == b"_INBOX.1"]
    expected = {f"s.{number}": 1 for number in range(5)}
    assert [answer["state"]["subjects"] for answer in answers] == [expected] * 3
