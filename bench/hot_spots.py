"""Where the server spends its time in a row of the comparison: `perf record` beside one sample.

    python bench/hot_spots.py --rows 'core 1:1 16 B'

Needs Linux's perf and the right to profile one's own processes (kernel.perf_event_paranoid <= 2).
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rows import Row
from servers import Product, RunningServer, product
from table import rows_with

SAMPLES_PER_S = 999
LINES_SHOWN = 45


def record(pid: int, into: Path) -> subprocess.Popen[bytes]:
    command = ["perf", "record", "-q", "-g", "-F", str(SAMPLES_PER_S), "-p", str(pid)]
    return subprocess.Popen([*command, "-o", str(into)], stderr=subprocess.DEVNULL)


def report(recorded: Path, callers: bool) -> str:
    command = ["perf", "report", "--stdio", "-q", "-i", str(recorded), "--percent-limit", "0.5"]
    shape = (
        ["--children", "-g", "caller,0.5,callee"] if callers else ["--no-children", "-g", "none"]
    )
    columns = ["--sort", "comm,dso,symbol"]
    done = subprocess.run([*command, *shape, *columns], capture_output=True, text=True, check=True)
    # perf fills its columns with blanks and dashes for what was not recorded.
    lines = [line.rstrip(" -") for line in done.stdout.splitlines() if line.strip()]
    return "\n".join(lines if callers else lines[:LINES_SHOWN])


def profile(row: Row, server_product: Product, ours: bool, scale: float, parent: Path) -> Path:
    """Takes one sample of the row after a warm-up; returns perf's recording."""
    server = RunningServer(server_product, row.ours if ours else row.theirs, parent)
    recorded = parent / "perf.data"
    try:
        row.begin(server)
        if not server.running:
            raise SystemExit(f"{row.title}: starts a server per sample, which this cannot profile")
        if row.warms_up:
            row.sample(server, ours, scale * 0.1)
        recorder = record(server.process.pid, recorded)
        try:
            sample = row.sample(server, ours, scale)
        finally:
            recorder.send_signal(signal.SIGINT)
            recorder.wait()
        print(f"{row.title}: {sample.value:,.1f} {row.unit}")
    finally:
        server.remove()
    return recorded


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", nargs="+", metavar="TEXT", required=True)
    parser.add_argument("--server", metavar="COMMAND", help="what to run")
    parser.add_argument("--peer", action="store_true", help="profile nats-server instead")
    parser.add_argument("--scale", type=float, default=1.0, help="of the row's counts")
    parser.add_argument("--callers", action="store_true", help="with call graphs")
    options = parser.parse_args(argv)
    if not shutil.which("perf"):
        print("there is no perf command on this machine", file=sys.stderr)
        return 2
    name = "nats-server" if options.peer else "slipstream-server"
    found = product(name, options.server)
    for row in rows_with(options.rows):
        with tempfile.TemporaryDirectory(prefix="bench-perf-") as folder:
            recorded = profile(row, found, not options.peer, options.scale, Path(folder))
            print(report(recorded, options.callers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
