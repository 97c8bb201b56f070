"""Goal: a reload is applied whole or refused whole.

Method: each option whose new value can fail when it is used is set to one that does, beside
options that could be applied; then nothing has changed, nothing is left behind, and the server says
why. The next reload, without the fault, is applied.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from raw_client import wait_until
from slipstream.server.listeners import AddressError, advertised_address
from slipstream.testing import ServerProcess
from slipstream.testing.process import PROGRAM
from wire import WireClient, get

REFUSED = "[ERR] Failed to reload server configuration: "


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ('client_advertise: "a:b:c"', "address a:b:c: too many colons in address"),
        ('client_advertise: "h:x"', 'strconv.Atoi: parsing "x": invalid syntax'),
        ('pid_file: "FOLDER/missing/pid"', "could not write pidfile: "),
        ('pid_file: "FOLDER"', "could not write pidfile: "),
        ('log_file: "FOLDER/missing/log"', "error opening file: "),
        ('log_file: "FOLDER"', "error opening file: "),
        ('ports_file_dir: "FOLDER/missing"', "error writing ports file "),
        ("authorization { timeout: 99999999999 }", "are not between 0 and"),
    ],
)
def test_a_value_that_cannot_be_used_refuses_the_whole_reload(
    option: str, reason: str, tmp_path: Path
) -> None:
    ports, kept_ports, new_ports = tmp_path / "p", tmp_path / "q", tmp_path / "n"
    for folder in (ports, kept_ports, new_ports):
        folder.mkdir()
    before = f'max_payload: 5000, ports_file_dir: "{ports}"'
    with ServerProcess([], folder=tmp_path, config=before) as server:
        wait_until(lambda: list(ports.iterdir()), "the ports file")
        files = sorted(tmp_path.rglob("*"))
        fault = option.replace("FOLDER", str(kept_ports))
        others = {
            "max_payload": "max_payload: 100",
            "pid_file": f'pid_file: "{tmp_path}/new.pid"',
            "log_file": f'log_file: "{new_ports}/log"',
            "ports_file_dir": f'ports_file_dir: "{new_ports}"',
            "authorization": "authorization { user: a, password: b }",
        }
        others.pop(option.split(":")[0].split(" ")[0], None)
        path = tmp_path / "server.conf"
        path.write_text("\n".join([*others.values(), fault]))
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: REFUSED in server.log, "the refusal")
        assert reason in server.log
        assert "Reloaded: " not in server.log
        assert get(server.monitoring_url, "/varz").json["max_payload"] == 5000
        with WireClient(server.url) as client:
            assert client.info["max_payload"] == 5000
            assert client.answer(b'CONNECT {"verbose":false}\r\n') == b""
        assert sorted(tmp_path.rglob("*")) == files
        path.write_text(f'max_payload: 200, ports_file_dir: "{new_ports}"')
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: "Reloaded server configuration" in server.log, "the reload")
        assert get(server.monitoring_url, "/varz").json["max_payload"] == 200
        assert not list(ports.iterdir())
        assert len(list(new_ports.glob("*.ports"))) == 1


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("h", ("h", 4222)),
        ("h:5", ("h", 5)),
        ("h:0", ("h", 4222)),
        ("h:-1", ("h", 4222)),
        ("[::1]:5", ("::1", 5)),
        ("[::1]", ("::1", 4222)),
        (":5", ("", 5)),
        ("h:", None),
        ("h:x", None),
        ("::1", None),
        ("[::1]x", None),
        ("a:b:c", None),
    ],
)
def test_advertised_addresses(text: str, address: tuple[str, int] | None) -> None:
    if address is None:
        with pytest.raises(AddressError):
            advertised_address(text, 4222)
    else:
        assert advertised_address(text, 4222) == address


def test_an_address_that_cannot_be_advertised_is_fatal() -> None:
    config = 'client_advertise: "a:b:c", port: -1, host: "127.0.0.1"'
    found = subprocess.run(
        [*PROGRAM, "-c", "/dev/stdin"], input=config, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert "err=address a:b:c: too many colons in address" in found.stderr
