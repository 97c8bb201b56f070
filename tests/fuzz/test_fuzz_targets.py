"""Goal: the targets of coverage-guided fuzzing can be built, also where no fuzzer is installed.
Method: each is compiled, without an object, by the compiler that builds the kernel.
"""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
TARGETS = sorted((ROOT / "tests/fuzz/targets").glob("*.cpp"))


def test_every_target_compiles() -> None:
    assert len(TARGETS) > 5

    def complaints(target: Path) -> str:
        compiler = os.environ.get("CXX", "g++")
        command = [compiler, "-std=c++20", "-fsyntax-only", "-I", "src/slipstream/kernel/src"]
        done = subprocess.run(
            [*command, str(target)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return "" if done.returncode == 0 else f"{target.name}: {done.stderr}"

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [text for text in pool.map(complaints, TARGETS) if text]
    assert not found, "\n".join(found)
