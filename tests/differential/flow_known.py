"""Differences that were decided (docs/differences.md) and that a flow cannot avoid beforehand: it
ends there, because what follows depends on them.

Each rule names the situation that nats-server is known for and where in its source that stems from,
and holds for nothing but that: the consumer at which it shows must be in that situation, and what
both said may differ in nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from slipstream.protocol.subjects import subject_matches

if TYPE_CHECKING:
    from flow_comparison import Difference

NO_MESSAGES = " <> b'NATS/1.0 404 No Messages\\r\\n\\r\\n' "
REQUESTS_PENDING = " <> b'NATS/1.0 408 Requests Pending\\r\\n\\r\\n' "
_PLACES = (
    re.compile(r"(?P<kind>state) CONSUMER\.INFO\.(?P<stream>\w+)\.(?P<consumer>\w+) $"),
    re.compile(r"\d+ \$JS\.API\.CONSUMER\.(?P<kind>RESET)\.(?P<stream>\w+)\.(?P<consumer>\w+)$"),
    re.compile(r"\d+ (?P<kind>pull) (?P<stream>\w+) (?P<consumer>\w+)$"),
    re.compile(r"(?P<kind>listen) push\.(?P<consumer>\w+)$"),
    re.compile(r"\d+ (?P<kind>ack) (?P<consumer>\w+)$"),
    re.compile(
        r"(?P<kind>event) \$JS\.EVENT\.ADVISORY\.CONSUMER\.(?P<event>\w+)"
        r"\.(?P<stream>\w+)\.(?P<consumer>\w+)$"
    ),
)
_PENDING = re.compile(r"(<\$JS\.ACK\.[^>]*)\.\w+>")
_SUBJECT = re.compile(r"(\S+) <\$JS\.ACK\.")
_SEQUENCE = re.compile(r"<\$JS\.ACK(?:\.[^.>]+){3}\.(\d+)\.")
_FLOW_REQUEST = "100 FlowControl Request"


class Place(NamedTuple):
    """Where a difference showed, with the names as operations write them."""

    kind: str
    stream: str
    consumer: str
    event: str
    configs: list[dict[str, Any]]  # of the consumer, as they were asked for
    after: list[dict[str, Any]]  # the operations since it was created


def known_reason(difference: Difference) -> str:
    """Empty for what is not known."""
    if time_of_several(difference):
        return "messages that arrive together have one time"
    if answered_by_a_mirror(difference):
        return "a mirror with mirror_direct answers in the place of its origin"
    place = _place(difference)
    if place is not None:
        for rule in RULES:
            if rule(difference, place):
                assert rule.__doc__
                return " ".join(rule.__doc__.partition(".")[0].split())
    return ""


def _place(difference: Difference) -> Place | None:
    found = next((m for p in _PLACES if (m := p.match(difference.channel))), None)
    if found is None:
        return None
    names = found.groupdict()
    consumer = f"{names['consumer'][:-5]}~"
    created = [
        (at, op)
        for at, op in enumerate(difference.operations)
        if op.get("verb", "").startswith("CONSUMER.CREATE.") and op["verb"].endswith(f".{consumer}")
    ]
    if not created:
        return None
    stream = created[0][1]["verb"].split(".")[2]
    configs = [op["body"]["config"] for _, op in created]
    after = difference.operations[created[0][0] :]
    return Place(found["kind"], stream, consumer, names.get("event", ""), configs, after)


def time_of_several(difference: Difference) -> bool:
    """nats-server gives each message its own time; what is found by the time of one may with ours
    be one that came just before it.
    """
    asked = difference.operations[-1].get("body")
    time = asked.get("start_time") if isinstance(asked, dict) else None
    if not isinstance(time, dict) or not difference.ours:
        return False
    found = re.search(r'"seq":(\d+)|Nats-Sequence: (\d+)', difference.ours[0])
    return found is not None and int(found[1] or found[2]) < time["time_of"][1]


def answered_by_a_mirror(difference: Difference) -> bool:
    """Origin and mirrors are one queue group: either may answer, on both servers."""
    asked = difference.operations[-1].get("verb", "").startswith("DIRECT.GET.")
    mirrors = any(info["config"].get("mirror_direct") for info in difference.streams.values())
    alike = [
        [re.sub(r"Nats-Stream: \w+", "Nats-Stream: ANY", note) for note in notes]
        for notes in (difference.theirs, difference.ours)
    ]
    return asked and mirrors and alike[0] == alike[1]


# ---------------------------------------------------------------- advisories


def repeated_pause(difference: Difference, place: Place) -> bool:
    """the advisory of a pause comes again with an update. updateConfig (consumer.go) sends it
    whenever the updated consumer has a pause.
    """
    last = difference.operations[-1].get("verb", "")
    updated = last == f"CONSUMER.CREATE.{place.stream}.{place.consumer}"
    return place.event == "PAUSE" and updated and not difference.ours


def terminated_by_purge(difference: Difference, place: Place) -> bool:
    """some purges tell of pending messages. Those that remove one by one (storeUpdates of stream.go
    calls decStreamPending of consumer.go) take each for one that was deleted.
    """
    purged = difference.operations[-1].get("verb", "") == f"STREAM.PURGE.{place.stream}"
    return place.event == "MSG_TERMINATED" and purged and not difference.ours


# ---------------------------------------------------------------- last_per_subject


def list_with_holes(difference: Difference, place: Place) -> bool:
    """a message chosen by last_per_subject is gone. getNextMsg (consumer.go) takes the next of the
    list, does not find it, and the consumer waits as at the end of its stream: a no_wait request
    gets 404. decStreamPending counts every removal behind the position, listed or not, and
    calculateNumPending counts anew from there.
    """
    if not _listed(place) or not difference.has_gaps(place.stream):
        return False
    if place.kind == "state":
        return _info_differs_in(difference) == {"num_pending"}
    theirs, ours = _without_pending(difference.theirs), _without_pending(difference.ours)
    came = [note for note in theirs if note != NO_MESSAGES]
    return place.kind in ("pull", "listen") and came == ours[: len(came)]


def list_without_room(difference: Difference, place: Place) -> bool:
    """a message chosen by last_per_subject that is too large for its request is passed over.
    loopAndGatherMsgs (consumer.go) goes back by one sequence, but the list has lost the message.
    """
    limited = any(
        op["do"] == "pull" and op["consumer"] == place.consumer and "max_bytes" in op["body"]
        for op in place.after
    )
    if not (_listed(place) and limited and place.kind == "pull"):
        return False
    theirs, ours = (
        [int(seq) for note in notes for seq in _SEQUENCE.findall(note)]
        for notes in (difference.theirs, difference.ours)
    )
    return bool(ours) and (not theirs or theirs[0] > ours[0])


def list_without_filters(difference: Difference, place: Place) -> bool:
    """the list of last_per_subject is delivered whatever the filters say. selectStartingSeqNo
    (consumer.go) makes it once: an update leaves it; and MultiLastSeqs (of the stores) takes
    filters that are the stream's own subjects for everything, with what came from sources.
    """
    if not _listed(place) or place.kind not in ("pull", "listen"):
        return False
    newest = place.configs[-1]
    filters = newest.get("filter_subjects") or [newest.get("filter_subject") or ">"]
    number = re.search(r"(\d{5})$", difference.channel)
    assert number
    filters = [f.replace("~", number[1]).encode() for f in filters]
    ours_and_end = [*_without_pending(difference.ours), ""]
    pairs = zip(_without_pending(difference.theirs), ours_and_end, strict=False)
    first = next((theirs for theirs, ours in pairs if _order(theirs) != _order(ours)), "")
    came = _SUBJECT.match(first)
    return came is not None and not any(subject_matches(f, came[1].encode()) for f in filters)


def counted_by_subject(difference: Difference, place: Place) -> bool:
    """a consumer with last_per_subject that was reset delivers every message, and counts one of
    each subject. streamNumPending (consumer.go) goes by the policy, of which the list is no more.
    """
    if not _listed(place) or place.kind not in ("state", "RESET"):
        return False
    theirs, ours = _infos(difference)
    return (
        _asked(place, "CONSUMER.RESET", of_consumer=True)
        and _info_differs_in(difference) == {"num_pending"}
        and theirs["num_pending"] < ours["num_pending"]
    )


# ---------------------------------------------------------------- purges


def floor_of_a_purge(difference: Difference, place: Place) -> bool:
    """a purge moves the ack floor to the last delivery that it removed. purge (consumer.go) does so
    whatever is pending before that, and not over acknowledged ones behind it; what decStreamPending
    removes is acknowledged by goroutines of their own, in any order, before or after.
    """
    if place.kind != "state" or not _purged(place):
        return False
    theirs, ours = _infos(difference)
    return (
        _info_differs_in(difference) == {"ack_floor"}
        and theirs["num_ack_pending"] > 0
        and theirs["ack_floor"]["stream_seq"] <= ours["ack_floor"]["stream_seq"]
    )


def floor_at_what_was_looked_at(difference: Difference, place: Place) -> bool:
    """a purge that leaves nothing pending moves the floor to what was looked at. purge
    (consumer.go) takes sseq, which is behind what was passed over while somebody waited; it stays
    there when more is delivered.
    """
    if place.kind != "state" or not _purged(place):
        return False
    if not _info_differs_in(difference) <= {"ack_floor", "delivered"}:
        return False
    theirs, ours = _infos(difference)
    pairs = [(theirs[position], ours[position]) for position in ("ack_floor", "delivered")]
    return all(t["consumer_seq"] == o["consumer_seq"] for t, o in pairs) and all(
        (t["stream_seq"] or 0) >= (o["stream_seq"] or 0) for t, o in pairs
    )


def pending_after_a_purge(difference: Difference, place: Place) -> bool:
    """a purge of subjects leaves pending what it removed. purge (consumer.go), of a consumer that
    wants more than was purged, looks for it only when the stream's first sequence has moved.
    """
    if place.kind != "state" or not _purged(place, of_subjects=True):
        return False
    theirs, ours = _infos(difference)
    return (
        _info_differs_in(difference) <= {"ack_floor", "num_ack_pending", "num_redelivered"}
        and theirs["num_ack_pending"] > ours["num_ack_pending"]
        and theirs["ack_floor"]["stream_seq"] <= ours["ack_floor"]["stream_seq"]
    )


def unblocked_by_a_purge(difference: Difference, place: Place) -> bool:
    """a consumer goes on at once when what held it back is purged. purge (consumer.go) does not
    signal it.
    """
    purged = difference.operations[-1].get("verb", "") == f"STREAM.PURGE.{place.stream}"
    limited = any(config.get("max_ack_pending") for config in place.configs) or (
        difference.limits_pending(place.stream)
    )
    return purged and limited and place.kind in ("pull", "listen") and not difference.theirs


def counted_after_a_purge(difference: Difference, place: Place) -> bool:
    """a purge leaves num_pending too high until somebody reads it. processNextMsgRequest
    (consumer.go) decides about no_wait requests by the number that checkNumPending corrects only
    for INFO.
    """
    told = (difference.theirs, difference.ours) == ([REQUESTS_PENDING], [NO_MESSAGES])
    return place.kind == "pull" and told and _purged(place)


def floor_at_an_evicted_message(difference: Difference, place: Place) -> bool:
    """an evicted message counts as acknowledged with all before it. decStreamPending takes it for
    an acknowledgement: with ack policies all and flow_control processAckMsgLocked (consumer.go)
    leaves the floor there, and does not move it to the next pending delivery.
    """
    if place.kind != "state" or place.configs[0].get("ack_policy") not in ("all", "flow_control"):
        return False
    theirs, ours = (info.get("ack_floor", {}) for info in _infos(difference))
    return (
        _info_differs_in(difference) == {"ack_floor"}
        and difference.has_gaps(place.stream)
        and theirs["consumer_seq"] == ours["consumer_seq"]
        and theirs["stream_seq"] < ours["stream_seq"]
    )


# ---------------------------------------------------------------- resets and pauses


def reset_after_looking(difference: Difference, place: Place) -> bool:
    """a consumer that was reset had looked further than it had delivered. resetLocalStartingSeq
    (consumer.go) leaves the place that late acknowledgements are compared with.
    """
    answered = difference.theirs == [" <> b'' "] and not difference.ours
    return place.kind == "ack" and answered and _asked(place, "CONSUMER.RESET", of_consumer=True)


def flow_request_after_a_reset(difference: Difference, place: Place) -> bool:
    """a reset leaves the request of flow control open. resetLocalStartingSeq (consumer.go) keeps
    fcid, so that a late answer counts and no other is sent.
    """
    ours = [note for note in difference.ours if _FLOW_REQUEST not in note]
    reset = difference.operations[-1].get("verb", "")
    of_it = reset == f"CONSUMER.RESET.{place.stream}.{place.consumer}"
    return place.kind == "listen" and of_it and ours == difference.theirs


def no_wait_of_a_paused_consumer(difference: Difference, place: Place) -> bool:
    """a no_wait request that waits for acknowledgements is answered when the consumer is paused.
    loopAndGatherMsgs (consumer.go) answers it when something else wakes the consumer: a pause does
    not.
    """
    paused = difference.operations[-1].get("verb", "")
    of_it = paused == f"CONSUMER.PAUSE.{place.stream}.{place.consumer}"
    return of_it and not difference.theirs and difference.ours == [NO_MESSAGES]


RULES: tuple[Callable[[Difference, Place], bool], ...] = (
    repeated_pause,
    terminated_by_purge,
    list_with_holes,
    list_without_room,
    list_without_filters,
    counted_by_subject,
    floor_of_a_purge,
    floor_at_what_was_looked_at,
    pending_after_a_purge,
    unblocked_by_a_purge,
    counted_after_a_purge,
    floor_at_an_evicted_message,
    reset_after_looking,
    flow_request_after_a_reset,
    no_wait_of_a_paused_consumer,
)


# ---------------------------------------------------------------- what rules ask


def _listed(place: Place) -> bool:
    return place.configs[0].get("deliver_policy") == "last_per_subject"


def _asked(place: Place, verb: str, *, of_consumer: bool = False) -> bool:
    wanted = f"{verb}.{place.stream}" + (f".{place.consumer}" if of_consumer else "")
    return any(op.get("verb", "") == wanted for op in place.after)


def _purged(place: Place, *, of_subjects: bool = False) -> bool:
    """Since the consumer is there: by a request, or by a rollup."""
    for op in place.after:
        asked = op.get("verb", "") == f"STREAM.PURGE.{place.stream}"
        if asked and (not of_subjects or "filter" in (op["body"] or {})):
            return True
        for subject, headers, *_ in op.get("messages", ()):
            if subject.startswith(f"{place.stream}.") and {
                "Nats-Rollup",
                "Nats-Schedule-Rollup",
            } & set(headers):
                return True
    return False


def _infos(difference: Difference) -> list[dict[str, Any]]:
    """Theirs and ours; what normalisation has blanked is null."""
    shown = (notes[0] if notes else "{}" for notes in (difference.theirs, difference.ours))
    return [json.loads(re.sub(r":N\b", ":null", text[text.index("{") :])) for text in shown]


def _info_differs_in(difference: Difference) -> set[str]:
    theirs, ours = _infos(difference)
    return {key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key)}


def _without_pending(notes: list[str]) -> list[str]:
    return [_PENDING.sub(r"\1.N>", note) for note in notes]


def _order(note: str) -> str:
    """Without the number that a consumer gave to a delivery."""
    return re.sub(r"(<\$JS\.ACK(?:\.[^.>]+){4})\.\d+\.", r"\1.", note)
