"""Goal: docs/update-errors.md lists every error that an update of a stream or consumer may give.

Method: from the handlers of the two requests, the calls in `jetstream/` are followed by name, and
the codes that the functions on the way name are collected. They must be the codes of the page. The
texts with which an update refuses a change of one setting must be there too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from slipstream.protocol.errors import ERROR_TABLE, ErrorCode
from source_tree import PACKAGE, ROOT

PAGE = ROOT / "docs" / "update-errors.md"
ROW = re.compile(r"^\| (\d{5}) \| `(\w+)` \| (\d+) \| (.+?) \| `", re.MULTILINE)
JETSTREAM = PACKAGE / "jetstream"
CORE = "api/core.py"
# Where methods are looked for: requests, lookups and proposals. Elsewhere a name may be another's.
METHODS_OF = (CORE, "registry.py")
# What every request may be answered with, and what becomes of a proposal.
EVERY_REQUEST = [(CORE, name) for name in ("run", "committed", "abandoned", "store_failed")] + [
    ("api/router.py", "_request")
]
HANDLERS = {
    "Streams": [("api/streams.py", "update")],
    "Consumers": [("api/consumers.py", "create"), ("api/consumers.py", "create_durable")],
}
RULES = {"Streams": "stream_rules.py", "Consumers": "consumer_rules.py"}
Function = tuple[str, str]  # module below jetstream/, name


@cache
def module(name: str) -> ast.Module:
    return ast.parse((JETSTREAM / name).read_text())


@cache
def functions(name: str) -> dict[str, ast.FunctionDef]:
    """Those of the module, methods among them; functions inside others are parts of those."""
    found: dict[str, ast.FunctionDef] = {}
    for node in module(name).body:
        body = node.body if isinstance(node, ast.ClassDef) else [node]
        found |= {part.name: part for part in body if isinstance(part, ast.FunctionDef)}
    return found


@cache
def imports(name: str) -> dict[str, tuple[str, str]]:
    """Local name -> module file and the name there, which is empty for a module itself."""
    found = {}
    for node in ast.walk(module(name)):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        package, *below = node.module.removeprefix("slipstream.").split(".")
        if package != "jetstream":
            continue
        for alias in node.names:
            itself = "/".join([*below, f"{alias.name}.py"])
            its_module = "/".join(below) + ".py"
            if (JETSTREAM / itself).exists():
                found[alias.asname or alias.name] = (itself, "")
            elif (JETSTREAM / its_module).exists():
                found[alias.asname or alias.name] = (its_module, alias.name)
    return found


def called(function: Function) -> Iterator[Function]:
    name, inner = function
    for node in ast.walk(functions(name)[inner]):
        if isinstance(node, ast.Name):
            if node.id in functions(name):
                yield name, node.id
            elif node.id in imports(name) and imports(name)[node.id][1]:
                yield imports(name)[node.id]
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            if owner in imports(name) and not imports(name)[owner][1]:
                yield imports(name)[owner][0], node.attr
                continue
            for file in METHODS_OF:
                yield file, node.attr


def reached(starts: list[Function]) -> set[Function]:
    found: set[Function] = set()
    waiting = list(starts)
    while waiting:
        function = waiting.pop()
        if function in found or function[1] not in functions(function[0]):
            continue
        found.add(function)
        waiting += called(function)
    return found


def codes_of(starts: list[Function]) -> set[ErrorCode]:
    return {
        ErrorCode[node.attr]
        for name, inner in reached(starts)
        for node in ast.walk(functions(name)[inner])
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "ErrorCode"
    }


def section(heading: str) -> str:
    return PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def listed(heading: str) -> set[ErrorCode]:
    """Each row says what the table of errors says."""
    codes = set()
    for number, name, code, text in ROW.findall(section(heading)):
        row = ERROR_TABLE[int(number)]
        assert (name, int(code), text) == (ErrorCode(int(number)).name, row.code, row.template)
        codes.add(ErrorCode(int(number)))
    return codes


def test_the_page_lists_what_every_request_may_be_answered_with() -> None:
    assert listed("Every request") == codes_of(EVERY_REQUEST)


@pytest.mark.parametrize("heading", HANDLERS)
def test_the_page_lists_the_errors_of_the_handlers(heading: str) -> None:
    shared = listed("Every request")
    assert not shared & listed(heading)
    assert listed(heading) == codes_of(HANDLERS[heading]) - shared


@pytest.mark.parametrize("heading", HANDLERS)
def test_the_page_has_the_texts_of_refused_changes(heading: str) -> None:
    check = functions(RULES[heading])["check_update"]
    texts = [
        node.value
        for statement in check.body[bool(ast.get_docstring(check)) :]
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]
    assert len(texts) > 5
    assert not [text for text in texts if text.strip() not in section(heading)]
