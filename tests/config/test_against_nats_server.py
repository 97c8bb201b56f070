"""The same files through `nats-server -t` and through ours: both accept with the same digest, or
both refuse.

Method: every text of the grammar's tables becomes the value of an option that takes anything
(server_metadata would not, so the text is used as it stands where nats-server knows its keys).
Where we differ on purpose, the case is listed here with the reason.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from slipstream.config.digest import config_digest
from slipstream.config.load import load
from slipstream.config.parser import parse_file
from slipstream.config.source import ConfigError

NATS_SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent))
pytestmark = pytest.mark.skipif(
    NATS_SERVER is None, reason="the nats-server wheel is not installed"
)

ACCEPTED = [
    "port = 4333\nhost: a\nserver_name x",
    "port=4333;host=a,debug=true;",
    "port\n\n  4333",
    "authorization {user a, password: b}\nserver_metadata\n{\n}\n",
    "port: 4333 # x\nhost: a//b // y\n",
    "port: 4333\n}\n",
    "server_name: 'x\\ty'",
    'server_name: "x\\x41\\"\\\\y"',
    "server_name: (\nabc\n)\n",
    "host: b\\x41c",
    "'port': 4333\n\"host\": b",
    "debug: YES, trace: off",
    "max_connections: 1k, max_subs: 2KiB, max_pending: 100Mi",
    "log_size_limit: 1g",
    "authorization { timeout: 1.50 }",
    "authorization { timeout: 0.00000015 }",
    "client_advertise: 127.0.0.1:4222\nhost: 1.2.3",
    "listen: 0.0.0.0:-1",
    "server_tags: [a\n'b'\n# c\n 'x',]",
    "server_tags: <a&b>",
    "x: 4333\nport: $x",
    "y: 5\nserver_metadata { y: a, z: $y }\nmax_subs: $y",
    "authorization { user: a, password: $2a$10$xyz }",
    '{"port": 4333, "authorization": {"users": [{"user": "a", "password": "b"}]}}',
    '{\n"port": 4333,\n"server_tags": ["a","b"]\n}\n',
    "server_metadata { a: 'é\\u2028', b: \"\\x7f\" }",
    "jetstream { max_mem: 1G, max_file: '10G', sync_interval: '2m', limits {max_ack_pending: 5} }",
    "jetstream: enabled",
    "ping_interval: '1h2m', write_deadline: 10s",
    "lame_duck_duration: '45s', lame_duck_grace_period: '5s'",
    "http: 127.0.0.1:8222, http_base_path: /x, max_closed_clients: 5",
    "no_auth_user: a, authorization { users: [{user: a, pass: b, clients: [standard]}] }",
    "pid_file: a, ports_file_dir: b, log_file: c, logtime: false, logtime_utc: true",
]

REFUSED = [
    "port:\n4333",
    "port",
    "port: [",
    "port: {",
    "port: 'x",
    "port: 4333 host: a",
    "server_tags: [a\n, b]",
    "server_metadata {a: b c: d}",
    "= 1",
    "max_payload: 9223372036854775808",
    "server_name: 2020-01-01",
    "port: -x",
    "port: .5",
    "host: ab\\ c",
    "port: $missing_variable_of_this_test",
    "include 'missing.conf'",
    "foo: 1",
    "authorization { bar: 2 }",
    "port: abc",
    "port: 1.5",
    "debug: 1",
    "max_payload: 3GB",
    "server_name: 'a b'",
    "ping_interval: 5",
    "ping_interval: 2m",
    "write_deadline: x",
    "lame_duck_duration: '5s'",
    "listen: abc",
    "listen: 'a:b'",
    "store_dir: a\njetstream {store_dir: b}",
    "jetstream { max_mem: '1X' }",
    "jetstream: maybe",
    "authorization { token: a, user: b }",
    "authorization { users: [], user: b }",
    "authorization { users: [{password: x}] }",
    "authorization { users: [{user: x}, {user: x}] }",
    "authorization: { users: {a: b} }",
    "",
]


def their_verdict(path: Path) -> str:
    """The digest, or nothing."""
    assert NATS_SERVER is not None
    command = [NATS_SERVER, "-t", "-c", str(path)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = re.search(r"is valid \((sha256:\w+)\)", checked.stderr)
    assert (checked.returncode == 0) == bool(found), checked.stderr
    return found[1] if found else ""


def our_verdict(path: Path) -> str:
    try:
        loaded = load(str(path))
    except ConfigError:
        return ""
    return "" if loaded.warnings else config_digest(parse_file(str(path)))


@pytest.mark.parametrize("text", ACCEPTED)
def test_both_accept(text: str, tmp_path: Path) -> None:  # K-306..K-312
    path = tmp_path / "server.conf"
    path.write_text(text)
    theirs = their_verdict(path)
    assert theirs
    assert our_verdict(path) == theirs


@pytest.mark.parametrize("text", REFUSED)
def test_both_refuse(text: str, tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(text)
    assert their_verdict(path) == ""
    assert our_verdict(path) == ""


def test_include(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "part.conf").write_text("port: 4333\nx: '1m'")
    path = tmp_path / "server.conf"
    path.write_text("include '/sub/part.conf'\nping_interval: $x\n")
    assert our_verdict(path) == their_verdict(path) != ""


def test_json_arrays_of_numbers_are_accepted_by_us_alone(tmp_path: Path) -> None:
    """nats-server reads `[1]` as an unclosed array of the string `1]`; we take all valid JSON."""
    path = tmp_path / "server.conf"
    path.write_text('{"x": [1], "port": 4333, "y": "$x"}'.replace('"$x"', "$x"))
    assert their_verdict(path) == ""
    assert parse_file(str(path)).plain() == {"x": [1], "port": 4333, "y": [1]}
