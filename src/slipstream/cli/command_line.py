"""The flags of `slipstream-server`: those of the options table, those that are about the command
itself, and those of nats-server that have no meaning here yet, which are parsed too so that they
can be refused by name (K-300..K-305).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from slipstream.cli.flags import FlagKind, parse_flags
from slipstream.config.options import Options
from slipstream.config.table import Row, dashed, rows
from slipstream.config.unbuilt import sentence


class CommandLineError(Exception):
    """The flags were understood and cannot be obeyed."""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What was asked for. `settings` override the configuration file's."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    config_file: str = ""
    signal: str = ""
    check_config: bool = False
    show_help: bool = False
    show_version: bool = False


@dataclass(frozen=True, slots=True)
class _Command:
    flags: tuple[str, ...]
    kind: FlagKind
    metavar: str
    help: str


COMMANDS = {
    "config": _Command(("c", "config"), FlagKind.STRING, "file", "Configuration file"),
    "check": _Command(("t",), FlagKind.BOOLEAN, "", "Test the configuration and exit"),
    "signal": _Command(
        ("sl", "signal"),
        FlagKind.STRING,
        "signal[=pid]",
        "Signal a running server: ldm, stop, quit, term, reopen or reload; "
        "pid is a number or a pid file",
    ),
    "help": _Command(("h", "help"), FlagKind.BOOLEAN, "", "Show this message"),
    "version": _Command(("v", "version"), FlagKind.BOOLEAN, "", "Show the version"),
}

COMBINED: Mapping[str, tuple[str, ...]] = {
    "DV": ("debug", "trace"),
    "VV": ("trace",),
    "DVV": ("debug", "trace"),
}

_ALONE = "this server runs alone"
_PLAIN = "this server speaks plain TCP"
UNBUILT: Mapping[str, tuple[FlagKind, str]] = {
    **dict.fromkeys(("ms", "https_port"), (FlagKind.INTEGER, _PLAIN)),
    **dict.fromkeys(("tls", "tlsverify", "help_tls"), (FlagKind.BOOLEAN, _PLAIN)),
    **dict.fromkeys(("tlscert", "tlskey", "tlscacert"), (FlagKind.STRING, _PLAIN)),
    **dict.fromkeys(("routes", "cluster", "cluster_listen"), (FlagKind.STRING, _ALONE)),
    **dict.fromkeys(("cluster_name", "cluster_advertise"), (FlagKind.STRING, _ALONE)),
    "no_advertise": (FlagKind.BOOLEAN, _ALONE),
    "connect_retries": (FlagKind.INTEGER, _ALONE),
    **dict.fromkeys(("s", "syslog"), (FlagKind.BOOLEAN, "logs go to stderr or to a file")),
    **dict.fromkeys(("r", "remote_syslog"), (FlagKind.STRING, "logs go to stderr or to a file")),
    "profile": (FlagKind.INTEGER, "there is no profiling port"),
}

_KIND_BY_TYPE = {"str": FlagKind.STRING, "int": FlagKind.INTEGER, "bool": FlagKind.BOOLEAN}
_ROWS: tuple[Row, ...] = tuple(row for row in rows(Options) if row.spec.flags)
_PATH_BY_FLAG = {flag: row.path for row in _ROWS for flag in row.spec.flags}
_COMMAND_BY_FLAG = {flag: name for name, command in COMMANDS.items() for flag in command.flags}
KINDS: Mapping[str, FlagKind] = {
    **{flag: _KIND_BY_TYPE[row.type_name] for row in _ROWS for flag in row.spec.flags},
    **{flag: command.kind for command in COMMANDS.values() for flag in command.flags},
    **dict.fromkeys(COMBINED, FlagKind.BOOLEAN),
    **{flag: kind for flag, (kind, _) in UNBUILT.items()},
}


def parse(arguments: Sequence[str]) -> CommandLine:
    """Raises FlagError for what is no flag, CommandLineError for what cannot be done."""
    flags = parse_flags(KINDS, arguments)
    commands = {
        _COMMAND_BY_FLAG[flag]: value
        for flag, value in flags.values.items()
        if flag in _COMMAND_BY_FLAG
    }
    word = flags.rest[0].lower() if flags.rest else ""
    if commands.get("version") or (word == "version" and not commands.get("help")):
        return CommandLine(show_version=True)
    if commands.get("help") or word == "help":
        return CommandLine(show_help=True)
    if word:
        raise CommandLineError(f'unrecognized command: "{flags.rest[0]}"')
    return CommandLine(
        settings=_settings(flags.values),
        config_file=commands.get("config", ""),
        signal=commands.get("signal", ""),
        check_config=commands.get("check", False),
    )


def _settings(values: Mapping[str, Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for flag, value in values.items():
        if flag in UNBUILT and value is not False:
            raise CommandLineError(sentence(dashed(flag), UNBUILT[flag][1]))
        if flag in COMBINED:
            settings.update(dict.fromkeys(COMBINED[flag], value))
        elif flag in _PATH_BY_FLAG:
            settings[_PATH_BY_FLAG[flag]] = value
    return settings


def usage(program: str) -> str:
    """The help text, made from the table."""
    sections = {
        "Listening and limits": [row for row in _ROWS if _section(row) == "server"],
        "Logging": [row for row in _ROWS if _section(row) == "log"],
        "JetStream": [row for row in _ROWS if _section(row) == "jetstream"],
        "Authorization": [row for row in _ROWS if _section(row) == "authorization"],
    }
    lines = ["", f"Usage: {program} [flags]", ""]
    for title, chosen in sections.items():
        lines.append(f"{title}:")
        lines += [_line(row.spec.flags, row.spec.metavar, row.spec.help) for row in chosen]
        if title == "Logging":
            lines += [
                _line((flag,), "", f"Set {', '.join(paths)}") for flag, paths in COMBINED.items()
            ]
        lines.append("")
    lines.append("Commands:")
    lines += [_line(command.flags, command.metavar, command.help) for command in COMMANDS.values()]
    lines += ["", "Flags of nats-server that are not supported yet:"]
    lines += _wrapped(sorted(dashed(flag) for flag in UNBUILT))
    return "\n".join([*lines, ""])


def _section(row: Row) -> str:
    name = row.path.split(".")[0]
    if name in ("log_file", "log_size_limit", "debug", "trace", "logtime", "logtime_utc"):
        return "log"
    if name == "store_dir":
        return "jetstream"
    return name if name in ("jetstream", "authorization") else "server"


def _line(flags: tuple[str, ...], metavar: str, text: str) -> str:
    left = ", ".join(dashed(flag) for flag in flags)
    if metavar:
        left = f"{left} <{metavar}>"
    gap = " " * max(1, 40 - len(left))
    return f"    {left}{gap}{text}"


def _wrapped(words: list[str]) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) < 90:
            lines[-1] += f" {word}"
        else:
            lines.append(f"    {word}")
    return lines
