"""Draws the next operation of a flow, from a seed and from what nats-server has answered so far."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

import flow_configs as configs
from flow_client import Operation

STREAMS_MAX = 3
CONSUMERS_MAX = 3
LISTENING_EVERY = 4  # flows, one hears the advisories
ACKS_ALL_EVERY = 3  # flows, one has consumers that acknowledge all, or by flow control
COPYING_EVERY = 6  # flows, one has mirrors and sources; it waits for them after each operation
_ACKS = (
    *("+ACK",) * 6,
    "",
    "-NAK",
    "-NAK",
    '-NAK {"delay":3600000000000}',
    "-NAK 1h",
    "+WPI",
    "+TERM",
    "+TERM reason",
    "+NXT",
    '+NXT {"batch":2,"no_wait":true}',
    "nonsense",
)
_SCHEDULES = (
    "@at 2099-01-01T00:00:00Z",
    "@every 10000h",
    "0 0 0 1 1 *",
    "@yearly",
    "@every 1ms",
    "x",
)
_BODIES = ("", "1", "b" * 20, "B" * 90)


class FlowDraw:
    """`next` and `learn` take turns."""

    def __init__(self, seed: int) -> None:
        self.draw = Random(seed)
        self._copying = seed % COPYING_EVERY == 0
        self._acks_all = seed % ACKS_ALL_EVERY == 1
        self.streams: dict[str, dict[str, Any]] = {}  # name -> configuration as it was answered
        self.consumers: dict[str, dict[str, dict[str, Any]]] = {}
        self.last: dict[str, int] = {}
        self._named = 0
        self._batches: dict[str, tuple[str, int]] = {}  # id -> (stream, its next sequence)
        self._fast: dict[str, tuple[str, int]] = {}
        self._asked: set[str] = set()  # consumers that somebody has asked for messages
        self._queue: list[Operation] = []
        if seed % LISTENING_EVERY == 0:
            kinds = ("ADVISORY.STREAM", "ADVISORY.CONSUMER", "METRIC")
            self._queue += [{"do": "listen", "subject": f"$JS.EVENT.{kind}.>"} for kind in kinds]
        self._tilde = ""
        self._settles = False

    # -- what is known

    def learn(self, verb: str, answer: bytes) -> None:
        """What nats-server answered to a request; names are written with "~" again."""
        if not answer.startswith(b"{"):
            return
        shown = json.loads(answer.decode().replace(self._tilde, "~"))
        if "error" in shown:
            return
        words = verb.replace(self._tilde, "~").split(".")
        match words:
            case ["STREAM", "CREATE" | "UPDATE" | "INFO", name]:
                self.streams[name] = shown["config"]
                self.consumers.setdefault(name, {})
                self.last[name] = shown["state"]["last_seq"]
            case ["PUBLISHED", name]:
                self.last[name] = max(self.last.get(name, 0), shown["seq"])
            case ["STREAM", "DELETE", name]:
                self.streams.pop(name, None)
                self.consumers.pop(name, None)
            case ["CONSUMER", "CREATE" | "INFO", name, consumer, *_] if name in self.consumers:
                self.consumers[name][consumer] = shown["config"]
            case ["CONSUMER", "DELETE", name, consumer] if name in self.consumers:
                self.consumers[name].pop(consumer, None)

    def numbered(self, number: int) -> None:
        self._tilde = f"{number:05d}"

    # -- operations

    def next(self) -> Operation:
        if self._queue:
            return self._queue.pop(0)
        if self._copying and self._settles:
            self._settles = False
            return self._look()
        self._settles = True
        if not self.streams:
            return self._create_stream()
        weighted: dict[Callable[[], Operation], int] = {
            self._create_stream: 4 if len(self.streams) < STREAMS_MAX else 0,
            self._update_stream: 4,
            self._delete_stream: 1,
            self._publish: 26,
            self._batch: 6,
            self._fast_batch: 4,
            self._schedule: 3,
            self._get: 4,
            self._direct: 6,
            self._delete_message: 0 if self._acks_all else 4,
            self._purge: 0 if self._acks_all else 4,
            self._create_consumer: 8,
            self._update_consumer: 3,
            self._delete_consumer: 2,
            self._pull: 16,
            self._ack: 20,
            self._flow: 3,
            self._pause: 2,
            self._reset: 2,
            self._unpin: 1,
            self._read: 2,
            self._look: 8,
        }
        if not any(self.consumers.values()):
            for kind in (self._pull, self._ack, self._update_consumer, self._delete_consumer):
                weighted[kind] = 0
        kinds, weights = list(weighted), list(weighted.values())
        return self.draw.choices(kinds, weights)[0]()

    def _api(self, verb: str, body: Any = None) -> Operation:
        return {"do": "api", "verb": verb, "body": body}

    def _any_stream(self) -> str:
        return self.draw.choice(list(self.streams))

    def _any_consumer(self) -> tuple[str, str]:
        """Sometimes one that is not there."""
        known = [(s, c) for s, consumers in self.consumers.items() for c in consumers]
        if not known or self.draw.random() < 0.01:
            return self._any_stream(), "nobody"
        return self.draw.choice(known)

    def _subject(self, stream: str) -> str:
        return f"{stream}.{self.draw.choice(configs.TOKENS)}"

    def _name(self, letter: str) -> str:
        self._named += 1
        return f"{letter}{self._named}~"

    def _create_stream(self) -> Operation:
        name = self._name("S")
        others = self.streams if self._copying else {}
        config = configs.stream(self.draw, name, others, acks_all=self._acks_all)
        if self.draw.random() < 0.1:
            config["pedantic"] = True
        if "republish" in config:
            self._queue.append({"do": "listen", "subject": f"re.{name}.>"})
        return self._api(f"STREAM.CREATE.{name}", config)

    def _update_stream(self) -> Operation:
        name = self._any_stream()
        known = self.streams[name]
        changed = configs.stream_change(self.draw, known, acks_all=self._acks_all)
        return self._api(f"STREAM.UPDATE.{name}", changed)

    def _delete_stream(self) -> Operation:
        return self._api(f"STREAM.DELETE.{self._any_stream()}")

    # -- publishing

    def _publish(self) -> Operation:
        name = self._any_stream()
        count = self.draw.choice((1, 1, 1, 2, 4))
        return {"do": "publish", "messages": [self._message(name) for _ in range(count)]}

    def _message(self, name: str) -> list[Any]:
        draw, config = self.draw, self.streams[name]
        subject, body = self._subject(name), draw.choice(_BODIES)
        headers = self._headers(name) if draw.random() < 0.45 else {}
        if config.get("allow_msg_counter") and draw.random() < 0.9:
            headers["Nats-Incr"] = draw.choice(("1", "+3", "-20", "1" * 30, "0"))
            body = "" if draw.random() < 0.95 else body
        wants_reply = not config.get("no_ack") and bool(config.get("subjects"))
        return [subject, headers, body, wants_reply]

    def _headers(self, name: str) -> dict[str, str]:
        draw, last = self.draw, self.last.get(name, 0)
        near = (str(last), str(last), str(max(last - 1, 0)), "0", "x", "")
        candidates = {
            "Nats-Msg-Id": ("a", "b", "c", "d", "e"),
            "Nats-Expected-Last-Sequence": near,
            "Nats-Expected-Last-Subject-Sequence": near,
            "Nats-Expected-Last-Subject-Sequence-Subject": (
                f"{name}.0",
                f"{name}.x.*",
                f"{name}.>",
            ),
            "Nats-Expected-Last-Msg-Id": ("a", "b", ""),
            "Nats-Expected-Stream": (name, name, "other"),
            "Nats-Rollup": ("sub", "sub", "all", "SUB", "x"),
            "Nats-TTL": ("1h", "3600", "never", "0", "500ms", "x", "-1", "1h30m5s"),
            "Nats-Incr": ("1",),
            "X-Other": ("<&>", "a: b", " c"),
            "Nats-Marker-Reason": ("Purge",),
            "KV-Operation": ("DEL", "PURGE"),
            "Nats-Stream-Source": ("S 1",),
            "Nats-Batch-Sequence": ("1",),
        }
        weights = (6, 4, 4, 2, 1, 2, 4, 4, 1, 3, 1, 1, 1, 1)
        names = draw.choices(list(candidates), weights, k=draw.choice((1, 1, 1, 2, 3)))
        return {header: draw.choice(candidates[header]) for header in names}

    def _batch(self) -> Operation:
        """The next part of an atomic batch, or a whole one."""
        draw, name = self.draw, self._any_stream()
        open_ = [(i, s) for i, s in self._batches.items() if s[0] in self.streams]
        if open_ and draw.random() < 0.7:
            batch, (name, seq) = draw.choice(open_)
        else:
            self._named += 1
            batch, seq = f"batch{self._named}", 1
        messages = []
        for _ in range(draw.choice((1, 1, 2, 5))):
            subject, headers, body, wants_reply = self._message(name)
            if draw.random() < 0.7:
                headers = {k: v for k, v in headers.items() if k == "Nats-Incr"}
            headers["Nats-Batch-Id"] = batch
            headers["Nats-Batch-Sequence"] = str(seq + (draw.random() < 0.03))
            messages.append([subject, headers, body, wants_reply])
            seq += 1
        self._batches[batch] = (name, seq)
        if draw.random() < 0.45:
            messages[-1][1]["Nats-Batch-Commit"] = draw.choice(("1", "1", "1", "eob", "x"))
            del self._batches[batch]
        return {"do": "publish", "messages": messages}

    def _fast_batch(self) -> Operation:
        draw = self.draw
        able = [n for n, c in self.streams.items() if c.get("allow_batched")]
        name = draw.choice(able) if able and draw.random() < 0.95 else self._any_stream()
        open_ = [(i, s) for i, s in self._fast.items() if s[0] in self.streams]
        if open_ and draw.random() < 0.8:
            batch, (name, seq) = draw.choice(open_)
        else:
            self._named += 1
            batch, seq = f"fast{self._named}", 1
        operation: int = 0 if seq == 1 else draw.choice((1, 1, 1, 1, 2, 3, 4))
        subject, headers, body, _ = self._message(name)
        odd = draw.sample(sorted(headers), min(len(headers), draw.randint(0, 1)))
        headers = {k: v for k, v in headers.items() if k in (*odd, "Nats-Incr")}
        asked = {
            "do": "fast",
            "subject": subject,
            "batch": batch,
            "seq": seq if operation != 4 else max(seq - 1, 1),
            "operation": operation,
            "gap": "fail" if int(batch[4:]) % 2 else "ok",
            "flow": 1,
            "headers": headers,
            "body": body,
        }
        if draw.random() < 0.04:
            asked["seq"] = seq + 2
        self._fast[batch] = (name, seq + (operation != 4))
        if operation in (2, 3):
            del self._fast[batch]
        return asked

    def _schedule(self) -> Operation:
        draw = self.draw
        able = [n for n, c in self.streams.items() if c.get("allow_msg_schedules")]
        if not able and draw.random() < 0.9:
            return self._publish()
        name = draw.choice(able) if able else self._any_stream()
        subject, headers, body, wants_reply = self._message(name)
        if draw.random() < 0.7:
            headers = {}
        headers["Nats-Schedule"] = draw.choice(_SCHEDULES)
        headers["Nats-Schedule-Target"] = self._subject(name)
        optional = {
            "Nats-Schedule-TTL": ("1h", "x"),
            "Nats-Schedule-Source": (self._subject(name), f"{name}.*"),
            "Nats-Schedule-Rollup": ("sub", "all"),
            "Nats-Schedule-Time-Zone": ("Europe/Paris", "Nowhere"),
            "Nats-Schedule-Next": ("purge",),
            "Nats-Scheduler": (self._subject(name),),
        }
        for header, values in optional.items():
            if draw.random() < 0.1:
                headers[header] = draw.choice(values)
        return {"do": "publish", "messages": [[subject, headers, body, wants_reply]]}

    # -- reading

    def _seq(self, name: str) -> int:
        return max(self.last.get(name, 0) - self.draw.randint(-2, 8), 0)

    def _selector(self, name: str) -> dict[str, Any]:
        draw = self.draw
        wild = draw.choice((self._subject(name), f"{name}.*", f"{name}.>", f"{name}.x.*"))
        time_of = {"time_of": [name, self._seq(name)]}
        return draw.choice(
            (
                {"seq": self._seq(name)},
                {"last_by_subj": wild},
                {"next_by_subj": wild, "seq": self._seq(name)},
                {"next_by_subj": wild},
                {"start_time": time_of},
                {"start_time": time_of, "next_by_subj": wild},
                {},
                {"seq": 1, "last_by_subj": wild},
            )
        )

    def _get(self) -> Operation:
        name = self._any_stream()
        body = self._selector(name)
        if self.draw.random() < 0.1:
            body["no_hdr"] = True
        return self._api(f"STREAM.MSG.GET.{name}", body)

    def _direct(self) -> Operation:
        draw, name = self.draw, self._any_stream()
        if draw.random() < 0.2:
            subject = f"DIRECT.GET.{name}.{self._subject(name)}"
            return self._api(subject, draw.choice((None, {"no_hdr": True}, {"seq": 1})))
        if draw.random() < 0.4:
            body: dict[str, Any] = {
                "multi_last": draw.sample(
                    [f"{name}.>", f"{name}.*", f"{name}.0", f"{name}.x.*", "no"],
                    draw.choice((1, 2)),
                )
            }
            for field, value in (
                ("seq", self._seq(name)),
                ("up_to_seq", min(self._seq(name), self.last[name])),
                ("up_to_time", {"time_of": [name, self._seq(name)]}),
                ("batch", draw.choice((1, 2, 10))),
                ("max_bytes", draw.choice((1, 200, 1000))),
            ):
                if draw.random() < 0.2:
                    body[field] = value
        else:
            body = self._selector(name)
            if draw.random() < 0.5:
                body["batch"] = draw.choice((1, 2, 5, 100))
                if draw.random() < 0.3:
                    body["max_bytes"] = draw.choice((1, 200, 1000))
            if draw.random() < 0.1:
                body["no_hdr"] = True
            if draw.random() < 0.05:
                body["up_to_seq"] = min(self._seq(name), self.last[name])
        return self._api(f"DIRECT.GET.{name}", body)

    def _read(self) -> Operation:
        draw, name = self.draw, self._any_stream()
        filter_ = draw.choice((f"{name}.>", f"{name}.*", self._subject(name), "no", ">"))
        return draw.choice(
            (
                self._api(f"STREAM.INFO.{name}", {"subjects_filter": filter_}),
                self._api(f"STREAM.INFO.{name}", {"subjects_filter": ">", "offset": 1}),
                self._api("STREAM.NAMES", {"subject": filter_}),
                self._api("STREAM.LIST", {"subject": filter_, "offset": draw.randint(0, 2)}),
                self._api(f"CONSUMER.LIST.{name}", {"offset": draw.randint(0, 2)}),
                self._api(f"CONSUMER.NAMES.{name}"),
                self._api("INFO"),
                self._api("STREAM.INFO.nothing"),
            )
        )

    def _look(self) -> Operation:
        return {"do": "look"}

    # -- removing

    def _delete_message(self) -> Operation:
        name = self._any_stream()
        body: dict[str, Any] = {"seq": self._seq(name)}
        if self.draw.random() < 0.5:
            body["no_erase"] = True
        return self._api(f"STREAM.MSG.DELETE.{name}", body)

    def _purge(self) -> Operation:
        draw, name = self.draw, self._any_stream()
        body: dict[str, Any] = {}
        if draw.random() < 0.6:
            body["filter"] = draw.choice((self._subject(name), f"{name}.*", f"{name}.>", "no", ">"))
        if draw.random() < 0.4:
            body["seq"] = self._seq(name)
        if draw.random() < 0.3:
            body["keep"] = draw.randint(0, 3)
        return self._api(f"STREAM.PURGE.{name}", body or None)

    # -- consumers

    def _create_consumer(self) -> Operation:
        draw, name = self.draw, self._any_stream()
        if len(self.consumers[name]) >= CONSUMERS_MAX:
            return self._pull()
        consumer = self._name("C")
        last, acks_all = self.last[name], self._acks_all
        config = configs.consumer(draw, consumer, self.streams[name], last, acks_all=acks_all)
        if "opt_start_time" in config and draw.random() < 0.7:
            config["opt_start_time"] = {"time_of": [name, self._seq(name)]}
        body = {"stream_name": name, "config": config}
        if draw.random() < 0.3:
            body["action"] = draw.choice(("create", "create", "update"))
        if draw.random() < 0.1:
            body["pedantic"] = True
        create = self._api(f"CONSUMER.CREATE.{name}.{consumer}", body)
        if (subject := config.get("deliver_subject")) and draw.random() < 0.9:
            self._queue.append(create)
            return {"do": "listen", "subject": subject, "queue": config.get("deliver_group", "")}
        return create

    def _update_consumer(self) -> Operation:
        name, consumer = self._any_consumer()
        known = self.consumers[name].get(consumer)
        if known is None:
            return self._create_consumer()
        config = configs.consumer_change(self.draw, known)
        if "opt_start_time" in config:
            config["opt_start_time"] = {"start_of": [name, consumer]}
        if consumer not in self._asked and "deliver_subject" not in known:
            # Which messages it skipped while somebody waited is not a matter of its state.
            chosen = configs.filters(self.draw, name)
            if chosen:  # nats-server does not count what it lets through without any
                config.pop("filter_subject", None)
                config.pop("filter_subjects", None)
                config["filter_subjects"] = chosen
        body = {"stream_name": name, "config": config}
        if self.draw.random() < 0.5:
            body["action"] = self.draw.choice(("update", "update", "create"))
        return self._api(f"CONSUMER.CREATE.{name}.{consumer}", body)

    def _delete_consumer(self) -> Operation:
        name, consumer = self._any_consumer()
        return self._api(f"CONSUMER.DELETE.{name}.{consumer}")

    def _pull(self) -> Operation:
        draw = self.draw
        name, consumer = self._any_consumer()
        known = self.consumers[name].get(consumer, {})
        self._asked.add(consumer)
        body: dict[str, Any] = {"batch": draw.choice((1, 1, 2, 3, 10))}
        kind = draw.random()
        if kind < 0.65:
            body["no_wait"] = True
        elif kind < 0.9:
            body["expires"] = configs.HOUR
        if draw.random() < 0.15:
            body["max_bytes"] = draw.choice((100, 200, 500, 10_000))
        if "priority_policy" in known or draw.random() < 0.01:
            self._priority(body, name, consumer, known)
        if draw.random() < 0.02:
            body["idle_heartbeat"] = configs.HOUR
        return {"do": "pull", "stream": name, "consumer": consumer, "body": body}

    def _priority(self, body: Any, name: str, consumer: str, known: dict[str, Any]) -> None:
        draw = self.draw
        if draw.random() < 0.95:
            body["group"] = draw.choice(known.get("priority_groups", ["g"]))
        policy = known.get("priority_policy")
        if policy == "overflow" or draw.random() < 0.05:
            body[draw.choice(("min_pending", "min_ack_pending"))] = draw.choice((1, 2, 5))
        if policy == "pinned_client" and draw.random() < 0.6:
            body["id"] = {"pin_of": [name, consumer]}
        if policy == "prioritized" and draw.random() < 0.7:
            body["priority"] = draw.choice((0, 1, 5, 9, 10))

    def _ack(self) -> Operation:
        name, consumer = self._any_consumer()
        return {
            "do": "ack",
            "stream": name,
            "consumer": consumer,
            "back": self.draw.choice((0, 0, 0, 1, 1, 2, 3, 5)),
            "body": self.draw.choice(_ACKS),
            "confirm": self.draw.random() < 0.8,
        }

    def _flow(self) -> Operation:
        name, consumer = self._any_consumer()
        last = self.consumers[name].get(consumer, {}).get("ack_policy") == "flow_control"
        return {"do": "flow", "stream": name, "consumer": consumer, "last": last}

    def _pause(self) -> Operation:
        name, consumer = self._any_consumer()
        known = self.consumers[name].get(consumer, {})
        if consumer in self._asked or "deliver_subject" in known:
            until: str | None = configs.FAR  # nats-server does not go on at once
        else:
            until = self.draw.choice((configs.FAR, "2020-01-01T00:00:00Z", None, None))
        return self._api(
            f"CONSUMER.PAUSE.{name}.{consumer}", {"pause_until": until} if until else None
        )

    def _reset(self) -> Operation:
        name, consumer = self._any_consumer()
        seq = self.draw.choice((0, 0, min(self._seq(name), self.last.get(name, 0) + 1)))
        if consumer in self._asked:
            seq = max(seq, 1)  # nats-server's floor is behind what it skipped while somebody waited
        return self._api(f"CONSUMER.RESET.{name}.{consumer}", {"seq": seq} if seq else None)

    def _unpin(self) -> Operation:
        name, consumer = self._any_consumer()
        groups = self.consumers[name].get(consumer, {}).get("priority_groups", ["g"])
        return self._api(f"CONSUMER.UNPIN.{name}.{consumer}", {"group": groups[0]})
