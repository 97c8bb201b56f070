"""What a conversation can be held with: a server over a socket, or the API alone over the fake
kernel.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import conversation
from api_connection import ANSWER_S_MAX, Connection
from raw_client import wait_until
from slipstream.jetstream.api import JetStreamApi, Options
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import AccountLimits
from slipstream.kernel import Kernel
from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import RequestEvent
from slipstream.testing import ServerProcess

SILENCE_S = 0.25


class Target(Protocol):
    def request(self, verb: str, body: bytes, header: bytes) -> bytes | None:
        """The answer's header and body; None when nobody answered."""

    def store(self, subject: str, body: bytes, header: bytes) -> None:
        """Publishes what a stream captures."""


class LiveTarget:
    """A server over a socket.

    `streams_folder` is where nats-server keeps streams: it goes on removing a deleted one after it
    has answered, and one created meanwhile finds what is left.
    """

    def __init__(self, connection: Connection, streams_folder: Path | None = None) -> None:
        self.connection = connection
        self._streams_folder = streams_folder

    def request(
        self, verb: str, body: bytes, header: bytes, timeout_s: float = ANSWER_S_MAX
    ) -> bytes | None:
        reply = self.connection.request(f"$JS.API.{verb}", body, header, timeout_s)
        if verb.startswith("STREAM.DELETE.") and reply is not None and b"success" in reply.body:
            renamed = "." + verb.removeprefix("STREAM.DELETE.")
            self._wait_while(lambda names: renamed in names)
        return None if reply is None else reply.header + reply.body

    def store(self, subject: str, body: bytes, header: bytes) -> None:
        reply = self.connection.request(subject, body, header)
        assert reply is not None
        assert b'"seq"' in reply.body, reply

    def remove_everything(self) -> None:
        for name in self._ask("STREAM.NAMES")["streams"] or []:
            assert self._ask(f"STREAM.DELETE.{name}").get("success"), name
        self._wait_while(bool)

    def _wait_while(self, remain: Callable[[set[str]], object]) -> None:
        """Until that is not true any more of the names in the folder of streams."""
        if (folder := self._streams_folder) is not None:
            wait_until(lambda: not remain(_names_in(folder)), "nats-server removes its streams")

    def _ask(self, verb: str) -> dict[str, Any]:
        reply = self.connection.request(f"$JS.API.{verb}")
        assert reply is not None, f"{verb}: no answer"
        answer: dict[str, Any] = json.loads(reply.body)
        return answer


_KEPT = "kept"


def _kept(folder: Path) -> Path:
    """With a file of ours in it: nats-server removes an empty folder of streams at some time after
    its last stream is deleted, and a stream that is created at that time is refused (10049).
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _KEPT).touch()
    return folder


def _names_in(folder: Path) -> set[str]:
    return set(os.listdir(folder)) - {_KEPT}


class ApiTarget:
    """The API in this process, over the fake kernel; a fresh one for each conversation."""

    def __init__(self) -> None:
        self._conversation = conversation.Conversation()

    def request(self, verb: str, body: bytes, header: bytes) -> bytes | None:
        return self._conversation.request_raw(verb, body, header)

    def store(self, subject: str, body: bytes, header: bytes) -> None:
        self._conversation.publish(subject, body, header)


class KernelTarget:
    """The API over the real kernel in this process, without sockets and on a simulated disk, whose
    syncs cost nothing: replies come to a service.
    """

    _REPLIES = 99

    def __init__(self) -> None:
        self._kernel = Kernel()
        self._now_ns = time.time_ns()
        records = self._kernel.open_store(disk=SimDisk(1), threads=False)
        ids = IdSource(random.Random(1).getrandbits)
        options = Options("ORACLE", "2.15.1", conversation.LIMITS)
        self._api = JetStreamApi(self._kernel, options, ids, lambda cid: conversation.CLIENT)
        self._api.add_account("$G", AccountLimits())
        self._account = self._kernel.account(b"$G")
        self._kernel.serve(self._account, b"_INBOX.>", self._REPLIES)
        self._api.recover(records)

    def close(self) -> None:
        self._kernel.stop()

    def request(self, verb: str, body: bytes, header: bytes) -> bytes | None:
        return self._ask(f"$JS.API.{verb}", body, header)

    def store(self, subject: str, body: bytes, header: bytes) -> None:
        reply = self._ask(subject, body, header)
        assert reply is not None
        assert b'"seq"' in reply, reply

    def _ask(self, subject: str, body: bytes, header: bytes) -> bytes | None:
        self._kernel.publish(self._account, subject.encode(), b"_INBOX.1", header, body)
        answer = None
        for _ in range(8):  # turns: propose, sync, apply, answer
            self._now_ns += 1_001
            self._kernel.turn(self._now_ns, self._now_ns)
            for event in self._kernel.wait_events(0):
                if isinstance(event, RequestEvent) and event.service == self._REPLIES:
                    answer = event.header + event.body
                else:
                    self._api.handle(event, self._now_ns)
            while self._api.step(self._now_ns):
                self._api.check()
        self._api.check()
        return answer


def find_oracle() -> str | None:
    """nats-server, from the test dependencies or the path."""
    beside_python = str(Path(sys.executable).parent)
    search = os.pathsep.join([beside_python, os.environ.get("PATH", "")])
    return shutil.which("nats-server", path=search)


@contextmanager
def running_oracle(executable: str, store: Path, config: str = "") -> Iterator[LiveTarget]:
    """A nats-server of its own on a free port; it ends by SIGTERM, as one that is stopped."""
    flags = ["-js", "-n", "ORACLE"]
    with (
        ServerProcess(flags, folder=store, program=[executable], config=config) as process,
        Connection("127.0.0.1", process.port) as connection,
    ):
        yield LiveTarget(connection, _kept(process.store / "jetstream" / "$G" / "streams"))
        process.stop()
