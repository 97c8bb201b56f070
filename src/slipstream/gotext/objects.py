"""Declares the objects of the API once: a msgspec Struct whose annotations carry what Go's struct
tags carry.

    class PurgeRequest(GoStruct):
        seq: Annotated[int, UINT64, OMITEMPTY] = 0
        filter_subject: Annotated[str, Name("filter"), OMITEMPTY] = ""

From the declaration come both directions: `bind` (in decode.py, through the kinds here) and
`to_json`. The order of the attributes is the order in the answer. Go's integer widths matter
because its texts for a wrong value name them.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from typing import (
    Annotated,
    Any,
    ClassVar,
    NamedTuple,
    Self,
    TypeAlias,
    Union,
    get_args,
    get_origin,
)
from typing import get_type_hints as type_hints

import msgspec

from slipstream.gotext.quoting import quote
from slipstream.gotext.times import Timestamp, parse_time


class Omitempty:
    """Left out of answers while it has Go's zero value."""


OMITEMPTY = Omitempty()


class Name(NamedTuple):
    """The name in JSON where Python wants another one."""

    text: str


class Integer(NamedTuple):
    go_type: str
    low: int
    high: int


INT = Integer("int", -(2**63), 2**63 - 1)
INT32 = Integer("int32", -(2**31), 2**31 - 1)
INT64 = Integer("int64", -(2**63), 2**63 - 1)
UINT64 = Integer("uint64", 0, 2**64 - 1)
DURATION = Integer("time.Duration", -(2**63), 2**63 - 1)


class GoEnum(StrEnum):
    """An enum in JSON strings; its first member is Go's zero value."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """`text` is the JSON text of the value. Raises ValueError with nats-server's words."""
        for member in cls:
            if text == f'"{member.value}"':
                return member
        raise ValueError(f"can not unmarshal {quote(text)}")


class GoStruct(msgspec.Struct, kw_only=True):
    """Of the API. Copy with `msgspec.structs.replace`; compare with ==."""

    go_type: ClassVar[str] = ""


class Number(str):
    """A JSON number as it was written."""


class JsonObject(list[tuple[str, Any]]):
    """A JSON object as it was written: pairs in order, repeated names and all."""


class BindFault(Exception):
    """The request does not fit the struct; str() is the text behind "invalid JSON: "."""


class Place(NamedTuple):
    """Where in the request a value stands; Go words the error of an array's element differently."""

    path: str
    in_array: bool = False

    def member(self, name: str) -> Place:
        return Place(f"{self.path}.{name}")

    def element(self, index: int) -> Place:
        return Place(f"{self.path}.{index}", True)

    def misfit(self, value: object, go_type: str) -> BindFault:
        if "." not in self.path:
            into = "Go value"
        else:
            into = self.path if self.in_array else f"Go struct field {self.path}"
        return BindFault(
            f"json: cannot unmarshal {_json_kind(value)} into {into} of type {go_type}"
        )


# A kind reads one value: (value, place, present value, strict) -> new value.
Bind: TypeAlias = Callable[[Any, Place, Any, bool], Any]


class Field(NamedTuple):
    attribute: str
    name: str
    omitempty: bool
    zero: GoEnum | None  # of an enum; any other zero value is false
    bind: Bind
    dump: Callable[[Any], Any] | None  # None: as it is


@cache
def fields_of(struct: type[GoStruct]) -> tuple[Field, ...]:
    hints = type_hints(struct, include_extras=True)
    return tuple(_field(name, hints[name]) for name in struct.__struct_fields__)


@cache
def field_index(struct: type[GoStruct]) -> dict[str, Field]:
    """By name and by folded name: Go matches names without regard to case."""
    fields = fields_of(struct)
    return {folded(f.name): f for f in fields} | {f.name: f for f in fields}


def folded(name: str) -> str:
    return name.lower().replace("\u017f", "s")  # the long s is the one letter that lower() misses


def to_json(value: GoStruct) -> dict[str, Any]:
    """The object for `encode`, in Go's order."""
    result: dict[str, Any] = {}
    for attribute, name, omitempty, zero, _, dump in fields_of(type(value)):
        member = getattr(value, attribute)
        if omitempty and (not member or member is zero):
            continue
        result[name] = member if dump is None else dump(member)
    return result


def bind_struct(
    struct: type[GoStruct], value: Any, place: Place, present: Any, strict: bool
) -> Any:
    if value is None:
        return present
    if type(value) is not JsonObject:
        raise _without_literal(value, place, f"server.{struct.go_type}")
    target = struct() if present is None else present
    index = field_index(struct)
    for name, member in value:
        field = index.get(name) or index.get(folded(name))
        if field is None:
            if strict:
                raise BindFault(f"json: unknown field {quote(name)}")
            continue
        now = getattr(target, field.attribute)
        setattr(target, field.attribute, field.bind(member, place.member(name), now, strict))
    return target


def _field(attribute: str, hint: Any) -> Field:
    kind: Any = hint
    extras: tuple[Any, ...] = ()
    if get_origin(hint) is Annotated:
        kind, *rest = get_args(hint)
        extras = tuple(rest)
    name = next((extra.text for extra in extras if isinstance(extra, Name)), attribute)
    omitempty = OMITEMPTY in extras
    integer = next((extra for extra in extras if isinstance(extra, Integer)), None)
    is_enum = isinstance(kind, type) and issubclass(kind, GoEnum)
    zero = next(iter(kind)) if is_enum else None
    bind, dump, _ = _kind(kind, integer)
    return Field(attribute, name, omitempty, zero, bind, dump)


def _kind(kind: Any, integer: Integer | None) -> tuple[Bind, Callable[[Any], Any] | None, str]:
    """How to read it, how to write it, and what Go calls its type."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        pointee = next(a for a in arguments if a is not type(None))
        bind, dump, go_type = _kind(pointee, integer)
        return _pointer(bind), dump, f"*{go_type}"
    if origin is list:
        return _list_kind(arguments[0], integer)
    if origin is dict:
        return _bind_text_map, _dump_text_map, "map[string]string"
    if kind is int:
        assert integer is not None, "an int needs its Go width"
        return _integer_bind(integer), None, integer.go_type
    if kind is str:
        return _bind_text, None, "string"
    if kind is bool:
        return _bind_bool, None, "bool"
    if kind is Timestamp:
        return _bind_time, str, "time.Time"
    if issubclass(kind, GoEnum):
        return _enum_bind(kind), None, f"server.{kind.__name__}"
    assert issubclass(kind, GoStruct), kind
    return _struct_bind(kind), to_json, f"server.{kind.go_type}"


def _list_kind(
    element: Any, integer: Integer | None
) -> tuple[Bind, Callable[[Any], Any] | None, str]:
    bind_element, dump_element, element_type = _kind(element, integer)
    is_struct = isinstance(element, type) and issubclass(element, GoStruct)
    zero: Callable[[], Any] = element if is_struct or element in (str, int) else lambda: None
    go_type = f"[]{element_type}"

    def bind(value: Any, place: Place, present: Any, strict: bool) -> Any:
        if value is None:
            return []
        if type(value) is not list:
            raise _without_literal(value, place, go_type)
        return [
            bind_element(member, place.element(index), zero(), strict)
            for index, member in enumerate(value)
        ]

    def dump(members: Any) -> Any:
        assert dump_element is not None
        return [None if member is None else dump_element(member) for member in members]

    return bind, dump if dump_element else None, go_type


def _pointer(bind_pointee: Bind) -> Bind:
    def bind(value: Any, place: Place, present: Any, strict: bool) -> Any:
        return None if value is None else bind_pointee(value, place, present, strict)

    return bind


def _struct_bind(struct: type[GoStruct]) -> Bind:
    def bind(value: Any, place: Place, present: Any, strict: bool) -> Any:
        return bind_struct(struct, value, place, present, strict)

    return bind


def _enum_bind(enum: type[GoEnum]) -> Bind:
    def bind(value: Any, place: Place, present: Any, strict: bool) -> Any:
        try:
            return enum.from_json(json_text(value))
        except ValueError as error:
            raise BindFault(str(error)) from None

    return bind


def _integer_bind(integer: Integer) -> Bind:
    def bind(value: Any, place: Place, present: Any, strict: bool) -> Any:
        if value is None:
            return present
        if type(value) is Number and len(value) <= 21 and value.removeprefix("-").isdigit():
            number = int(value)
            if integer.low <= number <= integer.high:
                return number
        raise place.misfit(value, integer.go_type)

    return bind


def _bind_text(value: Any, place: Place, present: Any, strict: bool) -> Any:
    if value is None:
        return present
    if type(value) is not str:
        raise _without_literal(value, place, "string")
    return well_formed(value)


def _bind_bool(value: Any, place: Place, present: Any, strict: bool) -> Any:
    if value is None:
        return present
    if type(value) is not bool:
        raise _without_literal(value, place, "bool")
    return value


def _bind_time(value: Any, place: Place, present: Any, strict: bool) -> Any:
    if value is None:
        return present
    if type(value) is not str:
        raise _without_literal(value, place, "time.Time")
    try:
        return parse_time(value)
    except ValueError as error:
        raise BindFault(str(error)) from None


def _bind_text_map(value: Any, place: Place, present: Any, strict: bool) -> Any:
    if value is None:
        return {}
    if type(value) is not JsonObject:
        raise _without_literal(value, place, "map[string]string")
    result = dict(present or {})
    for name, member in value:
        result[well_formed(name)] = _bind_text(member, place.member(name), "", strict)
    return result


def _dump_text_map(value: dict[str, str]) -> dict[str, str]:
    return dict(sorted(value.items()))


def _without_literal(value: object, place: Place, go_type: str) -> BindFault:
    """Go shows the number's text only where a number was wanted."""
    shown = Number("") if type(value) is Number else value
    return place.misfit(shown, go_type)


def _json_kind(value: object) -> str:
    if type(value) is Number:
        return f"number {value}".rstrip()
    if type(value) is bool:
        return "bool"
    if type(value) is str:
        return "string"
    return "object" if type(value) is JsonObject else "array"


def json_text(value: Any) -> str:
    """The value as compact JSON."""
    if type(value) is Number:
        return value
    if type(value) is JsonObject:
        members = (f"{json_text(name)}:{json_text(member)}" for name, member in value)
        return "{" + ",".join(members) + "}"
    if type(value) is list:
        return "[" + ",".join(map(json_text, value)) + "]"
    if type(value) is str:
        value = well_formed(value)
    return msgspec.json.encode(value).decode()


def well_formed(text: str) -> str:
    """Go turns the half of a surrogate pair into U+FFFD."""
    if text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text):
        return text
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
