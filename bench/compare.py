"""Compares Slipstream with nats-server on this machine, row by row: `make bench`.

Both servers of a row are started fresh and measured in turn, several times, so that whatever else
the machine does meets both; the medians are compared. A complete comparison is written to
bench/results as JSON and as a picture; one of chosen rows or smaller counts is only printed, unless
a folder is named.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from picture import PictureRow, draw
from rows import Row, Sample
from servers import Product, RunningServer, ServerFailed, product
from slipstream.bench._load import LoadError
from slipstream.bench.api_client import ApiError
from slipstream.bench.workload import NotSupported
from table import rows_with

RESULTS = Path(__file__).parent / "results"
OURS, THEIRS = "slipstream-server", "nats-server"
QUICK_SCALE, QUICK_RUNS = 0.1, 3
RUNS_MIN = 2
WARM_UP = 0.1  # of a sample's size, once per side, not counted


@dataclass
class Compared:
    row: Row
    ours: list[Sample] = field(default_factory=list)
    theirs: list[Sample] = field(default_factory=list)
    failure: str = ""
    seconds: float = 0.0  # that it took

    @property
    def ours_median(self) -> float:
        return statistics.median(s.value for s in self.ours)

    @property
    def theirs_median(self) -> float:
        return statistics.median(s.value for s in self.theirs)

    @property
    def ratio(self) -> float:
        return self.ours_median / self.theirs_median

    @property
    def ratio_range(self) -> tuple[float, float]:
        """Of the pairs of neighbouring runs: how noisy the row is."""
        ratios = [a.value / b.value for a, b in zip(self.ours, self.theirs, strict=True)]
        return min(ratios), max(ratios)

    def cpu_ns(self, samples: list[Sample]) -> float | None:
        """Median of the server's CPU time per message, where the row measures it."""
        values = [s.measured.get("server_cpu_ns_per_message") for s in samples]
        found = [value for value in values if value is not None]
        return statistics.median(found) if found else None

    @property
    def verdict(self) -> str:
        if self.failure:
            return "failed"
        return "met" if self.row.meets(self.ratio) else "SHORT"

    def target_text(self) -> str:
        return f"{'<=' if self.row.at_most else '>='} {self.row.target:g}"

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "title": self.row.title,
            "unit": self.row.unit,
            "target": self.target_text(),
            "remark": self.row.remark,
            "verdict": self.verdict,
            "failure": self.failure,
            "seconds": round(self.seconds, 1),
        }
        for side, samples, mode in zip(
            ("ours", "theirs"), (self.ours, self.theirs), self.row.modes(), strict=True
        ):
            found[side] = {
                "durability": mode,
                "values": [s.value for s in samples],
                "measured": [s.measured for s in samples],
            }
        if not self.failure:
            found |= {"ratio": self.ratio, "ratio_range": self.ratio_range}
            found["ours"]["median"] = self.ours_median
            found["theirs"]["median"] = self.theirs_median
        return found


def compare(
    row: Row,
    ours: Product,
    theirs: Product,
    runs: int,
    scale: float,
    parent: Path,
    seconds: float = math.inf,
) -> Compared:
    """Takes fewer runs, but at least two, where all of them would take longer than `seconds`."""
    compared, start, pair_s = Compared(row), time.monotonic(), 0.0
    ours, theirs = row.sides(ours, theirs)
    sides = (
        (RunningServer(ours, row.ours, parent), True, compared.ours),
        (RunningServer(theirs, row.theirs, parent), False, compared.theirs),
    )
    try:
        for server, is_ours, _ in sides:
            row.begin(server)
            if row.warms_up:
                row.sample(server, is_ours, scale * WARM_UP)
        for run in range(runs):
            spent, began = time.monotonic() - start, time.monotonic()
            if run >= RUNS_MIN and spent + pair_s > seconds:
                break
            for server, is_ours, samples in sides if run % 2 == 0 else sides[::-1]:
                samples.append(row.sample(server, is_ours, scale))
            pair_s = time.monotonic() - began
    except (LoadError, NotSupported, ApiError, ServerFailed, OSError) as error:
        compared.failure = f"{server.product.name}: {error}\n{server.log_end()}"
    finally:
        for server, _, _ in sides:
            server.remove()
    compared.seconds = time.monotonic() - start
    return compared


HEADINGS = (
    "row",
    "unit",
    "ours",
    "mode",
    "nats-server",
    "mode",
    "CPU ns/msg",
    "ratio",
    "range",
    "target",
    "",
)


def table_cells(compared: Compared) -> tuple[str, ...]:
    row = compared.row
    our_mode, their_mode = row.modes()
    if compared.failure:
        figures = ("", our_mode, "", their_mode, "", "", "")
    else:
        low, high = compared.ratio_range
        figures = (
            number(compared.ours_median),
            our_mode,
            number(compared.theirs_median),
            their_mode,
            cpu_text(compared),
            f"{compared.ratio:.2f}",
            f"{low:.2f}-{high:.2f}",
        )
    return (row.title, row.unit, *figures, compared.target_text(), compared.verdict)


def cpu_text(compared: Compared) -> str:
    ours, theirs = compared.cpu_ns(compared.ours), compared.cpu_ns(compared.theirs)
    return "" if ours is None or theirs is None else f"{ours:,.0f} / {theirs:,.0f}"


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def print_table(rows: Sequence[Compared]) -> None:
    cells = [HEADINGS, *(table_cells(c) for c in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEADINGS))]
    for line in cells:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))
    for compared in rows:
        if compared.failure:
            print(f"\n{compared.row.title}: {compared.failure}")
        elif compared.row.remark:
            print(f"\n{compared.row.title}: {compared.row.remark}")


def picture_row(compared: Compared) -> PictureRow:
    row = compared.row
    if compared.failure:
        return PictureRow(row.title, " / ".join(row.modes()), None, 1.0, False, "failed")
    better = 1 / compared.ratio if row.at_most else compared.ratio
    target = 1 / row.target if row.at_most else row.target
    modes = f"{row.modes()[0]} / {row.modes()[1]}" if row.stores else ""
    text = f"{compared.ratio:.2f}  ({'≤' if row.at_most else '≥'} {row.target:g})"
    return PictureRow(row.title, modes, better, target, compared.verdict == "met", text)


def machine(store_parent: Path) -> dict[str, Any]:
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "store_file_system": file_system(store_parent),
    }


def file_system(path: Path) -> str:
    """The type of the file system that holds `path`; tmpfs would make durability free."""
    found, best = "unknown", -1
    resolved = str(path.resolve())
    for line in Path("/proc/mounts").read_text().splitlines():
        _, mount, kind, *_ = line.split()
        prefix = mount.rstrip("/") + "/"
        if (resolved + "/").startswith(prefix) and len(prefix) > best:
            found, best = kind, len(prefix)
    return found


def version(server: Product) -> str:
    done = subprocess.run(
        [*server.command, "--version"], capture_output=True, text=True, check=True
    )
    # Ours first says which nats-server it stands in for.
    return (done.stdout or done.stderr).strip().splitlines()[-1]


def write_results(
    folder: Path, rows: Sequence[Compared], about: dict[str, Any], now: datetime
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    result = about | {"rows": [c.as_json() for c in rows]}
    (folder / f"{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=1) + "\n")
    subtitle = (
        f"{about['versions'][OURS]} and {about['versions'][THEIRS]}, {now:%Y-%m-%d}, "
        f"{about['machine']['cores']} cores, {about['machine']['cpu']}, "
        f"medians of {about['runs']} alternating runs"
    )
    (folder / "latest.svg").write_text(draw(subtitle, [picture_row(c) for c in rows]))


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", metavar="COMMAND", help="what to run as Slipstream")
    parser.add_argument("--peer", metavar="COMMAND", help="what to run as nats-server")
    parser.add_argument("--runs", type=int, help="samples per side and row")
    parser.add_argument(
        "--rows", nargs="+", metavar="TEXT", help="only rows whose title contains one of these"
    )
    parser.add_argument(
        "--minutes", type=float, help="take fewer runs where this would not be enough for all rows"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the counts, three runs")
    parser.add_argument("--results", type=Path, metavar="FOLDER", help="write the results here")
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(tempfile.gettempdir()),
        metavar="FOLDER",
        help="where the servers' stores are made; on the disk that is to be measured",
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    options = arguments(argv)
    now = datetime.now(UTC)
    ours, theirs = product(OURS, options.server), product(THEIRS, options.peer)
    runs = options.runs or (QUICK_RUNS if options.quick else 5)
    scale = QUICK_SCALE if options.quick else 1.0
    chosen = rows_with(options.rows)
    if not chosen:
        print(f"no row's title contains {' or '.join(options.rows)}", file=sys.stderr)
        return 2
    about = {
        "date": now.isoformat(timespec="seconds"),
        "runs": runs,
        "scale": scale,
        "versions": {OURS: version(ours), THEIRS: version(theirs)},
        "machine": machine(options.store),
    }
    print(json.dumps(about, indent=1))
    rows: list[Compared] = []
    end = time.monotonic() + options.minutes * 60 if options.minutes else math.inf
    for done, row in enumerate(chosen):
        print(f"[{done + 1}/{len(chosen)}] {row.title} ...", file=sys.stderr, flush=True)
        share = (end - time.monotonic()) / (len(chosen) - done)
        rows.append(compare(row, ours, theirs, runs, scale, options.store, share))
        print("  ".join(table_cells(rows[-1])), file=sys.stderr, flush=True)
        print(rows[-1].failure, end="", file=sys.stderr, flush=True)
    print_table(rows)
    complete = not options.quick and not options.rows
    if complete or options.results:
        write_results(options.results or RESULTS, rows, about, now)
    return 1 if any(c.failure for c in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
