"""Goal: the API answers every request of the corpus with the bytes that nats-server answers.

Method: the same conversations with a nats-server started for the test and with the API over the
fake kernel; answers are compared after times, generated names and versions are made alike.
"""

from __future__ import annotations

import pytest

from answer_comparison import differences
from corpus import CONVERSATIONS, Conversation
from origin_corpus import ORIGIN_CONVERSATIONS
from stream_corpus import STREAM_CONVERSATIONS
from targets import ApiTarget, KernelTarget, LiveTarget

TALKS = [*CONVERSATIONS, *ORIGIN_CONVERSATIONS, *STREAM_CONVERSATIONS]


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.name)
def test_same_answers_over_the_fake_kernel(fresh_oracle: LiveTarget, talk: Conversation) -> None:
    found = list(differences(talk, fresh_oracle, ApiTarget()))
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.name)
def test_same_answers_over_the_kernel(fresh_oracle: LiveTarget, talk: Conversation) -> None:
    ours = KernelTarget()
    found = list(differences(talk, fresh_oracle, ours))
    ours.close()
    assert not found, "\n".join(map(str, found))
