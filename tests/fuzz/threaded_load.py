"""A mixed load on a server, from many threads: what runs while a sanitizer of threads looks on.

    python threaded_load.py SECONDS COMMAND ...      (the command prints "PORT MONITORING_PORT")

Publishers (acknowledged or not, some with ids), pull and push consumers that acknowledge, direct
gets, API calls that create, list, back up, purge and delete, connections that come and go, and
monitoring. Ends the command by ending its standard input; its exit code is this program's. Fails if
a part of the load does not get anywhere.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable

from bystander import Line, Unanswered

STOP_S_MAX = 120
WORDS = [f"w{number}" for number in range(20)]


class Load:
    def __init__(self, port: int, monitoring_port: int, seconds: float) -> None:
        self._port, self._monitoring_port = port, monitoring_port
        self._end = time.monotonic() + seconds
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []

    def run(self) -> None:
        setup = Line(self._port, "")
        for name, changes in STREAMS.items():
            config = {"name": name, "subjects": [f"{name.lower()}.>"], **changes}
            self._must(setup, f"$JS.API.STREAM.CREATE.{name}", config)
            for consumer, chosen in CONSUMERS.items():
                asked = {"stream_name": name, "config": {"durable_name": consumer, **chosen}}
                self._must(setup, f"$JS.API.CONSUMER.CREATE.{name}.{consumer}", asked)
        parts: list[Callable[[Line, random.Random], None]] = [
            self._publish,
            self._publish,
            self._fetch,
            self._fetch,
            self._push,
            self._get,
            self._api,
            self._connections,
            self._monitor,
        ]
        threads = [
            threading.Thread(target=self._repeat, args=(part, number))
            for number, part in enumerate(parts)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for part in parts:
            if not self.done[part.__name__]:
                self.errors.append(f"{part.__name__} did nothing")

    def _must(self, line: Line, to: str, asked: object) -> None:
        _, _, body = line.request(to, json.dumps(asked).encode())
        if b'"error"' in body:
            raise Unanswered(f"{to}: {body.decode()}")

    def _repeat(self, part: Callable[[Line, random.Random], None], seed: int) -> None:
        line, rng = Line(self._port, ""), random.Random(seed)
        try:
            while time.monotonic() < self._end:
                part(line, rng)
                self.done[part.__name__] += 1
        except (Unanswered, OSError, ValueError) as error:
            self.errors.append(f"{part.__name__}: {type(error).__name__} {error}")
        line.close()

    def _publish(self, line: Line, rng: random.Random) -> None:
        stream = rng.choice(list(STREAMS)).lower()
        data = b""
        for _ in range(50):
            body = b"x" * rng.choice([10, 100, 2000])
            to = f"{stream}.{rng.choice(WORDS)}".encode()
            if rng.random() < 0.3:
                header = b"NATS/1.0\r\nNats-Msg-Id: %d\r\n\r\n" % rng.randrange(10**6)
                size = len(header) + len(body)
                data += b"HPUB %b %d %d\r\n%b%b\r\n" % (to, len(header), size, header, body)
            else:
                data += b"PUB %b %d\r\n%b\r\n" % (to, len(body), body)
        line.send(data)
        line.request(f"{stream}.{rng.choice(WORDS)}", b"acknowledged")

    def _fetch(self, line: Line, rng: random.Random) -> None:
        stream, consumer = rng.choice(list(STREAMS)), rng.choice(["c", "all"])
        to = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        acks = b""
        for _ in range(10):
            reply, _, _ = line.request(to, b'{"batch":1,"no_wait":true}')
            if reply:
                acks += b"PUB %b %d\r\n%b\r\n" % (reply, 4, rng.choice([b"+ACK", b"-NAK", b"+WPI"]))
        line.send(acks)
        if reply:
            line.request(reply.decode(), b"+ACK")

    def _push(self, line: Line, rng: random.Random) -> None:
        inbox = f"push.{rng.randrange(10**9)}"
        line.send(f"SUB {inbox} 77\r\n".encode())
        config = {"deliver_subject": inbox, "ack_policy": "none", "inactive_threshold": 10**9}
        to = f"$JS.API.CONSUMER.CREATE.{rng.choice(list(STREAMS))}"
        stream = to.rsplit(".", 1)[1]
        self._must(line, to, {"stream_name": stream, "config": config})
        line.send(b"UNSUB 77\r\n")
        line.ping()

    def _get(self, line: Line, rng: random.Random) -> None:
        to = f"$JS.API.DIRECT.GET.{rng.choice(list(STREAMS))}"
        asked = rng.choice(
            [{"seq": rng.randrange(1, 1000)}, {"last_by_subj": f"s.{rng.choice(WORDS)}"}]
        )
        line.request(to, json.dumps(asked).encode())

    def _api(self, line: Line, rng: random.Random) -> None:
        name = f"X{rng.randrange(3)}"
        config = {"name": name, "subjects": [f"{name.lower()}.>"], "max_msgs": 100}
        line.request(f"$JS.API.STREAM.CREATE.{name}", json.dumps(config).encode())
        asked = {"stream_name": name, "config": {"durable_name": "d", "ack_policy": "explicit"}}
        line.request(f"$JS.API.CONSUMER.CREATE.{name}.d", json.dumps(asked).encode())
        line.request(f"{name.lower()}.a", b"1")
        for to in (f"STREAM.INFO.{name}", "STREAM.LIST", f"CONSUMER.LIST.{name}", "INFO"):
            line.request(f"$JS.API.{to}")
        stream = rng.choice(list(STREAMS))
        purge = {"filter": f"{stream.lower()}.{rng.choice(WORDS)}"}
        line.request(f"$JS.API.STREAM.PURGE.{stream}", json.dumps(purge).encode())
        backup = {"deliver_subject": "backup.nobody"}
        line.request(f"$JS.API.STREAM.SNAPSHOT.{stream}", json.dumps(backup).encode())
        line.request(f"$JS.API.STREAM.DELETE.{name}")

    def _connections(self, line: Line, rng: random.Random) -> None:
        other = Line(self._port, "")
        other.send(b"SUB s.> 1\r\nSUB service 2\r\n")
        other.ping()
        other.close()
        line.ping()
        time.sleep(0.01)

    def _monitor(self, line: Line, rng: random.Random) -> None:
        page = rng.choice(["varz", "connz?subs=1", "jsz?streams=1&consumers=1", "subsz", "healthz"])
        url = f"http://127.0.0.1:{self._monitoring_port}/{page}"
        urllib.request.urlopen(url, timeout=20).read()
        time.sleep(0.05)


STREAMS: dict[str, dict[str, object]] = {
    "S": {"allow_direct": True, "max_msgs": 20_000},
    "C": {"allow_direct": True, "compression": "s2", "max_msgs_per_subject": 100},
    "M": {"allow_direct": True, "storage": "memory", "max_msgs": 5000},
    "A": {"allow_direct": True, "max_age": 2 * 10**9, "persist_mode": "async"},
}
CONSUMERS: dict[str, dict[str, object]] = {
    "c": {"ack_policy": "explicit", "ack_wait": 10**9, "max_ack_pending": 5000},
    "all": {"ack_policy": "all", "ack_wait": 10**9, "max_ack_pending": 5000},
}


def main() -> int:
    seconds, command = float(sys.argv[1]), sys.argv[2:]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ports = process.stdout.readline().split()
        if len(ports) != 2:
            print(f"the server did not start; its exit code is {process.wait(STOP_S_MAX)}")
            return 1
        load = Load(int(ports[0]), int(ports[1]), seconds)
        load.run()
        process.stdin.close()
        code = process.wait(STOP_S_MAX)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    print(f"{dict(load.done)}; exit code {code}")
    for error in load.errors:
        print(error)
    return code or bool(load.errors)


if __name__ == "__main__":
    sys.exit(main())
