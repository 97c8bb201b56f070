"""Which subject is whose: the table of the API, and the object that the server shell drives."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from slipstream.gotext.times import ZERO_TIME
from slipstream.jetstream.api import (
    account,
    consumer_reset,
    consumer_unpin,
    consumers,
    malformed_pulls,
    messages,
    monitoring,
    refused,
    restores,
    snapshots,
    streams,
)
from slipstream.jetstream.api.advisories import AdvisoryWriter
from slipstream.jetstream.api.api_request import STREAMS, Request, Scope
from slipstream.jetstream.api.core import ApiCore, ClientDescription, Handler, KernelApi, Options
from slipstream.jetstream.api.transfers import TRANSFER_SERVICE
from slipstream.jetstream.api_level import require_known_level
from slipstream.jetstream.descriptions import read_consumer, read_stream
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import AccountLimits, ServerLimits, TieredLimits, tier_name
from slipstream.jetstream.registry import Account, Consumer, Stream
from slipstream.jetstream.sourcing.links import SOURCING_SERVICE
from slipstream.jetstream.unexpected import Report, raise_again
from slipstream.kernel.events import (
    AbandonedEvent,
    AdvisoryEvent,
    BackupReadableEvent,
    BatchAbandonedEvent,
    CommittedEvent,
    DamageEvent,
    Event,
    FailedEvent,
    FeedEvent,
    InactiveEvent,
    RequestEvent,
    RequestQueue,
    RequestsDroppedEvent,
    StorageEvent,
    StreamOfflineEvent,
)
from slipstream.protocol.errors import ApiError, ErrorCode

# The number under which the kernel reports requests to this API.
JETSTREAM_SERVICE = 1
_PREFIX = "$JS.API."


class Route(NamedTuple):
    """`words` is how many tokens may follow the verb; the first names the stream. With
    `level_first` the header with the minimal level is judged first. `defines`: other streams are
    judged by what this changes. `reads`: it finds what is committed, and changes nothing.
    """

    handler: Handler
    type: str
    words: range
    on_error: Mapping[str, Any] = {}
    level_first: bool = True
    defines: bool = False
    reads: bool = False

    def scopes(self, account: int, words: Sequence[str]) -> tuple[Scope, ...]:
        own = tuple(Scope(account, name) for name in words[:1])
        return (*own, STREAMS) if self.defines else own


_NONE, _ONE, _TWO, _ANY = range(0, 1), range(1, 2), range(2, 3), range(1, 1_000_000)
_NO_PAGE = {"total": 0, "offset": 0, "limit": 0}
_NOT_PAUSED = {"paused": False, "pause_until": ZERO_TIME}

ROUTES = {
    "INFO": Route(account.account_info, "account_info_response", _NONE),
    "STREAM.CREATE": Route(streams.create, "stream_create_response", _ONE, defines=True),
    "STREAM.UPDATE": Route(streams.update, "stream_update_response", _ONE, defines=True),
    "STREAM.DELETE": Route(streams.delete, "stream_delete_response", _ONE, defines=True),
    "STREAM.PURGE": Route(streams.purge, "stream_purge_response", _ONE, {"purged": 0}),
    "STREAM.INFO": Route(streams.info, "stream_info_response", _ONE, _NO_PAGE, reads=True),
    "STREAM.NAMES": Route(
        streams.names, "stream_names_response", _NONE, _NO_PAGE | {"streams": None}
    ),
    "STREAM.LIST": Route(streams.list_, "stream_list_response", _NONE, _NO_PAGE | {"streams": []}),
    "STREAM.MSG.GET": Route(messages.get, "stream_msg_get_response", _ONE, reads=True),
    "STREAM.MSG.DELETE": Route(messages.delete, "stream_msg_delete_response", _ONE),
    "CONSUMER.CREATE": Route(consumers.create, "consumer_create_response", _ANY, level_first=False),
    "CONSUMER.DURABLE.CREATE": Route(
        consumers.create_durable, "consumer_create_response", _TWO, level_first=False
    ),
    "CONSUMER.DELETE": Route(consumers.delete, "consumer_delete_response", _TWO),
    "CONSUMER.INFO": Route(
        consumers.info, "consumer_info_response", _TWO, level_first=False, reads=True
    ),
    "CONSUMER.NAMES": Route(
        consumers.names, "consumer_names_response", _ONE, _NO_PAGE | {"consumers": []}, reads=True
    ),
    "CONSUMER.LIST": Route(
        consumers.list_, "consumer_list_response", _ONE, _NO_PAGE | {"consumers": []}, reads=True
    ),
    "CONSUMER.PAUSE": Route(
        consumers.pause, "consumer_pause_response", _TWO, _NOT_PAUSED, level_first=False
    ),
    "CONSUMER.UNPIN": Route(consumer_unpin.unpin, "consumer_unpin_response", _TWO, reads=True),
    "CONSUMER.MSG.NEXT": Route(malformed_pulls.refuse, "", _TWO, level_first=False),
    "CONSUMER.RESET": Route(
        consumer_reset.reset,
        "consumer_reset_response",
        _TWO,
        {"reset_seq": 0},
        level_first=False,
    ),
    "STREAM.SNAPSHOT": Route(snapshots.snapshot, "stream_snapshot_response", _ONE, reads=True),
    "STREAM.RESTORE": Route(
        restores.restore, "stream_restore_response", _ONE, {"deliver_subject": ""}, defines=True
    ),
    **{
        verb: Route(refused.needs_cluster, f"{type_}_response", words, level_first=False)
        for verb, type_, words in (
            ("STREAM.LEADER.STEPDOWN", "stream_leader_stepdown", _ONE),
            ("CONSUMER.LEADER.STEPDOWN", "consumer_leader_stepdown", _TWO),
            ("STREAM.PEER.REMOVE", "stream_remove_peer", _ONE),
            ("STREAM.PEER.EVACUATE", "stream_evacuate_peer", _ONE),
            ("STREAM.CANCEL_MOVE", "stream_cancel_move", _ONE),
        )
    },
}
_VERB_TOKENS_MAX = 3


def find_route(tokens: Sequence[str]) -> tuple[Route, list[str]] | None:
    """The route and the words behind its verb; the longest verb wins."""
    for length in range(min(_VERB_TOKENS_MAX, len(tokens)), 0, -1):
        route = ROUTES.get(".".join(tokens[:length]))
        if route is not None and len(tokens) - length in route.words:
            return route, list(tokens[length:])
    return None


class JetStreamApi:
    """See the package's docstring for the order of use."""

    def __init__(
        self,
        kernel: KernelApi,
        options: Options,
        ids: IdSource,
        describe_client: Callable[[int], ClientDescription | None],
        report: Report = raise_again,
    ) -> None:
        """`report` writes down what no code expected; the request gets the id that it returns."""
        self._advisories = AdvisoryWriter(kernel, options, ids, describe_client)
        self._core = ApiCore(kernel, options, ids, self._advisories, report)
        self._kernel = kernel

    def add_account(self, name: str, limits: AccountLimits | TieredLimits) -> None:
        """Enables JetStream for an account. At most once for each."""
        id_ = self._kernel.account(name.encode())
        account = Account(name, id_, limits)
        self._core.registry.add_account(account)
        self._core.links.add_account(account)
        self._kernel.serve(id_, f"{_PREFIX}>".encode(), JETSTREAM_SERVICE)
        # One server keeps one replica of everything.
        own = limits if isinstance(limits, AccountLimits) else limits.tiers.get(tier_name(1))
        if own is not None:
            self._kernel.set_account_storage_limits(id_, own.max_memory, own.max_store)

    def set_limits(self, limits: ServerLimits) -> None:
        """For what is created or updated from now on."""
        self._core.options = self._core.options._replace(limits=limits)

    def recover(self, records: Sequence[Any]) -> None:
        """`records` are the kernel's StreamRecords. Raises LevelError for what needs a later
        version, DecodeError or KeyError for what no server of ours wrote.
        """
        accounts = {a.name: a for a in self._core.registry.accounts.values()}
        for record in records:
            if not record.description:  # its checkpoint is lost, and with it what is known of it
                unknown = {f"number {record.stream}": record.offline}
                self._core.offline = self._core.offline | unknown
                continue
            description = read_stream(record.description)
            named = f'stream "{description.config.name}"'
            require_known_level(named, description.config.metadata)
            owner = accounts[record.account.decode()]
            stream = Stream(owner, record.stream, description.config, description.created_ns)
            self._core.registry.add_stream(stream)
            if record.offline:
                self._core.stream_offline(stream.id, record.offline)
            for found in self._kernel.consumers(record.stream):
                known = read_consumer(found.description)
                require_known_level(f'consumer "{known.name}" of {named}', known.config.metadata)
                consumer = Consumer(
                    stream, found.consumer, known.name, known.config, known.created_ns
                )
                stream.add_consumer(consumer)
                if known.config.pause_until is not None:
                    self._core.watch_pause(consumer)
        for stream in self._core.registry.streams.values():
            if not stream.offline:
                self._core.links.configure(stream, 0)

    def handle(self, event: Event, now_ns: int) -> bool:
        """One event of the kernel. False when it is not JetStream's."""
        core = self._core
        if isinstance(event, RequestEvent):
            if event.service == SOURCING_SERVICE:
                core.links.answered(event, now_ns)
            elif event.service == TRANSFER_SERVICE:
                core.transfers.message(event, now_ns)
            elif event.service == JETSTREAM_SERVICE:
                self._request(event, now_ns)
            else:
                return False
        elif isinstance(event, CommittedEvent):
            core.committed(event.token, event.result, now_ns)
        elif isinstance(event, AdvisoryEvent):
            if (consumer := self._find(event.stream, event.consumer)) is not None:
                self._advisories.delivery(consumer, event, now_ns)
        elif isinstance(event, BatchAbandonedEvent):
            if (stream := core.registry.streams.get(event.stream)) is not None:
                self._advisories.batch_abandoned(stream, event, now_ns)
        elif isinstance(event, InactiveEvent):
            consumer = self._find(event.stream, event.consumer)
            if consumer is not None and not core.failure:
                consumers.delete_inactive(core, consumer)
        elif isinstance(event, StreamOfflineEvent):
            core.stream_offline(event.stream, event.reason)
        elif isinstance(event, DamageEvent):
            stream = core.registry.streams.get(event.stream)
            if stream is not None and event.seq:
                stream.damaged.append(event.seq)
                self._advisories.message_damaged(stream, event.seq, now_ns)
        elif isinstance(event, AbandonedEvent):
            core.abandoned(event.token, event.reason, now_ns)
        elif isinstance(event, RequestsDroppedEvent):
            for account in core.registry.accounts.values():
                if event.queue is RequestQueue.ADVISORIES:
                    break  # one more would have no room either
                self._advisories.requests_dropped(account, event.dropped, now_ns)
        elif isinstance(event, FeedEvent):
            core.links.feed_stopped(event, now_ns)
        elif isinstance(event, BackupReadableEvent):
            core.transfers.readable(event.backup)
        elif isinstance(event, FailedEvent):
            core.store_failed(event.text, now_ns)
        elif isinstance(event, StorageEvent):
            core.storage_changed(event, now_ns)
        else:
            return False
        return True

    def step(self, now_ns: int) -> bool:
        """Due timers, a slice of a transfer and one of a long answer. True while there is more to
        do at once.
        """
        self._core.end_pauses(now_ns)
        core = self._core
        more = core.links.step(now_ns)
        more = core.transfers.step(now_ns) or more
        return core.run_slice(now_ns) or more

    def deadline_ns(self) -> int | None:
        """When `step` has a timer to serve."""
        core = self._core
        due = (core.next_pause_end_ns(), core.links.next_due_ns(), core.transfers.deadline_ns())
        return min((at for at in due if at is not None), default=None)

    @property
    def offline_streams(self) -> dict[str, str]:
        """Why they are, by name. Replaced as a whole: any thread may read it."""
        return self._core.offline

    def stream_name(self, stream: int) -> str:
        """As a log line names it."""
        found = self._core.registry.streams.get(stream)
        return f"'number {stream}'" if found is None else f"'{found.account.name} > {found.name}'"

    def account_statistics(self, name: str) -> dict[str, Any]:
        """What the account's own INFO request is answered with, without its type."""
        return monitoring.account_statistics(self._core, self._account(name))

    def statistics(self) -> Generator[None, None, monitoring.ServerStatistics]:
        return monitoring.server_statistics(self._core)

    def account_overview(self, name: str) -> Generator[None, None, dict[str, Any]]:
        """An entry of account_details in /jsz, without its streams."""
        return monitoring.account_overview(self._core, self._account(name))

    def stream_details(
        self, name: str, now_ns: int, *, consumers: bool = False, config: bool = False
    ) -> Iterator[list[dict[str, Any]]]:
        """The streams of that entry, slice by slice."""
        detail = monitoring.Detail(consumers, config)
        return monitoring.stream_details(self._core, self._account(name), detail, now_ns)

    def consumer_names(self, name: str, stream: str) -> list[str] | None:
        """None when the account has no such stream."""
        found = self._account(name).find(stream)
        return None if found is None else found.consumer_names()

    def check(self) -> None:
        """Invariants, for tests."""
        self._core.check()

    def _account(self, name: str) -> Account:
        return next(a for a in self._core.registry.accounts.values() if a.name == name)

    def _find(self, stream_id: int, consumer_id: int) -> Consumer | None:
        stream = self._core.registry.streams.get(stream_id)
        return stream.consumers_by_id.get(consumer_id) if stream is not None else None

    def _request(self, event: RequestEvent, now_ns: int) -> None:
        subject = event.subject.decode("utf-8", "replace")
        tokens = subject.split(".")
        found = find_route(tokens[2:])  # behind $JS.API
        if found is None:
            return  # nobody answers an unknown verb (S-096)
        route, words = found
        known = self._core.registry.accounts.get(event.account)
        request = Request(
            account=known or Account("", event.account, AccountLimits()),
            cid=event.cid,
            subject=subject,
            reply=event.reply,
            header=event.header,
            body=event.body,
            words=words,
            type=route.type,
            on_error=route.on_error,
            scopes=route.scopes(event.account, words),
        )
        if known is None:
            self._core.refuse(request, ApiError(ErrorCode.NOT_ENABLED_FOR_ACCOUNT), now_ns)
            return
        self._core.run(
            route.handler, request, now_ns, level_first=route.level_first, reads=route.reads
        )
