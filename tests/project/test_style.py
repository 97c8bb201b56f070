"""Goal: the rules of CONTRIBUTING.md that a machine can judge hold for every file.

Method: the tracked files are measured; each test lists all its offenders at once.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from source_tree import PACKAGE, ROOT, shown, source_files, tracked_files

FILE_LINES_MAX = 800
FUNCTION_LINES_MAX = 70
COMPILED_LINE_MAX = 140  # the habit is 120; lines of Python are ruff's to judge
GOAL_WORDS_MIN = 10
BANNED_WORDS = {"util", "utils", "helper", "helpers", "manager", "misc", "common", "base", "data"}
BANNED_WORDS |= {"handle2"}
TEXT = {".py", ".pyi", ".pyx", ".pxi", ".cpp", ".hpp", ".md", ".toml", ".sh", ".json", ""}
PYTHON_FOLDERS = ("src", "tests", "bench")


def text_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix in TEXT]


def test_files_are_short() -> None:
    code = source_files(".py", ".pyi", ".pyx", ".pxi", ".cpp", ".hpp")
    lengths = {shown(path): len(path.read_text().splitlines()) for path in code}
    long = {name: lines for name, lines in lengths.items() if lines > FILE_LINES_MAX}
    assert not long


def test_functions_fit_a_screen() -> None:
    long = [
        f"{shown(path)}:{node.lineno}: {node.name} has {lines} lines"
        for path in source_files(".py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and (lines := node.end_lineno - node.lineno + 1) > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_compiled_lines_are_short() -> None:
    long = [
        f"{shown(path)}:{number}: {len(line)} characters"
        for path in source_files(".cpp", ".hpp", ".pyx", ".pxi")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > COMPILED_LINE_MAX
    ]
    assert not long, "\n".join(long)


def test_file_names_say_what_is_inside() -> None:
    code = source_files(".py", ".pyi", ".pyx", ".pxi", ".cpp", ".hpp")
    vague = [shown(path) for path in code if BANNED_WORDS & set(re.split(r"[_.]", path.stem))]
    assert not vague


def test_every_module_says_why_it_is_there() -> None:
    silent = [
        shown(path)
        for path in source_files(".py")
        if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not silent


def test_every_test_file_opens_with_goal_and_method() -> None:
    terse = [
        shown(path)
        for path in source_files(".py")
        if path.name.startswith("test_")
        and len((ast.get_docstring(ast.parse(path.read_text())) or "").split()) < GOAL_WORDS_MIN
    ]
    assert not terse


def test_no_test_is_without_an_assertion() -> None:
    """An assert, a call whose name says that it judges, or a call of a function that does."""
    judges = (
        "assert",
        "raises",
        "check",
        "wait_until",
        "verify",
        "run_state",
        "fail",
    )
    idle = []
    for path in source_files(".py"):
        if not path.name.startswith("test_"):
            continue
        functions = [
            node
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]
        judging = {node.name for node in functions if has_assertion(node)}
        idle += [
            f"{shown(path)}:{node.lineno}: {node.name}"
            for node in functions
            if node.name.startswith("test_")
            and node.name not in judging
            and not any(call in judging or call.startswith(judges) for call in calls_of(node))
        ]
    assert not idle, "\n".join(idle)


def has_assertion(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(function))


def calls_of(function: ast.AST) -> set[str]:
    """The last names of everything that it calls."""
    return {
        ast.unparse(node.func).rsplit(".", 1)[-1]
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
    }


def test_nothing_names_a_path_of_some_machine() -> None:
    here = re.compile(r"(?<![\w./])/(?:home|root|Users|work|mnt)/\w")
    found = [
        f"{shown(path)}:{number}: {line.strip()[:100]}"
        for path in text_files()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if here.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_merge_is_left_half_done() -> None:
    marks = re.compile(r"^(?:<{7,8}|>{7,8}|={7,8})(?: |$)", re.MULTILINE)
    assert [shown(path) for path in text_files() if marks.search(path.read_text())] == []


def test_names_of_test_modules_are_unique() -> None:
    """pytest imports them by their bare names, and those beside them too."""
    folders = [ROOT / "tests", ROOT / "bench"]
    modules = Counter(
        path.stem
        for path in source_files(".py")
        if any(path.is_relative_to(folder) for folder in folders) and path.name != "conftest.py"
    )
    assert [name for name, count in modules.items() if count > 1] == []


def test_compiled_modules_have_a_typed_face() -> None:
    faceless = [
        shown(path)
        for path in source_files(".pyx")
        if path.is_relative_to(PACKAGE) and not path.with_suffix(".pyi").exists()
    ]
    assert not faceless
