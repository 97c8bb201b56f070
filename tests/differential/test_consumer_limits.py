"""Goal: how many consumers a stream takes when it does not say so itself is answered as nats-server
answers it, before and after a reload.

Method: the same bare conversation with both servers, each with the same configuration; answers are
compared by what they say and whether they are errors.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from api_connection import Connection
from slipstream.testing import ServerProcess
from targets import find_oracle

OURS = (sys.executable, "-m", "slipstream.cli.nats_server")
CONFIG = """
jetstream {{ limits {{ default_max_consumers: {limit}, max_ack_pending: {ack_pending} }} }}
"""
# An order of nothing but streams "<name>/<max_consumers>" and consumers "<stream>.<name>".
BEFORE_RELOAD = (
    *("unset/0", "unset.a", "unset.b", "unset.c", "unset.a", "unset.b:description", "unset.+a"),
    *("unlimited/-1", "unlimited.a", "unlimited.b", "unlimited.c"),
    *("more/3", "more.a", "more.b", "more.c", "more.d"),
    *("less/1", "less.a", "less.b", "less.a:description"),
    *("unset.mirror:internal", "unset.direct:internal", "unset.d"),
)
AFTER_LOWERING = ("unset.a", "unset.b:again", "unset.d", "new/0", "new.a", "new.b")
AFTER_LIFTING = ("unset.c", "unset.d", "unset.+b", "less.b", "new.b")


class Talk:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def hold(self, orders: tuple[str, ...]) -> list[str]:
        return [f"{order}: {self._obey(order)}" for order in orders]

    def _obey(self, order: str) -> str:
        if "/" in order:
            name, limit = order.split("/")
            stream = {"name": name, "storage": "memory", "max_consumers": int(limit)}
            return self._ask(f"STREAM.CREATE.{name}", stream)
        name, _, how = order.partition(":")
        stream, _, consumer = name.partition(".")
        config: dict[str, Any] = {"ack_policy": "explicit", "description": how}
        if how == "internal":
            config |= {
                "direct": consumer == "direct",
                "sourcing": consumer == "mirror",
                "ack_policy": "none",
                "deliver_subject": "elsewhere",
            }
        action = "create" if consumer.startswith("+") else ""
        consumer = consumer.lstrip("+")
        if how != "internal":
            config["durable_name"] = consumer
        request = {"stream_name": stream, "config": config, "action": action}
        return self._ask(f"CONSUMER.CREATE.{stream}.{consumer}", request)

    def _ask(self, verb: str, body: dict[str, Any]) -> str:
        reply = self._connection.request(f"$JS.API.{verb}", json.dumps(body).encode())
        assert reply is not None, verb
        answer = json.loads(reply.body)
        return str(answer.get("error") or answer["config"].get("max_ack_pending", "made"))


def limits_shown(server: ServerProcess) -> Any:
    with urllib.request.urlopen(f"{server.monitoring_url}/varz", timeout=10) as page:
        return json.load(page)["jetstream"]["limits"]


def reload(server: ServerProcess, reloads: int, **values: int) -> None:
    (server.folder / "server.conf").write_text(CONFIG.format(**values))
    server.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while server.log.count("Reloaded server configuration") < reloads:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.005)  # the log has no event to wait for


def scenario(server: ServerProcess) -> list[Any]:
    with Connection("127.0.0.1", server.port) as connection:
        talk = Talk(connection)
        said: list[Any] = [*talk.hold(BEFORE_RELOAD), limits_shown(server)]
        reload(server, 1, limit=1, ack_pending=7)
        said += [*talk.hold(AFTER_LOWERING), limits_shown(server)]
        reload(server, 2, limit=-1, ack_pending=0)
        said += [*talk.hold(AFTER_LIFTING), limits_shown(server)]
        reload(server, 3, limit=0, ack_pending=0)
        return [*said, limits_shown(server)]


def test_default_limit_of_consumers(tmp_path: Path) -> None:  # C-056
    oracle = find_oracle()
    if oracle is None:
        pytest.skip("nats-server is not installed")
    said = []
    for name, program in (("theirs", (oracle,)), ("ours", OURS)):
        folder = tmp_path / name
        folder.mkdir()
        config = CONFIG.format(limit=2, ack_pending=0)
        with ServerProcess(["-js"], folder=folder, program=program, config=config) as server:
            said.append(scenario(server))
    assert said[1] == said[0]
    assert any("10026" in str(one) for one in said[0])
