"""Goal: what one client subscribes to, however much or deep, costs the others no long step and no
stack.

Method: a client with thousands of subscriptions closes, or connects again, over a kernel whose
turns the test drives: nothing is delivered to it from then on, and its subscriptions leave over
several turns (counted, not timed). Then subjects as deep as a control line allows.
"""

from __future__ import annotations

import random

from driven_kernel import DrivenKernel
from slipstream.kernel._kernel import SubjectTrie
from slipstream.kernel.events import ClosedEvent

PER_TURN = 1024  # kLeavesPerTurn
MANY = 5 * PER_TURN


def subscriptions(driven: DrivenKernel) -> int:
    return driven.kernel.stats().subscriptions


def subscribe_to_many(driven: DrivenKernel, subject: bytes = b"many.%d"):  # type: ignore[no-untyped-def]
    client = driven.connect()
    before = subscriptions(driven)
    lines = b"".join(
        b"SUB %b %d\r\n" % (subject % i if b"%d" in subject else subject, i) for i in range(MANY)
    )
    assert driven.feed(client, lines) == len(lines)
    driven.turns_until(lambda: subscriptions(driven) == before + MANY, "all subscriptions")
    return client


def test_a_closed_client_hears_nothing_and_leaves_over_several_turns() -> None:
    with DrivenKernel() as driven:
        for subject in (b"many.%d", b"same"):
            client = subscribe_to_many(driven, subject)
            probe = subject.replace(b"%d", b"7")
            assert driven.kernel.interest(driven.account, probe) in (1, MANY)
            reached = driven.kernel.publish(driven.account, probe, b"", b"", b"")
            assert reached in (1, MANY)
            client.close()
            closed = len(driven.closed)
            driven.turns_until(lambda n=closed: len(driven.closed) > n, "the close")
            assert driven.kernel.interest(driven.account, probe) == 0
            assert driven.kernel.publish(driven.account, probe, b"", b"", b"") == 0
            turns = 0
            while left := subscriptions(driven):
                driven.turn()
                assert subscriptions(driven) >= left - PER_TURN
                turns += 1
            assert turns >= MANY // PER_TURN - 2
        ends = [event for event in driven.events if isinstance(event, ClosedEvent)]
        assert [event.subscriptions for event in ends] == [MANY, MANY]


def test_a_second_connect_waits_for_what_was_before_it() -> None:
    with DrivenKernel() as driven:
        client = subscribe_to_many(driven)
        client.send(
            b"CONNECT {}\r\nSUB again 1\r\nPUB again 1\r\nx\r\nPUB many.3 1\r\ny\r\nPING\r\n"
        )
        received = b""

        def answered() -> bool:
            nonlocal received
            received += driven.read(client)
            return received.endswith(b"PONG\r\n")

        driven.turns_until(answered, "the answer")
        assert received == b"MSG again 1 1\r\nx\r\nPONG\r\n"
        assert subscriptions(driven) == 1


def test_a_client_that_closes_while_it_connects_again() -> None:
    with DrivenKernel() as driven:
        client = subscribe_to_many(driven)
        client.send(b"CONNECT {}\r\n")
        driven.turn(timeout_ms=1000)
        client.close()
        driven.turns_until(lambda: bool(driven.closed) and not subscriptions(driven), "all gone")


def test_deep_subjects_need_no_stack() -> None:
    deep = b".".join([b"a"] * 500_000)
    stars = b".".join([b"*"] * 500_000)
    trie = SubjectTrie()
    for number, subject in enumerate((deep, stars, deep + b".>")):
        trie.insert(number, subject)
    assert sorted(trie.match(deep)[0]) == [0, 1]
    trie.remove(0)
    trie.remove(1)
    assert sorted(trie.match(deep + b".b")[0]) == [2]
    del trie  # with a chain that is still in it


def test_many_queue_groups_on_one_subject() -> None:
    trie, draw = SubjectTrie(), random.Random(5)
    live: dict[int, tuple[bytes, bytes]] = {}
    for key in range(4000):
        entry = (draw.choice((b"a.b", b"a.*", b">")), b"g%d" % draw.randrange(60))
        trie.insert(key, *entry)
        live[key] = entry
        if draw.random() < 0.45 or key > 3000:
            gone = draw.choice(list(live))
            trie.remove(gone)
            del live[gone]
        if key % 50:
            continue
        expected: dict[bytes, list[int]] = {}
        for number, (_, group) in live.items():
            expected.setdefault(group, []).append(number)
        plain, groups = trie.match(b"a.b", cached=False)
        assert plain == []
        assert {name: sorted(members) for name, members in groups.items()} == expected
