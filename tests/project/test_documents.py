"""Goal: the documents do not promise what is not there.

Method: files that the documents name must exist; links inside the repository must lead somewhere;
ids of the reference that sources and tests cite must be rows of it; the map stays short.
"""

from __future__ import annotations

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
ARCHITECTURE_LINES_MAX = 300


def test_the_map_is_short() -> None:
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= ARCHITECTURE_LINES_MAX


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
        if not any((folder / name).exists() for folder in (ROOT, PACKAGE, PACKAGE / "kernel" / "src"))
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


def test_the_map_names_every_source_of_the_kernel() -> None:
    """Whoever adds a source file says in the map where it belongs."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    sources = [path for path in source_files(".cpp") if path.is_relative_to(PACKAGE / "kernel")]
    absent = [path.name for path in sources if path.stem not in text]
    assert not absent


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
