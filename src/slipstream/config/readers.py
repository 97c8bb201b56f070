"""From a value of a configuration file to a value of an option: one function per kind of option.

Each raises ConfigError at the value's place with what was expected. Where nats-server silently
reads something that nobody means (an unquoted `2m` as two million seconds), these refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from slipstream.config.source import ConfigError, Map, Value
from slipstream.gotext.durations import SECOND_NS, parse_duration

Reader = Callable[[Value], Any]

INT64_MAX = 2**63 - 1
SECONDS_MAX = INT64_MAX // SECOND_NS

STORAGE_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def kind_of(value: object) -> str:
    """A value's type in the words of the grammar."""
    if isinstance(value, bool):
        return "a boolean"
    kinds: dict[type, str] = {
        str: "a string",
        int: "an integer",
        float: "a number",
        datetime: "a date",
        list: "a list",
        dict: "a map",
    }
    return kinds[type(value)]


def expected(what: str, value: Value) -> ConfigError:
    return ConfigError(value.position, f"expected {what}, got {kind_of(value.value)}")


def string(value: Value) -> str:
    if not isinstance(value.value, str):
        raise expected("a string", value)
    return value.value


def cipher(value: Value) -> str:
    name = string(value).lower()
    if name not in ("chacha", "chachapoly", "aes"):
        raise ConfigError(value.position, f'Unknown cipher type: "{value.value}"')
    return "aes" if name == "aes" else "chacha"


def boolean(value: Value) -> bool:
    if not isinstance(value.value, bool):
        raise expected("true or false", value)
    return value.value


def integer(value: Value) -> int:
    if isinstance(value.value, bool) or not isinstance(value.value, int):
        raise expected("an integer", value)
    return value.value


def integer_between(low: int, high: int) -> Reader:
    """An integer within bounds, both included."""

    def read(value: Value) -> int:
        number = integer(value)
        if not low <= number <= high:
            raise ConfigError(value.position, f"{number} is not between {low} and {high}")
        return number

    return read


def at_least(low: int, meaning: str = "") -> Reader:
    """An integer from `low` on; `meaning` says what the lowest one stands for."""

    def read(value: Value) -> int:
        number = integer(value)
        if number < low:
            hint = f", which is {meaning}" if meaning else ""
            raise ConfigError(value.position, f"{number} is too small, the minimum is {low}{hint}")
        return number

    return read


def int32(value: Value) -> int:
    number = integer(value)
    if number > 2**31 - 1:
        raise ConfigError(
            value.position, f"{number} is too big: the protocol's limit is 2147483647"
        )
    return number


def port(value: Value) -> int:
    """0 stands for the default port, -1 for a free one."""
    number = integer(value)
    if not -1 <= number <= 65535:
        raise ConfigError(
            value.position, f"{number} is no port: use 1 to 65535, or -1 for a free one"
        )
    return number


def listen_address(value: Value) -> tuple[str, int]:
    """`port` or `host:port`, with an IPv6 host in brackets."""
    if not isinstance(value.value, str):
        return "", port(value)
    text = value.value
    host, separator, port_text = text.rpartition(":")
    if not separator or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise ConfigError(value.position, f'could not parse address string "{text}"')
    try:
        number = int(port_text)
    except ValueError:
        raise ConfigError(value.position, f'could not parse port "{port_text}"') from None
    return host.strip("[]"), port(Value(number, value.position))


def duration(value: Value) -> int:
    """Nanoseconds, from a string like `2m30s`; a bare number counts seconds, as it once did.

    `2m` without quotes is two million in this grammar; nats-server takes it for seconds, we refuse.
    """
    if isinstance(value.value, str):
        try:
            return parse_duration(value.value)
        except ValueError as error:
            raise ConfigError(value.position, str(error)) from None
    if isinstance(value.value, bool) or not isinstance(value.value, int):
        raise expected("a duration like '30s'", value)
    if not value.text.lstrip("-").isdigit():
        raise ConfigError(
            value.position,
            f"{value.text} without quotes is the number {value.value}: write '{value.text}'",
        )
    return value.value * SECOND_NS


def duration_at_least(low_ns: int, low_text: str) -> Reader:
    def read(value: Value) -> int:
        duration_ns = duration(value)
        if duration_ns < low_ns:
            raise ConfigError(
                value.position, f"{value.value} is too short, the minimum is {low_text}"
            )
        return duration_ns

    return read


def seconds(value: Value) -> float:
    """A number of seconds, or a duration in a string."""
    if isinstance(value.value, str):
        number = duration(value) / SECOND_NS
    elif isinstance(value.value, bool) or not isinstance(value.value, (int, float)):
        raise expected("seconds or a duration like '2s'", value)
    else:
        number = float(value.value)
    if not 0 <= number <= SECONDS_MAX:
        raise ConfigError(value.position, f"{number:g} seconds are not between 0 and {SECONDS_MAX}")
    return number


def storage_size(value: Value) -> int:
    """Bytes: a number, or a string that ends in K, M, G or T, powers of 1024 (K-308). -1 stands for
    what the machine has.
    """
    size = _size(value)
    if not -1 <= size <= INT64_MAX:
        raise ConfigError(
            value.position, f"{value.value} is no size: use -1, 0 or more, below 8 EiB"
        )
    return size


def _size(value: Value) -> int:
    if not isinstance(value.value, str):
        return integer(value)
    number, unit = value.value[:-1], value.value[-1:]
    if unit not in STORAGE_UNITS:
        raise ConfigError(value.position, "sizes defined as strings must end in K, M, G, T")
    try:
        return int(number) * STORAGE_UNITS[unit]
    except ValueError:
        raise ConfigError(
            value.position, f"expected a size like '10G', got {value.value!r}"
        ) from None


NOT_NEGATIVE = duration_at_least(0, "0s")


def strings(value: Value) -> tuple[str, ...]:
    """One string or a list of them."""
    if isinstance(value.value, str):
        return (value.value,)
    if not isinstance(value.value, list):
        raise expected("a string or a list of strings", value)
    return tuple(string(element) for element in value.value)


def string_map(value: Value) -> tuple[tuple[str, str], ...]:
    """Pairs, so that options stay hashable and comparable."""
    return tuple((key, string(entry)) for key, entry in entries(value).items())


def entries(value: Value) -> Map:
    if not isinstance(value.value, dict):
        raise expected("a map", value)
    return value.value


def elements(value: Value) -> list[Value]:
    if not isinstance(value.value, list):
        raise expected("a list", value)
    return value.value


def domain(value: Value) -> str:
    """A token of subjects."""
    text = string(value)
    if any(character in ".*>" or character.isspace() for character in text):
        raise ConfigError(
            value.position, "invalid domain name: may not contain blanks, '.', '*' or '>'"
        )
    return text


def no_spaces(value: Value) -> str:
    text = string(value)
    if " " in text:
        raise ConfigError(value.position, "server name cannot contain spaces")
    return text
