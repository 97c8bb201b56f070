"""$JS.EVENT.>: what happened to streams and consumers, and who used the API (S-246..S-248,
C-143..C-151).

An advisory costs nothing while nobody listens: interest is asked for before anything is built. A
stream that captures $JS.EVENT.> listens too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slipstream.gotext.encode import encode
from slipstream.gotext.times import format_time
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ClientDescription, KernelApi, Options
from slipstream.jetstream.api.state import pause_remaining_ns, pause_until_text
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.registry import Account, Consumer, Stream
from slipstream.kernel.events import AdvisoryEvent, BatchAbandonedEvent

AUDIT_SUBJECT = "$JS.EVENT.ADVISORY.API"
_STREAM_VERBS = {"create": "CREATED", "delete": "DELETED", "modify": "UPDATED"}
_CONSUMER_VERBS = {"create": "CREATED", "delete": "DELETED"}


class AdvisoryWriter:
    def __init__(
        self,
        kernel: KernelApi,
        options: Options,
        ids: IdSource,
        describe_client: Callable[[int], ClientDescription | None],
    ) -> None:
        self._kernel = kernel
        self._options = options
        self._ids = ids
        self._describe_client = describe_client

    def audit(self, request: Request, response: bytes, now_ns: int) -> None:
        if not self._wanted(request.account, AUDIT_SUBJECT):
            return
        fields: dict[str, Any] = {
            "server": self._options.server_name,
            "client": self._client(request),
            "subject": request.subject,
        }
        if request.body:
            fields["request"] = request.body.decode("utf-8", "replace")
        fields["response"] = response.decode()
        self._publish(request.account, AUDIT_SUBJECT, "advisory.v1.api_audit", fields, now_ns)

    def requests_dropped(self, account: Account, count: int, now_ns: int) -> None:
        """Requests came faster than they were answered (S-257)."""
        subject = "$JS.EVENT.ADVISORY.API.LIMIT_REACHED"
        if self._wanted(account, subject):
            fields = {"server": self._options.server_name, "dropped": count}
            self._publish(account, subject, "advisory.v1.api_limit_reached", fields, now_ns)

    def out_of_storage(self, account: Account, now_ns: int) -> None:
        """The disk of the store has no room (S-238)."""
        subject = "$JS.EVENT.ADVISORY.SERVER.OUT_OF_STORAGE"
        if self._wanted(account, subject):
            options = self._options
            fields = {"server": options.server_name, "server_id": options.server_id}
            self._publish(account, subject, "advisory.v1.server_out_of_space", fields, now_ns)

    def stream_action(self, stream: Stream, action: str, now_ns: int) -> None:
        subject = f"$JS.EVENT.ADVISORY.STREAM.{_STREAM_VERBS[action]}.{stream.name}"
        if self._wanted(stream.account, subject):
            fields = {"stream": stream.name, "action": action}
            self._publish(stream.account, subject, "advisory.v1.stream_action", fields, now_ns)

    def batch_abandoned(self, stream: Stream, event: BatchAbandonedEvent, now_ns: int) -> None:
        subject = f"$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.{stream.name}"
        if self._wanted(stream.account, subject):
            fields = {
                "stream": stream.name,
                "batch": event.batch.decode("utf-8", "replace"),
                "reason": event.reason,
            }
            type_ = "advisory.v1.stream_batch_abandoned"
            self._publish(stream.account, subject, type_, fields, now_ns)

    def message_damaged(self, stream: Stream, seq: int, now_ns: int) -> None:
        """An advisory of ours: nats-server has none for this."""
        subject = f"$JS.EVENT.ADVISORY.STREAM.MSG_DAMAGED.{stream.name}"
        if self._wanted(stream.account, subject):
            fields = {"stream": stream.name, "stream_seq": seq}
            type_ = "advisory.v1.stream_msg_damaged"
            self._publish(stream.account, subject, type_, fields, now_ns)

    def consumer_action(self, consumer: Consumer, action: str, now_ns: int) -> None:
        self._of_consumer(
            consumer,
            f"ADVISORY.CONSUMER.{_CONSUMER_VERBS[action]}",
            "advisory.v1.consumer_action",
            {"action": action},
            now_ns,
        )

    def consumer_pause(self, consumer: Consumer, now_ns: int) -> None:
        fields = {
            "paused": pause_remaining_ns(consumer.config, now_ns) > 0,
            "pause_until": pause_until_text(consumer.config),
        }
        subject, type_ = "ADVISORY.CONSUMER.PAUSE", "advisory.v1.consumer_pause"
        self._of_consumer(consumer, subject, type_, fields, now_ns)

    def snapshot_created(
        self, request: Request, stream: str, state: Mapping[str, Any], now_ns: int
    ) -> None:
        fields = {"state": state}
        self._transfer(request, "SNAPSHOT_CREATE", stream, fields, {}, now_ns)

    def snapshot_completed(
        self, request: Request, stream: str, *, start_ns: int, end_ns: int, error: str
    ) -> None:
        times = {"start": format_time(start_ns), "end": format_time(end_ns)}
        failed = {"error": error} if error else {}
        self._transfer(request, "SNAPSHOT_COMPLETE", stream, times, failed, end_ns)

    def restore_created(self, request: Request, stream: str, now_ns: int) -> None:
        self._transfer(request, "RESTORE_CREATE", stream, {}, {}, now_ns)

    def restore_completed(
        self, request: Request, stream: str, *, start_ns: int, end_ns: int, received_bytes: int
    ) -> None:
        fields: dict[str, Any] = {
            "start": format_time(start_ns),
            "end": format_time(end_ns),
            "bytes": received_bytes,
        }
        self._transfer(request, "RESTORE_COMPLETE", stream, fields, {}, end_ns)

    def _transfer(
        self,
        request: Request,
        event: str,
        stream: str,
        fields: dict[str, Any],
        more: dict[str, Any],
        now_ns: int,
    ) -> None:
        """`more` stands behind the client."""
        subject = f"$JS.EVENT.ADVISORY.STREAM.{event}.{stream}"
        if not self._wanted(request.account, subject):
            return
        shown = {"stream": stream} | fields | {"client": self._client(request)} | more
        self._publish(request.account, subject, f"advisory.v1.{event.lower()}", shown, now_ns)

    def consumer_pinned(self, consumer: Consumer, group: str, pin_id: str, now_ns: int) -> None:
        fields = {"group": group, "pinned_id": pin_id}
        subject, type_ = "ADVISORY.CONSUMER.PINNED", "advisory.v1.consumer_group_pinned"
        self._of_group(consumer, subject, type_, fields, now_ns)

    def consumer_unpinned(self, consumer: Consumer, group: str, reason: str, now_ns: int) -> None:
        fields = {"group": group, "reason": reason}
        subject, type_ = "ADVISORY.CONSUMER.UNPINNED", "advisory.v1.consumer_group_unpinned"
        self._of_group(consumer, subject, type_, fields, now_ns)

    def _of_group(
        self, consumer: Consumer, subject: str, type_: str, fields: dict[str, Any], now_ns: int
    ) -> None:
        """These name the account, before all else."""
        account = {"account": consumer.stream.account.name}
        self._of_consumer(consumer, subject, type_, fields, now_ns, before=account)

    def delivery(self, consumer: Consumer, event: AdvisoryEvent, now_ns: int) -> None:
        """What the kernel noticed while it delivered."""
        if event.kind in ("pinned", "unpinned"):
            tell = self.consumer_pinned if event.kind == "pinned" else self.consumer_unpinned
            group = event.group.decode("utf-8", "replace")
            tell(consumer, group, event.reason.decode("utf-8", "replace"), now_ns)
            return
        consumer_seq = {"consumer_seq": event.consumer_seq}
        stream_seq = {"stream_seq": event.stream_seq}
        deliveries = {"deliveries": event.deliveries}
        sequences = consumer_seq | stream_seq
        reason = {"reason": event.reason.decode("utf-8", "replace")} if event.reason else {}
        kinds: dict[str, tuple[str, str, dict[str, Any]]] = {
            "max_deliver": (
                "ADVISORY.CONSUMER.MAX_DELIVERIES",
                "advisory.v1.max_deliver",
                stream_seq | deliveries,
            ),
            "nak": ("ADVISORY.CONSUMER.MSG_NAKED", "advisory.v1.nak", sequences | deliveries),
            "terminated": (
                "ADVISORY.CONSUMER.MSG_TERMINATED",
                "advisory.v1.terminated",
                sequences | deliveries | reason,
            ),
            "ack_sample": (
                "METRIC.CONSUMER.ACK",
                "metric.v1.consumer_ack",
                sequences | {"ack_time": event.delay_ns} | deliveries,
            ),
        }
        subject, type_, fields = kinds[event.kind]
        self._of_consumer(consumer, subject, type_, fields, now_ns)

    def _of_consumer(
        self,
        consumer: Consumer,
        subject: str,
        type_: str,
        fields: dict[str, Any],
        now_ns: int,
        before: dict[str, Any] | None = None,
    ) -> None:
        stream = consumer.stream
        full_subject = f"$JS.EVENT.{subject}.{stream.name}.{consumer.name}"
        if self._wanted(stream.account, full_subject):
            named = (before or {}) | {"stream": stream.name, "consumer": consumer.name} | fields
            self._publish(stream.account, full_subject, type_, named, now_ns)

    def _wanted(self, account: Account, subject: str) -> bool:
        return self._kernel.interest(account.id, subject.encode()) > 0 or account.captures(subject)

    def _publish(
        self, account: Account, subject: str, type_: str, fields: dict[str, Any], now_ns: int
    ) -> None:
        event = {
            "type": f"io.nats.jetstream.{type_}",
            "id": self._ids.event_id(),
            "timestamp": format_time(now_ns),
        } | fields
        if self._options.domain:
            event["domain"] = self._options.domain
        self._kernel.publish(account.id, subject.encode(), b"", b"", encode(event))

    def _client(self, request: Request) -> dict[str, Any]:
        """Empty fields are left out, as in Go."""
        client = self._describe_client(request.cid)
        if client is None:
            client = ClientDescription(0, "")
        shown = {
            "start": format_time(client.start_ns) if client.start_ns else "",
            "host": client.host,
            "id": request.cid,
            "acc": request.account.name,
            "user": client.user,
            "name": client.name,
            "lang": client.lang,
            "ver": client.version,
            "rtt": client.rtt_ns,
            "server": self._options.server_name,
            "kind": client.kind,
            "client_type": client.client_type,
        }
        return {name: value for name, value in shown.items() if value}
