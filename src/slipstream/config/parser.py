"""The NATS configuration grammar (K-306..K-311): maps, arrays, includes and variables over the
scanner's words.

    document = "{" entries "}" | entries          (so that JSON files are valid)
    entries  = { entry (newline | "," | ";") }
    entry    = "include" path | key ["=" | ":"] value
    value    = "{" entries "}" | "[" { value (newline | ",") } "]"
             | "(" newline raw newline ")" | quoted | word

Two rules are easy to miss. After a key, newlines are skipped before the separator or the value, but
at top level a value must stand on the separator's line. A variable sees what stands *before* it in
the maps around it, then the environment; an included file is parsed on its own, sees nothing of the
including file, and leaves all its entries to it.
"""

from __future__ import annotations

import os
import re

from slipstream.config.scanner import KEY_SEPARATORS, NEWLINES, Scanner, Variable, syntax_error
from slipstream.config.source import ConfigError, Document, Map, Position, Value

INCLUDE_DEPTH_MAX = 64
NESTING_MAX = 100
_BCRYPT = re.compile(r"2[abxy]\$")


def parse_file(path: str) -> Document:
    """Reads and parses a file and what it includes.

    Raises ConfigError for what the text says wrong, OSError when `path` itself cannot be read.
    """
    return Document(path, _parse_included(path, ()))


def parse_text(text: str, name: str = "<text>", folder: str = "") -> Document:
    """Parses text; includes are relative to `folder`."""
    return Document(name, _Parser(text, name, folder, ()).document())


def _parse_included(path: str, including: tuple[str, ...]) -> Map:
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        text = file.read()
    chain = (*including, os.path.realpath(path))
    return _Parser(text, path, os.path.dirname(path), chain).document()


class _Parser:
    def __init__(
        self,
        text: str,
        file: str,
        folder: str,
        including: tuple[str, ...],
        resolving: tuple[str, ...] = (),
    ) -> None:
        self._scanner = Scanner(text, file)
        self._folder = folder
        self._including = including  # real paths of the files around this one
        self._resolving = resolving  # environment variables whose text is being parsed
        self._scopes: list[Map] = []

    def document(self) -> Map:
        scanner = self._scanner
        scanner.skip_space_and_comments()
        entries: Map = {}
        if scanner.take("{"):
            self._entries(entries, closing="}")
            scanner.skip_space_and_comments()
            if scanner.peek():
                raise scanner.error(f"expected the end of the file, got {scanner.shown()}")
        else:
            self._entries(entries, closing="")
        return entries

    def _entries(self, entries: Map, closing: str) -> None:
        """Fills a map up to `closing`, which is consumed."""
        scanner = self._scanner
        if len(self._scopes) >= NESTING_MAX:
            raise scanner.error(f"maps are nested deeper than {NESTING_MAX}")
        self._scopes.append(entries)
        while True:
            scanner.skip_space_and_comments()
            if not scanner.peek() or scanner.peek() == "}":
                break
            self._entry(entries, top_level=not closing)
            self._end_of_entry(closing)
        if closing and not scanner.take(closing):
            raise scanner.error(f"expected {closing!r}, got the end of the file")
        if not closing and scanner.peek():  # nats-server takes one stray brace at the end
            scanner.take("}")
            scanner.skip_space_and_comments()
            if scanner.peek():
                raise scanner.error("this '}' closes nothing")
        self._scopes.pop()

    def _end_of_entry(self, closing: str) -> None:
        scanner = self._scanner
        scanner.skip_blanks()
        if scanner.skip_comment() or scanner.take(",;" + NEWLINES):
            return
        if scanner.peek() not in ("", "}"):
            where = f"',', ';', a new line or {closing!r}" if closing else "the end of the line"
            raise scanner.error(f"expected {where} after a value, got {scanner.shown()}")

    def _entry(self, entries: Map, top_level: bool) -> None:
        scanner = self._scanner
        position = scanner.position()
        if scanner.peek() in KEY_SEPARATORS + ",;]{":
            raise scanner.error(f"expected a key, got {scanner.shown()}")
        is_quoted = scanner.peek() in "\"'"
        key = scanner.key()
        if not is_quoted and key.lower() == "include" and scanner.peek().isspace():
            entries.update(self._include())
            return
        scanner.skip_space()
        if scanner.take(KEY_SEPARATORS):
            if top_level:
                scanner.skip_blanks()
            else:
                scanner.skip_space()
        if not scanner.peek():
            raise syntax_error(position, f"key {key!r} has no value")
        if scanner.peek() in NEWLINES:
            raise scanner.error(f"expected a value for {key!r}, got a new line")
        value = self._value()
        entries[key] = Value(value.value, position, value.text)

    def _include(self) -> Map:
        scanner = self._scanner
        scanner.skip_blanks()
        position = scanner.position()
        if scanner.peek() and scanner.peek() in "\"'":
            quote = scanner.peek()
            path = scanner.key()
            assert quote not in path
        else:
            word, path = scanner.word()
            if not isinstance(word, str):
                raise syntax_error(position, f"expected a file to include, got {path!r}")
        if path[:1] in ("[", "{", "("):
            raise syntax_error(position, f"expected a file to include, got {path[0]!r}")
        # Like nats-server, an absolute path too is taken below the including file's folder.
        target = os.path.normpath(os.path.join(self._folder, path.lstrip("/")))
        if os.path.realpath(target) in self._including:
            raise ConfigError(
                position, f"{target!r} includes itself, directly or through another file"
            )
        if len(self._including) >= INCLUDE_DEPTH_MAX:
            raise ConfigError(position, f"includes are nested deeper than {INCLUDE_DEPTH_MAX}")
        try:
            return _parse_included(target, self._including)
        except OSError as error:
            raise ConfigError(
                position, f"cannot read the included file {target!r}: {error.strerror}"
            ) from error

    def _value(self) -> Value:
        scanner = self._scanner
        position = scanner.position()
        char = scanner.peek()
        if char == "{":
            scanner.take("{")
            entries: Map = {}
            self._entries(entries, closing="}")
            return Value(entries, position)
        if char == "[":
            return Value(self._array(), position)
        if char == "(":
            return Value(scanner.block(), position)
        if char in ("'", '"'):
            return Value(scanner.quoted(), position)
        word, text = scanner.word()
        if isinstance(word, Variable):
            found = self._lookup(word.name, position)
            return Value(found.value, position, found.text)
        return Value(word, position, text)

    def _array(self) -> list[Value]:
        scanner = self._scanner
        opening = scanner.position()
        scanner.take("[")
        if len(self._scopes) >= NESTING_MAX:
            raise scanner.error(f"arrays are nested deeper than {NESTING_MAX}")
        self._scopes.append({})  # counts the nesting; variables find nothing in it
        elements: list[Value] = []
        while True:
            scanner.skip_space_and_comments()
            if scanner.take("]"):
                self._scopes.pop()
                return elements
            if not scanner.peek():
                raise syntax_error(opening, "this '[' is never closed")
            if scanner.peek() == ",":
                raise scanner.error("expected a value or ']', got ','")
            elements.append(self._value())
            scanner.skip_blanks()
            if (
                not scanner.skip_comment()
                and not scanner.take("," + NEWLINES)
                and scanner.peek() != "]"
            ):
                raise scanner.error(f"expected ',' or ']' in an array, got {scanner.shown()}")

    def _lookup(self, name: str, position: Position) -> Value:
        if _BCRYPT.match(name):  # an unquoted password hash is no variable (K-309)
            return Value(f"${name}", position)
        for scope in reversed(self._scopes):
            if name in scope:
                scope[name].referenced = True
                return scope[name]
        if name in self._resolving:
            raise ConfigError(
                position, f"variable {name!r} refers to itself through the environment"
            )
        text = os.environ.get(name)
        if text is None:
            raise ConfigError(
                position, f"variable {name!r} is neither set above nor in the environment"
            )
        resolving = (*self._resolving, name)
        parser = _Parser(f"pk={text}", f"${name}", "", self._including, resolving)
        try:
            return parser.document()["pk"]
        except ConfigError as error:
            raise ConfigError(
                position, f"cannot parse the environment variable: {error}"
            ) from error
