"""Goal: JetStream's decisions stay free of sockets, clocks, randomness and threads, so that a
simulation replays them from a seed.

Method: the imports of every module below slipstream.jetstream and slipstream.protocol are read.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import slipstream.jetstream
import slipstream.protocol

_FORBIDDEN = {
    *("asyncio", "socket", "selectors", "ssl", "select", "subprocess", "signal"),
    *("time", "random", "secrets", "uuid", "threading", "multiprocessing", "concurrent", "os"),
}
_UPWARDS = ("slipstream.server", "slipstream.cli", "slipstream.config", "slipstream.cluster")
_MODULES = [
    path
    for package in (slipstream.jetstream, slipstream.protocol)
    for path in sorted(Path(package.__path__[0]).rglob("*.py"))
]


def _imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module)
    return names


@pytest.mark.parametrize("path", _MODULES, ids=lambda path: path.name)
def test_imports(path: Path) -> None:
    imported = _imported(path)
    assert not {name.split(".")[0] for name in imported} & _FORBIDDEN
    assert not [name for name in imported if name.startswith(_UPWARDS)]
