"""One server's side of a flow: does an operation and says what came of it.

An operation is a JSON object, so that a flow can be written down and repeated:

    {"do": "api", "verb": ..., "body": ...}                 a request to $JS.API.
    {"do": "publish", "messages": [[subject, headers, body, wants a reply], ...]}  in one write
    {"do": "fast", "subject", "batch", "seq", "operation", "gap", "flow", "headers", "body"}
    {"do": "pull", "stream", "consumer", "body"}
    {"do": "ack", "stream", "consumer", "back", "body", "confirm"}  "back" 0: the newest delivery
    {"do": "flow", "stream", "consumer", "last"}            answers a request of flow control
    {"do": "listen", "subject", "queue"}                    what comes there is compared
    {"do": "look"}                                          every state that the API shows

"~" in any text stands for the number of the flow: nats-server may find old files when a name is
used again. {"time_of": [stream, seq]} is when this server stored that message, {"start_of":
[stream, consumer]} the start time that the consumer has here, {"pin_of": ...} the identity that
this server gave to the newest pinned client of a consumer.

What arrives is noted by where it arrives: replies, pulls and listeners have a channel each, within
which order counts.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from collections import defaultdict
from typing import Any

from api_connection import Connection, Message
from normal_form import normal_form

Operation = dict[str, Any]
Heard = dict[str, list[str]]

ANSWER_S = 4.0
SILENCE_S = 0.3
_ACK_TIME = re.compile(r"(\$JS\.ACK(?:\.[^. ]+){5})\.\d+\.(\d+)")
_FLOW_ID = re.compile(r"(\$JS\.FC(?:\.[^. ]+){2})\.\w+")
_HEADER_TIME = re.compile(rb"(Nats-Time-Stamp: |Nats-Schedule-Next: \d)[^\r]*")
_PIN = re.compile(rb"(Nats-Pin-Id: )[^\r]*")
_JSON_PIN = re.compile(r'"(pinned_client_id|pinned_id)":"[^"]*"')
_JSON_ID = re.compile(r'"id":"\w{22}"')
_GET_TIME = re.compile(rb'("time":)"[^"]*"')
_IDENTITY = re.compile(rb"(Nats-Stream-Source: [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+) \S{8}(?=\r\n)")
_IMPOSSIBLE = re.compile(rb'"num_deleted":1,"deleted":\[0\],')
_PENDING = re.compile(r"(?<=\.TIME\.)\d+$")
_HEADERS = re.compile(rb'"hdrs":"([^"]*)"')
_INTERNAL = re.compile(rb"\$JS\.([MS])\.\w{8}")
# nats-server shows how far a consumer in memory has looked before it has delivered anything.
_NOTHING_DELIVERED = re.compile(rb'("delivered":\{"consumer_seq":0,"stream_seq":)\d+')
# What was delivered last of its list (nats-server), or where it goes on behind it (ours).
_LISTED = re.compile(
    rb'("deliver_policy":"last_per_subject".*?"stream_seq":)[N\d]+(.*?"stream_seq":)\d+', re.DOTALL
)
_COPYING = re.compile(r"JS_(MIRROR|SOURCE)_[\w-]+")  # the consumer of a copy
_HEARTBEAT = b"NATS/1.0 100 Idle Heartbeat"
# Each from a goroutine of its own where several messages go (decStreamPending in consumer.go).
_UNORDERED = "event $JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."
_SILENT = ("CONSUMER.RESET.",)  # verbs that may remain without an answer (C-011)


def normal_message(message: Message, exact: bool = True) -> str:
    reply = _FLOW_ID.sub(r"\1.RANDOM", _ACK_TIME.sub(r"\1.TIME.\2", message.reply))
    if not exact:
        reply = _PENDING.sub("N", reply)
    header = _without_times(message.header)
    shown = _FLOW_ID.sub(r"\1.RANDOM", _ACK_TIME.sub(r"\1.TIME.\2", f"{header!r}"))
    body = _JSON_ID.sub('"id":"ID"', normal_answer(message.body))
    subject = "" if message.subject.startswith("_INBOX.") else message.subject
    return _COPYING.sub(r"JS_\1_RANDOM", f"{subject} <{reply}> {shown} {body}")


def normal_answer(body: bytes) -> str:
    body = _IMPOSSIBLE.sub(b"", body)  # nats-server says so of a file stream that was never used
    body = _INTERNAL.sub(rb"$JS.\1.RANDOM", body)
    body = _LISTED.sub(rb"\1N\2N", _NOTHING_DELIVERED.sub(rb"\1N", body))
    body = _HEADERS.sub(_readable, body)
    return _JSON_PIN.sub(r'"\1":"PIN"', normal_form(_GET_TIME.sub(rb'\1"TIME"', body)))


def _readable(found: re.Match[bytes]) -> bytes:
    return b'"hdrs":"' + _without_times(base64.b64decode(found[1])) + b'"'


def _without_times(header: bytes) -> bytes:
    header = _IDENTITY.sub(rb"\1 IDENTITY", _HEADER_TIME.sub(rb"\1TIME", header))
    return _PIN.sub(rb"\1PIN", header)


class FlowClient:
    """`quiet_s` without a message is taken for the end of what an operation brings about."""

    def __init__(self, address: tuple[str, int], number: int, quiet_s: float) -> None:
        self.connection = Connection(*address)
        self.answers: list[tuple[str, bytes]] = []  # verb and body, of the newest operation
        self._number = f"{number:05d}"
        self._quiet_s = quiet_s
        self._burst = False
        self._channels: dict[int, str] = {}
        self._count = itertools.count(1)
        self._heard: Heard = defaultdict(list)
        self._deliveries: dict[tuple[str, str], list[Message]] = defaultdict(list)
        self._pins: dict[tuple[str, str], str] = {}
        self._flows: dict[tuple[str, str], str] = {}

    def close(self) -> None:
        names = json.loads(self._ask("STREAM.NAMES", b"{}"))["streams"] or []
        for name in names:
            self._ask(f"STREAM.DELETE.{name}", b"")
        self.connection.__exit__()

    # -- operations

    def perform(self, operation: Operation) -> None:
        """Sends, and hears what comes at once."""
        self.answers.clear()
        # How many messages were pending when a new one went out depends on the moment.
        self._burst = operation["do"] in ("publish", "fast")
        named = json.loads(json.dumps(operation).replace("~", self._number))
        getattr(self, f"_{named['do']}")(named)
        self.hear()

    def _api(self, op: Operation) -> None:
        verb, body = op["verb"], self._bytes(op.get("body"))
        silence_s = SILENCE_S if verb.startswith(_SILENT) else ANSWER_S
        answer = self._request(f"$JS.API.{verb}", b"", body, silence_s)
        self.answers.append((verb, answer.body if answer else b""))

    def _publish(self, op: Operation) -> None:
        """One by one where somebody listens: what goes out would depend on the moment."""
        awaited: list[str] = []
        receivers = any(c.startswith(("listen", "pull")) for c in self._channels.values())
        for subject, headers, body, wants_reply in op["messages"]:
            reply = ""
            if wants_reply:
                reply = self._inbox(f"ack {subject}")
                awaited.append(self._newest)
            self.connection.publish(subject, body.encode(), block(headers), reply)
            if receivers:
                self._wait_for(awaited[-1:], ANSWER_S)
                self.hear()
        self._wait_for(awaited, ANSWER_S)

    def _fast(self, op: Operation) -> None:
        prefix = f"_INBOX.fast{self._number}{op['batch']}"
        if prefix not in self._channels.values():
            self._channels[self.connection.subscribe(f"{prefix}.>")] = prefix
        tail = (op["flow"], op["gap"], op["seq"], op["operation"], "$FI")
        reply = f"{prefix}.{op['batch']}.{'.'.join(map(str, tail))}"
        body = op["body"].encode()
        self.connection.publish(op["subject"], body, block(op["headers"]), reply)
        self.connection.flush()

    def _pull(self, op: Operation) -> None:
        inbox = self._inbox(f"pull {op['stream']} {op['consumer']}")
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{op['stream']}.{op['consumer']}"
        self.connection.publish(subject, self._bytes(op["body"]), reply=inbox)
        self.connection.flush()

    def _ack(self, op: Operation) -> None:
        got = self._deliveries[op["stream"], op["consumer"]]
        if len(got) <= op["back"]:
            return
        subject, body = got[-1 - op["back"]].reply, op["body"].encode()
        if op["confirm"]:
            self._request(subject, b"", body, SILENCE_S, f"ack {op['consumer']}")
        else:
            self.connection.publish(subject, body)
            self.connection.flush()

    def _flow(self, op: Operation) -> None:
        """Says that everything came that was delivered; with "last", which message that was."""
        reply = self._flows.get((op["stream"], op["consumer"]))
        got = self._deliveries[op["stream"], op["consumer"]]
        if reply is None or not got:
            return
        tokens = got[-1].reply.split(".")
        last = {"Nats-Last-Consumer": tokens[6], "Nats-Last-Stream": tokens[5]}
        self.connection.publish(reply, b"", block(last if op["last"] else {}))
        self.connection.flush()

    def _listen(self, op: Operation) -> None:
        sid = self.connection.subscribe(op["subject"], op.get("queue", ""))
        self._channels[sid] = f"listen {op['subject']}"

    def _look(self, op: Operation) -> None:
        """Reads everything; callers compare again, because nats-server's numbers may lag."""
        names = json.loads(self._read("STREAM.NAMES"))["streams"] or []
        self._read("STREAM.LIST")
        for name in names:
            for body in (b"", b'{"subjects_filter":">","deleted_details":true}'):
                self._read(f"STREAM.INFO.{name}", body)
            consumers = json.loads(self._ask(f"CONSUMER.NAMES.{name}"))["consumers"] or []
            for consumer in consumers:
                if consumer.startswith("JS_"):
                    continue  # a copy's; how far that is says the copy
                self._read(f"CONSUMER.INFO.{name}.{consumer}")
            state = json.loads(self._ask(f"STREAM.INFO.{name}"))["state"]
            last = state["last_seq"]
            for seq in range(max(state["first_seq"], last - 12, 1), last + 1):
                self._read(f"STREAM.MSG.GET.{name}", b'{"seq":%d}' % seq)

    # -- what arrives

    def hear(self) -> None:
        while (message := self.connection.next_of_any(self._quiet_s)) is not None:
            self._take(message)

    @property
    def heard(self) -> Heard:
        return {
            channel: sorted(notes) if channel.startswith(_UNORDERED) else notes
            for channel, notes in self._heard.items()
            if notes
        }

    def forget(self) -> None:
        """What was the same on both sides."""
        self._heard.clear()

    def streams(self) -> dict[str, dict[str, Any]]:
        """What INFO shows of each, by the name that operations use."""
        names = json.loads(self._ask("STREAM.NAMES"))["streams"] or []
        shown = {name: json.loads(self._ask(f"STREAM.INFO.{name}")) for name in names}
        return {name.replace(self._number, "~"): info for name, info in shown.items()}

    def _take(self, message: Message) -> None:
        if message.header.startswith(_HEARTBEAT):
            return
        channel = self._channels.get(message.sid, f"subscription {message.sid}")
        if message.subject.startswith("$JS.EVENT."):
            # Across subjects, their order is not fixed.
            channel = "event " + _COPYING.sub(r"JS_\1_RANDOM", message.subject)
        self._heard[channel].append(normal_message(message, not self._burst))
        if message.reply.startswith("$JS.FC."):
            stream, consumer = message.reply.split(".")[2:4]
            self._flows[stream, consumer] = message.reply
        if message.body.startswith(b'{"stream":"'):
            self.answers.append((f"PUBLISHED.{json.loads(message.body)['stream']}", message.body))
        if message.reply.startswith("$JS.ACK."):
            stream, consumer = message.reply.split(".")[2:4]
            self._deliveries[stream, consumer].append(message)
            if pin := re.search(rb"Nats-Pin-Id: ([^\r]*)", message.header):
                self._pins[stream, consumer] = pin[1].decode()

    # -- requests

    def _inbox(self, purpose: str) -> str:
        number = next(self._count)
        name = f"_INBOX.flow{self._number}.{number}"
        self._newest = f"{number:04d} {purpose}"
        self._channels[self.connection.subscribe(name)] = self._newest
        return name

    def _request(
        self, subject: str, header: bytes, body: bytes, wait_s: float, purpose: str = ""
    ) -> Message | None:
        inbox = self._inbox(purpose or subject)
        channel = self._newest
        self.connection.publish(subject, body, header, inbox)
        return self._wait_for([channel], wait_s)

    def _wait_for(self, channels: list[str], wait_s: float) -> Message | None:
        """Until each has its answer; the newest one."""
        deadline, answer = time.monotonic() + wait_s, None
        while not all(self._heard[channel] for channel in channels):
            message = self.connection.next_of_any(deadline - time.monotonic())
            if message is None:
                break
            self._take(message)
            if self._channels.get(message.sid) in channels:
                answer = message
        return answer

    def _read(self, verb: str, body: bytes = b"") -> bytes:
        """A request whose answer is noted by its verb, in the place of an earlier one."""
        answer = self._ask(verb, body)
        self.answers.append((verb, answer))
        self._heard[f"state {verb} {body.decode()}"] = [normal_answer(answer)]
        return answer

    def _ask(self, verb: str, body: bytes = b"") -> bytes:
        answer = self.connection.request(f"$JS.API.{verb}", body, timeout_s=ANSWER_S)
        assert answer is not None, f"{verb}: no answer"
        for message in self.connection.drain_queued():
            self._take(message)
        return answer.body

    # -- what depends on the server

    def _bytes(self, body: Any) -> bytes:
        if body is None:
            return b""
        if isinstance(body, str):
            return body.encode()
        return json.dumps(self._filled(body)).encode()

    def _filled(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        if not isinstance(value, dict):
            return value
        if "pin_of" in value:
            return self._pins.get(tuple(value["pin_of"]), "nobody")
        if "start_of" in value:
            stream, consumer = value["start_of"]
            shown = json.loads(self._ask(f"CONSUMER.INFO.{stream}.{consumer}"))
            return shown.get("config", {}).get("opt_start_time", "2020-01-01T00:00:00Z")
        if "time_of" in value:
            stream, seq = value["time_of"]
            answer = json.loads(self._ask(f"STREAM.MSG.GET.{stream}", b'{"seq":%d}' % seq))
            never = {"time": "2020-01-01T00:00:00Z"}
            return answer.get("message", never)["time"]
        return {key: self._filled(item) for key, item in value.items()}


def block(headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode() if lines else b""
