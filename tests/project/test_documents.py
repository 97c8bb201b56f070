"""Goal: the documents do not promise what is not there, and a newcomer finds every part.

Method: files and constants of the kernel that the documents name must exist, the constants with the
value that is named; links inside the repository must lead somewhere; ids of the reference that
sources and tests cite must be rows of it. ARCHITECTURE.md is the map: it stays short and names the
main header of each room of the kernel, a folder of sources. The comment at the top of that header
names every file of its room, and no file that is not there; so does the docstring of each package.
"""

from __future__ import annotations

import ast
import fnmatch
import itertools
import re
from pathlib import Path

import pytest

from source_tree import PACKAGE, ROOT, shown, source_files

DOCUMENTS = source_files(".md")
FILE = re.compile(r"`([\w./-]+\.(?:py|pyi|pyx|pxi|cpp|hpp|md|json|toml|sh))`")
LINK = re.compile(r"\]\(([^)#]+)(?:#[^)]*)?\)")
ROW_CITED = re.compile(r"\b([KSCE]-\d{3})\b")
ROW = re.compile(r"^\| ([KSCE]-\d{3}) \|", re.MULTILINE)
RANGE = re.compile(r"\b([KSCE])-(\d{3})\.\.(?:[KSCE]-)?(\d{3})\b")
KERNEL_CONSTANT = re.compile(r"`(k[A-Z]\w+)`")
KERNEL_VALUE = re.compile(r"`(k[A-Z]\w+)`\s\(([\d.]+)(?: (KiB|MiB|ms|s))?\)")
FUNCTION_IN_FILE = re.compile(r"`([\w/]+\.[ch]pp)`, `(\w+)`")
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "ms": 1_000_000, "s": 1_000_000_000}
KERNEL_SOURCE = re.compile(r"[\w./-]*\w\.(?:cpp|hpp)\b")
PYTHON_SOURCE = re.compile(r"[\w./*]*\w\.(?:pyi|pyx|pxi|py)\b")
PACKAGES = [path for path in source_files(".py") if path.name == "__init__.py"]
PACKAGES = [path for path in PACKAGES if path.parent.is_relative_to(PACKAGE)]
KERNEL = PACKAGE / "kernel" / "src"
ROOMS = {
    "archive": "archive_record.hpp",
    "binding": "kernel_calls.hpp",
    "bytes": "bytes.hpp",
    "clock": "timers.hpp",
    "consumer": "consumer.hpp",
    "disk": "disk.hpp",
    "jetstream": "jetstream.hpp",
    "log": "group.hpp",
    "message": "subjects.hpp",
    "store": "message_store.hpp",
    "stream": "stream.hpp",
    "stream/backup": "stream_restore.hpp",
    "stream/batches": "batch_staging.hpp",
    "stream/gets": "direct_get.hpp",
    "stream/origins": "feed.hpp",
    "stream/schedules": "schedule.hpp",
    "turn": "kernel.hpp",
}
MAP_LINES_MAX = 170
MAP_COLUMNS_MAX = 120


def test_the_map_is_short() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    assert len(lines) <= MAP_LINES_MAX
    assert not [line for line in lines if len(line) > MAP_COLUMNS_MAX]


def named_files(document: Path) -> list[str]:
    return sorted(set(FILE.findall(document.read_text())))


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_files_that_are_named_exist(document: Path) -> None:
    if document.is_relative_to(ROOT / "docs" / "reference"):
        pytest.skip("names nats-server's files")
    known = {path.name for path in source_files(*{p.suffix for p in PACKAGE.rglob("*.*")}, ".sh")}
    missing = [
        name
        for name in named_files(document)
        if not any(
            (folder / name).exists() for folder in (ROOT, PACKAGE, PACKAGE / "kernel" / "src")
        )
        and not ("/" not in name and name in known)
    ]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_links_lead_somewhere(document: Path) -> None:
    broken = [
        link
        for link in LINK.findall(document.read_text())
        if "://" not in link and not (document.parent / link).exists()
    ]
    assert not broken


def kernel_sources() -> list[Path]:
    return [path for path in source_files(".cpp", ".hpp") if path.is_relative_to(KERNEL)]


def room_of(source: Path) -> str:
    return str(source.parent.relative_to(KERNEL))


def opening_comment(source: Path) -> str:
    lines = source.read_text().splitlines()
    return "\n".join(itertools.takewhile(lambda line: line.startswith("//"), lines))


def test_every_folder_of_the_kernel_is_a_room() -> None:
    assert {room_of(source) for source in kernel_sources()} == set(ROOMS)


def test_the_map_names_the_main_header_of_every_room() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    absent = [
        f"{room}/{header}" for room, header in ROOMS.items() if f"`{room}/{header}`" not in text
    ]
    assert not absent


def test_functions_that_the_map_names_are_in_their_files() -> None:
    named = FUNCTION_IN_FILE.findall((ROOT / "ARCHITECTURE.md").read_text())
    assert named
    assert not [
        (file, name)
        for file, name in named
        if not re.search(rf"\b{name}\(", (KERNEL / file).read_text())
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_main_header_names_every_file_of_its_room(room: str) -> None:
    """Whoever adds a source file says in the room's main header what it is for."""
    named = set(KERNEL_SOURCE.findall(opening_comment(KERNEL / room / ROOMS[room])))
    files = {source.name for source in kernel_sources() if room_of(source) == room}
    assert not sorted(files - named - {ROOMS[room]})


@pytest.mark.parametrize("source", kernel_sources(), ids=shown)
def test_an_opening_comment_names_files_that_exist(source: Path) -> None:
    """A file of the same room by its name alone or from the room on, others from `src` on, unless
    only one file of the kernel has that name.
    """
    names = [path.name for path in kernel_sources()]
    absent = [
        name
        for name in KERNEL_SOURCE.findall(opening_comment(source))
        if not any((folder / name).exists() for folder in (source.parent, KERNEL, ROOT))
        and names.count(name) != 1
    ]
    assert not absent


def parts_named(package: Path) -> list[str]:
    return PYTHON_SOURCE.findall(ast.get_docstring(ast.parse(package.read_text())) or "")


@pytest.mark.parametrize("package", PACKAGES, ids=shown)
def test_a_packages_docstring_names_every_file_of_it(package: Path) -> None:
    named = parts_named(package)
    assert not [
        path.name
        for path in source_files(".py", ".pyx", ".pxi")
        if path.parent == package.parent and path != package
        if not any(fnmatch.fnmatchcase(path.name, pattern) for pattern in named)
    ]


@pytest.mark.parametrize("package", PACKAGES, ids=shown)
def test_a_packages_docstring_names_files_that_exist(package: Path) -> None:
    folders = (package.parent, PACKAGE)
    assert not [
        pattern
        for pattern in parts_named(package)
        if not any(list(folder.glob(pattern)) for folder in folders)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_constants_of_the_kernel_that_are_named_exist(document: Path) -> None:
    named = set(KERNEL_CONSTANT.findall(document.read_text()))
    code = "\n".join(path.read_text() for path in kernel_sources()) if named else ""
    assert not sorted(name for name in named if not re.search(rf"\b{name}\b", code))


@pytest.mark.parametrize("document", DOCUMENTS, ids=shown)
def test_constants_of_the_kernel_have_the_values_that_are_named(document: Path) -> None:
    """Those that are written as "`kName` (8 MiB)"."""
    named = KERNEL_VALUE.findall(document.read_text())
    code = "\n".join(path.read_text() for path in kernel_sources()) if named else ""
    for name, number, unit in named:
        definitions = re.findall(rf"\b{name} = (\d[\d' <]*)[;,]", code)
        assert definitions, name
        for definition in definitions:
            left, *shift = map(int, definition.replace("'", "").split("<<"))
            assert left << sum(shift) == round(float(number) * UNITS[unit]), name


def reference_rows() -> set[str]:
    rows: set[str] = set()
    for path in (ROOT / "docs" / "reference").glob("*.md"):
        text = path.read_text()
        rows.update(ROW.findall(text))
        for letter, first, last in RANGE.findall(text):
            rows.update(f"{letter}-{number:03}" for number in range(int(first), int(last) + 1))
    return rows


def test_cited_rows_are_in_the_reference() -> None:
    rows = reference_rows()
    unknown = {
        f"{shown(path)}: {row}"
        for path in source_files(".py", ".pyi", ".cpp", ".hpp", ".pyx", ".pxi")
        for row in ROW_CITED.findall(path.read_text())
        if row not in rows
    }
    assert not unknown, "\n".join(sorted(unknown))
