"""STREAM.SNAPSHOT: a backup of a stream, sent to a client in chunks (S-081, S-227, S-228).

The answer comes first, then the chunks on the subject that the client named. Every chunk has a
reply subject; a message on it says that the chunk arrived, and as many chunks as fit the window may
be on their way. The archive is of the moment of the request: what is stored later is not in it,
what is removed before its turn neither.

The stages follow the archive: the views of all consumers (their number stands in front), the
stream's state, the consumers, the messages.
"""

from __future__ import annotations

from typing import Annotated

from slipstream.gotext.decode import is_empty_request
from slipstream.gotext.encode import encode
from slipstream.gotext.objects import INT, OMITEMPTY, GoStruct, Name, to_json
from slipstream.jetstream import subjects
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api.requests import read
from slipstream.jetstream.api.state import stream_state
from slipstream.jetstream.api.transfers import TRANSFER_SERVICE, TRANSFERS_MAX
from slipstream.jetstream.archive.compression import Compressor
from slipstream.jetstream.archive.consumer_records import encode_consumer
from slipstream.jetstream.archive.reader import CONSUMERS_PREFIX
from slipstream.jetstream.archive.records import END, MAGIC, Record, encode_record
from slipstream.jetstream.registry import Consumer, Stream
from slipstream.kernel.events import RequestEvent
from slipstream.kernel.values import ConsumerProgress
from slipstream.protocol.errors import ApiError, ErrorCode

CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MIN, CHUNK_BYTES_MAX = 128 << 10, 1 << 10, 1 << 20
WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MIN, WINDOW_BYTES_MAX = 8 << 20, 1 << 10, 32 << 20
FLOW_TIMEOUT_NS = 5_000_000_000
INTEREST_WAIT_NS = 2_000_000_000
INTEREST_POLL_NS = 100_000_000
# How much of the work is done in one slice.
PIECE_BYTES = 256 << 10
CONSUMERS_PER_SLICE = 64

_COMPLETE = b"NATS/1.0 204\r\n\r\n"
_NO_INTEREST = b"NATS/1.0 408 No Interest\r\n\r\n"
_NO_FLOW = b"NATS/1.0 408 No Flow Response\r\n\r\n"


class SnapshotRequest(GoStruct):
    go_type = "JSApiStreamSnapshotRequest"

    deliver_subject: str = ""
    no_consumers: Annotated[bool, OMITEMPTY] = False
    chunk_size: Annotated[int, INT, OMITEMPTY] = 0
    window_size: Annotated[int, INT, OMITEMPTY] = 0
    # Every message's checksums are verified as it is read, asked for or not.
    check_messages: Annotated[bool, Name("jsck"), OMITEMPTY] = False


def snapshot(api: ApiCore, request: Request, now_ns: int) -> None:
    if is_empty_request(request.body):
        raise ApiError(ErrorCode.BAD_REQUEST)
    stream = api.stream(request, request.words[0])
    wanted = read(api, request, SnapshotRequest)
    if not subjects.is_valid_publish(wanted.deliver_subject):
        raise ApiError(ErrorCode.SNAPSHOT_DELIVER_SUBJECT_INVALID)
    if api.transfers.full:
        text = f"{TRANSFERS_MAX} backups and restores are under way"
        raise ApiError(ErrorCode.STREAM_SNAPSHOT, err=text)
    transfer = Snapshot(api, request, stream, wanted, now_ns)
    config = to_json(stream.committed_config)
    api.answer(request, {"config": config, "state": transfer.state_shown}, now_ns)
    api.advisories.snapshot_created(request, stream.name, transfer.state_shown, now_ns)
    api.transfers.add(transfer.token, transfer)


def clamp(value: int, default: int, low: int, high: int) -> int:
    return min(max(value or default, low), high)


class Snapshot:
    def __init__(
        self, api: ApiCore, request: Request, stream: Stream, wanted: SnapshotRequest, now_ns: int
    ) -> None:
        self._api = api
        self._request = request
        self._stream = stream
        self._started_ns = now_ns
        self._deliver = wanted.deliver_subject.encode()
        self.token = api.ids.event_id()
        self._acks = f"$JS.SNAPSHOT.ACK.{stream.name}.{self.token}"

        state = api.stream_state(stream)
        self._last_seq = state.last_seq
        names = [] if wanted.no_consumers else stream.consumer_names()
        self._unseen = [stream.consumers[name] for name in reversed(names)]
        # Those that were looked at, with what is written should they be gone when it is their turn.
        self._consumers: list[tuple[Consumer, ConsumerProgress]] = []
        self.state_shown = stream_state(state, len(stream.consumer_names()))
        self._backup = api.kernel.open_backup(stream.id, state.last_seq)

        self._chunk_bytes = clamp(
            wanted.chunk_size, CHUNK_BYTES_DEFAULT, CHUNK_BYTES_MIN, CHUNK_BYTES_MAX
        )
        window = clamp(wanted.window_size, WINDOW_BYTES_DEFAULT, WINDOW_BYTES_MIN, WINDOW_BYTES_MAX)
        self._slots = max(window // self._chunk_bytes, 1)
        self._slots_max = self._slots
        self._compressor = Compressor()
        self._out = bytearray()
        self._index = 1
        self._stage = self._look_at_consumers
        self._waits_for_disk = False
        self._complete = False  # the archive is: what is left of it stands in _out
        self.ended = False
        self._last_look_ns = now_ns
        self._begun = self._had_interest = False
        self._begin_ns = now_ns + INTEREST_WAIT_NS
        self._flow_deadline_ns = self._begin_ns + FLOW_TIMEOUT_NS
        api.kernel.serve(request.account.id, f"{self._acks}.>".encode(), TRANSFER_SERVICE)

    # -- Transfer

    def message(self, event: RequestEvent, now_ns: int) -> None:
        self._slots = min(self._slots + 1, self._slots_max)

    def readable(self, backup: int) -> None:
        if backup == self._backup:
            self._waits_for_disk = False

    def store_failed(self, text: str, now_ns: int) -> None:
        """Reading goes on: what is stored can still be saved."""

    def give_up(self, error: ApiError, now_ns: int) -> None:
        self._end(f"NATS/1.0 500 {error}\r\n\r\n".encode(), str(error), now_ns)

    def deadline_ns(self) -> int | None:
        if self._waits_for_disk:
            return None
        return min(self._flow_deadline_ns, self._last_look_ns + INTEREST_POLL_NS)

    def step(self, now_ns: int) -> bool:
        if self.ended:
            return False
        interest = self._interest()
        self._last_look_ns = now_ns
        if not self._begun:
            # Whoever asked may subscribe a little later; after that it goes on either way.
            if not interest and now_ns < self._begin_ns:
                return False
            self._begun, self._had_interest = True, interest
            self._flow_deadline_ns = now_ns + FLOW_TIMEOUT_NS
        elif self._had_interest and not interest:
            return self._end(_NO_INTEREST, "no interest", now_ns)
        if self._waits_for_disk:
            return False
        if self._slots == 0:
            if now_ns >= self._flow_deadline_ns:
                return self._end(_NO_FLOW, "no flow response", now_ns)
            return False
        return self._advance(now_ns)

    # -- the archive

    def _advance(self, now_ns: int) -> bool:
        if len(self._out) >= self._chunk_bytes:
            self._send_chunk(now_ns)
        elif self._complete:
            if self._out:
                self._publish(b"", b"", bytes(self._out))
            # As nats-server has it: without a full chunk before it the end has no status.
            self._end(_COMPLETE if self._index > 1 else b"", "", now_ns)
        else:
            self._stage(now_ns)
        return not self.ended and not self._waits_for_disk

    def _look_at_consumers(self, now_ns: int) -> None:
        """Those that are deleted before they were looked at are not in the archive."""
        for _ in range(min(CONSUMERS_PER_SLICE, len(self._unseen))):
            consumer = self._unseen.pop()
            if not self._api.kernel.count_pending(consumer.stream.id, consumer.id):
                self._unseen.append(consumer)
                return
            try:
                state = self._api.consumer_state(consumer)
            except ApiError:
                continue
            floor = (state.ack_floor_consumer_seq, state.ack_floor_stream_seq)
            view = ConsumerProgress(*floor, *floor, 0, 0, [], [])
            self._consumers.append((consumer, view))
        if not self._unseen:
            self._stage = self._write_state

    def _write_state(self, now_ns: int) -> None:
        shown = self.state_shown | {"consumer_count": len(self._consumers)}
        self._write(MAGIC + encode_record(Record(b"state.json", now_ns, payload=encode(shown))))
        self._consumers.reverse()
        self._stage = self._write_consumers

    def _write_consumers(self, now_ns: int) -> None:
        if not self._consumers:
            self._stage = self._write_messages
            return
        consumer, view = self._consumers.pop()
        try:
            progress = self._api.kernel.consumer_progress(self._stream.id, consumer.id)
        except KeyError:
            # Deleted since it was counted: what it had not acknowledged is delivered again.
            progress = view
        text = encode_consumer(consumer.name, consumer.config, progress, self._last_seq)
        name = CONSUMERS_PREFIX + consumer.name.encode()
        self._write(encode_record(Record(name, now_ns, payload=text)))

    def _write_messages(self, now_ns: int) -> None:
        piece = self._api.kernel.read_backup(self._backup, PIECE_BYTES)
        if piece.records:
            self._write(piece.records)
        if piece.outcome == "pending":
            self._waits_for_disk = True
        elif piece.outcome == "end":
            self._write(encode_record(END))
            self._complete = True
        elif piece.outcome != "more":
            gone = "the stream was deleted"
            damaged = f"couldn't load next message after seq {piece.seq}: it is damaged"
            why = gone if piece.outcome == "gone" else damaged
            self._end(f"NATS/1.0 500 {why}\r\n\r\n".encode(), why, now_ns)

    def _write(self, plain: bytes) -> None:
        self._out += self._compressor.compress(plain)

    # -- the client

    def _interest(self) -> bool:
        """A client's wildcard for all its answers does not count: it subscribes to this subject
        when it has our answer, and must get the first chunk there.
        """
        return self._api.kernel.literal_interest(self._request.account.id, self._deliver) > 0

    def _send_chunk(self, now_ns: int) -> None:
        chunk = bytes(self._out[: self._chunk_bytes])
        del self._out[: self._chunk_bytes]
        reply = f"{self._acks}.{len(chunk)}.{self._index}"
        self._publish(reply.encode(), b"", chunk)
        self._slots -= 1
        self._index += 1
        self._flow_deadline_ns = now_ns + FLOW_TIMEOUT_NS

    def _publish(self, reply: bytes, header: bytes, body: bytes) -> None:
        self._api.kernel.publish(self._request.account.id, self._deliver, reply, header, body)

    def _end(self, status: bytes, error: str, now_ns: int) -> bool:
        self.ended = True
        self._api.kernel.unserve(self._request.account.id, f"{self._acks}.>".encode())
        self._api.kernel.close_backup(self._backup)
        self._publish(b"", status, b"")
        self._api.advisories.snapshot_completed(
            self._request,
            self._stream.name,
            start_ns=self._started_ns,
            end_ns=now_ns,
            error=error,
        )
        return False
