"""What clients do, each with what the model makes of it: a request goes out, and every possibility
of its stream says what is to come back.
"""

from __future__ import annotations

import json
from typing import Any

from slipstream.testing.model.answers import consumer_info, stream_info
from slipstream.testing.model.configuration import (
    Config,
    consumer_spec_of,
    shown_consumer,
    shown_stream,
    stream_spec_of,
)
from slipstream.testing.model.consumer import Sent
from slipstream.testing.model.go_text import time_text
from slipstream.testing.model.publishing import NO_BATCHES, Accepted, acknowledgement
from slipstream.testing.model.stream import StreamModel
from world import API, Answer, Possibility, World

NO_STREAM = {"code": 404, "err_code": 10059, "description": "stream not found"}
NO_CONSUMER = {"code": 404, "err_code": 10014, "description": "consumer not found"}


def error(code: int, err_code: int, description: str) -> Answer:
    return {"code": code, "err_code": err_code, "description": description}


def request(world: World, verb: str, body: Answer | None) -> bytes:
    inbox = world.inbox()
    payload = b"" if body is None else json.dumps(body).encode()
    world.send(API + verb.encode(), inbox, b"", payload)
    return inbox


# -- what makes sense


def with_name(asked: Config, name: str) -> Config:
    """In the place of each "{}"."""
    named = json.loads(json.dumps(asked).replace('"{}', f'"{name}'))
    return {"name": name, **named}


def is_valid_update(old: Config, asked: Config) -> bool:
    """Of the changes that the tests draw (S-018, S-025, S-035, S-036)."""
    if asked.get("discard_new_per_subject") and asked["discard"] == "old":
        return False
    if old["sealed"] or (old["retention"] == "workqueue") != (asked["retention"] == "workqueue"):
        return False
    limits_only = asked["retention"] == "limits" and asked["discard"] == "old"
    if asked.get("allow_msg_counter") and not limits_only:  # S-043
        return False
    if asked["sealed"] and asked.get("allow_msg_counter"):
        return False
    return not (asked["max_age"] and asked["duplicate_window"] > asked["max_age"])


def filled_headers(model: StreamModel, subject: str, headers: dict[str, str]) -> dict[str, str]:
    """With what is right at this moment in the place of "last"; "{}" is the stream."""
    last = {
        "Nats-Expected-Last-Sequence": str(model.last_seq),
        "Nats-Expected-Last-Subject-Sequence": str(model.last_on(subject.encode())),
        "Nats-Expected-Last-Msg-Id": model.last_message_id,
    }
    return {
        key: last[key] if value == "last" else value.replace("{}", model.name)
        for key, value in headers.items()
    }


def filter_fields(name: str, filters: tuple[str, ...], policy: Config) -> Config:
    full = [f"{name}.{filter_}" for filter_ in filters]
    if not full and policy.get("deliver_policy") == "last_per_subject":
        full = [f"{name}.>"]  # it needs one (C-022)
    if len(full) > 1:
        return {"filter_subjects": full}
    return {"filter_subject": full[0]} if full else {}


# -- streams


def create_stream(world: World, asked: Config) -> None:
    """Only where there is none."""
    name = asked["name"]
    inbox = request(world, f"STREAM.CREATE.{name}", asked)

    def expect(p: Possibility) -> None:
        assert p.model is None
        shown = shown_stream(asked)
        p.model = StreamModel(name, stream_spec_of(shown), shown)
        p.entry(durable=True)
        p.answer(inbox, stream_info(p.model) | {"did_create": True}, durable=True)

    world.step(name, expect)


def update_stream(world: World, asked: Config) -> None:
    name = asked["name"]
    inbox = request(world, f"STREAM.UPDATE.{name}", asked)

    def expect(p: Possibility) -> None:
        if p.model is None:
            return p.answer(inbox, {"error": NO_STREAM})
        shown = shown_stream(asked)
        p.model.update(stream_spec_of(shown), shown)
        p.entry(durable=True)
        p.answer(inbox, stream_info(p.model), durable=True)
        return None

    world.step(name, expect)


def delete_stream(world: World, name: str) -> None:
    inbox = request(world, f"STREAM.DELETE.{name}", None)

    def expect(p: Possibility) -> None:
        if p.model is None:
            return p.answer(inbox, {"error": NO_STREAM})
        for consumer in p.model.consumers.values():
            p.send(consumer.farewell())
        p.model = None
        p.entry(durable=True)
        return p.answer(inbox, {"success": True}, durable=True)

    world.step(name, expect)


def purge(world: World, name: str, *, filter_: str = "", seq: int = 0, keep: int = 0) -> None:
    asked = {"filter": filter_, "seq": seq, "keep": keep}
    inbox = request(world, f"STREAM.PURGE.{name}", {k: v for k, v in asked.items() if v} or None)

    def expect(p: Possibility) -> None:
        refused: Answer | None = None
        if seq and keep:
            refused = error(400, 10003, "bad request")
        elif p.model is None:
            refused = NO_STREAM
        elif p.model.spec["sealed"]:
            refused = error(400, 10109, "invalid operation on sealed stream")
        elif p.model.spec["deny_purge"]:
            refused = error(500, 10110, "stream purge not permitted")
        if refused or p.model is None:
            return p.answer(inbox, {"error": refused, "purged": 0})
        if seq == 1:  # nothing lies below (S-105), and no entry says so
            return p.answer(inbox, {"success": True, "purged": 0})
        purged = p.model.purge(filter_.encode(), seq, keep)
        p.entry(durable=True)
        return p.answer(inbox, {"success": True, "purged": purged}, durable=True)

    world.step(name, expect)


def delete_message(world: World, name: str, seq: int, *, erase: bool) -> None:
    body = {"seq": seq} if erase else {"seq": seq, "no_erase": True}
    inbox = request(world, f"STREAM.MSG.DELETE.{name}", body)

    def expect(p: Possibility) -> None:
        if p.model is None:
            return p.answer(inbox, {"error": NO_STREAM})
        if p.model.spec["sealed"]:
            return p.answer(
                inbox, {"error": error(400, 10109, "invalid operation on sealed stream")}
            )
        if p.model.spec["deny_delete"]:
            return p.answer(inbox, {"error": error(500, 10057, "message delete not permitted")})
        state = p.model.state()
        if p.model.delete(seq):
            p.entry(durable=True)
            return p.answer(inbox, {"success": True}, durable=True)
        inside = p.model.spec["memory"] or state.first_seq <= seq <= state.last_seq
        if inside:
            return p.answer(inbox, {"error": error(400, 10043, f"sequence {seq} not found")})
        text = "stream store EOF" if seq > state.last_seq else "no message found"
        return p.answer(inbox, {"error": error(500, 10057, text)})

    world.step(name, expect)


def publish(world: World, name: str, messages: list[tuple[str, dict[str, str], bytes]]) -> None:
    """(subject, headers, body), together in one turn."""
    sent = []
    for subject, headers, body in messages:
        lines = "".join(f"{key}: {value}\r\n" for key, value in headers.items())
        block = f"NATS/1.0\r\n{lines}\r\n".encode() if headers else b""
        inbox = world.inbox()
        world.send(subject.encode(), inbox, block, body)
        sent.append((inbox, subject.encode(), block, body))

    def expect(p: Possibility) -> None:
        if p.model is None:
            return  # nobody answers
        answers = []
        for inbox, subject, block, body in sent:
            last = p.model.last_on(p.model.stored_on(subject))
            verdict, seq = p.model.publish(subject, block, body, world.clock.now_ns)
            stored = isinstance(verdict, Accepted) and seq in p.model.messages
            if p.model.spec["republish_destination"] and stored:
                p.send(p.model.republished(seq, last))
            ack = acknowledgement(p.model.name, verdict, seq)
            if not p.model.spec["no_ack"]:
                answers.append(Sent(inbox, inbox, b"", b"", ack))
        p.entry(durable=True)
        p.send(answers, durable=True)

    world.step(name, expect)


def publish_batch(
    world: World, name: str, messages: list[tuple[str, dict[str, str], bytes]]
) -> None:
    """An atomic batch, whole, in one turn."""
    batch, inbox = f"batch{world.numbers}", world.inbox()
    sent = []
    for number, (subject, headers, body) in enumerate(messages, 1):
        last = number == len(messages)
        own = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
        own |= {"Nats-Batch-Commit": "1"} if last else {}
        lines = "".join(f"{key}: {value}\r\n" for key, value in {**headers, **own}.items())
        block = f"NATS/1.0\r\n{lines}\r\n".encode()
        world.send(subject.encode(), inbox if last else b"", block, body)
        sent.append((subject.encode(), block, body))

    def expect(p: Possibility) -> None:
        if p.model is None:
            return  # nobody answers
        if not p.model.spec["allow_atomic"]:
            return p.send([Sent(inbox, inbox, b"", b"", acknowledgement(name, NO_BATCHES, 0))])
        verdict, seq = p.model.publish_batch(sent, world.clock.now_ns)
        p.entry(durable=True)
        ack = acknowledgement(name, verdict, seq, (batch, len(sent)))
        return p.send([Sent(inbox, inbox, b"", b"", ack)], durable=True)

    world.step(name, expect)


def get_message(world: World, name: str, seq: int) -> None:
    answer = world.ask(f"STREAM.MSG.GET.{name}", {"seq": seq})

    def wrong(p: Possibility) -> str:
        return "" if p.model is None else _wrong_message(p.model, seq, answer)

    world.rule_out(name, wrong)


def _wrong_message(model: StreamModel, seq: int, answer: Answer) -> str:
    from base64 import b64decode

    message = model.messages.get(seq)
    found = answer.get("message")
    if message is None or found is None:
        return "" if message is found else f"{seq}: {answer}, not {message}"
    got = (
        found["subject"].encode(),
        b64decode(found.get("hdrs", "")),
        b64decode(found.get("data", "")),
        found["time"],
    )
    told = time_text(message.time_ns)
    wanted = (*message.content, "T" if found["time"] == "T" else told)  # "T": not compared
    return "" if got == wanted else f"{seq}: {got}, not {wanted}"


# -- consumers


def create_consumer(
    world: World, name: str, asked: Config, times: dict[str, int], *, update: bool = False
) -> None:
    consumer = asked["durable_name"] if "durable_name" in asked else asked["name"]
    texts = {key: time_text(ns) for key, ns in times.items()}
    config = asked | texts
    body = {"stream_name": name, "config": config, "action": "update" if update else "create"}
    inbox = request(world, f"CONSUMER.CREATE.{name}.{consumer}", body)

    def expect(p: Possibility) -> None:
        now_ns = world.clock.now_ns
        if p.model is None:
            return p.answer(inbox, {"error": NO_STREAM})
        shown = {"name": consumer, **shown_consumer(config)}
        spec = consumer_spec_of(shown, times)
        existing = p.model.consumers.get(consumer)
        if update and existing is None:
            return p.answer(inbox, {"error": error(400, 10149, "consumer does not exist")})
        if existing is not None:
            p.model.update_consumer(consumer, spec, shown, now_ns)
        else:
            existing = p.model.create_consumer(consumer, spec, shown, now_ns)
        p.entry(durable=True)
        return p.answer(inbox, consumer_info(p.model, existing, now_ns), durable=True)

    world.step(name, expect)


def delete_consumer(world: World, name: str, consumer: str) -> None:
    inbox = request(world, f"CONSUMER.DELETE.{name}.{consumer}", None)

    def expect(p: Possibility) -> None:
        if p.model is None:
            return p.answer(inbox, {"error": NO_STREAM})
        if consumer not in p.model.consumers:
            return p.answer(inbox, {"error": NO_CONSUMER})
        p.send(p.model.consumers[consumer].farewell())
        p.model.delete_consumer(consumer)
        p.entry(durable=True)
        return p.answer(inbox, {"success": True}, durable=True)

    world.step(name, expect)


def reset(world: World, name: str, consumer: str, seq: int) -> None:
    inbox = request(world, f"CONSUMER.RESET.{name}.{consumer}", {"seq": seq} if seq else None)

    def expect(p: Possibility) -> None:
        if p.model is None or consumer not in p.model.consumers:
            return None  # nobody answers (C-011)
        model = p.model.consumers[consumer]
        if text := model.reset_refused(seq, p.model.messages, p.model.last_seq):
            refused = error(400, 10204, f"invalid reset: {text}")
            return p.answer(inbox, {"error": refused, "reset_seq": 0})
        reset_seq = p.model.reset_consumer(consumer, seq, world.clock.now_ns)
        p.entry(durable=True)
        shown = consumer_info(p.model, model, world.clock.now_ns)
        return p.answer(inbox, shown | {"reset_seq": reset_seq}, durable=True)

    world.step(name, expect)


def pause(world: World, name: str, consumer: str, until_ns: int) -> None:
    body = {"pause_until": time_text(until_ns)} if until_ns else None
    inbox = request(world, f"CONSUMER.PAUSE.{name}.{consumer}", body)

    def expect(p: Possibility) -> None:
        refused = {"paused": False, "pause_until": time_text(0)}
        if p.model is None:
            return p.answer(inbox, {"error": NO_STREAM} | refused)
        if consumer not in p.model.consumers:
            return p.answer(inbox, {"error": NO_CONSUMER} | refused)
        p.model.consumers[consumer].pause(until_ns, time_text(until_ns), world.clock.now_ns)
        p.entry(durable=True)
        answer: dict[str, Any] = {"paused": False, "pause_until": time_text(until_ns)}
        if (remaining_ns := until_ns - world.clock.now_ns) > 0:
            answer |= {"paused": True, "pause_remaining": remaining_ns}
        return p.answer(inbox, answer, durable=True)

    world.step(name, expect)


def unpin(world: World, name: str, consumer: str, group: str) -> None:
    inbox = request(world, f"CONSUMER.UNPIN.{name}.{consumer}", {"group": group})

    def expect(p: Possibility) -> None:
        if p.model is None:
            return p.answer(inbox, {"error": NO_STREAM})
        if consumer not in p.model.consumers:
            return p.answer(inbox, {"error": NO_CONSUMER})
        model = p.model.consumers[consumer]
        if group.encode() not in model.spec["priority_groups"]:
            text = "Provided priority group does not exist for this consumer"
            return p.answer(inbox, {"error": error(400, 10160, text)})
        model.unpin()
        return p.answer(inbox, {})

    world.step(name, expect)


def pull(world: World, name: str, consumer: str, body: Answer | int | None) -> None:
    """The id of a pin is the model's name for it."""
    payload = b"" if body is None else json.dumps(body).encode()
    named = b"" if body is None else json.dumps(world.pins.named(body)).encode()
    inbox = world.inbox()
    world.send(API + f"CONSUMER.MSG.NEXT.{name}.{consumer}".encode(), inbox, b"", named)

    def expect(p: Possibility) -> None:
        if p.model is None or consumer not in p.model.consumers:
            return
        model, now_ns = p.model.consumers[consumer], world.clock.now_ns
        p.send(model.pull(inbox, payload, p.model.messages, now_ns))

    world.step(name, expect)


def acknowledge_together(
    world: World, name: str, ack_subjects: list[bytes], *, confirm: bool
) -> None:
    """Of one consumer, in one turn: with ack policy `all` the highest is the one that counts."""
    sent = []
    for ack_subject in ack_subjects:
        inbox = world.inbox() if confirm else b""
        tokens = ack_subject.decode().split(".")
        world.send(ack_subject, inbox, b"", b"+ACK")
        sent.append((tokens[3], (int(tokens[5]), int(tokens[6])), inbox))

    def expect(p: Possibility) -> None:
        answers = []
        for consumer, numbers, inbox in sorted(sent, key=lambda each: -each[1][0]):
            if p.model is None or consumer not in p.model.consumers:
                return
            model, now_ns = p.model.consumers[consumer], world.clock.now_ns
            answers += model.acknowledge(numbers, inbox, b"+ACK", p.model.messages, now_ns)
            p.model.settle()
        p.entry(durable=bool(answers))
        p.send(answers, durable=bool(answers))

    world.step(name, expect)


def acknowledge(world: World, name: str, ack_subject: bytes, kind: bytes, *, confirm: bool) -> None:
    inbox = world.inbox() if confirm else b""
    tokens = ack_subject.decode().split(".")
    consumer, numbers = tokens[3], (int(tokens[5]), int(tokens[6]))
    world.send(ack_subject, inbox, b"", kind)

    def expect(p: Possibility) -> None:
        if p.model is None or consumer not in p.model.consumers:
            return
        model, now_ns = p.model.consumers[consumer], world.clock.now_ns
        answers = model.acknowledge(numbers, inbox, kind, p.model.messages, now_ns)
        p.model.settle()
        settles = not kind.startswith((b"-NAK", b"+WPI", b"+NXT"))
        promised = bool(answers) and settles
        p.entry(durable=promised)
        p.send(answers, durable=promised)

    world.step(name, expect)
