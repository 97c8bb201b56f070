"""What every handler needs: the request, how to answer it, how to propose a change and be called
when it is committed.

A handler either answers at once, or proposes and answers from the commit's callback, or is a
generator whose answer is too long for one step: it yields between slices. Whatever it raises as
ApiError is the answer, which is sent when it cannot become untrue any more (proposals.py).
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from slipstream.gotext.encode import encode
from slipstream.jetstream.api.api_request import Request, Scope
from slipstream.jetstream.api.long_answers import LongAnswers
from slipstream.jetstream.api.proposals import Committed, Proposals
from slipstream.jetstream.api.transfers import Transfers
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.jetstream.headers import header_value
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import ServerLimits
from slipstream.jetstream.registry import Account, Consumer, Registry, Stream
from slipstream.jetstream.sourcing.links import FeedKernel, Links
from slipstream.jetstream.unexpected import Report, unexpected
from slipstream.kernel.events import StorageEvent
from slipstream.kernel.specs import ConsumerSpec, StreamSpec
from slipstream.kernel.values import BackupPiece, ConsumerProgress, RestoredBatch, StoreError
from slipstream.protocol.errors import ApiError, ErrorCode

_INTEGER = re.compile(rb"([+-]?)0*([0-9]{1,19})")  # longer ones are no integers for Go
_PAUSE_ENDS_SPARE = 64  # outdated entries that may stay, beside as many as there are paused
_REQUIRED_LEVEL_HEADER = b"Nats-Required-Api-Level"


class SubjectListing(Protocol):
    """See _kernel.pyi."""

    @property
    def total(self) -> int: ...
    def step(self) -> tuple[bool, list[tuple[bytes, int]]]: ...


class KernelApi(FeedKernel, Protocol):
    """What the API uses of the kernel; see _kernel.pyi."""

    def account(self, name: bytes) -> int: ...
    def interest(self, account: int, subject: bytes) -> int: ...
    def set_account_storage_limits(self, account: int, memory: int, file: int, /) -> None: ...
    def unserve(self, account: int, subject: bytes) -> None: ...
    def literal_interest(self, account: int, subject: bytes) -> int: ...
    def consumers(self, stream: int) -> list[Any]: ...
    def propose_stream_create(
        self, token: int, account: int, name: bytes, description: bytes, spec: StreamSpec
    ) -> int: ...
    def propose_stream_update(
        self, token: int, stream: int, description: bytes, spec: StreamSpec
    ) -> None: ...
    def propose_stream_delete(self, token: int, stream: int) -> None: ...
    def propose_purge(
        self, token: int, stream: int, subject_filter: bytes, seq: int, keep: int, /
    ) -> None: ...
    def propose_delete(self, token: int, stream: int, seq: int, erase: bool) -> None: ...
    def propose_consumer_create(
        self, token: int, stream: int, name: bytes, description: bytes, spec: ConsumerSpec
    ) -> int: ...
    def start_consumer(self, stream: int, consumer: int) -> None: ...
    def unpin_consumer(self, stream: int, consumer: int) -> None: ...
    def propose_consumer_update(
        self, token: int, stream: int, consumer: int, description: bytes, spec: ConsumerSpec
    ) -> None: ...
    def propose_consumer_delete(self, token: int, stream: int, consumer: int) -> None: ...
    def propose_consumer_reset(self, token: int, stream: int, consumer: int, seq: int) -> None: ...
    def open_backup(self, stream: int, last_seq: int) -> int: ...
    def read_backup(self, backup: int, bytes_max: int) -> BackupPiece: ...
    def close_backup(self, backup: int) -> None: ...
    def consumer_progress(self, stream: int, consumer: int) -> ConsumerProgress: ...
    def propose_restore_begin(
        self, token: int, account: int, name: bytes, description: bytes, spec: StreamSpec
    ) -> int: ...
    def propose_restored_messages(
        self,
        token: int,
        stream: int,
        records: bytes | bytearray,
        last_seq: int,
        payload_bytes_max: int,
        message_bytes_max: int,
    ) -> RestoredBatch: ...
    def propose_restored_consumer(
        self,
        token: int,
        stream: int,
        name: bytes,
        description: bytes,
        spec: ConsumerSpec,
        progress: ConsumerProgress,
        /,
    ) -> int: ...
    def propose_restored_end(
        self, token: int, stream: int, last_seq: int, last_time_ns: int
    ) -> None: ...
    def store_stats(self) -> Any: ...
    def stream_deleted(self, stream: int, limit: int) -> list[int]: ...
    def list_subjects(
        self, stream: int, subject_filter: bytes, offset: int, limit: int, /
    ) -> SubjectListing: ...
    def count_pending(self, stream: int, consumer: int) -> bool: ...
    def consumer_state(self, stream: int, consumer: int) -> Any: ...
    def get_message(self, stream: int, seq: int) -> Any: ...
    def get_last(self, stream: int, subject: bytes) -> Any: ...
    def get_next(self, stream: int, subject: bytes, seq: int) -> Any: ...
    def first_at_or_after(self, stream: int, time_ns: int) -> int: ...


NO_ROOM_TOLD_NS = 10_000_000_000  # between two advisories about it


class Options(NamedTuple):
    """Of the server. `strict` refuses unknown fields in requests; a domain is "" when there is
    none.
    """

    server_name: str
    server_version: str
    limits: ServerLimits
    strict: bool = True
    domain: str = ""
    max_payload: int = 1 << 20
    server_id: str = ""


class ClientDescription(NamedTuple):
    """Who sent a request, for the audit."""

    start_ns: int
    host: str
    user: str = ""
    name: str = ""
    lang: str = ""
    version: str = ""
    rtt_ns: int = 0
    kind: str = "Client"
    client_type: str = "nats"


Handler = Callable[["ApiCore", Request, int], Iterator[None] | None]


class Advisories(Protocol):
    """advisories.py, seen from here."""

    def audit(self, request: Request, response: bytes, now_ns: int) -> None: ...
    def stream_action(self, stream: Stream, action: str, now_ns: int) -> None: ...
    def consumer_action(self, consumer: Consumer, action: str, now_ns: int) -> None: ...
    def consumer_pause(self, consumer: Consumer, now_ns: int) -> None: ...
    def snapshot_created(
        self, request: Request, stream: str, state: Mapping[str, Any], now_ns: int
    ) -> None: ...
    def snapshot_completed(
        self, request: Request, stream: str, *, start_ns: int, end_ns: int, error: str
    ) -> None: ...
    def restore_created(self, request: Request, stream: str, now_ns: int) -> None: ...
    def out_of_storage(self, account: Account, now_ns: int) -> None: ...
    def restore_completed(
        self, request: Request, stream: str, *, start_ns: int, end_ns: int, received_bytes: int
    ) -> None: ...
    def consumer_unpinned(
        self, consumer: Consumer, group: str, reason: str, now_ns: int
    ) -> None: ...


class ApiCore:
    def __init__(
        self,
        kernel: KernelApi,
        options: Options,
        ids: IdSource,
        advisories: Advisories,
        report: Report,
    ) -> None:
        self.kernel = kernel
        self.options = options
        self.ids = ids
        self.advisories = advisories
        self.registry = Registry()
        self.links = Links(kernel, ids, options.domain, report)
        self.transfers = Transfers(report)
        self.failure = ""  # of the store; not empty: no change is possible any more
        self.offline: dict[str, str] = {}  # why, by stream; never changed in place
        self._report = report
        self._answers = 0  # published so far
        self.no_room = ""  # on the disk of the store, and why: publishes are refused at present
        self._no_room_told_ns = -NO_ROOM_TOLD_NS
        self._proposals = Proposals()
        self._pause_ends: list[tuple[int, int, int]] = []
        self._pause_ends_max = _PAUSE_ENDS_SPARE
        self._long_answers = LongAnswers()
        self._lists_subjects = False

    # -- answers

    def answer(
        self, request: Request, fields: Mapping[str, Any], now_ns: int, header: bytes = b""
    ) -> None:
        self._send(request, encode({"type": _type(request)} | dict(fields)), now_ns, header)

    def answer_unaudited(
        self, request: Request, fields: Mapping[str, Any], header: bytes = b""
    ) -> None:
        """Reading a message is neither counted nor audited (S-108), nor is a consumer's reset."""
        self._publish_reply(request, encode({"type": _type(request)} | dict(fields)), header)

    def refuse(self, request: Request, error: ApiError, now_ns: int) -> None:
        request.account.api_errors += 1
        body = {"type": _type(request), "error": error.to_json_object()} | dict(request.on_error)
        self._send(request, encode(body), now_ns)

    def fail_operation(self, request: Request, error: ApiError, now_ns: int) -> None:
        """An error that nats-server does not count as one: the request was right, the operation
        failed.
        """
        fields = {"error": error.to_json_object()} | dict(request.on_error)
        self.answer(request, fields, now_ns)

    def _send(self, request: Request, body: bytes, now_ns: int, header: bytes = b"") -> None:
        request.account.api_total += 1
        self._publish_reply(request, body, header)
        self.advisories.audit(request, body, now_ns)

    def _publish_reply(self, request: Request, body: bytes, header: bytes = b"") -> None:
        self._answers += 1
        if request.reply:
            self.kernel.publish(request.account.id, request.reply, b"", header, body)

    # -- handlers

    def run(
        self,
        handler: Handler,
        request: Request,
        now_ns: int,
        *,
        level_first: bool = True,
        reads: bool = False,
    ) -> None:
        first_token, answers = self._proposals.next_token, self._answers
        try:
            if level_first:
                self.require_level(request)
            long_answer = handler(self, request, now_ns)
        except ApiError as error:
            self._refuse_when_settled(
                request,
                error,
                lambda at_ns: self.run(handler, request, at_ns, level_first=level_first),
                now_ns,
                reads=reads,
            )
            return
        except StoreError as error:
            self.forget_tokens(first_token)
            self.refuse(request, self._not_taken(error), now_ns)
            return
        except Exception as error:
            # Behind a proposal that the kernel took up handlers do nothing that may fail.
            self.forget_tokens(first_token)
            self._fail(request, error, answers, now_ns)
            return
        if long_answer is not None:
            self._long_answers.add(request.cid, (request, long_answer))

    def _refuse_when_settled(
        self,
        request: Request,
        error: ApiError,
        run: Callable[[int], None],
        now_ns: int,
        *,
        reads: bool,
    ) -> None:
        """A reader that did not find what is under way looks again, once; a change keeps its place
        in the order of the changes, and with it its refusal.
        """

        def refuse(at_ns: int) -> None:
            self.refuse(request, error, at_ns)

        if reads and self._proposals.concern(request.scopes):
            self.when_settled(request, run, run, now_ns)
        else:
            self.when_settled(request, refuse, run, now_ns)

    def run_slice(self, now_ns: int) -> bool:
        """One slice of the long answer whose turn it is. False when there is none."""
        if not self._long_answers:
            return False
        request, answer = self._long_answers.turn()
        answers = self._answers
        ended = True
        try:
            next(answer)
            ended = False
        except StopIteration:
            pass
        except ApiError as error:
            self.refuse(request, error, now_ns)
        except Exception as error:
            self._fail(request, error, answers, now_ns)
        self._long_answers.end_turn(ended=ended)
        return bool(self._long_answers)

    def list_subjects(
        self, stream: Stream, subject_filter: str, offset: int, limit: int
    ) -> Generator[list[tuple[bytes, int]], None, int]:
        """A page of subjects with their counts, in parts; in the end how many match. One listing at
        a time, because each holds the names of up to millions.
        """
        while self._lists_subjects:
            yield []
        self._lists_subjects = True
        try:
            listing = self.kernel.list_subjects(stream.id, subject_filter.encode(), offset, limit)
            more = True
            while more:
                more, part = listing.step()
                yield part
            return listing.total
        finally:
            self._lists_subjects = False

    def _fail(self, request: Request | None, error: Exception, answers: int, now_ns: int) -> None:
        """A step for this request raised what no code expected: it is answered with the id under
        which the log has it, unless the step had answered already (`answers`: how many there were
        before it).
        """
        what = "a change that the server made by itself" if request is None else request.subject
        id_ = self._report(what, error)
        if request is None or self._answers > answers:
            return
        if request.type:
            self.refuse(request, unexpected(id_), now_ns)
        else:  # of a pull, which is answered with a status
            self._publish_reply(request, b"", f"NATS/1.0 500 {unexpected(id_)}\r\n\r\n".encode())

    def require_level(self, request: Request) -> None:
        """The sender may ask for a minimal API level (S-111)."""
        wanted = header_value(request.header, _REQUIRED_LEVEL_HEADER)
        if not wanted:
            return
        number = _INTEGER.fullmatch(wanted)
        if number is None or not -(2**63) <= int(number[1] + number[2]) <= API_LEVEL:
            raise ApiError(ErrorCode.REQUIRED_API_LEVEL)

    # -- pauses

    def watch_pause(self, consumer: Consumer) -> None:
        """When the pause ends by itself, an advisory says so."""
        entry = (consumer.config.pause_until_ns, consumer.stream.id, consumer.id)
        heapq.heappush(self._pause_ends, entry)
        if len(self._pause_ends) > self._pause_ends_max:
            self._drop_changed_pauses()

    def next_pause_end_ns(self) -> int | None:
        return self._pause_ends[0][0] if self._pause_ends else None

    def end_pauses(self, now_ns: int) -> None:
        while self._pause_ends and self._pause_ends[0][0] <= now_ns:
            consumer = self._paused_consumer(heapq.heappop(self._pause_ends))
            if consumer is not None:
                self.advisories.consumer_pause(consumer, now_ns)

    def _paused_consumer(self, entry: tuple[int, int, int]) -> Consumer | None:
        """Nothing if it is gone, or its pause was changed since."""
        end_ns, stream_id, consumer_id = entry
        stream = self.registry.streams.get(stream_id)
        consumer = stream.consumers_by_id.get(consumer_id) if stream is not None else None
        return consumer if consumer and consumer.config.pause_until_ns == end_ns else None

    def _drop_changed_pauses(self) -> None:
        """Leaves one entry for each paused consumer: clients pause the same ones repeatedly."""
        self._pause_ends = sorted({e for e in self._pause_ends if self._paused_consumer(e)})
        self._pause_ends_max = 2 * len(self._pause_ends) + _PAUSE_ENDS_SPARE

    # -- proposals

    def token(
        self, request: Request | None, callback: Committed, scopes: Iterable[Scope] = ()
    ) -> int:
        """A token for a proposal, of the request's scopes; the callback runs when it is committed.

        The request is refused instead when the proposal never can be, or when the callback raises
        ApiError.
        """
        if self.failure:
            raise self._store_error()
        if request is not None:
            scopes = request.scopes
        return self._proposals.add(scopes, request, callback)

    def forget_tokens(self, first: int) -> None:
        """Those from `first` on: the kernel did not take up their proposals."""
        self._proposals.forget(first)

    def when_settled(
        self,
        request: Request,
        answer: Callable[[int], None],
        judge_again: Callable[[int], None],
        now_ns: int,
    ) -> None:
        """Calls `answer` when all is committed that the request may have been judged by, which is
        at once when nothing is under way; `judge_again` instead when some of it failed.
        """
        if not self._proposals.concern(request.scopes):
            self._step(request, lambda: answer(now_ns), now_ns)
        elif self.failure:
            self.refuse(request, self._store_error(), now_ns)
        elif not self._proposals.hold(request, answer, judge_again):
            self.refuse(request, ApiError(ErrorCode.INSUFFICIENT_RESOURCES), now_ns)

    def committed(self, token: int, result: int, now_ns: int) -> None:
        """What one caller raises is its own; the others are called all the same."""
        callers, held = self._proposals.committed(token)
        for request, callback in callers:
            self._step(request, lambda: callback(result, now_ns), now_ns)  # noqa: B023
        for one in held:
            self._step(one.request, lambda: one.answer(now_ns), now_ns)  # noqa: B023

    def _step(self, request: Request | None, step: Callable[[], None], now_ns: int) -> None:
        answers = self._answers
        try:
            step()
        except Exception as error:
            if request is not None and isinstance(error, ApiError):
                self.refuse(request, error, now_ns)
            else:
                self._fail(request, error, answers, now_ns)

    def abandoned(self, token: int, reason: str, now_ns: int) -> None:
        """The proposal's stream went offline before it was applied."""
        callers, held = self._proposals.abandoned(token)
        for request, _ in callers:
            if request is not None:
                self.refuse(request, offline_error(reason), now_ns)
        for one in held:
            self._step(one.request, lambda: one.judge_again(now_ns), now_ns)  # noqa: B023

    def stream_offline(self, id_: int, reason: str) -> None:
        stream = self.registry.streams.get(id_)
        if stream is not None:
            stream.offline = reason
            self.offline = self.offline | {stream.name: reason}
            self.links.remove(stream)

    def offline_stream_deleted(self, stream: Stream) -> None:
        self.offline = {name: why for name, why in self.offline.items() if name != stream.name}

    def store_failed(self, text: str, now_ns: int) -> None:
        """What is under way is refused, and every later change."""
        self.failure = text
        for request in self._proposals.store_failed():
            error = self._store_error()
            self._step(request, lambda: self.refuse(request, error, now_ns), now_ns)  # noqa: B023
        self.transfers.store_failed(text, now_ns)

    def storage_changed(self, event: StorageEvent, now_ns: int) -> None:
        self.no_room = event.text if event.is_full else ""
        if event.is_full and now_ns - self._no_room_told_ns >= NO_ROOM_TOLD_NS:
            self._no_room_told_ns = now_ns
            for account in self.registry.accounts.values():
                self.advisories.out_of_storage(account, now_ns)

    def _not_taken(self, error: StoreError) -> ApiError:
        """The kernel did not take up a proposal."""
        if self.no_room and not self.failure:
            return ApiError.because(ErrorCode.STORAGE_RESOURCES_EXCEEDED, self.no_room)
        return ApiError(ErrorCode.STREAM_STORE_FAILED, err=error)

    def _store_error(self) -> ApiError:
        return ApiError(ErrorCode.STREAM_STORE_FAILED, err=self.failure)

    # -- lookups

    def stream(self, request: Request, name: str) -> Stream:
        """For readers."""
        stream = request.account.find(name)
        if stream is None:
            raise ApiError(ErrorCode.STREAM_NOT_FOUND)
        _require_online(stream)
        return stream

    def stream_to_change(self, request: Request, name: str) -> Stream:
        """Includes one whose creation is under way: its log takes further proposals already."""
        stream = self.stream_to_delete(request, name)
        _require_online(stream)
        return stream

    def stream_to_delete(self, request: Request, name: str) -> Stream:
        """Includes one that is offline."""
        stream = request.account.streams.get(name)
        if stream is None or stream.restoring:
            raise ApiError(ErrorCode.STREAM_NOT_FOUND)
        return stream

    def stream_state(self, stream: Stream) -> Any:
        """The kernel may have applied a later deletion already; then there is no such stream for
        this request either.
        """
        try:
            return self.kernel.stream_state(stream.id)
        except KeyError:
            raise ApiError(ErrorCode.STREAM_NOT_FOUND) from None

    def counted(self, consumer: Consumer) -> Iterator[None]:
        """Goes before `consumer_state`: to count what is pending may take many slices, if the
        filters have wildcards and the stream has millions of messages.
        """
        while not self.kernel.count_pending(consumer.stream.id, consumer.id):
            yield

    def when_counted(self, consumer: Consumer, answer: Callable[[], None]) -> Iterator[None] | None:
        """Calls `answer` when `consumer_state` costs little: at once if it does now, or by the
        steps that it returns.
        """
        steps = self._counted_then(consumer, answer)
        return steps if next(steps, self) is None else None

    def answer_when_counted(
        self, request: Request, consumer: Consumer, answer: Callable[[], None]
    ) -> None:
        """The same for what is already committed: that is answered however many others wait."""
        if (steps := self.when_counted(consumer, answer)) is not None:
            self._long_answers.add(request.cid, (request, steps), always=True)

    def _counted_then(self, consumer: Consumer, answer: Callable[[], None]) -> Iterator[None]:
        yield from self.counted(consumer)
        answer()

    def consumer_state(self, consumer: Consumer) -> Any:
        try:
            return self.kernel.consumer_state(consumer.stream.id, consumer.id)
        except KeyError:
            raise ApiError(ErrorCode.CONSUMER_NOT_FOUND) from None

    def check(self) -> None:
        """Invariants, for tests."""
        self.registry.check()
        self.links.check()
        self._proposals.check()

    def domain_field(self) -> dict[str, str]:
        return {"domain": self.options.domain} if self.options.domain else {}


def _require_online(stream: Stream) -> None:
    if stream.offline:
        raise offline_error(stream.offline)


def offline_error(reason: str) -> ApiError:
    return ApiError(ErrorCode.STREAM_OFFLINE_REASON, err=reason)


def _type(request: Request) -> str:
    return f"io.nats.jetstream.api.v1.{request.type}"
