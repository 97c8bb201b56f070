"""From a parsed file and the command line's flags to one checked `Options` value.

Settings are collected as a flat mapping from an option's path (`authorization.user`) to its value,
file first, flags over it, and only then built into dataclasses; so a flag can override one field of
a block. All errors of a file are reported together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from slipstream.config import readers
from slipstream.config.digest import config_digest
from slipstream.config.options import (
    CONNECTION_TYPES,
    CONTROL_LINE_BYTES_MAX,
    Authorization,
    FeatureFlags,
    JetStream,
    Options,
    User,
)
from slipstream.config.parser import parse_file
from slipstream.config.source import ConfigError, ConfigErrors, Document, Map, Value
from slipstream.config.table import CompoundKey, fields_by_key, rows, specs
from slipstream.config.unbuilt import UNBUILT, sentence
from slipstream.gotext.durations import format_duration

Settings = dict[str, Any]
Block = TypeVar("Block")

AUTH_TIMEOUT_DISCOURAGED_S = 60.0

COMPOUND_KEYS = (
    CompoundKey(
        ("listen",),
        lambda value: _listen(value, "host", "port"),
        "Address and port for clients: 'host:port' or a port",
    ),
    CompoundKey(
        ("http",),
        lambda value: _listen(value, "http_host", "http_port"),
        "Address and port for monitoring: 'host:port' or a port",
    ),
    CompoundKey(
        ("trace_verbose",),
        lambda value: {"trace": readers.boolean(value)},
        "Like trace: nobody is in the system account yet",
    ),
)
_COMPOUND_BY_KEY = {key: compound for compound in COMPOUND_KEYS for key in compound.keys}


@dataclass(frozen=True, slots=True)
class Loaded:
    options: Options
    warnings: tuple[str, ...]


def load(path: str, flags: Mapping[str, Any] | None = None) -> Loaded:
    """Options from a file (none when `path` is empty) with flags over it.

    Raises ConfigError for what is wrong in it, OSError when it cannot be read.
    """
    settings: Settings = {}
    warnings: list[str] = []
    digest = ""
    if path:
        document = parse_file(path)
        digest = config_digest(document)
        settings, warnings = read_document(document)
    settings.update(flags or {})
    options = build(settings)
    options = dataclasses.replace(options, config_file=path, config_digest=digest)
    check(options)
    return Loaded(options, tuple(warnings))


def read_document(document: Document) -> tuple[Settings, list[str]]:
    """The settings of a file by path, and its warnings. Raises ConfigErrors with all it found."""
    reading = _Reading()
    if not document:
        reading.warnings.append(f"{document.name}: config has no values or is empty")
    reading.block(Options, document.entries, "")
    if reading.errors:
        raise ConfigErrors(reading.errors)
    return reading.settings, reading.warnings


def build(settings: Settings) -> Options:
    """Dataclasses from a flat mapping; what it lacks has its default."""
    return _built(Options(), settings, "")


def _built(default: Block, settings: Settings, prefix: str) -> Block:
    changes: Settings = {}
    for name, spec in specs(cast(type, type(default))).items():
        current = getattr(default, name)
        path = prefix + name
        if dataclasses.is_dataclass(current):
            changes[name] = _built(current, settings, path + ".")
        elif path in settings and not (spec.zero_is_default and settings[path] == 0):
            changes[name] = settings[path]
    return dataclasses.replace(default, **changes)  # type: ignore[type-var]


class _Reading:
    """One pass over a document: collects settings, errors and warnings."""

    def __init__(self) -> None:
        self.settings: Settings = {}
        self.errors: list[ConfigError] = []
        self.warnings: list[str] = []

    def block(self, block: type, entries: Map, prefix: str) -> None:
        fields = fields_by_key(block)
        for written, value in entries.items():
            key = written.lower()
            try:
                if key in fields:
                    self._field(block, fields[key], value, prefix)
                elif block is Options and key in _COMPOUND_BY_KEY:
                    self.settings.update(_COMPOUND_BY_KEY[key].read(value))
                elif key in UNBUILT.get(block, {}):
                    reason = UNBUILT[block][key]
                    raise ConfigError(value.position, sentence(written, reason))
                elif not value.referenced:
                    raise ConfigError(value.position, f'unknown field "{written}"')
            except ConfigErrors as errors:
                self.errors.extend(errors.errors)
            except ConfigError as error:
                self.errors.append(error)

    def _field(self, block: type, name: str, value: Value, prefix: str) -> None:
        path = prefix + name
        special = {
            "authorization": self._authorization,
            "authorization.users": self._users,
            "feature_flags": self._feature_flags,
            "jetstream": self._jetstream,
            "jetstream.limits": self._limits,
            "jetstream.limits.batch": self._batch_limits,
            "jetstream.sync_interval_ns": self._sync_interval,
            "store_dir": self._store_dir,
            "max_connections": self._max_connections,
        }
        if path in special:
            special[path](value)
            return
        read = specs(block)[name].read
        assert read is not None, f"nothing reads {path}"
        self.settings[path] = read(value)
        if read in (readers.duration, readers.NOT_NEGATIVE, readers.seconds) and isinstance(
            value.value, int
        ):
            self._warn_of_number(path, value)

    def _warn_of_number(self, path: str, value: Value) -> None:
        if path != "authorization.timeout_s":
            key = path.removesuffix("_ns")
            self.warnings.append(
                f'{value.position}: invalid use of field "{key}": '
                f"{key} should be converted to a duration"
            )

    def _authorization(self, value: Value) -> None:
        self.block(Authorization, readers.entries(value), "authorization.")
        timeout_s = self.settings.get("authorization.timeout_s", 0)
        if timeout_s > AUTH_TIMEOUT_DISCOURAGED_S:
            self.warnings.append(
                f'{value.position}: invalid use of field "timeout": '
                f"{timeout_s:g} seconds is long for a client that says nothing"
            )

    def _users(self, value: Value) -> None:
        users: list[User] = []
        for element in readers.elements(value):
            reading = _Reading()
            reading.block(User, readers.entries(element), "")
            self.errors.extend(reading.errors)
            user = User(**reading.settings)
            if not user.user and not reading.errors:
                raise ConfigError(element.position, "User entry requires a user")
            if user.user in {other.user for other in users}:
                raise ConfigError(element.position, f'Duplicate user "{user.user}" detected')
            unknown = {kind.upper() for kind in user.allowed_connection_types} - CONNECTION_TYPES
            if unknown:
                raise ConfigError(element.position, f'unknown connection type "{min(unknown)}"')
            users.append(user)
        self.settings["authorization.users"] = tuple(users)

    def _jetstream(self, value: Value) -> None:
        """A boolean, a word, or a map, which means enabled unless it says otherwise."""
        words = {"enabled": True, "enable": True, "disabled": False, "disable": False}
        if isinstance(value.value, dict):
            self.settings["jetstream.enabled"] = True
            entries = dict(value.value)
            for alias in [
                key for key in entries if key.lower() in ("store", "store_dir", "storedir")
            ]:
                self._store_dir(entries.pop(alias))
            self.block(JetStream, entries, "jetstream.")
        elif isinstance(value.value, str):
            if value.value.lower() not in words:
                raise ConfigError(
                    value.position, f"expected 'enabled' or 'disabled', got {value.value!r}"
                )
            self.settings["jetstream.enabled"] = words[value.value.lower()]
        else:
            self.settings["jetstream.enabled"] = readers.boolean(value)

    def _feature_flags(self, value: Value) -> None:
        self.block(FeatureFlags, readers.entries(value), "feature_flags.")

    def _limits(self, value: Value) -> None:
        self.block(type(JetStream().limits), readers.entries(value), "jetstream.limits.")

    def _batch_limits(self, value: Value) -> None:
        batch = type(JetStream().limits.batch)
        self.block(batch, readers.entries(value), "jetstream.limits.batch.")

    def _sync_interval(self, value: Value) -> None:
        if isinstance(value.value, str) and value.value.lower() == "always":
            self.settings["jetstream.sync_interval_ns"] = 0
            return
        interval_ns = readers.duration(value)
        if interval_ns <= 0:
            raise ConfigError(
                value.position, "sync_interval must be longer than 0; 'always' syncs every message"
            )
        self.settings["jetstream.sync_interval_ns"] = interval_ns

    def _store_dir(self, value: Value) -> None:
        if "store_dir" in self.settings:
            raise ConfigError(value.position, "Duplicate 'store_dir' configuration")
        self.settings["store_dir"] = readers.string(value)

    def _max_connections(self, value: Value) -> None:
        """0 admits nobody, in nats-server too, where -1 says so."""
        self.settings["max_connections"] = readers.integer(value) or -1


def _listen(value: Value, host_field: str, port_field: str) -> Settings:
    host, port = readers.listen_address(value)
    return {host_field: host, port_field: port} if host else {port_field: port}


def check(options: Options) -> None:
    """What no single option shows, in nats-server's words where it has them. Raises ConfigError."""
    duration_ns, grace_ns = options.lame_duck_duration_ns, options.lame_duck_grace_period_ns
    if grace_ns >= duration_ns:
        raise ConfigError(
            None,
            f"lame duck grace period ({format_duration(grace_ns)}) should be strictly lower "
            f"than lame duck duration ({format_duration(duration_ns)})",
        )
    if options.max_payload > options.max_pending:
        raise ConfigError(
            None,
            f"max_payload ({options.max_payload}) cannot be higher than "
            f"max_pending ({options.max_pending})",
        )
    for path in ("max_payload", "max_control_line", "max_pending", "log_size_limit"):
        if getattr(options, path) < 0:
            raise ConfigError(None, f"{path} cannot be negative")
    if options.max_control_line > CONTROL_LINE_BYTES_MAX:
        raise ConfigError(
            None,
            f"max_control_line ({options.max_control_line}) cannot be higher than "
            f"{CONTROL_LINE_BYTES_MAX}, the length of the longest subject",
        )
    if " " in options.server_name:
        raise ConfigError(None, "server name cannot contain spaces")
    _check_authorization(options)


def _check_authorization(options: Options) -> None:
    auth = options.authorization
    if auth.token and (auth.user or auth.password):
        raise ConfigError(None, "Cannot have a user/pass and token")
    if auth.users is not None and auth.user:
        raise ConfigError(None, "Can not have a single user/pass and a users array")
    if auth.users is not None and auth.token:
        raise ConfigError(None, "Can not have a token and a users array")
    if not options.no_auth_user:
        return
    if auth.users is None:
        raise ConfigError(
            None,
            f'no_auth_user: "{options.no_auth_user}" present, but users/nkeys are not defined',
        )
    if options.no_auth_user not in {user.user for user in auth.users}:
        raise ConfigError(
            None,
            f'no_auth_user: "{options.no_auth_user}" not present as user or nkey in '
            "authorization block or account configuration",
        )


@dataclass(frozen=True, slots=True)
class Change:
    """An option that differs between two configurations."""

    path: str
    old: Any
    new: Any
    reloadable: bool

    def __str__(self) -> str:
        return f"{self.path}: old={self.old!r}, new={self.new!r}"


def changes(old: Options, new: Options) -> list[Change]:
    """What a reload would change, by path."""
    found: list[Change] = []
    for row in rows(Options):
        before, after = _at(old, row.path), _at(new, row.path)
        if dataclasses.is_dataclass(before) or before == after:
            continue
        if row.spec.secret:
            before, after = "[REDACTED]", "[REDACTED]"
        found.append(Change(row.path, before, after, row.spec.reloadable))
    return found


def _at(options: Options, path: str) -> Any:
    value: Any = options
    for name in path.split("."):
        value = getattr(value, name)
    return value
