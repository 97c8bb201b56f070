"""STREAM.RESTORE: a stream from a backup that a client sends in chunks (S-082, S-230, S-231).

The answer names the subject for the chunks. Each chunk is answered when it has been worked off:
that is the flow control. An empty one says that all were sent; its answer is the restored stream.

Nothing of it is to be seen before: the kernel fills a hidden stream, and one last entry shows it.
Whatever goes wrong on the way (a damaged archive, a client that falls silent, a crash) leaves no
trace. The name is taken meanwhile, and so are its subjects.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from slipstream.gotext.decode import is_empty_request
from slipstream.gotext.encode import encode
from slipstream.gotext.objects import INT, OMITEMPTY, UINT64, GoStruct
from slipstream.gotext.times import ZERO, Timestamp
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.consumers import restored_config
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api.proposals import Committed
from slipstream.jetstream.api.requests import read
from slipstream.jetstream.api.streams import check_restored, restored_answer
from slipstream.jetstream.api.transfers import TRANSFER_SERVICE, TRANSFERS_MAX
from slipstream.jetstream.archive.compression import Decompressor
from slipstream.jetstream.archive.consumer_records import ArchivedConsumer
from slipstream.jetstream.archive.reader import ArchivedState, ArchiveReader
from slipstream.jetstream.archive.records import MAGIC, ArchiveError
from slipstream.jetstream.archive.tar_reader import Removed, TarArchiveReader
from slipstream.jetstream.descriptions import describe_consumer, describe_stream
from slipstream.jetstream.names import has_path_separator
from slipstream.jetstream.registry import Account, Consumer, Stream
from slipstream.jetstream.stream_config import StreamConfig
from slipstream.kernel.events import RequestEvent
from slipstream.kernel.values import RestoredBatch, StoreError
from slipstream.protocol.errors import ApiError, ErrorCode

T = TypeVar("T")

STALL_NS = 5_000_000_000
# Chunks that arrived and are not worked off. Clients send one at a time.
WAITING_BYTES_MAX = 32 << 20
# Entries that are proposed and not applied, of a mebibyte each.
ENTRIES_IN_FLIGHT_MAX = 4
# Of messages that the archive has and the stream had not any more.
REMOVALS_IN_FLIGHT_MAX = 256
_CREATE_RESPONSE = "io.nats.jetstream.api.v1.stream_create_response"


class StreamStateRequest(GoStruct):
    """What the client knows of the backup; archives of 2.15 say it themselves."""

    go_type = "StreamState"

    messages: Annotated[int, UINT64] = 0
    bytes: Annotated[int, UINT64] = 0
    first_seq: Annotated[int, UINT64] = 0
    first_ts: Timestamp = ZERO
    last_seq: Annotated[int, UINT64] = 0
    last_ts: Timestamp = ZERO
    num_subjects: Annotated[int, INT, OMITEMPTY] = 0
    num_deleted: Annotated[int, INT, OMITEMPTY] = 0
    deleted: Annotated[list[int], UINT64, OMITEMPTY] = msgspec.field(default_factory=list)
    consumer_count: Annotated[int, INT] = 0


class RestoreRequest(GoStruct):
    go_type = "JSApiStreamRestoreRequest"

    config: StreamConfig = msgspec.field(default_factory=StreamConfig)
    state: StreamStateRequest = msgspec.field(default_factory=StreamStateRequest)


def restore(api: ApiCore, request: Request, now_ns: int) -> None:
    if is_empty_request(request.body):
        raise ApiError(ErrorCode.BAD_REQUEST)
    wanted = read(api, request, RestoreRequest)
    name = request.words[0]
    config = msgspec.structs.replace(wanted.config, name=wanted.config.name or name)
    if config.name != name:
        raise ApiError(ErrorCode.STREAM_MISMATCH)
    if has_path_separator(name):
        raise ApiError(ErrorCode.STREAM_NAME_CONTAINS_PATH_SEPARATORS)
    config = check_restored(api, request.account, config)
    if name in request.account.streams:
        raise ApiError(ErrorCode.STREAM_NAME_EXIST_RESTORE_FAILED)
    fault = _fault_of_stream(request.account, config)

    def begin(at_ns: int) -> None:
        if api.transfers.full:
            text = f"{TRANSFERS_MAX} backups and restores are under way"
            raise ApiError(ErrorCode.STREAM_RESTORE, err=text)
        api.advisories.restore_created(request, name, at_ns)
        transfer = Restore(api, request, config, wanted.state, fault, at_ns)
        api.transfers.add(transfer.token, transfer)
        api.answer(request, {"deliver_subject": transfer.subject}, at_ns)

    if fault is None:
        begin(now_ns)
    else:
        api.when_settled(request, begin, partial(api.run, restore, request), now_ns)


def _fault_of_stream(account: Account, config: StreamConfig) -> ApiError | None:
    """What nats-server finds out when it makes the stream: after the answer."""
    if config.num_replicas > 1:
        return ApiError(ErrorCode.STREAM_REPLICAS_NOT_SUPPORTED)
    return ApiError(ErrorCode.STREAM_SUBJECT_OVERLAP) if account.overlaps(config) else None


class Chunk(NamedTuple):
    reply: bytes
    body: bytes  # empty: the last one


class Restore:
    def __init__(
        self,
        api: ApiCore,
        request: Request,
        config: StreamConfig,
        told: StreamStateRequest,
        fault: ApiError | None,
        now_ns: int,
    ) -> None:
        self._api = api
        self._request = request
        self._config = config
        last_ns = 0 if told.last_ts.is_zero else max(told.last_ts.unix_ns, 0)
        self._bounds = (told.first_seq, told.last_seq, last_ns)
        self._started_ns = now_ns
        self.token = api.ids.event_id()
        self.subject = f"$JS.SNAPSHOT.RESTORE.{config.name}.{self.token}"

        self._stream = Stream(request.account, 0, config, now_ns)
        self._proposed = False  # the kernel knows it, or soon will
        self._created = False
        self._fault: ApiError | None = None
        if fault is not None:
            self._fail_with(f"error adding stream: {fault}")
        else:
            api.registry.add_restoring(self._stream)

        self._chunks: deque[Chunk] = deque()
        self._waiting_bytes = 0
        self._received_bytes = 0
        self._current: Chunk | None = None  # being worked off, not answered yet
        self._decompressor = Decompressor()
        self._head = bytearray()  # until it is known what kind of archive it is
        self._reader: ArchiveReader | TarArchiveReader | None = None
        self._last_seq = 0
        self._removals: deque[int] = deque()
        self._in_flight = 0
        self._removals_in_flight = 0
        self._completing = False
        self.ended = False
        self._stalled_ns = now_ns + STALL_NS
        self._consumers: list[Consumer] = []
        api.kernel.serve(request.account.id, self.subject.encode(), TRANSFER_SERVICE)

    # -- Transfer

    def message(self, event: RequestEvent, now_ns: int) -> None:
        if self._completing or self.ended:
            return
        self._stalled_ns = now_ns + STALL_NS
        name = f"restore for stream '{self._request.account.name} > {self._config.name}'"
        if not event.reply:
            self._fail_with(f"{name} requires reply subject for each chunk")
            self._end(b"", now_ns)
            return
        self._waiting_bytes += len(event.body)
        if self._waiting_bytes > WAITING_BYTES_MAX:
            self._fail_with(f"{name} received more than was answered")
        self._received_bytes += len(event.body)
        self._chunks.append(Chunk(event.reply, event.body))

    def readable(self, backup: int) -> None:
        """Of backups only."""

    def store_failed(self, text: str, now_ns: int) -> None:
        self._fault = ApiError(ErrorCode.STREAM_STORE_FAILED, err=text)
        self._completing = False

    def give_up(self, error: ApiError, now_ns: int) -> None:
        self._fault = error
        waiting = self._current or (self._chunks[0] if self._chunks else None)
        self._end(waiting.reply if waiting is not None else b"", now_ns)

    def deadline_ns(self) -> int | None:
        idle = not (self._completing or self._current or self._chunks)
        return self._stalled_ns if idle else None

    def step(self, now_ns: int) -> bool:
        if self.ended or self._completing:
            return False
        deadline_ns = self.deadline_ns()
        if deadline_ns is not None and now_ns >= deadline_ns:
            self._withdraw()  # nobody is there to be told
            return False
        if self._fault is None and self._busy():
            return False
        try:
            return self._advance(now_ns)
        except (ArchiveError, StoreError) as error:
            self._fail_with(str(error))
        except ApiError as error:
            self._fault = error
        self._completing = False
        return True

    # -- the archive

    def _busy(self) -> bool:
        """Waits for the kernel."""
        return (
            (self._proposed and not self._created)
            or self._in_flight >= ENTRIES_IN_FLIGHT_MAX
            or self._removals_in_flight >= REMOVALS_IN_FLIGHT_MAX
        )

    def _advance(self, now_ns: int) -> bool:
        if self._fault is not None:
            return self._tell_fault(now_ns)
        if self._reader is not None and self._take_from_archive(self._reader, now_ns):
            return True
        if block := self._decompressor.next():
            self._feed(block)
            return True
        if self._current is not None:
            self._answer(self._current.reply, b"")
            self._waiting_bytes -= len(self._current.body)
            self._current = None
            self._stalled_ns = now_ns + STALL_NS
        if not self._chunks:
            return False
        self._current = self._chunks.popleft()
        if not self._current.body:
            return self._all_received(now_ns)
        self._decompressor.feed(self._current.body)
        return True

    def _feed(self, block: bytes) -> None:
        """The archive says by its first bytes what it is; what stands behind its end is ignored."""
        if self._reader is not None:
            if not self._reader.ended:
                self._reader.feed(block)
            return
        self._head += block
        if len(self._head) < len(MAGIC):
            return
        if self._head.startswith(MAGIC):
            self._reader = ArchiveReader()
        else:
            self._reader = TarArchiveReader(self._config.name, *self._bounds)
        self._reader.feed(bytes(self._head))
        self._head.clear()

    def _take_from_archive(self, reader: ArchiveReader | TarArchiveReader, now_ns: int) -> bool:
        """False: it needs more of it."""
        if self._removals:
            self._propose_removals()
            return True
        if reader.at_messages:
            return not reader.ended and self._take_messages(reader)
        item = reader.next()
        if isinstance(item, ArchivedState):
            self._propose_stream(item, now_ns)
        elif isinstance(item, Removed):
            self._removals.extend(item.seqs)
        elif item is not None:
            self._propose_consumer(item, now_ns)
        return item is not None or (reader.at_messages and not reader.ended)

    def _propose_stream(self, state: ArchivedState, now_ns: int) -> None:
        self._last_seq = max(state.first_seq, 1) - 1
        first = msgspec.structs.replace(self._config, first_seq=state.first_seq)
        self._stream.created_ns = state.created_ns or now_ns
        self._check_room(state.bytes)

        def done(_: int, done_ns: int) -> None:
            self._created = True

        self._stream.id = self._propose(
            lambda token: self._api.kernel.propose_restore_begin(
                token,
                self._request.account.id,
                self._config.name.encode(),
                describe_stream(self._config, self._stream.created_ns),
                first.to_spec(),
            ),
            done,
        )
        self._proposed = True

    def _propose_consumer(self, item: ArchivedConsumer, now_ns: int) -> None:
        name = item.config.durable_name or item.config.name or item.name
        try:
            config = restored_config(self._api, self._stream, name, item.config)
        except ApiError as error:
            raise ArchiveError(f'failed to add consumer "{name}": {error}') from None
        consumer = Consumer(self._stream, 0, name, config, now_ns)
        consumer.id = self._propose(
            lambda token: self._api.kernel.propose_restored_consumer(
                token,
                self._stream.id,
                name.encode(),
                describe_consumer(name, config, now_ns),
                config.to_spec(memory_stream=self._config.is_memory),
                item.progress,
            ),
            self._landed,
        )
        self._in_flight += 1
        self._stream.add_consumer(consumer)
        self._consumers.append(consumer)

    def _take_messages(self, reader: ArchiveReader | TarArchiveReader) -> bool:
        def propose(token: int) -> RestoredBatch:
            batch = self._api.kernel.propose_restored_messages(
                token,
                self._stream.id,
                reader.records,
                self._last_seq,
                self._api.options.max_payload,
                self._config.max_msg_size,
            )
            if not batch.messages:
                self._api.forget_tokens(token)
            return batch

        batch = self._propose(propose, self._landed)
        self._in_flight += batch.messages > 0
        del reader.records[: batch.consumed]
        self._last_seq = batch.last_seq
        reader.ended = reader.ended or batch.ended
        if batch.messages:
            self._check_room(0)
        if batch.fault:
            raise ArchiveError(batch.fault)
        return batch.consumed > 0

    def _propose_removals(self) -> None:
        def done(_: int, done_ns: int) -> None:
            self._removals_in_flight -= 1

        def propose(token: int) -> None:
            self._api.kernel.propose_delete(token, self._stream.id, self._removals[0], False)

        while self._removals and self._removals_in_flight < REMOVALS_IN_FLIGHT_MAX:
            self._propose(propose, done)
            self._removals.popleft()
            self._removals_in_flight += 1

    def _landed(self, _: int, now_ns: int) -> None:
        self._in_flight -= 1

    def _propose(self, propose: Callable[[int], T], done: Committed) -> T:
        """Of a proposal that the kernel does not take up no token stays."""
        token = self._api.token(None, done)
        try:
            return propose(token)
        except StoreError:
            self._api.forget_tokens(token)
            raise

    def _check_room(self, coming_bytes: int) -> None:
        """The store's limit holds for what is restored too."""
        limits, stats = self._api.options.limits, self._api.kernel.store_stats()
        if self._config.is_memory:
            if 0 < limits.max_memory < stats.memory_bytes + coming_bytes:
                raise ApiError(ErrorCode.MEMORY_RESOURCES_EXCEEDED)
        elif 0 < limits.max_store < stats.file_bytes + coming_bytes:
            raise ApiError(ErrorCode.STORAGE_RESOURCES_EXCEEDED)

    # -- its end

    def _all_received(self, now_ns: int) -> bool:
        assert self._current is not None
        ended = self._reader is not None and self._reader.ended
        if not (ended and self._proposed and self._decompressor.complete):
            raise ArchiveError("the backup was truncated")
        if self._in_flight or self._removals_in_flight:
            self._chunks.appendleft(self._current)
            self._current = None
            return False
        self._completing = True
        self._propose_end(self._current.reply)
        return False

    def _propose_end(self, reply: bytes) -> None:
        assert self._reader is not None
        api, stream, state = self._api, self._stream, self._reader.state
        assert state is not None
        description = describe_stream(self._config, stream.created_ns)

        def done(_: int, done_ns: int) -> None:
            if self.ended:
                return
            try:
                self._show(reply, done_ns)
            finally:
                self._finish()

        if state.last_seq >= self._last_seq:
            last_seq, last_time_ns = state.last_seq, state.last_time_ns
            self._propose(
                lambda token: api.kernel.propose_restored_end(
                    token, stream.id, last_seq, last_time_ns
                ),
                self._landed,
            )
            self._in_flight += 1
        self._propose(
            lambda token: api.kernel.propose_stream_update(
                token, stream.id, description, self._config.to_spec()
            ),
            done,
        )

    def _show(self, reply: bytes, now_ns: int) -> None:
        api, stream = self._api, self._stream
        api.registry.show_restored(stream)
        api.links.configure(stream, now_ns)
        api.advisories.stream_action(stream, "create", now_ns)
        for consumer in self._consumers:
            if consumer.config.pause_until is not None:
                api.watch_pause(consumer)
        self._advise(now_ns)
        answer = {"type": _CREATE_RESPONSE} | restored_answer(api, stream, now_ns)
        self._answer(reply, encode(answer))

    def _fail_with(self, text: str) -> None:
        self._fault = self._fault or ApiError(ErrorCode.STREAM_RESTORE, err=text)

    def _tell_fault(self, now_ns: int) -> bool:
        """To whoever waits for the answer to a chunk, or sends the next."""
        if self._current is None:
            if not self._chunks:
                return False
            self._current = self._chunks.popleft()
        self._end(self._current.reply, now_ns)
        return False

    def _end(self, reply: bytes, now_ns: int) -> None:
        assert self._fault is not None
        try:
            self._advise(now_ns)
            if reply:
                answer = {"type": _CREATE_RESPONSE, "error": self._fault.to_json_object()}
                self._answer(reply, encode(answer))
        finally:
            self._withdraw()

    def _withdraw(self) -> None:
        """The hidden stream goes; if the store cannot take that up, it goes at the next start."""
        if self._stream.restoring:
            self._api.registry.remove_restoring(self._stream)
        if self._proposed and not self._api.failure:
            with suppress(StoreError):
                self._propose(
                    lambda token: self._api.kernel.propose_stream_delete(token, self._stream.id),
                    lambda _, __: None,
                )
        self._finish()

    def _finish(self) -> None:
        self._api.kernel.unserve(self._request.account.id, self.subject.encode())
        self._chunks.clear()
        self.ended = True

    def _advise(self, now_ns: int) -> None:
        self._api.advisories.restore_completed(
            self._request,
            self._config.name,
            start_ns=self._started_ns,
            end_ns=now_ns,
            received_bytes=self._received_bytes,
        )

    def _answer(self, reply: bytes, body: bytes) -> None:
        self._api.kernel.publish(self._request.account.id, reply, b"", b"", body)
