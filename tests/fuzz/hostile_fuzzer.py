"""Hostile clients against a server process, with an oracle for survival. No test by itself; run it:

    python tests/fuzz/hostile_fuzzer.py --seconds 60 --seed 1 [--server BIN] [--findings DIR]
    python tests/fuzz/hostile_fuzzer.py --replay FILE [--server BIN]

An episode is a new server (with passwords or without), hostile actions drawn from the episode's
seed (hostile_actions.py, action_player.py), and a well-behaved client in a process of its own
(bystander.py).
At its end the server is stopped or killed and started again. What counts as a finding:

    crash      the process ended
    log        a traceback, a fatal line, a sanitizer's report
    guarded    an unexpected error that ended one request or connection only; the episode goes on
    forged     bytes that are no frame of the protocol, an answer that is no JSON
    hang       the bystander waited for longer than --hang-seconds, and not because the machine had
               stalled (machine_probe.py)
    refused    the bystander was refused or cut off
    memory     resident memory above --memory-mib, without output that clients do not read
    lost       an acknowledged message is gone, or changed, after the restart
    restart    the server did not start again, or not stop, in time

At the end it prints figures: the latencies that the bystander measured (with waits for the machine
among them), what was read back, the memory, the restarts.

A finding prints the episode's seed and writes its actions, cut down to the few that repeat it, into
a file that --replay plays. The exit code is 1 if there was one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from action_player import Action, ActionPlayer, Forged
from bystander import STREAM, Line, Unanswered
from hostile_actions import ActionWriter
from machine_probe import MachineProbe, Wait, machine_to_blame
from slipstream.testing import ServerProcess
from slipstream.testing.process import PROGRAM

HERE = Path(__file__).resolve().parent
CONFIG = """max_pending: 16MB
write_deadline: "1s"
jetstream {{ max_mem: 128MB, max_file: 1GB }}
{authorization}"""
AUTHORIZATION = 'authorization {{ user: "fuzz", password: "{password}" }}\n'
PASSWORD = "correct horse"
MEMBERS = f',"user":"fuzz","pass":"{PASSWORD}"'
FATAL = re.compile(r"\[FTL\]|Assertion|Sanitizer|runtime error:")
SUSPICIOUS = re.compile(rf"Traceback|Unexpected error|{FATAL.pattern}")
GUARDED = re.compile(r"Unexpected error [0-9a-f]{6,}")
RESOURCES = re.compile(r"10047|10023|10167")  # hostile streams may fill what is allowed
RESTART_S_MAX = 30.0
SETTLING_S = 0.3
OCCASIONS_S = 0.1
KINDS_THAT_REPEAT = {"crash", "log", "guarded", "forged", "restart", "lost"}
KINDS_WITHOUT_BYSTANDER = {"crash", "log", "guarded", "forged"}


@dataclass(frozen=True)
class Finding:
    kind: str
    text: str

    @property
    def signature(self) -> str:
        """What two findings of the same fault have in common."""
        end = re.search(r"\n\[\d+\] \d{4}/", self.text)  # the next line of the log
        text = self.text[: end.start()] if end else self.text
        raised = re.search(r"\b\w+(?:Error|Exception)\b", text)
        frames = re.findall(r"File \"(?:.*/)?(\S+)\", line \d+, in (\w+)", text)
        if raised and frames:
            return f"{raised[0]} in {frames[-1][0]} {frames[-1][1]}"
        kind = "crash" if self.kind == "log" else self.kind
        return f"{kind}: {re.sub(r'[0-9a-f]{6,}|[0-9]+', 'N', self.text)[:80]}"


@dataclass
class Limits:
    hang_s: float = 1.0
    memory_bytes: int = 600 << 20


@dataclass
class Episode:
    """What one server lived through."""

    seed: int
    with_passwords: bool
    killed: bool
    actions: list[Action] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    latencies: dict[str, list[float]] = field(default_factory=dict)
    waits: list[Wait] = field(default_factory=list)  # too long, and the server's
    excused: list[Wait] = field(default_factory=list)  # too long, and the machine's
    memory_bytes: int = 0
    restart_s: float = 0.0
    acknowledged: int = 0


class Beside:
    """The bystander's process."""

    def __init__(self, server: ServerProcess, members: str) -> None:
        port = server.monitoring_url.rsplit(":", 1)[1]
        arguments = [str(server.port), port, str(server.pid), members]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "bystander.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._first = self._lines.get(timeout=60)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def report(self) -> dict[str, Any]:
        """Ends it, and returns what it saw."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        line = self._first if self._first.startswith("{") else self._lines.get(timeout=60)
        self._process.wait(60)
        return json.loads(line or '{"ended": "the bystander said nothing"}')

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


def resident_bytes(pid: int) -> int:
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0


def unread_bytes(monitoring_url: str) -> int:
    """Output that waits for clients, of all connections."""
    try:
        with urllib.request.urlopen(f"{monitoring_url}/connz?limit=100000", timeout=5) as answer:
            connections = json.load(answer)["connections"]
    except (OSError, ValueError):  # it hangs, or is gone: others say so
        return 0
    return sum(connection["pending_bytes"] for connection in connections)


class EpisodeRun:
    """Runs one episode; `given` are actions to be played instead of drawn ones."""

    def __init__(self, episode: Episode, program: Sequence[str], limits: Limits) -> None:
        self.episode = episode
        self._limits = limits
        authorization = AUTHORIZATION.format(password=PASSWORD) if episode.with_passwords else ""
        self._members = MEMBERS if episode.with_passwords else ""
        self._config = CONFIG.format(authorization=authorization)
        self._temporary = tempfile.TemporaryDirectory(prefix="hostile-")
        folder = Path(self._temporary.name)
        self._server = ServerProcess([], folder=folder, program=program, config=self._config)
        self._acknowledged: dict[int, str] = {}
        self._log_seen = 0
        self._unread_bytes = 0
        self._looked = 0.0

    def run(
        self, seconds: float, given: list[Action] | None = None, *, with_bystander: bool = True
    ) -> Episode:
        try:
            self._server.start()
        except (TimeoutError, RuntimeError) as error:
            self._find("restart", f"it does not start at all: {error}")
            return self.episode
        try:
            if with_bystander:
                self._mischief_beside(seconds, given)
            else:
                self._mischief(seconds, given, None)
            if with_bystander:
                self._restart()
        finally:
            self._kill()
            self._temporary.cleanup()
        return self.episode

    def _mischief_beside(self, seconds: float, given: list[Action] | None) -> None:
        probe = MachineProbe(self._server.folder)
        try:
            beside = Beside(self._server, self._members)
            try:
                self._mischief(seconds, given, beside)
                self._judge_bystander(beside, probe)
            finally:
                beside.kill()
        finally:
            probe.kill()

    def _mischief(self, seconds: float, given: list[Action] | None, beside: Beside | None) -> None:
        episode = self.episode
        player = ActionPlayer(self._server, self._members, self._config)
        writer = ActionWriter(random.Random(episode.seed))
        pieces = iter(given or [])
        end = time.monotonic() + seconds
        try:
            some = [] if given is not None else writer.setup()
            while not self._fatal and (given is not None or time.monotonic() < end):
                for action in some:
                    episode.actions.append(action)
                    player.play(action)
                    player.pump()
                    self._look(beside)
                    if self._fatal:
                        break
                if given is None:
                    some = writer.some()
                elif (action := next(pieces, None)) is not None:
                    some = [action]
                else:
                    break
            self._settle(player, beside)
        except Forged as error:
            self._find("forged", str(error))
        finally:
            player.close()
            episode.counts += player.counts

    def _settle(self, player: ActionPlayer, beside: Beside | None) -> None:
        end = time.monotonic() + SETTLING_S
        while time.monotonic() < end and not self._fatal:
            player.pump()
            self._looked = 0
            self._look(beside)
            time.sleep(0.01)

    @property
    def _fatal(self) -> bool:
        return any(finding.kind != "guarded" for finding in self.episode.findings)

    def _find(self, kind: str, text: str) -> None:
        self.episode.findings.append(Finding(kind, text))

    def _look(self, beside: Beside | None) -> None:
        if not self._server.is_running:
            time.sleep(0.2)  # the rest of its log
            self._find("crash", f"the server ended\n{self._server.log[-6000:]}")
            return
        if time.monotonic() - self._looked < OCCASIONS_S:
            return
        self._looked = time.monotonic()
        self._look_at_memory()
        self._look_at_log()
        if beside and beside.ended:
            self._find("refused", "the bystander ended")

    def _look_at_memory(self) -> None:
        """What clients do not read may wait up to `max_pending` of each: it has a bound of its own,
        and buffers may be twice as large as what is in them.
        """
        resident = resident_bytes(self._server.pid)
        if resident > self._limits.memory_bytes // 2:
            self._unread_bytes = max(self._unread_bytes, unread_bytes(self._server.monitoring_url))
        memory = resident - 2 * self._unread_bytes
        self.episode.memory_bytes = max(self.episode.memory_bytes, memory)
        if memory > self._limits.memory_bytes:
            unread = f"{self._unread_bytes >> 20} MiB of output"
            self._find("memory", f"{resident >> 20} MiB are resident, beside {unread}")

    def _look_at_log(self) -> None:
        lines = self._server._log_lines
        fresh = "".join(lines[self._log_seen :])
        if SUSPICIOUS.search(fresh):
            time.sleep(0.3)  # the rest of a traceback
            fresh = "".join(lines[self._log_seen :])
        self._log_seen = len(lines)
        if not (found := SUSPICIOUS.search(fresh)):
            return
        text = fresh[found.start() :][:6000]
        kind = "guarded" if GUARDED.match(text) and not FATAL.search(fresh) else "log"
        finding = Finding(kind, text)
        if finding.signature not in {one.signature for one in self.episode.findings}:
            self.episode.findings.append(finding)

    def _judge_bystander(self, beside: Beside, probe: MachineProbe) -> None:
        episode = self.episode
        crashed = any(found.kind == "crash" for found in episode.findings)
        report = beside.report()
        episode.findings = [f for f in episode.findings if f.text != "the bystander ended"]
        if report.get("ended") and not crashed:
            self._find("refused", f"the bystander ended: {report['ended']}")
        for refused in report.get("refused", []):
            if RESOURCES.search(refused):
                episode.counts["bystander without resources"] += 1
            elif not crashed:
                self._find("refused", refused)
                break
        episode.latencies = report.get("latencies", {})
        if not crashed:
            self._judge_waits([Wait(*wait) for wait in report.get("long", [])], probe)
        self._acknowledged = {int(k): v for k, v in report.get("acknowledged", {}).items()}
        episode.acknowledged = len(self._acknowledged)

    def _judge_waits(self, waits: list[Wait], probe: MachineProbe) -> None:
        stalls = probe.stalls()
        for wait in waits:
            if wait.took_s <= self._limits.hang_s:
                continue
            if why := machine_to_blame(wait, stalls):
                self.episode.excused.append(wait)
                print(f"seed {self.episode.seed}: {wait}, but {why}", flush=True)
            else:
                self.episode.waits.append(wait)
        if self.episode.waits:
            longest = max(self.episode.waits, key=lambda wait: wait.took_s)
            others = "".join(f"\n{wait}" for wait in self.episode.waits if wait is not longest)
            self._find("hang", f"{longest}{others}")

    # -- the end

    def _kill(self) -> None:
        if self._server.is_running:
            self._server.kill()
        elif self._server._process is not None:
            self._server.wait()

    def _restart(self) -> None:
        config = self._server.folder / "server.conf"
        config.write_text(self._config)
        try:
            if not self._server.is_running or self.episode.killed:
                self._kill()
            elif (code := self._server.stop()) != 0:
                self._find("restart", f"it stopped with code {code}\n{self._server.log[-3000:]}")
        except subprocess.TimeoutExpired:
            self._find("restart", "it did not stop")
            self._kill()
        began = time.monotonic()
        self._log_seen = len(self._server._log_lines)
        try:
            self._server.start()
        except (TimeoutError, RuntimeError) as error:
            self._find("restart", str(error)[-3000:])
            return
        self.episode.restart_s = time.monotonic() - began
        if self.episode.restart_s > RESTART_S_MAX:
            self._find("restart", f"the start took {self.episode.restart_s:.1f} s")
        try:
            self._read_back()
        except (Unanswered, OSError, ValueError) as error:
            self._find("lost", f"after the restart: {error}")
        self._look_at_log()

    def _read_back(self) -> None:
        line = Line(self._server.port, self._members)
        missing = []
        for seq, body in self._acknowledged.items():
            asked = json.dumps({"seq": seq}).encode()
            _, header, found = line.request(f"$JS.API.DIRECT.GET.{STREAM}", asked)
            if found.decode("latin-1") != body:
                missing.append(f"{seq}: {header!r} {found!r} instead of {body}")
        line.close()
        if missing:
            self._find("lost", f"{len(missing)} of {len(self._acknowledged)}: {missing[:3]}")


# ------------------------------------------------------------------ findings


def replay(
    episode: Episode,
    actions: list[Action],
    options: argparse.Namespace,
    *,
    with_bystander: bool = True,
) -> Episode:
    again = Episode(episode.seed, episode.with_passwords, episode.killed)
    run = EpisodeRun(again, options.program, options.limits)
    return run.run(0, actions, with_bystander=with_bystander)


def repeats(finding: Finding, episode: Episode, actions: list[Action], options: Any) -> bool:
    needed = finding.kind not in KINDS_WITHOUT_BYSTANDER
    found = replay(episode, actions, options, with_bystander=needed).findings
    return any(one.signature == finding.signature for one in found)


def cut_down(finding: Finding, episode: Episode, options: argparse.Namespace) -> list[Action]:
    """Fewer actions that still repeat it: leaves out halves, quarters and so on."""
    actions = episode.actions
    end = time.monotonic() + options.minimize_seconds
    tail = actions[-30:]  # what repeats at once is near the end
    for count in (3, 30):
        needed = [action for action in actions[:40] if action not in tail] + tail[-count:]
        if len(needed) < len(actions) and repeats(finding, episode, needed, options):
            actions = needed
            break
    parts = 2
    while len(actions) > 1 and time.monotonic() < end:
        size = max(len(actions) // parts, 1)
        for at in range(0, len(actions), size):
            fewer = actions[:at] + actions[at + size :]
            if fewer and repeats(finding, episode, fewer, options):
                actions = fewer
                parts = max(parts - 1, 2)
                break
            if time.monotonic() > end:
                break
        else:
            if size == 1:
                break
            parts = min(parts * 2, len(actions))
    return actions


def write_replay(
    finding: Finding, episode: Episode, actions: list[Action], options: argparse.Namespace
) -> Path:
    options.findings.mkdir(parents=True, exist_ok=True)
    number = episode.findings.index(finding)
    path: Path = options.findings / f"{finding.kind}-{episode.seed}-{number}.jsonl"
    head = {
        "seed": episode.seed,
        "with_passwords": episode.with_passwords,
        "killed": episode.killed,
        "finding": f"{finding.kind}: {finding.text[-1500:]}",
    }
    path.write_text("".join(json.dumps(line) + "\n" for line in [head, *actions]))
    return path


def read_replay(path: Path) -> tuple[Episode, list[Action]]:
    head, *actions = [json.loads(line) for line in path.read_text().splitlines()]
    return Episode(head["seed"], head["with_passwords"], head["killed"]), actions


def tell(episode: Episode, options: argparse.Namespace, known: set[str]) -> None:
    for finding in episode.findings:
        print(f"FINDING {finding.kind}, seed {episode.seed}: {finding.signature}", flush=True)
        if finding.signature in known:
            continue
        known.add(finding.signature)
        print(finding.text, flush=True)
        path = write_replay(finding, episode, episode.actions, options)
        print(f"{len(episode.actions)} actions in {path}", flush=True)
        if finding.kind in KINDS_THAT_REPEAT and options.minimize_seconds > 0:
            actions = cut_down(finding, episode, options)
            write_replay(finding, episode, actions, options)
            print(f"cut down to {len(actions)} actions", flush=True)


def percentile(latencies: list[float], share: float) -> float:
    ordered = sorted(latencies)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else 0.0


class Summary:
    """What all episodes add up to, as figures for docs/reliability.md."""

    def __init__(self, limits: Limits) -> None:
        self.episodes = 0
        self.findings: Counter[str] = Counter()
        self._limits = limits
        self._began_s = time.monotonic()
        self._latencies: dict[str, list[float]] = {}
        self._waits: list[Wait] = []
        self._excused: list[Wait] = []
        self._counts: Counter[str] = Counter()
        self._actions = 0
        self._memory_bytes = 0
        self._acknowledged = 0
        self._restarts: list[tuple[float, int]] = []  # seconds, seed

    def add(self, episode: Episode) -> None:
        self.episodes += 1
        self.findings.update(finding.kind for finding in episode.findings)
        self._counts += episode.counts
        self._actions += len(episode.actions)
        self._memory_bytes = max(self._memory_bytes, episode.memory_bytes)
        self._acknowledged += episode.acknowledged
        self._restarts.append((episode.restart_s, episode.seed))
        self._waits += episode.waits
        self._excused += episode.excused
        for kind, some in episode.latencies.items():
            self._latencies.setdefault(kind, []).extend(some)

    def __str__(self) -> str:
        minutes = (time.monotonic() - self._began_s) / 60
        restarts = sorted(self._restarts) or [(0.0, 0)]
        rounds = len(self._latencies.get("ping", []))
        lines = [
            f"{self.episodes} episodes in {minutes:.0f} minutes, {self._actions} hostile actions;"
            f" findings: {dict(self.findings) or 'none'}",
            f"{rounds} rounds of the well-behaved client; {self._acknowledged} messages"
            " acknowledged and read back",
            f"resident at most {self._memory_bytes >> 20} MiB of {self._limits.memory_bytes >> 20};"
            f" restarts: median {restarts[len(restarts) // 2][0]:.1f} s, slowest"
            f" {restarts[-1][0]:.1f} s (seed {restarts[-1][1]})",
            f"waits above {self._limits.hang_s:g} s: {len(self._waits)} for the server,"
            f" {len(self._excused)} for the machine or its disk",
        ]
        for kind, some in sorted(self._latencies.items()):
            median, high = percentile(some, 0.5) * 1000, percentile(some, 0.99) * 1000
            lines.append(
                f"  {kind:8} {len(some):7} times, p50 {median:6.1f} ms, p99 {high:7.1f} ms,"
                f" longest {max(some) * 1000:7.1f} ms"
            )
        lines.append(f"  {dict(self._counts.most_common(40))}")
        return "\n".join(lines)


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--episode-seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0, help="0 draws one")
    parser.add_argument("--server", default="", help="the executable; default: this Python's")
    parser.add_argument("--findings", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--replay", type=Path)
    parser.add_argument("--hang-seconds", type=float, default=Limits.hang_s)
    parser.add_argument("--memory-mib", type=int, default=Limits.memory_bytes >> 20)
    parser.add_argument("--minimize-seconds", type=float, default=120)
    parser.add_argument("--keep-going", action="store_true", help="after the first finding too")
    options = parser.parse_args(given)
    options.program = [options.server] if options.server else list(PROGRAM)
    options.limits = Limits(options.hang_seconds, options.memory_mib << 20)
    return options


def main(given: Sequence[str] | None = None) -> int:
    options = arguments(given)
    if options.replay:
        episode = replay(*read_replay(options.replay), options)
        for finding in episode.findings:
            print(f"FINDING {finding.kind}\n{finding.text}")
        memory = f"{episode.memory_bytes >> 20} MiB"
        print(f"{len(episode.actions)} actions, {memory}, {len(episode.findings)} findings")
        return int(bool(episode.findings))
    seed = options.seed or random.SystemRandom().getrandbits(31)
    end = time.monotonic() + options.seconds
    summary, known = Summary(options.limits), set[str]()
    while (left := end - time.monotonic()) > 0:
        episode = Episode(seed, with_passwords=seed % 3 == 0, killed=seed % 2 == 1)
        EpisodeRun(episode, options.program, options.limits).run(min(left, options.episode_seconds))
        summary.add(episode)
        print(
            f"seed {seed}: {len(episode.actions)} actions, {episode.memory_bytes >> 20} MiB",
            flush=True,
        )
        seed += 1
        if episode.findings:
            tell(episode, options, known)
            if not options.keep_going:
                break
    print(summary)
    return int(bool(summary.findings))


if __name__ == "__main__":
    sys.exit(main())
