"""The accounts, their streams and the streams' consumers: what exists, under which name and id.

An entry is here from the moment when its creation is proposed, because proposals are applied in the
order in which they are made: whoever checks for names, overlaps or limits must see what is under
way. Readers see an entry only when it is committed. State (messages, sequences, pending) is the
kernel's and is asked for when it is needed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

import msgspec

from slipstream.gotext.encode import raw
from slipstream.gotext.objects import to_json
from slipstream.gotext.times import format_time
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.jetstream.limits import AccountLimits, Reservations, TieredLimits, tier_name
from slipstream.jetstream.stream_config import StreamConfig
from slipstream.jetstream.subject_index import SubjectIndex
from slipstream.protocol.errors import ApiError, ErrorCode
from slipstream.protocol.short_hash import short_hash


class Consumer:
    """`committed` turns true when its creation is committed; `token` is the proposal until then.
    Updates count from their proposal on (`config`), and are shown when they are committed
    (`committed_config`). So it is with streams.
    """

    def __init__(
        self, stream: Stream, id_: int, name: str, config: ConsumerConfig, created_ns: int
    ) -> None:
        self.stream = stream
        self.id = id_
        self.name = name
        self.config = config
        self.committed_config = config
        self.created_ns = created_ns
        self.token = 0

    @property
    def committed(self) -> bool:
        return self.token == 0

    @cached_property
    def created(self) -> str:
        return format_time(self.created_ns)

    def update_committed(self, config: ConsumerConfig) -> None:
        self.committed_config = config
        self.__dict__.pop("config_json", None)

    @cached_property
    def config_json(self) -> msgspec.Raw:
        """As lists show it."""
        return raw(to_json(self.committed_config))


class Stream:
    def __init__(self, account: Account, id_: int, config: StreamConfig, created_ns: int) -> None:
        self.account = account
        self.id = id_
        self.name = config.name
        self.config = config
        self.committed_config = config
        self.created_ns = created_ns
        self.consumers: dict[str, Consumer] = {}
        self.consumers_by_id: dict[int, Consumer] = {}
        self._filters = SubjectIndex()
        self.token = 0
        self._direct_count = self._internal_count = 0
        self.restoring = False  # only its name and subjects are taken
        self.damaged: list[int] = []  # sequences that reads found damaged since the start
        self.offline = ""  # why nothing of it can be asked or changed; empty: it can

    @property
    def committed(self) -> bool:
        return self.token == 0 and not self.restoring

    def update_committed(self, config: StreamConfig) -> None:
        self.committed_config = config
        self.__dict__.pop("config_json", None)

    @cached_property
    def config_json(self) -> msgspec.Raw:
        """As lists show it."""
        return raw(to_json(self.committed_config))

    @cached_property
    def created(self) -> str:
        return format_time(self.created_ns)

    def add_consumer(self, consumer: Consumer) -> None:
        assert consumer.name not in self.consumers
        self.consumers[consumer.name] = consumer
        self.consumers_by_id[consumer.id] = consumer
        self._direct_count += consumer.config.direct
        self._internal_count += consumer.config.is_internal
        self._filters.add(consumer.config.filters or (">",), consumer.name)

    def remove_consumer(self, consumer: Consumer) -> None:
        assert self.consumers[consumer.name] is consumer
        del self.consumers[consumer.name]
        del self.consumers_by_id[consumer.id]
        self._direct_count -= consumer.config.direct
        self._internal_count -= consumer.config.is_internal
        self._filters.remove(consumer.config.filters or (">",), consumer.name)

    def update_consumer(self, consumer: Consumer, config: ConsumerConfig) -> None:
        self._filters.remove(consumer.config.filters or (">",), consumer.name)
        consumer.config = config
        self._filters.add(config.filters or (">",), consumer.name)

    def consumers_overlapping(self, filters: Sequence[str]) -> Iterator[Consumer]:
        """Those whose filters let something through that one of these does; may repeat. Raises
        TooMuchToCompare.
        """
        for name in self._filters.owners_of_any(filters):
            yield self.consumers[name]

    def find_consumer(self, name: str) -> Consumer | None:
        """Of a reader: committed ones only."""
        consumer = self.consumers.get(name)
        return consumer if consumer is not None and consumer.committed else None

    def consumer_names(self) -> list[str]:
        """Those that lists show: all that are committed but direct ones (C-047), sorted."""
        return sorted(
            name
            for name, consumer in self.consumers.items()
            if consumer.committed and not consumer.config.direct
        )

    @property
    def shown_consumer_count(self) -> int:
        return len(self.consumers) - self._direct_count

    @property
    def limited_consumer_count(self) -> int:
        """Those that count against limits: none that serves a mirror or a source (C-047)."""
        return len(self.consumers) - self._internal_count

    @cached_property
    def identity(self) -> str:
        """Tells a stream from an earlier one of its name (S-196)."""
        return short_hash(self.created)


class Account:
    """`id` is the kernel's."""

    def __init__(self, name: str, id_: int, limits: AccountLimits | TieredLimits) -> None:
        self.name = name
        self.id = id_
        self.limits = limits
        self.streams: dict[str, Stream] = {}
        self.reserved = Reservations()
        self.api_total = 0
        self.api_errors = 0
        self._names: list[str] = []
        self._index = SubjectIndex()

    def add(self, stream: Stream) -> None:
        assert stream.name not in self.streams
        self.streams[stream.name] = stream
        insort(self._names, stream.name)
        self._index.add(stream.config.subjects, stream.name)
        self._reserve(stream.config, 1)

    def remove(self, stream: Stream) -> None:
        assert self.streams[stream.name] is stream
        del self.streams[stream.name]
        del self._names[bisect_left(self._names, stream.name)]
        self._index.remove(stream.config.subjects, stream.name)
        self._reserve(stream.config, -1)

    def update(self, stream: Stream, config: StreamConfig) -> None:
        self._index.remove(stream.config.subjects, stream.name)
        self._index.add(config.subjects, stream.name)
        self._reserve(stream.config, -1)
        self._reserve(config, 1)
        stream.config = config

    def limits_of(self, replicas: int) -> AccountLimits:
        """Those that a stream with so many replicas is under. Raises ApiError."""
        if isinstance(self.limits, AccountLimits):
            return self.limits
        limits = self.limits.tiers.get(tier_name(replicas))
        if limits is None:
            raise ApiError(ErrorCode.NO_LIMITS)
        return limits

    def find(self, name: str) -> Stream | None:
        """Of a reader: committed ones only."""
        stream = self.streams.get(name)
        return stream if stream is not None and stream.committed else None

    def stream_names(self, subject_filter: str = "") -> list[str]:
        """Of committed streams that capture something that the filter matches (S-100), sorted."""
        return [stream.name for stream in self._filtered(subject_filter)]

    def overlaps(self, config: StreamConfig) -> bool:
        """Whether another stream captures some of these subjects (S-006). Raises
        TooMuchToCompare.
        """
        return any(owner != config.name for owner in self._index.owners_of_any(config.subjects))

    def captures(self, subject: str) -> bool:
        return next(self._index.owners(subject), None) is not None

    def _filtered(self, subject_filter: str) -> Iterator[Stream]:
        names: Iterable[str] = self._names
        if subject_filter:
            names = sorted(set(self._index.owners(subject_filter)))
        for name in names:
            if (stream := self.streams[name]).committed:
                yield stream

    def _reserve(self, config: StreamConfig, sign: int) -> None:
        bytes_ = sign * max(config.max_bytes, 0)
        memory, store = self.reserved
        if config.is_memory:
            self.reserved = Reservations(memory + bytes_, store)
        else:
            self.reserved = Reservations(memory, store + bytes_)


class Registry:
    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {}
        self.streams: dict[int, Stream] = {}

    def add_account(self, account: Account) -> None:
        assert account.id not in self.accounts
        self.accounts[account.id] = account

    def add_stream(self, stream: Stream) -> None:
        stream.account.add(stream)
        self.streams[stream.id] = stream

    def remove_stream(self, stream: Stream) -> None:
        stream.account.remove(stream)
        del self.streams[stream.id]

    def add_restoring(self, stream: Stream) -> None:
        """Takes its name and its subjects; nobody can use it yet."""
        stream.restoring = True
        stream.account.add(stream)

    def show_restored(self, stream: Stream) -> None:
        assert stream.restoring
        stream.restoring = False
        self.streams[stream.id] = stream

    def remove_restoring(self, stream: Stream) -> None:
        assert stream.restoring
        stream.account.remove(stream)

    def reserved(self) -> Reservations:
        """By all accounts together."""
        reserved = [account.reserved for account in self.accounts.values()]
        return Reservations(sum(r.memory for r in reserved), sum(r.store for r in reserved))

    def check(self) -> None:
        """Invariants, for tests to call after every step."""
        for account in self.accounts.values():
            assert (list(account.streams) and account._names) or not account.streams
            assert account._names == sorted(account.streams)
            for name, stream in account.streams.items():
                assert stream.name == name == stream.config.name
                assert stream.restoring or self.streams[stream.id] is stream
                assert stream.consumers.keys() == {c.name for c in stream.consumers.values()}
                assert len(stream.consumers_by_id) == len(stream.consumers)
                listed = [c for c in stream.consumers.values() if not c.config.direct]
                assert len(listed) == stream.shown_consumer_count
                for subject in stream.config.subjects:
                    assert name in set(account._index.owners(subject))
        owned = [s for account in self.accounts.values() for s in account.streams.values()]
        assert sum(not stream.restoring for stream in owned) == len(self.streams)
