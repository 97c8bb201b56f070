"""Conversations about message schedules (ADR-51), in the manner of consumer_scenarios.py.

Where time is the subject, the scenario waits for what has to come and not longer; texts of times
are replaced.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from batch_scenarios import BatchSession
from raw_client import wait_until

Scenario = Callable[["ScheduleSession"], None]
SCENARIOS: dict[str, Scenario] = {}
FAR = "@at 2099-01-01T00:00:00Z"


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def in_seconds(seconds: float) -> str:
    return "@at " + (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


class ScheduleSession(BatchSession):
    def schedules(self, **fields: object) -> None:
        self.stream(allow_msg_schedules=True, **fields)

    def plan(
        self, subject: str, pattern: str, target: object = "s.t", body: str = "", **headers: object
    ) -> None:
        fields = {"Nats_Schedule": pattern, "Nats_Schedule_Target": target} | headers
        self.say(subject, body or f"of {subject}", **{k: v for k, v in fields.items() if v != ""})

    def say(self, subject: str, body: str = "", **headers: object) -> None:
        super().say(subject, body, **headers)
        self.notes[-1] = re.sub(r"@at 20[0-8]\d-[^']*", "@at TIME", self.notes[-1])

    def last_on(self, subject: str) -> dict | None:
        answer = self.api("STREAM.MSG.GET.S", {"last_by_subj": subject}, note=False)
        return answer.get("message")

    def await_on(self, subject: str, count: int = 1) -> list[float]:
        """Waits for so many messages, notes the last one, and returns when each was stored."""
        seen: dict[int, float] = {}

        def another() -> dict | None:
            found = self.last_on(subject)
            return None if found is None or found["seq"] in seen else found

        while len(seen) < count:
            message = wait_until(another, f"a message on {subject}")
            stored = datetime.fromisoformat(message["time"][:26].rstrip("Z") + "+00:00")
            seen[message["seq"]] = stored.timestamp()
        self.note_message(subject, message)
        return list(seen.values())

    def note_message(self, subject: str, message: dict | None) -> None:
        if message is None:
            self.notes.append(f"{subject}: nothing")
            return
        header = base64.b64decode(message.get("hdrs", "")).decode()
        header = re.sub(r"(Schedule-Next: )\d{4}-[^Z\r]*", r"\1TIME ", header)
        header = re.sub(r"@at 20[0-8]\d-[^\r]*", "@at TIME", header)
        self.notes.append(f"{subject}: {header!r} {base64.b64decode(message.get('data', ''))!r}")

    def all_subjects(self) -> None:
        answer = self.api("STREAM.INFO.S", {"subjects_filter": ">"}, note=False)
        self.notes.append(str(sorted(answer["state"].get("subjects", {}).items())))
        for subject in sorted(answer["state"].get("subjects", {})):
            self.note_message(subject, self.last_on(subject))


# ---------------------------------------------------------------- what is accepted


@scenario
def patterns(s: ScheduleSession) -> None:  # S-206, S-207
    s.schedules()
    for pattern in (
        FAR, "@at 2099-01-01T00:00:00.123456789Z", "@at 2099-01-01T00:00:00+02:00",
        "@at 2099-01-01T00:00:00,5Z", "@at 2099-01-01T5:00:00Z", "@at 2099-01-01 00:00:00Z",
        "@at 2099-01-01T00:00:00z", "@at 2099-02-29T00:00:00Z", "@at 2099-01-01T24:00:00Z",
        "@at 2099-01-01T00:00:60Z", "@at 2099-01-01T00:00:00", "@at 2099-01-01T00:00:00+24:00",
        "@at 2099-01-01T00:00:00+25:00", "@at 2099-01-01T00:00:00+00:60",
        "@at  2099-01-01T00:00:00Z",
        "@at 0001-01-01T00:00:00Z", "@at", "@at ", "@at tomorrow", "@At 2099-01-01T00:00:00Z",
        "@every 1h", "@every 1h30m", "@every 999ms", "@every 59m59.5s", "@every 1", "@every 0",
        "@every -1h", "@every +1h", "@every  1h", "@every", "@every 3000000h", "@every 1d",
        "@every 1.h", "@every .5h", "@every 1.2.3h",
        "@yearly", "@annually", "@monthly", "@weekly", "@Daily", "@never",
        "0 0 0 1 1", "0 0 0 1 1 * *", "0 0 0 29 2 *", "0 0 0 30 2 *", "0 0 0 31 2,4 ?",
        "0 0 0 1 jan sun", "0 0 0 1 JAN-feb *", "0 0 0 1 january *", "0 0 0 1 13 *", "0 0 0 0 1 *",
        "0 0 0 1 1 7", "60 0 0 1 1 *", "0 60 0 1 1 *", "0 0 24 1 1 *", "0 0 0 1 */2 *",
        "0 0 0 1 1/3 *", "0 0 0 1 1-2-3 *", "0 0 0 1 1/2/3 *", "0 0 0 1 3-1 *", "0 0 0 1 */0 *",
        "0 0 0 1 -1 *", "0 0 0 1 +1 *", "0 0 0 1 x *", "0 0 0 1 , *", "0 0 0 1 1,,2 *",
        "0 0 0 1 *-5 *", "0 0 0 1 ?/2 *", "0 0 0 1 */* *", "0\t0 0 1  1 *", ", 0 0 1 1 *",
        "0 0 0 1 1 sat-sun", "0 0 0 1 1 0,6", "* * * * * * *", "words",
    ):  # fmt: skip
        s.plan("s.p", pattern)


@scenario
def schedule_fields(s: ScheduleSession) -> None:  # S-205, S-207, S-208
    s.schedules()
    for target in ("", "s.*", "s.>", "other", "s.p", "s..t", "s.t.", "s"):
        s.plan("s.p", FAR, target)
    for source in ("s.source", "s.*", "other", "s.p", "s.t", "s."):
        s.plan("s.p", FAR, Nats_Schedule_Source=source)
    for rollup in ("sub", "Sub", "all", "x"):
        s.plan("s.p", FAR, Nats_Schedule_Rollup=rollup)
    for rollup in ("sub", "SUB", "all", "x"):
        s.plan("s.p", FAR, Nats_Rollup=rollup)
    for ttl in ("1h", "x", "10ms", "never"):
        s.plan("s.p", FAR, Nats_Schedule_TTL=ttl)
    s.plan("s.p", FAR, "", Nats_Schedule_TTL="x", Nats_Schedule_Rollup="x")
    s.plan("s.p", "x", "", Nats_Schedule_TTL="x")
    s.plan("s.p", "", Nats_Schedule_TTL="x")
    s.all_subjects()


@scenario
def schedule_ttl(s: ScheduleSession) -> None:  # S-207
    s.schedules(allow_msg_ttl=True)
    for ttl in ("1h", "x", "10ms", "never", "5", "0"):
        s.plan("s.p", FAR, Nats_Schedule_TTL=ttl)
    s.plan("s.p", FAR, Nats_TTL="1h")
    s.all_subjects()


@scenario
def time_zones(s: ScheduleSession) -> None:  # S-205
    s.schedules()
    for zone in (
        "Europe/Berlin", "UTC", "europe/berlin", "Europe", "Nowhere", "../UTC", "/UTC", "EST5EDT",
        "Etc/GMT+3", "+01:00", "Local", "Asia/Kolkata",
    ):  # fmt: skip
        s.plan("s.p", "0 0 0 1 1 *", Nats_Schedule_Time_Zone=zone)
        s.plan("s.p", FAR, Nats_Schedule_Time_Zone=zone)
        s.plan("s.p", "@every 1h", Nats_Schedule_Time_Zone=zone)
    empty = {"Nats-Schedule": "@yearly", "Nats-Schedule-Target": "s.t"}
    s.say("s.p", **empty, **{"Nats-Schedule-Time-Zone": ""})
    s.say("s.p", **{"Nats-Schedule-Time-Zone": "Nowhere"})
    s.say("s.p", **{"Nats-Schedule-Time-Zone": "UTC"})
    s.all_subjects()


@scenario
def schedules_disabled(s: ScheduleSession) -> None:  # S-207, S-212
    s.stream()
    s.plan("s.p", FAR)
    s.plan("s.p", "x", "")
    s.say("s.p", **{"Nats-Schedule-Target": "s.t"})
    for fields in SCHEDULER_FIELDS:
        s.say("s.p", **fields)
    s.all_subjects()


SCHEDULER_FIELDS = (
    {"Nats-Scheduler": "s.q"},
    {"Nats-Schedule-Next": "purge"},
    {"Nats-Schedule-Next": "2099-01-01T00:00:00Z", "Nats-Scheduler": "s.q"},
    {"Nats-Schedule-Next": "Purge", "Nats-Scheduler": "s.q"},
    {"Nats-Schedule-Next": "purge", "Nats-Scheduler": "s.p"},
    {"Nats-Schedule-Next": "purge", "Nats-Scheduler": "s.*"},
    {"Nats-Schedule-Next": "purge", "Nats-Scheduler": "s.q"},
    {"Nats-Schedule-Next": "purge", "Nats-Scheduler": "nobody"},
)


@scenario
def schedulers_of_clients(s: ScheduleSession) -> None:  # S-212
    s.schedules()
    s.say("s.q", "plain")
    for fields in SCHEDULER_FIELDS:
        s.say("s.p", **fields)
    s.plan("s.q", FAR)
    s.plan("s.r", FAR)
    for fields in SCHEDULER_FIELDS:
        s.say("s.p", **fields)
    s.all_subjects()


@scenario
def one_schedule_per_subject(s: ScheduleSession) -> None:  # S-208
    s.schedules()
    s.plan("s.p", FAR, body="first")
    s.plan("s.p", "@yearly", body="second")
    s.plan("s.q", FAR, body="other", Nats_Msg_Id="id")
    s.plan("s.q", FAR, body="other", Nats_Msg_Id="id")
    s.contents()


@scenario
def schedules_in_batches(s: ScheduleSession) -> None:  # S-208, S-212, S-219
    s.schedules(allow_atomic=True)
    plan = {"Nats-Schedule": FAR, "Nats-Schedule-Target": "s.t"}
    s.part("good", 1, "s.p", **plan)
    s.part("good", 2, "s.q")
    s.commit("good", 3, "s.r", **plan)
    s.part("pattern", 1, "s.u")
    s.commit("pattern", 2, "s.v", **(plan | {"Nats-Schedule": "x"}))
    s.part("twice", 1, "s.u", **plan)
    s.commit("twice", 2, "s.u", **plan)
    ends = {"Nats-Schedule-Next": "purge", "Nats-Scheduler": "s.u"}
    s.part("own", 1, "s.u", **plan)
    s.commit("own", 2, "s.v", **ends)
    s.part("plain", 1, "s.u")
    s.commit("plain", 2, "s.v", **ends)
    s.part("stored", 1, "s.u")
    s.commit("stored", 2, "s.v", **(ends | {"Nats-Scheduler": "s.p"}))
    s.contents()


# ---------------------------------------------------------------- what runs


@scenario
def single_runs(s: ScheduleSession) -> None:  # S-209, S-210
    s.schedules(allow_msg_ttl=True)
    s.say("s.source", "of the source", Own="kept", Nats_Msg_Id="source", Nats_TTL="1h")
    past = "@at 2020-01-01T00:00:00Z"
    s.plan("s.past", past, "s.t.past", "", Nats_Msg_Id="x", Own="header", Nats_TTL="1h")
    s.await_on("s.t.past")
    s.plan("s.at", in_seconds(2.5), "s.t.at")
    s.plan("s.ttl", past, "s.t.ttl", Nats_Schedule_TTL="1h", Nats_Expected_Last_Subject_Sequence=0)
    s.plan("s.from", past, "s.t.from", Nats_Schedule_Source="s.source")
    s.plan("s.missing", past, "s.t.missing", Nats_Schedule_Source="s.nothing", Own="own")
    s.say("s.t.rolled", "before")
    s.plan("s.rolls", past, "s.t.rolled", Nats_Schedule_Rollup="sub")
    s.plan("s.deleted", in_seconds(2.2), "s.t.deleted")
    s.api("STREAM.PURGE.S", {"filter": "s.deleted"}, note=False)
    s.plan("s.replaced", in_seconds(2.2), "s.t.replaced")
    s.plan("s.replaced", FAR, "s.t.replaced")
    s.plan("s.covered", in_seconds(2.2), "s.t.covered")
    s.say("s.covered", "a plain message ends it")
    for name in ("ttl", "from", "missing", "at"):
        s.await_on(f"s.t.{name}")
    # When the past ones run between the other messages is not the matter.
    s.notes = [re.sub(r'"seq":\d+', '"seq":N', note) for note in s.notes]
    s.all_subjects()


@scenario
def repeated_runs(s: ScheduleSession) -> None:  # S-209, S-211, S-213
    s.schedules()
    s.plan("s.every", "@every 1s", "s.t.every", "tick")
    s.plan("s.cron", "* * * * * *", "s.t.cron", "tock")
    zone = {"Nats-Schedule-Time-Zone": "Asia/Kolkata"}
    s.plan("s.zone", "* * * * * *", "s.t.zone", "tock", **zone)
    for name in ("every", "cron", "zone"):
        times = s.await_on(f"s.t.{name}", 2)
        near = [abs(t - round(t)) < 0.3 for t in times]
        s.notes.append(f"on the second: {near}")
        gaps = [round(b - a) for a, b in pairwise(times)]
        s.notes.append(f"{name}: {gaps}")
