"""The configuration grammar against its own specification.

Method: tables of texts with the values they mean, taken from what nats-server 2.15.1 does with
them; generated documents that are written in random notation and must read back as the same values
(hypothesis); random text, which must never raise anything but ConfigError.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.config.parser import parse_file, parse_text
from slipstream.config.source import ConfigError

MEANINGS: list[tuple[str, dict[str, Any]]] = [
    # K-306: separators and comments
    ("a = 1\nb: 2\nc 3", {"a": 1, "b": 2, "c": 3}),
    ("a=1;b=2,c=3;", {"a": 1, "b": 2, "c": 3}),
    ("a: 1 # x\nb: 2 // y\n# z\n", {"a": 1, "b": 2}),
    ("a\n\n  1", {"a": 1}),
    ("a {b 1}\nc\n{\n}\n", {"a": {"b": 1}, "c": {}}),
    ("a { b:\n 1 }", {"a": {"b": 1}}),
    ("host: a//b", {"host": "a//b"}),
    ("a: 1\n}\n", {"a": 1}),
    ("", {}),
    ("# nothing\n", {}),
    # K-306: strings
    ("a: 'x\\ty'", {"a": "x\\ty"}),
    ('a: "x\\ty\\x41\\"\\\\"', {"a": 'x\tyA"\\'}),
    ('a: "\\xc3\\xa9"', {"a": "é"}),
    ("a: (\n  raw # text\n)\n", {"a": "\n  raw # text\n"}),
    ("a: (\nx) y\n)\n", {"a": "\nx) y\n"}),
    ("a: b\\x41c", {"a": "bAc"}),
    ("a: tru\\x65", {"a": "true"}),
    ("'a b': 1\n\"c:d\": 2", {"a b": 1, "c:d": 2}),
    # K-306: booleans, dates
    ("a: true, b: NO, c: On", {"a": True, "b": False, "c": True}),
    ("a: 2020-01-02T03:04:05Z", {"a": datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)}),
    # K-307: numbers and units
    ("a: 1k, b: 1K, c: 1kb, d: 1KiB, e: 1Ki", {"a": 1000, "b": 1000} | dict.fromkeys("cde", 1024)),
    ("a: 1g, b: 2GB, c: 1t, d: 1pb", {"a": 10**9, "b": 2 * 2**30, "c": 10**12, "d": 2**50}),
    ("a: -5, b: -1k, c: 1.5, d: -0.25", {"a": -5, "b": -1000, "c": 1.5, "d": -0.25}),
    ("a: 2m", {"a": 2_000_000}),
    ("a: 10s, b: 2m30s, c: 1e5, d: 8a", {"a": "10s", "b": "2m30s", "c": "1e5", "d": "8a"}),
    (
        "a: 127.0.0.1:4222, b: 1.2.3, c: 0.0.0.0:-1",
        {"a": "127.0.0.1:4222", "b": "1.2.3", "c": "0.0.0.0:-1"},
    ),
    # arrays
    ("a: [1, 2\n3\n# c\n 'x', [true], {b: 1}]", {"a": [1, 2, 3, "x", [True], {"b": 1}]}),
    ("a: []", {"a": []}),
    ("a: [1,]", {"a": [1]}),
    ("a: [x]", {"a": ["x"]}),
    # K-309: variables
    ("x: 5\na: $x", {"x": 5, "a": 5}),
    ("x: 5\nm { x: 6, a: $x }", {"x": 5, "m": {"x": 6, "a": 6}}),
    ("x: {y: 1}\na: [$x]", {"x": {"y": 1}, "a": [{"y": 1}]}),
    ("a: $2a$10$abc", {"a": "$2a$10$abc"}),
    ("a: '$x'", {"a": "$x"}),
    # K-311: JSON
    (
        '{"a": 1, "b": [1, 2.5, "x", true, {"c": []}]}',
        {"a": 1, "b": [1, 2.5, "x", True, {"c": []}]},
    ),
    ('{\n  "a": "b"\n}\n', {"a": "b"}),
]


@pytest.mark.parametrize(("text", "meaning"), MEANINGS, ids=[text[:40] for text, _ in MEANINGS])
def test_meaning(text: str, meaning: dict[str, Any]) -> None:
    parsed = parse_text(text).plain()
    assert parsed == meaning
    assert json.dumps(parsed, default=str) == json.dumps(meaning, default=str)  # 1 is not True


ERRORS = [
    # (text, line:column, part of the reason)
    ("port:\n4333", "1:6", "got a new line"),
    ("port", "1:1", "'port' has no value"),
    ("port:", "1:1", "'port' has no value"),
    ("a: [", "1:4", "never closed"),
    ("a: [1", "1:6", "got the end of the file"),
    ("a: [1\n, 2]", "2:1", "got ','"),
    ("a: [1 2]", "1:7", "expected ',' or ']'"),
    ("a: {", "1:5", "expected '}'"),
    ("a: 'x", "1:4", "no closing quote"),
    ('a: "x', "1:4", "no closing quote"),
    ('a: "\\q"', "1:6", "invalid escape"),
    ('a: "\\xZZ"', "1:6", "two hexadecimal digits"),
    ("a: (\n x )\n", "1:4", "on a line of its own"),
    ("a: 1 b: 2", "1:6", "after a value"),
    ("a {b: 1 c: 2}", "1:9", "after a value"),
    ("= 1", "1:1", "expected a key"),
    ("a { : 1 }", "1:5", "expected a key"),
    ("a: 9223372036854775808", "1:4", "out of the range"),
    ("a: 10000000000g", "1:4", "out of the range"),
    ("a: 1kbb", "1:4", "unknown unit"),
    ("a: 2020-01-01", "1:4", "date"),
    ("a: -x", "1:4", "expected a number"),
    ("a: 1.x", "1:4", "expected a number"),
    ("a: .5", "1:4", "must start with a digit"),
    ("a: $missing_variable", "1:4", "neither set above nor in the environment"),
    ("a: 1\n}\nb: 2", "3:1", "closes nothing"),
    ("{a: 1} b", "1:8", "expected the end"),
    ("include 'missing.conf'", "1:9", "cannot read the included file"),
    ("include [x]", "1:9", "expected a file"),
    ("a: " + "[" * 200, None, "nested deeper"),
]


@pytest.mark.parametrize(
    ("text", "place", "reason"), ERRORS, ids=[text[:30] for text, *_ in ERRORS]
)
def test_errors_say_where(text: str, place: str | None, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_text(text, "x.conf")
    assert reason in str(caught.value)
    if place:
        assert str(caught.value).startswith(f"x.conf:{place}: ")


@pytest.mark.parametrize("text", ["port", "a: [", "a: {", "a: 1 b: 2", "include [x]"])
def test_syntax_errors_have_the_words_that_harnesses_look_for(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.conf:\d+:\d+: Parse error: "):
        parse_text(text, "x.conf")


def test_environment_is_parsed_as_a_value(monkeypatch: pytest.MonkeyPatch) -> None:  # K-309
    monkeypatch.setenv("SLIPSTREAM_TEST", "[1, 'x']")
    assert parse_text("a: $SLIPSTREAM_TEST").plain() == {"a": [1, "x"]}


def test_environment_cycle_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:  # K-309
    monkeypatch.setenv("SLIPSTREAM_TEST", "$SLIPSTREAM_TEST")
    with pytest.raises(ConfigError, match="refers to itself"):
        parse_text("a: $SLIPSTREAM_TEST")


def test_referenced_entries_are_marked() -> None:
    document = parse_text("x: 1\ny: 2\na: $x")
    assert document["x"].referenced
    assert not document["y"].referenced


def test_includes_are_relative_to_their_file(tmp_path: Path) -> None:  # K-306
    folder = tmp_path / "conf.d"
    folder.mkdir()
    (tmp_path / "main.conf").write_text(
        "include 'conf.d/one.conf'\nm { include conf.d/two.conf }\nz: $x"
    )
    (folder / "one.conf").write_text('x: 1\ninclude "deep.conf"\n')
    (folder / "deep.conf").write_text("y: 2")
    (folder / "two.conf").write_text("b: 3\n")
    document = parse_file(str(tmp_path / "main.conf"))
    assert document.plain() == {"x": 1, "y": 2, "m": {"b": 3}, "z": 1}
    assert document["y"].position.file == str(folder / "deep.conf")


def test_an_error_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "main.conf").write_text("\ninclude 'part.conf'\n")
    (tmp_path / "part.conf").write_text("a: 1\nb: [")
    with pytest.raises(ConfigError, match=r"part\.conf:2:4: "):
        parse_file(str(tmp_path / "main.conf"))


def test_include_cycle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("include 'b.conf'")
    (tmp_path / "b.conf").write_text("x: 1\ninclude './a.conf'")
    with pytest.raises(ConfigError, match=r"b\.conf:2:9: .*includes itself"):
        parse_file(str(tmp_path / "a.conf"))


def test_an_included_file_does_not_see_outer_variables(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("x: 1\ninclude 'b.conf'")
    (tmp_path / "b.conf").write_text("y: $x")
    with pytest.raises(ConfigError, match="neither set above"):
        parse_file(str(tmp_path / "a.conf"))


# Generated documents: values, and how they are written.
_bare = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_.*/-]{0,11}", fullmatch=True).filter(
    lambda text: text.lower() not in ("true", "false", "yes", "no", "on", "off", "include")
)
_texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)
_scalars = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | _texts
    | _bare
    | st.decimals(-(10**6), 10**6, places=3).map(float)
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_bare, inner, max_size=4),
    max_leaves=15,
)


def _written(value: Any, draw: Any, top_level: bool = False) -> str:
    if isinstance(value, dict):
        separator = draw(st.sampled_from([": ", " = ", "=", " "]))
        between = draw(st.sampled_from(["\n", ", ", ";\n", ",\n# comment\n"]))
        entries = [f"{key}{separator}{_written(entry, draw)}" for key, entry in value.items()]
        return between.join(entries) if top_level else "{" + between.join(entries) + " }"
    if isinstance(value, list):
        between = draw(st.sampled_from([", ", "\n", ",\n// comment\n"]))
        return "[" + between.join(_written(element, draw) for element in value) + " ]"
    if isinstance(value, bool):
        return draw(st.sampled_from(["true", "YES", "on"] if value else ["false", "no", "Off"]))
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, int):
        return str(value)
    return _written_text(value, draw)


def _written_text(text: str, draw: Any) -> str:
    notations = []
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    notations.append('"' + escaped.replace("\r", "\\r").replace("\t", "\\t") + '"')
    if "'" not in text:
        notations.append(f"'{text}'")
    return draw(st.sampled_from(notations))


@given(st.dictionaries(_bare, _values, max_size=5), st.data())
@settings(max_examples=200, deadline=None)
def test_written_documents_read_back(document: dict[str, Any], data: st.DataObject) -> None:
    text = _written(document, data.draw, top_level=True)
    assert parse_text(text).plain() == document


_alphabet = st.sampled_from([*"{}[]()=:,;#/\\'\"$-. \n\tax19kb", "include ", "true", "é"])


@given(st.lists(_alphabet, max_size=60).map("".join))
@settings(max_examples=400, deadline=None)
def test_random_text_raises_nothing_else(text: str) -> None:
    position = None
    try:
        document = parse_text(text)
        assert isinstance(document.plain(), dict)
    except ConfigError as error:
        position = error.position
        place = str(error).split(": ")[0]
    if position is not None:
        assert place == f"<text>:{position.line}:{position.column}"
        assert position.line <= text.count("\n") + 1
