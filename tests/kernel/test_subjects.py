"""Subjects: validity, matching, and the trie of subscriptions, held against their readable model.

Method: a table of examples (K-096, K-097) runs on the compiled functions and on the model; then
random subscriptions come and go (wildcards, queue groups, literals with `*` and `>` inside tokens)
while random subjects are matched, cached and uncached, and every answer is compared. Few tokens
make collisions, stale cache entries and emptied nodes frequent.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from slipstream.kernel import _kernel
from slipstream.protocol import subjects as model

# subject, valid, literal
SUBJECTS = [
    (b"a", True, True),
    (b"a.b.c", True, True),
    (b"*", True, False),
    (b">", True, False),
    (b"a.*.c", True, False),
    (b"a.>", True, False),
    (b"a*", True, True),  # K-096: part of a token is no wildcard
    (b"a.b>.c", True, True),
    (b"**", True, True),
    (b"\xc3\xa9.\x00\x01", True, True),
    (b"", False, False),
    (b".", False, False),
    (b".a", False, False),
    (b"a.", False, False),
    (b"a..b", False, False),
    (b">.a", False, False),
    (b"a.>.b", False, False),
    (b"a b", False, False),
    (b"a\tb", False, False),
    (b"a\rb", False, False),
    (b"a\nb", False, False),
    (b"a\fb", False, False),
]

MATCHES = [
    (b"a", b"a", True),
    (b"a", b"b", False),
    (b"a", b"a.b", False),
    (b"*", b"a", True),
    (b"*", b"a.b", False),
    (b">", b"a", True),
    (b">", b"a.b.c", True),
    (b"a.>", b"a", False),
    (b"a.>", b"a.b", True),
    (b"a.>", b"a.b.c", True),
    (b"a.*.c", b"a.b.c", True),
    (b"a.*.c", b"a.b.d", False),
    (b"*.*", b"a.b", True),
    (b"a*", b"ab", False),
    (b"a*", b"a*", True),
    (b"a.*", b"a.*", True),  # K-097: a published wildcard is a literal
    (b"a.b", b"a.*", False),
    (b"a.*", b"a.>", True),
    (b"a.>", b"a..b", False),  # an empty token is matched by nothing
    (b"*.b", b".b", False),
    (b"a.*", b"a.", False),
    (b">", b"", False),
]


@pytest.fixture(params=[model, _kernel], ids=["model", "compiled"])
def functions(request):
    return request.param


@pytest.mark.parametrize(("subject", "valid", "literal"), SUBJECTS)
def test_validity(functions, subject, valid, literal):
    assert functions.valid_subject(subject) is valid
    assert functions.valid_literal(subject) is literal


@pytest.mark.parametrize(("subscribed", "subject", "matches"), MATCHES)
def test_matching(functions, subscribed, subject, matches):
    assert functions.subject_matches(subscribed, subject) is matches


TOKENS = st.sampled_from(
    [b"a", b"b", b"*", b">", b"a*", b">b", b"", b"_INBOX", b"$JS", b"ACK", b"x "]
)
ANY_SUBJECTS = st.lists(TOKENS, max_size=5).map(b".".join)
VALID_SUBJECTS = ANY_SUBJECTS.filter(model.valid_subject)


@settings(max_examples=1000, deadline=None)
@given(first=ANY_SUBJECTS, second=ANY_SUBJECTS)
def test_functions_agree(first, second):
    assert _kernel.valid_subject(first) == model.valid_subject(first)
    assert _kernel.valid_literal(first) == model.valid_literal(first)
    assert _kernel.has_wildcard(first) == model.has_wildcard(first)
    if model.valid_subject(first):
        assert _kernel.subject_matches(first, second) == model.subject_matches(first, second)


class TrieAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.trie = _kernel.SubjectTrie()
        self.model = model.SubscriptionIndex()
        self.keys: list[int] = []
        self.next_key = 1

    @rule(subject=VALID_SUBJECTS, queue=st.sampled_from([b"", b"", b"q", b"r"]))
    def subscribe(self, subject, queue):
        self.trie.insert(self.next_key, subject, queue)
        self.model.insert(self.next_key, subject, queue)
        self.keys.append(self.next_key)
        self.next_key += 1

    @precondition(lambda self: self.keys)
    @rule(data=st.data())
    def unsubscribe(self, data):
        key = self.keys.pop(data.draw(st.integers(0, len(self.keys) - 1)))
        self.trie.remove(key)
        self.model.remove(key)

    @rule(subject=ANY_SUBJECTS)
    def match(self, subject):
        plain, groups = self.model.match(subject)
        for cached in (True, True, False):  # the second comes from the cache
            found_plain, found_groups = self.trie.match(subject, cached=cached)
            assert sorted(found_plain) == sorted(plain)
            assert {name: sorted(keys) for name, keys in found_groups.items()} == {
                name: sorted(keys) for name, keys in groups.items()
            }

    @invariant()
    def sizes_agree(self):
        assert len(self.trie) == len(self.model)


TestTrieAgainstModel = TrieAgainstModel.TestCase
TestTrieAgainstModel.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)


def test_cache_forgets_what_changed():
    """Each kind of change must reach a result that is cached already."""
    trie = _kernel.SubjectTrie()
    trie.insert(1, b"a.b")
    assert trie.match(b"a.b") == ([1], {})
    assert trie.match(b"a.b") == ([1], {})
    assert trie.hits == 1
    trie.insert(2, b"a.*")  # a wildcard renews everything
    assert sorted(trie.match(b"a.b")[0]) == [1, 2]
    trie.remove(1)  # a literal only its own slot
    assert trie.match(b"a.b") == ([2], {})
    trie.insert(3, b"a.b", b"q")
    assert trie.match(b"a.b") == ([2], {b"q": [3]})
    trie.remove(2)
    trie.remove(3)
    assert trie.match(b"a.b") == ([], {})
    assert len(trie) == 0


def test_single_use_subjects_stay_out_of_the_cache():
    trie = _kernel.SubjectTrie()
    trie.insert(1, b"_INBOX.x")
    trie.insert(2, b"$JS.ACK.>")
    for _ in range(2):
        assert trie.match(b"_INBOX.x") == ([1], {})
        assert trie.match(b"$JS.ACK.s.c.1.1.1.1.0") == ([2], {})
    assert trie.hits == 0


def test_a_subject_of_any_depth_needs_no_nested_calls():
    """With more tokens than the stack has room for: inserted, matched, removed, left behind."""
    deep = 400_000
    wildcards, literal = b".".join([b"*"] * deep), b".".join([b"a"] * deep)
    mixed = b".".join([b"*", b"a"] * (deep // 2))
    for removed in (True, False):
        trie = _kernel.SubjectTrie()
        for key, subject in enumerate((wildcards, literal, mixed, literal + b".>")):
            trie.insert(key, subject, b"q" if key == 2 else b"")
        plain, groups = trie.match(literal, cached=False)
        assert (sorted(plain), groups) == ([0, 1], {b"q": [2]})
        assert trie.match(literal + b".x", cached=False) == ([3], {})
        if removed:
            for key in range(4):
                trie.remove(key)
            assert trie.match(literal, cached=False) == ([], {})
        del trie
