"""What the tests of the project look at: the files of the repository, as git knows them."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "slipstream"
GENERATED = {"_kernel.cpp", "_load.cpp"}


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files under version control, or about to be; in a source archive without git, all of them."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        found = [ROOT / line for line in listing.stdout.splitlines()]
    else:
        found = [path for path in ROOT.rglob("*") if not _is_made(path)]
    return tuple(sorted(path for path in found if path.is_file()))


def source_files(*suffixes: str) -> list[Path]:
    return [path for path in tracked_files() if path.suffix in suffixes]


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _is_made(path: Path) -> bool:
    parts = path.relative_to(ROOT).parts
    return path.name in GENERATED or any(
        part in {"build", "__pycache__"} or part.startswith(".") for part in parts
    )
