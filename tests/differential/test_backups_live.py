"""Goal: what nats-server backs up is restored here, what is backed up here is restored there, and a
client that looks at either sees the same stream: every message, every consumer, the same advisories
and the same refusals on the way.

Method: one stream with everything in it is made at one server, backed up, restored at the other and
compared; then backed up there and restored at the first. Both servers are real processes or
sockets, the client is raw.
"""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from api_connection import ANSWER_S_MAX, Connection, Message
from consumer_scenarios import Session
from targets import LiveTarget
from test_advisories import alike

DELIVERIES = itertools.count()
CHUNK_BYTES = 3000
Archive = tuple[dict[str, Any], bytes]


def api(target: LiveTarget, verb: str, body: object = None) -> dict[str, Any]:
    raw = b"" if body is None else json.dumps(body).encode()
    reply = target.connection.request(f"$JS.API.{verb}", raw)
    assert reply is not None, f"{verb}: no answer"
    answer: dict[str, Any] = json.loads(reply.body)
    return answer


def fill(target: LiveTarget, **config: object) -> None:
    """Gaps at the front, within and at the end; headers; a consumer in the midst of its work, one
    that pushes, one without a name of its own, one that has given up on a message.
    """
    target.remove_everything()
    host, port = target.connection.peer
    with Connection(host, port) as connection:
        session = Session(connection)
        session.stream(**{"allow_msg_ttl": True} | config)
        for number in range(120):
            header = b"NATS/1.0\r\nNats-Msg-Id: %d\r\nA: \r\n\r\n" % number
            session.store(
                "x" * (number * 7 % 300),
                subject=f"s.{number % 5}.x",
                header=header if number % 3 == 0 else b"",
            )
        for seq in (1, 2, 40, 41, 42, 77, 119, 120):
            session.api("STREAM.MSG.DELETE.S", {"seq": seq, "no_erase": seq % 2 == 0}, note=False)
        session.consumer("C", ack_wait=300_000_000_000)
        inbox = session.pull({"batch": 12, "no_wait": True})
        taken = session.take(12)
        for message in taken[::3]:
            assert connection.request(message.reply, b"+ACK") is not None
        connection.request(taken[1].reply, b"-NAK")
        connection.request(taken[4].reply, b'-NAK {"delay": 1}')
        session.pull({"batch": 2, "no_wait": True}, inbox=inbox)
        session.take(2)
        session.consumer("G", max_deliver=1, ack_wait=1_000_000, filter_subject="s.3.x")
        session.pull({"batch": 2, "no_wait": True}, "G")
        session.take(2)
        session.consumer("N", ack_policy="none", deliver_subject="nobody.listens")
        session.consumer("A", ack_policy="all", filter_subjects=["s.1.x", "s.2.x"])
        session.pull({"batch": 5, "no_wait": True}, "A")
        assert connection.request(session.take(5)[2].reply, b"") is not None
        ephemeral = {"name": "E", "ack_policy": "explicit", "inactive_threshold": 300_000_000_000}
        session.api("CONSUMER.CREATE.S.E", {"stream_name": "S", "config": ephemeral}, note=False)


def back_up(target: LiveTarget, **options: object) -> Archive:
    connection = target.connection
    connection.drain_queued()
    deliver = f"deliver.{next(DELIVERIES)}"
    connection.subscribe(deliver)
    request = {"deliver_subject": deliver, "chunk_size": 1024, "window_size": 4096} | options
    answer = api(target, "STREAM.SNAPSHOT.S", request)
    assert "error" not in answer, answer
    archive = b""
    while (chunk := next_on(connection, deliver)).body:
        archive += chunk.body
        if chunk.reply:
            assert re.fullmatch(
                rf"\$JS\.SNAPSHOT\.ACK\.S\.\w{{22}}\.{len(chunk.body)}\.\d+", chunk.reply
            )
            connection.publish(chunk.reply)
    assert chunk.header == b"NATS/1.0 204\r\n\r\n"
    return answer, archive


def next_on(connection: Connection, subject: str) -> Message:
    while (message := connection.next_of_any(ANSWER_S_MAX)) is not None:
        if message.subject == subject:
            return message
    raise AssertionError(f"nothing came on {subject}")


def restore(target: LiveTarget, archive: Archive, **changes: object) -> dict[str, Any]:
    told, content = archive
    request = {"config": told["config"] | changes, "state": told["state"]}
    answer = api(target, "STREAM.RESTORE.S", request)
    assert "error" not in answer, answer
    chunks = [content[i : i + CHUNK_BYTES] for i in range(0, len(content), CHUNK_BYTES)]
    for chunk in [*chunks, b""]:
        reply = target.connection.request(answer["deliver_subject"], chunk)
        assert reply is not None
        if chunk and reply.body:
            break
    last: dict[str, Any] = json.loads(reply.body)
    return last


def content(target: LiveTarget) -> dict[str, Any]:
    """All that a client can find out, without times of the servers' own."""
    info = api(target, "STREAM.INFO.S", {"deleted_details": True, "subjects_filter": ">"})
    state = info["state"]
    found: dict[str, Any] = {"config": without_times(info["config"]), "state": state}
    # nats-server takes the last message that is there for the last one.
    state.pop("last_ts")
    found["messages"] = []
    for seq in range(state["first_seq"], state["last_seq"] + 1):
        message = api(target, "STREAM.MSG.GET.S", {"seq": seq}).get("message")
        if message is not None:
            message["hdrs"] = base64.b64decode(message.get("hdrs", ""))
            found["messages"].append(message)
    names = api(target, "CONSUMER.NAMES.S")["consumers"]
    for name in sorted(names):
        shown = api(target, f"CONSUMER.INFO.S.{name}")
        for field in ("created", "ts", "cluster"):
            shown.pop(field, None)
        for pair in ("delivered", "ack_floor"):
            shown[pair].pop("last_active", None)
        shown["config"] = without_times(shown["config"])
        found[name] = shown
    return found


def without_times(config: dict[str, Any]) -> dict[str, Any]:
    metadata = {k: v for k, v in config["metadata"].items() if k == "_nats.req.level"}
    return config | {"metadata": metadata}


@pytest.mark.parametrize("storage", ["file", "memory"])
@pytest.mark.parametrize("made_here", [True, False], ids=["ours", "theirs"])
def test_there_and_back(
    fresh_oracle: LiveTarget, fresh_ours: LiveTarget, made_here: bool, storage: str
) -> None:
    source, target = (fresh_ours, fresh_oracle) if made_here else (fresh_oracle, fresh_ours)
    fill(source, storage=storage)
    expected = content(source)
    archive = back_up(source)
    target.remove_everything()
    answer = restore(target, archive)
    assert "error" not in answer, answer
    assert content(target) == expected
    again = back_up(target)
    source.remove_everything()
    restore(source, again)
    assert content(source) == expected
    # What was delivered and not acknowledged is still out; the rest is delivered in order.
    assert deliveries(source) == deliveries(target)


def deliveries(target: LiveTarget) -> list[str]:
    host, port = target.connection.peer
    with Connection(host, port) as connection:
        session = Session(connection)
        session.pull({"batch": 10, "no_wait": True})
        return [re.sub(r"\.\d{18,}\.", ".TIME.", m.reply) for m in session.take(10)]


def test_changes_on_restore(fresh_oracle: LiveTarget, fresh_ours: LiveTarget) -> None:
    """S-233: other subjects and limits, no consumers."""
    fill(fresh_oracle)
    archive = back_up(fresh_oracle, no_consumers=True)
    seen = []
    for target in (fresh_oracle, fresh_ours):
        target.remove_everything()
        restore(target, archive, subjects=["t.>"], max_msgs=30, max_msgs_per_subject=7)
        target.store("t.x", b"next", b"")
        seen.append(content(target))
        seen[-1]["messages"][-1].pop("time")
        target.remove_everything()
    assert seen[1] == seen[0]


def test_advisories(fresh_oracle: LiveTarget, fresh_ours: LiveTarget) -> None:
    """S-232, S-248, S-249: the same, with the same members in the same order.

    nats-server sends a deleted stream's own advisories by a queue that ends with the stream, so
    that some of them may be missing: it has five attempts to send all.
    """
    ours = advisories_of(fresh_ours)
    for _ in range(5):
        theirs = advisories_of(fresh_oracle)
        if theirs == ours:
            return
        missing = [told for told in ours if told not in theirs]
        assert [told for told in theirs if told not in ours] == []
        assert all(".DELETED." in told for told in missing), missing
    raise AssertionError(f"nats-server never sent {missing}")


def advisories_of(target: LiveTarget) -> list[str]:
    fill(target)
    host, port = target.connection.peer
    with Connection(host, port) as listener:
        listener.subscribe("$JS.EVENT.ADVISORY.STREAM.>")
        listener.subscribe("$JS.EVENT.ADVISORY.CONSUMER.>")
        archive = back_up(target)
        api(target, "STREAM.DELETE.S")
        restore(target, archive)
        listener.flush()
        heard = []
        while (message := listener.next_of_any(0.3)) is not None:
            body = re.sub(
                rb'"(bytes|name|server|host|user|rtt)":("[^"]*"|\d+),?', b"", message.body
            )
            heard.append(f"{message.subject} {alike(body)}")
        return sorted(heard)


# S-227, S-230
REFUSALS: list[tuple[str, bytes]] = [
    ("STREAM.SNAPSHOT.S", b""),
    ("STREAM.SNAPSHOT.S", b"{}"),
    ("STREAM.SNAPSHOT.S", b'{"deliver_subject":"a.*"}'),
    ("STREAM.SNAPSHOT.S", b'{"deliver_subject":"a b"}'),
    ("STREAM.SNAPSHOT.S", b'{"deliver_subject":7}'),
    ("STREAM.SNAPSHOT.S", b'{"deliver_subject":"a","chunk_size":"x"}'),
    ("STREAM.SNAPSHOT.S", b'{"chunk_size":1024}'),
    ("STREAM.SNAPSHOT.S", b'{"unknown":1}'),
    ("STREAM.SNAPSHOT.X", b'{"deliver_subject":"a"}'),
    ("STREAM.RESTORE.S", b""),
    ("STREAM.RESTORE.S", b"{}"),
    ("STREAM.RESTORE.S", b"x"),
    ("STREAM.RESTORE.S", b'{"config":{"name":"T"}}'),
    ("STREAM.RESTORE.S", b'{"config":{"name":"S"}}'),
    ("STREAM.RESTORE.S", b'{"config":{"name":"S"},"state":{"messages":-1}}'),
    ("STREAM.RESTORE.S", b'{"config":{"name":"S"},"state":{"deleted":["x"]}}'),
    ("STREAM.RESTORE.S", b'{"config":{"name":"S"},"status":{}}'),
    ("STREAM.RESTORE.T", b'{"config":{"name":"T","max_age":-5}}'),
    ("STREAM.RESTORE.T", b'{"config":{"name":"T","subjects":["a..b"]}}'),
]


def test_refusals(fresh_oracle: LiveTarget, fresh_ours: LiveTarget) -> None:
    seen = []
    for target in (fresh_oracle, fresh_ours):
        target.remove_everything()
        api(target, "STREAM.CREATE.S", {"name": "S"})
        seen.append([target.request(verb, body, b"") for verb, body in REFUSALS])
    assert seen[1] == seen[0]


def test_no_flow_response(fresh_oracle: LiveTarget, fresh_ours: LiveTarget) -> None:
    """S-228. Both at once: it takes five seconds."""
    for target in (fresh_oracle, fresh_ours):
        fill(target)
        target.connection.drain_queued()
        target.connection.subscribe("silent")
        request = {"deliver_subject": "silent", "chunk_size": 1024, "window_size": 2048}
        api(target, "STREAM.SNAPSHOT.S", request)
    seen = []
    for target in (fresh_oracle, fresh_ours):
        got: list[Message] = []
        while not got or got[-1].body:
            message = target.connection.next_of_any(ANSWER_S_MAX)
            assert message is not None
            if message.subject == "silent":
                got.append(message)
        seen.append([(len(m.body), m.header, m.reply.split(".")[5:]) for m in got])
    assert seen[1] == seen[0]
    assert seen[1][-1][1] == b"NATS/1.0 408 No Flow Response\r\n\r\n"


@pytest.mark.parametrize("made_here", [True, False], ids=["ours", "theirs"])
def test_cli(
    fresh_oracle: LiveTarget, fresh_ours: LiveTarget, made_here: bool, tmp_path: Path
) -> None:
    """S-233: `nats backup` (once `nats stream backup`) from one server into the other."""
    own = Path(__file__).parents[2] / ".tools" / "bin" / "nats"
    cli = str(own) if own.exists() else shutil.which("nats")
    if cli is None:
        pytest.skip("the nats CLI is not installed: run `make tools` (needs Go)")

    def nats(target: LiveTarget, *words: str) -> str:
        url = "nats://{}:{}".format(*target.connection.peer)
        command = [cli, "--server", url, "backup", *words, "--no-progress"]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout + run.stderr

    source, target = (fresh_ours, fresh_oracle) if made_here else (fresh_oracle, fresh_ours)
    fill(source, allow_msg_ttl=False)  # level 1, which the CLI asks the server for
    expected = content(source)
    folder = str(tmp_path / "backup")
    nats(source, "stream", "S", folder, "--consumers", "--check")
    subprocess.run([cli, "backup", "validate", folder], check=True, capture_output=True, timeout=60)
    assert "112" in nats(target, "restore", "stream", folder)
    assert content(target) == expected
