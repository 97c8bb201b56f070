"""Goal: who cannot build the kernel learns why from one sentence.

Method: the build is started as pip starts it, with a PATH on which there is no compiler.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from source_tree import ROOT


def test_missing_compiler(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    pytest.importorskip("Cython")
    finished = subprocess.run(
        [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", str(tmp_path)],
        cwd=ROOT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr == (
        "slipstream needs a C++20 compiler to build its kernel: "
        "install one (Debian: apt-get install g++) and run the command again.\n"
    )
