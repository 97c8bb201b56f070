"""Conversations about atomic batches, fast batches and schedules, in the manner of
consumer_scenarios.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from api_connection import ANSWER_S_MAX
from consumer_scenarios import Session, normal_message

Scenario = Callable[["BatchSession"], None]
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def block(headers: dict[str, object]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode() if lines else b""


class BatchSession(Session):
    def say(self, subject: str, body: str = "", **headers: object) -> None:
        """A request; `Nats_Msg_Id` stands for the header Nats-Msg-Id."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.connection.request(subject, body.encode(), block(named))
        self.notes.append(f"{subject} {named}: {normal_message(answer) if answer else 'no answer'}")

    def part(
        self, batch: str, seq: object, subject: str = "s.a", body: str = "", **headers: object
    ) -> None:
        self.say(
            subject,
            body or f"{batch} {seq}",
            Nats_Batch_Id=batch,
            Nats_Batch_Sequence=seq,
            **headers,
        )

    def commit(self, batch: str, seq: object, subject: str = "s.a", **headers: object) -> None:
        self.part(batch, seq, subject, Nats_Batch_Commit=headers.pop("how", 1), **headers)

    def fast(
        self,
        batch: str,
        seq: object,
        operation: object = 1,
        *,
        gap: str = "fail",
        flow: object = 10,
        answers: int = 0,
        **headers: object,
    ) -> None:
        """One message of a fast batch, and as many answers as it is expected to bring."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reply = f"f.{batch}.{flow}.{gap}.{seq}.{operation}.$FI"
        self.connection.publish("s.a", f"{batch} {seq}".encode(), block(named), reply)
        self.take(answers)

    def contents(self) -> None:
        """Every message of the stream as it is stored."""
        state = self.api("STREAM.INFO.S", note=False)["state"]
        numbers = {k: state[k] for k in ("messages", "first_seq", "last_seq")}
        self.notes.append(json.dumps(numbers))
        for seq in range(state["first_seq"], state["last_seq"] + 1):
            answer = self.api("STREAM.MSG.GET.S", {"seq": seq}, note=False)
            message = answer.get("message", {})
            message.pop("time", None)
            self.notes.append(json.dumps(message, sort_keys=True))


# ---------------------------------------------------------------- atomic


@scenario
def atomic_batch(s: BatchSession) -> None:  # S-214, S-216, S-220
    s.stream(allow_atomic=True)
    s.part("one", 1)
    s.part("one", 2)
    s.commit("one", 3)
    s.part("two", 1, "s.b")
    s.commit("two", 2, how="eob")
    s.commit("alone", 1)
    s.contents()


@scenario
def atomic_refused_by_grammar(s: BatchSession) -> None:  # S-214, S-215
    s.stream(allow_atomic=True, max_msg_size=300)
    s.say("s.a", Nats_Batch_Id="x" * 65, Nats_Batch_Sequence=1)
    s.say("s.a", Nats_Batch_Id="b")
    s.say("s.a", Nats_Batch_Id="b", Nats_Batch_Sequence="")
    s.say("s.a", Nats_Batch_Id="b", Nats_Batch_Sequence="-1")
    s.say("s.a", Nats_Batch_Id="b", Nats_Batch_Sequence="99999999999999999999")
    s.say("s.a", Nats_Batch_Id="b", Nats_Batch_Sequence=0)
    s.say("s.a", Nats_Batch_Id="", Nats_Batch_Sequence=1)
    s.part("b", 2)
    s.part("b", 1001)
    s.part("b", 1002)
    s.commit("b", 1001, how="eob")
    s.commit("b", 1002, how="eob")
    s.commit("b", 1, how="eob")
    for how in ("", "0", "EOB", "true"):
        s.commit(f"how {how}", 1, how=how)
        s.part(f"how {how}", 2)
    s.part("large", 1, body="x" * 400)
    s.part("large", 1)
    s.part("large", 2, body="x" * 400)
    s.commit("large", 3)
    s.commit("large", 3)
    s.part("gap", 1)
    s.part("gap", 3)
    s.part("gap", 2)
    s.part("twice", 1)
    s.part("twice", 1)
    s.contents()


@scenario
def atomic_disabled(s: BatchSession) -> None:  # S-215
    s.stream(max_msg_size=200)
    s.part("b", 1)
    s.part("b", 1, Nats_Expected_Stream="other", Nats_Incr="x", Nats_TTL="1s")
    s.part("b", 1, body="x" * 300)
    s.say("s.a", Nats_Batch_Id="x" * 65)
    s.say("s.a", Nats_Batch_Id="")
    s.contents()


@scenario
def atomic_ids(s: BatchSession) -> None:  # S-218
    s.stream(allow_atomic=True)
    s.say("s.a", Nats_Msg_Id="known")
    s.part("stored", 1)
    s.commit("stored", 2, Nats_Msg_Id="known")
    s.part("inside", 1, Nats_Msg_Id="new")
    s.commit("inside", 2, Nats_Msg_Id="new")
    s.part("good", 1, Nats_Msg_Id="new")
    s.commit("good", 2, Nats_Msg_Id="newer")
    s.say("s.a", Nats_Msg_Id="newer")
    s.say("s.a", Nats_Expected_Last_Msg_Id="newer")
    s.part("expects", 1)
    s.commit("expects", 2, Nats_Expected_Last_Msg_Id="newer")
    s.contents()


@scenario
def order_of_refusals(s: BatchSession) -> None:  # S-123, S-130, S-219, S-226
    """Of what is wrong with a message in several ways: with plain ones it is another than in
    batches.
    """
    faults: dict[str, object] = {
        "Nats-TTL": "never",
        "Nats-Msg-Id": "known",
        "Nats-Stream-Source": "A 1",
        "Nats-Expected-Last-Sequence": 7,
        "Nats-Expected-Last-Subject-Sequence": 8,
        "Nats-Schedule": "nonsense",
        "Nats-Rollup": "nonsense",
        "Nats-Expected-Last-Msg-Id": "other",
    }
    s.connection.subscribe("f.>")
    for number, features in enumerate(({}, {"allow_msg_ttl": True}, {"allow_msg_counter": True})):
        s.stream(allow_atomic=True, allow_batched=True, **features)
        amount = {"Nats_Incr": 1} if "allow_msg_counter" in features else {}
        s.say("s.a", Nats_Msg_Id="known", **amount)
        left = list(faults)
        while left:
            named = {name: faults[name] for name in left}
            s.say("s.a", **named)
            s.fast(f"fast{number}{len(left)}", 1, 0, answers=1, **named)
            named.pop("Nats-Expected-Last-Msg-Id")
            s.commit(f"atomic{number}{len(left)}", 1, **named)
            left.pop(0)
        s.api("STREAM.DELETE.S", note=False)


@scenario
def atomic_expectations(s: BatchSession) -> None:  # S-219
    s.stream(allow_atomic=True)
    s.say("s.a", "plain")
    s.say("s.b", "plain")
    s.part("first", 1, Nats_Expected_Last_Sequence=2)
    s.commit("first", 2)
    s.part("wrong", 1, Nats_Expected_Last_Sequence=3)
    s.commit("wrong", 2)
    s.part("later", 1)
    s.commit("later", 2, Nats_Expected_Last_Sequence=5)
    s.part("later wrong", 1)
    s.commit("later wrong", 2, Nats_Expected_Last_Sequence=4)
    s.part("subject", 1, "s.b", Nats_Expected_Last_Subject_Sequence=2)
    s.commit("subject", 2, "s.c", Nats_Expected_Last_Subject_Sequence=0)
    s.part("subject wrong", 1, "s.b", Nats_Expected_Last_Subject_Sequence=2)
    s.commit("subject wrong", 2, "s.c")
    s.part("written", 1, "s.b")
    s.commit("written", 2, "s.b", Nats_Expected_Last_Subject_Sequence=5)
    s.part("other", 1, "s.b", **{"Nats-Expected-Last-Subject-Sequence-Subject": "s.c"})
    s.commit("other", 2, "s.b")
    fields = {
        "Nats-Expected-Last-Subject-Sequence": 6,
        "Nats-Expected-Last-Subject-Sequence-Subject": "s.c",
    }
    s.part("both", 1, "s.b", **fields)
    s.commit("both", 2, "s.d", **fields)
    s.part("both wrong", 1, "s.b", **fields)
    s.commit("both wrong", 2, "s.d", **(fields | {"Nats-Expected-Last-Subject-Sequence": 5}))
    s.part("word", 1, Nats_Expected_Last_Sequence="x")
    s.commit("word", 2)
    s.part("stream", 1)
    s.commit("stream", 2, Nats_Expected_Stream="other")
    s.contents()


@scenario
def atomic_rollups(s: BatchSession) -> None:  # S-219
    s.stream(allow_atomic=True, allow_rollup_hdrs=True)
    s.say("s.a", "plain")
    s.say("s.b", "plain")
    s.part("sub", 1, "s.b")
    s.commit("sub", 2, Nats_Rollup="sub")
    s.part("sub late", 1)
    s.commit("sub late", 2, Nats_Rollup="SUB")
    s.part("all late", 1)
    s.commit("all late", 2, Nats_Rollup="all")
    s.part("word", 1)
    s.commit("word", 2, Nats_Rollup="Word")
    s.contents()
    s.part("all", 1, Nats_Rollup="All")
    s.commit("all", 2, "s.b")
    s.contents()


@scenario
def rollups_not_allowed(s: BatchSession) -> None:  # S-219
    s.stream(allow_atomic=True)
    s.part("sub", 1, Nats_Rollup="sub")
    s.commit("sub", 2)
    s.say("s.a", Nats_Rollup="Word")
    s.contents()


@scenario
def atomic_ttls(s: BatchSession) -> None:  # S-218
    s.stream(allow_atomic=True)
    s.part("off", 1, Nats_TTL="1h")
    s.commit("off", 2)
    s.part("off bad", 1, Nats_TTL="word")
    s.commit("off bad", 2)
    config = {"name": "S", "subjects": ["s.>"], "allow_atomic": True, "allow_msg_ttl": True}
    s.api("STREAM.UPDATE.S", config, note=False)
    s.part("bad", 1, Nats_TTL="word")
    s.commit("bad", 2)
    s.part("good", 1, Nats_TTL="1h")
    s.commit("good", 2, Nats_TTL="never")
    s.contents()


@scenario
def atomic_discard_new(s: BatchSession) -> None:  # S-218
    s.stream(allow_atomic=True, discard="new", max_msgs=3)
    s.say("s.a")
    for batch, size in (("fits", 2), ("does not", 1)):
        for seq in range(1, size):
            s.part(batch, seq, "s.b")
        s.commit(batch, size, "s.b")
    s.contents()


@scenario
def atomic_discard_new_per_subject(s: BatchSession) -> None:  # S-218
    s.stream(allow_atomic=True, discard="new", max_msgs_per_subject=1, discard_new_per_subject=True)
    s.say("s.a")
    s.part("known", 1, "s.b")
    s.commit("known", 2, "s.a")
    s.part("inside", 1, "s.b")
    s.commit("inside", 2, "s.b")
    s.part("good", 1, "s.b")
    s.commit("good", 2, "s.c")
    s.contents()


@scenario
def atomic_levels(s: BatchSession) -> None:  # S-127
    s.stream(allow_atomic=True)
    s.part("low", 1, Nats_Required_Api_Level=0)
    s.commit("low", 2)
    s.part("high", 1, Nats_Required_Api_Level=99)
    s.part("high", 2)
    s.part("word", 1)
    s.part("word", 2, Nats_Required_Api_Level="x")
    s.contents()


@scenario
def atomic_abandoned(s: BatchSession) -> None:  # S-217, S-252
    s.stream(allow_atomic=True)
    s.connection.subscribe("$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.*")
    for batch, headers in (
        ("gap", {}),
        ("level", {"Nats-Required-Api-Level": 99}),
    ):
        s.part(batch, 1)
        s.part(batch, 3, **headers)
        message = s.connection.next_of_any(ANSWER_S_MAX)
        assert message is not None
        event = json.loads(message.body)
        del event["id"], event["timestamp"]
        s.notes.append(f"{message.subject} {json.dumps(event, sort_keys=True)}")


@scenario
def atomic_too_many(s: BatchSession) -> None:  # S-215
    s.stream(allow_atomic=True)
    for number in range(50):
        s.part(f"b{number}", 1)
    s.part("b50", 1)
    for number in range(50):  # nats-server deletes a stream with open batches only by half
        s.commit(f"b{number}", 2)
    s.commit("b50", 1)


@scenario
def atomic_too_large(s: BatchSession) -> None:  # S-215
    s.stream(allow_atomic=True)
    for seq in range(1, 1001):
        headers = {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": seq}
        s.connection.publish("s.a", b"", block(headers))
    s.connection.flush()
    s.part("b", 1001)
    for seq in range(1, 1001):
        headers = {"Nats-Batch-Id": "c", "Nats-Batch-Sequence": seq}
        s.connection.publish("s.a", b"", block(headers))
    s.commit("c", 1001, how="eob")


@scenario
def atomic_sealed_or_silent(s: BatchSession) -> None:
    s.stream(allow_atomic=True, no_ack=True)
    s.connection.publish("s.a", b"1", block({"Nats-Batch-Id": "b", "Nats-Batch-Sequence": 1}), "r")
    headers = {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": 2, "Nats-Batch-Commit": 1}
    s.connection.publish("s.a", b"2", block(headers), "r")
    s.until_state(messages=2)
    s.contents()
    s.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "sealed": True}, note=False)
    s.part("b", 1)


@scenario
def atomic_switched_off(s: BatchSession) -> None:  # S-044
    s.stream(allow_atomic=True)
    s.part("b", 1)
    s.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"]}, note=False)
    s.part("b", 2)
    s.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "allow_atomic": True}, note=False)
    s.commit("b", 2)


# ---------------------------------------------------------------- fast


@scenario
def fast_batch(s: BatchSession) -> None:  # S-222, S-223
    s.stream(allow_batched=True)
    s.connection.subscribe("f.>")
    s.fast("b", 1, 0, flow=2, answers=1)
    s.fast("b", 2, flow=2, answers=1)
    s.fast("b", 3, flow=2)
    s.fast("b", 4, flow=2, answers=1)
    s.fast("b", 5, 2, flow=2, answers=1)
    s.fast("c", 1, 0, answers=1)
    s.fast("c", 2)
    s.fast("c", 3, 3, answers=1)
    s.fast("one", 1, 2, answers=1)
    s.contents()


@scenario
def fast_grammar(s: BatchSession) -> None:  # S-222, S-225
    s.stream(allow_batched=True, max_msg_size=200)
    s.connection.subscribe("f.>")
    s.connection.subscribe("x.>")
    for reply in (
        "x.$FI", "x.0.$FI", "x.1.0.$FI", "x.ok.1.0.$FI", "x.10.ok.1.0.$FI", "x.b.10.ok.1.5.$FI",
        "x.b.10.ok.1.x.$FI", "x.b.10.ok.2.0.$FI", "x.b.10.ok.1.1.$FI", "x.b.10.ok.1.3.$FI",
        "x.b.10.ok.0.0.$FI", "x.b.10.ok.x.0.$FI", "x.b.10.Ok.1.0.$FI", "x.b.10.ok.2.1.$FI",
        "x.b.10.ok.18446744073709551615.1.$FI", "x.b.10.ok.18446744073709551616.1.$FI",
        f"x.{'i' * 65}.10.ok.1.0.$FI",
    ):  # fmt: skip
        s.connection.publish("s.a", b"", b"", reply)
        s.take(1)
    for flow in ("x", "0", "-5", "70000", "400"):
        s.connection.publish("s.a", b"", b"", f"x.b.{flow}.ok.1.0.$FI")
        s.take(1)
        s.connection.publish("s.a", b"", b"", f"x.b.{flow}.ok.2.2.$FI")
        s.take(1)
    s.connection.publish("s.a", b"x" * 300, b"", "x.e.10.ok.1.0.$FI")
    s.take(1)
    s.contents()


@scenario
def fast_disabled(s: BatchSession) -> None:  # S-225
    s.stream(max_msg_size=200)
    s.connection.subscribe("f.>")
    s.fast("b", 1, 0, answers=1)
    s.fast("b", 1, 9, answers=1)
    s.contents()


@scenario
def fast_gaps(s: BatchSession) -> None:  # S-223, S-226
    s.stream(allow_batched=True)
    s.connection.subscribe("f.>")
    s.fast("ok", 1, 0, gap="ok", flow=2, answers=1)
    s.fast("ok", 4, gap="ok", flow=2, answers=2)
    s.fast("ok", 6, 2, gap="ok", flow=2, answers=2)
    s.fast("fail", 1, 0, answers=1)
    s.fast("fail", 2)
    s.fast("fail", 4, answers=2)
    s.fast("fail", 5, answers=1)
    s.fast("back", 1, 0, gap="ok", answers=1)
    s.fast("back", 2, gap="ok")
    s.fast("back", 2, gap="ok", answers=2)
    s.fast("back", 3, gap="ok", answers=1)
    s.fast("behind", 1, 0, answers=1)
    s.fast("behind", 2)
    s.fast("behind", 1, answers=1)
    s.fast("again", 1, 0, answers=2)
    s.fast("again", 1, 0, answers=2)
    s.contents()


@scenario
def fast_pings(s: BatchSession) -> None:  # S-222
    s.stream(allow_batched=True)
    s.connection.subscribe("f.>")
    s.fast("b", 1, 4, answers=1)
    s.fast("c", 1, 0, flow=2, answers=1)
    s.fast("c", 1, 4, flow=2, answers=1)
    s.fast("c", 2, flow=2, answers=1)
    s.fast("c", 2, 4, flow=2, answers=1)
    s.fast("c", 4, 4, flow=2, answers=2)
    s.fast("d", 1, 0, gap="ok", flow=1, answers=2)
    s.fast("d", 3, 4, gap="ok", flow=1, answers=2)
    s.fast("d", 4, 2, gap="ok", flow=1, answers=1)
    s.contents()


@scenario
def fast_refusals(s: BatchSession) -> None:  # S-223, S-226
    wrong = {"Nats-Expected-Last-Sequence": 99}
    s.stream(allow_batched=True)
    s.connection.subscribe("f.>")
    s.fast("first", 1, 0, answers=2, **wrong)
    s.fast("first", 2, answers=1)
    s.fast("later", 1, 0, answers=1)
    s.fast("later", 2, answers=2, **wrong)
    s.fast("later", 3, answers=1)
    s.fast("ok", 1, 0, gap="ok", answers=2, **wrong)
    s.fast("ok", 2, gap="ok")
    s.fast("ok", 3, gap="ok", answers=1, **wrong)
    s.fast("ok", 4, 2, gap="ok", answers=2, **wrong)
    s.fast("end", 1, 0, answers=1)
    s.fast("end", 2, 2, answers=2, **wrong)
    s.contents()


@scenario
def fast_duplicates(s: BatchSession) -> None:  # S-226
    s.stream(allow_batched=True)
    s.connection.subscribe("f.>")
    s.say("s.a", Nats_Msg_Id="known")
    known = {"Nats-Msg-Id": "known"}
    s.fast("b", 1, 0, flow=2, answers=1)
    s.fast("b", 2, flow=2, answers=1, **known)
    s.fast("b", 3, flow=2)
    s.fast("b", 4, 2, flow=2, answers=2, **known)
    s.fast("alone", 1, 2, answers=1, **known)
    s.fast("ok", 1, 2, gap="ok", answers=1, **known)
    s.fast("first", 1, 0, answers=1, **known)
    s.fast("first", 2, 3, answers=1)
    s.contents()


@scenario
def fast_flow_is_shared(s: BatchSession) -> None:  # S-224
    s.stream(allow_batched=True)
    s.connection.subscribe("f.>")
    s.fast("one", 1, 0, flow=1000, answers=1)
    s.fast("two", 1, 0, flow=1000, answers=2)
    s.fast("two", 2, flow=1000)
    s.fast("two", 3, flow=1000, answers=1)
    for seq in range(4, 40):
        s.fast("two", seq, flow=1000, answers=int(seq in (7, 15, 31)))
    s.fast("two", 40, 2, flow=1000, answers=1)
    for seq in range(2, 502):
        s.fast("one", seq, flow=1000, answers=int(seq == 500))
    s.fast("one", 502, 3, flow=1000, answers=1)


@scenario
def fast_levels(s: BatchSession) -> None:  # S-127
    s.stream(allow_batched=True)
    s.connection.subscribe("f.>")
    s.fast("b", 1, 0, answers=1, **{"Nats-Required-Api-Level": 0})
    s.fast("b", 2, answers=1, **{"Nats-Required-Api-Level": 99})
    s.fast("b", 3, answers=1)
    s.say("s.b", "stored behind the others")
    s.contents()
