"""Flags in Go's notation, and the command line built on them (K-300..K-305).

Method: tables for the notation; each flag of nats-server's help, read from the real binary where it
is installed, must be known to ours; both programs are run with the same wrong arguments and must
leave the same exit code.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from slipstream.cli import command_line
from slipstream.cli.command_line import KINDS, CommandLineError
from slipstream.cli.flags import FlagError, FlagKind, parse_flags
from slipstream.version import NATS_VERSION, VERSION

NATS_SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent))
OURS = [sys.executable, "-m", "slipstream.cli.nats_server"]
THREE = {"D": FlagKind.BOOLEAN, "p": FlagKind.INTEGER, "n": FlagKind.STRING}
needs_nats_server = pytest.mark.skipif(NATS_SERVER is None, reason="nats-server is not installed")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "values", "rest"),
    [
        ("-p 1 -n x -D", {"p": 1, "n": "x", "D": True}, ()),
        ("--p=1 --n=x=y -D=false", {"p": 1, "n": "x=y", "D": False}, ()),
        ("-p -1", {"p": -1}, ()),
        ("-p=0x10 -D=T", {"p": 16, "D": True}, ()),
        ("-n= -n -D", {"n": "-D"}, ()),
        ("-D false -p 1", {"D": True}, ("false", "-p", "1")),
        ("-D -- -p 1", {"D": True}, ("-p", "1")),
        ("-p 1 -p 2", {"p": 2}, ()),
        ("- -D", {}, ("-", "-D")),
        ("", {}, ()),
    ],
)
def test_notation(arguments: str, values: dict[str, Any], rest: tuple[str, ...]) -> None:
    parsed = parse_flags(THREE, arguments.split())
    assert (parsed.values, parsed.rest) == (values, rest)


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("-x", "flag provided but not defined: -x"),
        ("-p", "flag needs an argument: -p"),
        ("-p abc", 'invalid value "abc" for flag -p: parse error'),
        ("-D=maybe", 'invalid boolean value "maybe" for -D: parse error'),
        ("---p 1", "bad flag syntax: ---p"),
        ("-=1", "bad flag syntax: -=1"),
    ],
)
def test_notation_errors(arguments: str, error: str) -> None:
    with pytest.raises(FlagError, match=f"^{re.escape(error)}$"):
        parse_flags(THREE, arguments.split())


def test_settings_by_path() -> None:
    given = "-a h -p 1 -n s -m 2 -P f -l g -DV -js -sd d --user u --pass w -T=false -c x"
    parsed = command_line.parse(given.split())
    assert parsed.config_file == "x"
    assert parsed.settings == {
        "host": "h", "port": 1, "server_name": "s", "http_port": 2, "pid_file": "f",
        "log_file": "g", "debug": True, "trace": True, "jetstream.enabled": True,
        "store_dir": "d", "authorization.user": "u", "authorization.password": "w",
        "logtime": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    ["--cluster nats://a:1", "--routes x", "--tls", "-ms 1", "-s", "-r x", "--profile 1"],
)
def test_what_has_no_meaning_yet_is_refused_by_name(arguments: str) -> None:
    flag = arguments.split()[0]
    with pytest.raises(CommandLineError, match=f'^"{flag}" is not supported yet: '):
        command_line.parse(arguments.split())


def test_a_disabled_feature_may_be_named() -> None:
    assert command_line.parse(["--tls=false", "-s=false"]).settings == {}


def test_a_word_is_a_command() -> None:  # K-304
    assert command_line.parse(["version"]).show_version
    assert command_line.parse(["HELP"]).show_help
    with pytest.raises(CommandLineError, match='unrecognized command: "foo"'):
        command_line.parse(["foo"])


@needs_nats_server
def test_every_flag_of_nats_server_is_known() -> None:
    assert NATS_SERVER is not None
    shown = run(NATS_SERVER, "--help").stdout
    flags = re.findall(r"(?<![\w<])--?([A-Za-z_]+)", shown)
    assert len(flags) > 50
    assert set(flags) - set(KINDS) == set()


@needs_nats_server
@pytest.mark.parametrize(
    "arguments",
    [
        "-v", "--version", "version", "-h", "--help", "help", "-nope", "-p abc", "-p", "-t",
        "-c /nonexistent.conf", "foo", "-sl foo", "-sl stop=abc", "-sl a=b=c",
        "-sl reload=999999999", "--routes nats://127.0.0.1:1", "--tls",
    ],
)  # fmt: skip
def test_exit_codes_are_those_of_nats_server(arguments: str) -> None:
    assert NATS_SERVER is not None
    theirs = run(NATS_SERVER, *arguments.split())
    ours = run(*OURS, *arguments.split())
    assert ours.returncode == theirs.returncode
    assert bool(ours.stdout) == bool(theirs.stdout)
    assert bool(ours.stderr) == bool(theirs.stderr)


def test_the_version_is_that_of_the_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert tomllib.loads(text)["project"]["version"] == VERSION


def test_version_has_the_form_that_harnesses_parse() -> None:  # K-305
    shown = run(*OURS, "-v").stdout.splitlines()
    assert shown[0] == f"nats-server: v{NATS_VERSION}"
    assert shown[1].startswith("slipstream: v")


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("port: 4333", 0, "configuration file {path} is valid (sha256:"),
        ("port: 4333\nfoo: 1", 1, '{path}:2:1: unknown field "foo"'),
        ("cluster {}", 1, '{path}:1:1: "cluster" is not supported yet: this server runs alone'),
        ("ping_interval: 5", 1, "ping_interval should be converted to a duration"),
    ],
)
def test_check_of_a_configuration(text: str, code: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(text)
    checked = run(*OURS, "-t", "-c", str(path))
    assert checked.returncode == code
    assert message.format(path=path) in checked.stderr
    assert checked.stderr.startswith("slipstream-server: ")
