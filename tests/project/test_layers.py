"""Goal: arrows point down only, no modules import each other in a circle, and what decides stays
free of the world (see ARCHITECTURE.md).

Method: every import statement of the package is read with `ast`, those inside functions and under
TYPE_CHECKING too, and held against the tables below. So is every #include of the kernel, which may
not leave it, and whose headers form no circle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import PACKAGE, shown, source_files

# A package may import those in the sets that stand further down, and itself.
LAYERS = (
    {"cli", "testing"},
    {"server", "bench"},
    {"jetstream"},
    {"config"},
    {"kernel"},
    {"protocol", "gotext"},
    {"version"},
)
HEIGHT = {package: -depth for depth, layer in enumerate(LAYERS) for package in layer}

# The rooms of the kernel, as folders of its sources: one may include those that stand further down,
# and those beside it. Streams and consumers know each other.
ROOMS = (
    {"binding"},
    {"jetstream"},
    {"stream", "consumer"},
    {"turn"},
    {"log"},
    {"store"},
    {"disk"},
    {"archive"},
    {"message"},
    {"clock"},
    {"bytes"},
)
FLOOR = {room: -depth for depth, floor in enumerate(ROOMS) for room in floor}
KERNEL = PACKAGE / "kernel" / "src"

# Inputs and `now` come in, outputs go out: nothing that waits, measures, draws or talks.
SANS_IO = ("jetstream", "protocol", "gotext")
WORLD = {
    *("asyncio", "concurrent", "multiprocessing", "queue", "sched", "selectors", "threading"),
    *("socket", "socketserver", "ssl", "http", "urllib", "subprocess", "signal"),
    *("time", "random", "secrets", "uuid", "os", "pathlib", "shutil", "tempfile", "logging"),
}

MODULES = [path for path in source_files(".py", ".pyi") if path.is_relative_to(PACKAGE)]


def module_name(path: Path) -> str:
    parts = ["slipstream", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {module_name(path) for path in MODULES}


def package_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of every module that a file imports, or has a name from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{shown(path)}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for name in node.names:
                full = f"{node.module}.{name.name}"
                yield node.lineno, full if full in NAMES else node.module


def test_every_package_has_its_place() -> None:
    assert {package_of(path) for path in MODULES} - {"__init__"} == set(HEIGHT)


def test_arrows_point_down() -> None:
    wrong = [
        f"{shown(path)}:{line}: {package_of(path)} may not import {name}"
        for path in MODULES
        if package_of(path) != "__init__"
        for line, name in imports(path)
        if name.startswith("slipstream.")
        and (imported := name.split(".")[1]) != package_of(path)
        and HEIGHT[imported] >= HEIGHT[package_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that all import each other, directly or by way of others."""
    left = {name: targets - {name} for name, targets in arrows.items()}
    reached = {name: _reached(name, left) for name in left}
    groups = {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in left
        if name in reached[name]
    }
    return [list(group) for group in sorted(groups)]


def _reached(start: str, arrows: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = arrows[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def test_modules_import_each_other_in_no_circle() -> None:
    """Those that only types need count too: they tell that two files are one."""
    arrows = {name: set[str]() for name in NAMES}
    for path in MODULES:
        arrows[module_name(path)] |= {name for _, name in imports(path) if name in NAMES}
    assert circles(arrows) == []


def test_circles_are_found() -> None:
    arrows = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": {"e"}, "e": {"d"}, "f": {"a", "f"}}
    assert circles(arrows) == [["a", "b", "c"], ["d", "e"]]


@pytest.mark.parametrize("package", SANS_IO)
def test_what_decides_does_no_io(package: str) -> None:
    wrong = [
        f"{shown(path)}:{line}: imports {name}"
        for path in MODULES
        if package_of(path) == package
        for line, name in imports(path)
        if name.split(".")[0] in WORLD
    ]
    assert not wrong, "\n".join(wrong)


def test_the_compiled_kernel_is_entered_through_its_vocabulary() -> None:
    """What decides knows the kernel's events and specs, never the object with the sockets in it."""
    wrong = [
        f"{shown(path)}:{line}: imports {name}"
        for path in MODULES
        if package_of(path) in SANS_IO
        for line, name in imports(path)
        if name in {"slipstream.kernel", "slipstream.kernel._kernel"}
    ]
    assert not wrong, "\n".join(wrong)


def kernel_includes() -> dict[str, list[str]]:
    """What each source of the kernel includes of the kernel, both as paths below its folder."""
    return {
        str(path.relative_to(KERNEL)): re.findall(r'^#include "([^"]+)"', path.read_text(), re.M)
        for path in source_files(".cpp", ".hpp")
        if path.is_relative_to(KERNEL)
    }


def room_of(source: str) -> str:
    return source.split("/")[0]


def upward(includes: dict[str, list[str]]) -> list[str]:
    return [
        f"{source} includes {name}"
        for source, names in includes.items()
        for name in names
        if FLOOR[room_of(name)] > FLOOR[room_of(source)]
    ]


def circle_of_headers(includes: dict[str, list[str]]) -> list[str]:
    """A circle, from a header back to itself; empty when there is none."""
    finished: set[str] = set()

    def search(header: str, way: list[str]) -> list[str]:
        if header in way:
            return [*way[way.index(header) :], header]
        if header in finished:
            return []
        for name in includes.get(header, []):
            if found := search(name, [*way, header]):
                return found
        finished.add(header)
        return []

    for header in includes:
        if found := search(header, []):
            return found
    return []


def test_every_room_of_the_kernel_has_its_floor() -> None:
    assert {room_of(source) for source in kernel_includes()} == set(FLOOR)


def test_the_kernels_arrows_point_down() -> None:
    assert not (wrong := upward(kernel_includes())), "\n".join(wrong)


def test_the_kernels_headers_form_no_circle() -> None:
    assert not (circle := circle_of_headers(kernel_includes())), " -> ".join(circle)


def test_upward_arrows_and_circles_are_found() -> None:
    planted = {
        "log/group.hpp": ["bytes/bytes.hpp", "turn/kernel.hpp"],
        "turn/kernel.hpp": ["log/group.hpp"],
        "consumer/consumer.cpp": ["stream/stream.hpp"],
    }
    assert upward(planted) == ["log/group.hpp includes turn/kernel.hpp"]
    assert circle_of_headers(planted) == ["log/group.hpp", "turn/kernel.hpp", "log/group.hpp"]


def test_the_kernel_includes_only_itself_and_the_system() -> None:
    includes = kernel_includes()
    wrong = [
        f"{source}: {name}"
        for source, names in includes.items()
        for name in names
        if name not in includes
    ]
    assert not wrong, "\n".join(wrong)
    python = [source for source in includes if "Python.h" in (KERNEL / source).read_text()]
    assert not python, f"turn() never calls Python: {python}"
