"""What the kernel's sources declare, read from their text: enumerations, fields of structs, and
signatures of the binding.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

KERNEL = Path(__file__).parents[2] / "src/slipstream/kernel"
SOURCES = KERNEL / "src"


@cache
def headers() -> str:
    return _texts(SOURCES.rglob("*.hpp"))


@cache
def sources() -> str:
    return _texts(SOURCES.rglob("*.cpp"))


@cache
def binding() -> str:
    """All of the binding in Cython, without comments."""
    return "\n".join(re.sub(r"#.*", "", path.read_text()) for path in sorted(KERNEL.glob("*.pxi")))


def enumerators(name: str) -> dict[str, int]:
    """Of a C++ enumeration, by name and in their order."""
    found: dict[str, int] = {}
    for entry in _one(rf"enum (?:class )?{name} : \w+ \{{(.*?)\}};", headers()).split(","):
        if entry.strip():
            word, _, number = entry.partition("=")
            found[word.strip()] = int(number) if number else max(found.values(), default=-1) + 1
    return found


def struct_fields(name: str) -> list[str]:
    """Of a C++ struct without its functions, in their order."""
    body = _one(rf"^struct {name} \{{(.*?)^\}};", headers())
    body = re.sub(r"\{.*?\}", "", re.split(r"^ private:", body, flags=re.MULTILINE)[0])
    found = []
    for statement in body.split(";"):
        text = re.sub(r"<[^;]*>", "", " ".join(statement.split()))
        if "(" not in text and text:
            found += [part.split("=")[0].split()[-1] for part in text.split(",")]
    return found


def constant(name: str) -> int:
    """A C++ constant: a number, or one shifted to the left."""
    text = _one(rf"\b{name} = ([^;,]+)[;,]", headers())
    shift = re.fullmatch(r"\(?(\d+)(?:ull)? << (\d+)\)?( - 1)?", text.strip())
    if shift is None:
        return int(text.replace("'", ""))
    return (int(shift[1]) << int(shift[2])) - bool(shift[3])


def function_body(heading: str) -> str:
    """Of a C++ function that begins in the first column."""
    return _one(rf"^{re.escape(heading)} \{{(.*?)^\}}", sources())


def bound_fields(name: str) -> list[str]:
    """What the binding declares of a C++ struct."""
    body = _one(rf"^ +cdef cppclass {name}(?: \"[^\n]*\")?:\n((?:        [^\n]*\n)+)", binding())
    lines = [line.strip() for line in body.splitlines() if "(" not in line]
    return [word for line in lines for word in re.findall(r"(\w+)(?:,|$)", line)]


def bound_enumerators(name: str) -> list[str]:
    body = _one(rf"^ +cp?def enum class {name}[^\n]*:\n((?:        \w+\n)+)", binding())
    return body.split()


def _one(pattern: str, text: str) -> str:
    found: list[str] = re.findall(pattern, text, re.DOTALL | re.MULTILINE)
    assert len(found) == 1, f"{pattern}: {len(found)} times"
    return found[0]


def _texts(paths: object) -> str:
    assert not isinstance(paths, str)
    texts = [path.read_text() for path in sorted(paths)]  # type: ignore[call-overload]
    return "\n".join(re.sub(r"//.*", "", text) for text in texts)
