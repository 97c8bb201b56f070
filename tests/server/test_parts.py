"""Small parts of the server, each against its rule: ids, hashes, sizes, timers, query parameters,
ports files.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import socket
from pathlib import Path
from urllib.parse import urlencode

import pytest

from slipstream.server.banner import format_size
from slipstream.server.identity import new_server_id
from slipstream.server.listeners import (
    ListenError,
    PortsFile,
    address,
    listen,
    reachable_hosts,
    urls,
)
from slipstream.server.monitoring.parameters import BadParameter, Parameters
from slipstream.server.monitoring.uptime import format_uptime
from slipstream.server.timers import Timers


def test_a_server_id_is_a_valid_nkey() -> None:  # K-014
    first, second = new_server_id(), new_server_id()
    assert first != second
    assert len(first) == 56
    assert first[0] == "N"
    raw = base64.b32decode(first)
    assert binascii.crc_hqx(raw[:-2], 0) == int.from_bytes(raw[-2:], "little")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (62, "1m2s"), (3600, "1h0m0s"), (183_845, "2d3h4m5s"),
     (366 * 86400, "1y1d0h0m0s")],
)  # fmt: skip
def test_uptime(seconds: int, text: str) -> None:  # K-219
    assert format_uptime(seconds * 10**9 + 1) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [(1023, "1023 B"), (1024, "1.00 KB"), (8 << 20, "8.00 MB"), (10**9, "953.67 MB"),
     (1 << 50, "1.00 PB"), (1 << 60, "1024.00 PB")],
)  # fmt: skip
def test_sizes(size: int, text: str) -> None:
    assert format_size(size) == text


def fire(timers: Timers, now_s: float) -> None:
    for callback in timers.take_due(now_s):
        callback()


def test_timers_fire_in_order_and_only_when_due() -> None:
    timers, fired = Timers(), []
    for due_s, name in ((3.0, "c"), (1.0, "a"), (1.0, "b")):
        timers.at(due_s, lambda name=name: fired.append(name))  # type: ignore[misc]
    assert timers.wait_s(0.5, 10) == 0.5
    fire(timers, 0.9)
    assert fired == []
    fire(timers, 1.0)
    assert fired == ["a", "b"]
    assert timers.wait_s(2.5, 0.1) == 0.1
    assert timers.wait_s(9.0, 1.0) == 0
    fire(timers, 9.0)
    assert fired == ["a", "b", "c"]
    assert timers.wait_s(9.0, 1.0) == 1.0


def test_a_timer_set_for_now_waits_a_round() -> None:
    timers, fired = Timers(), []

    def again() -> None:
        fired.append(1)
        timers.at(0, again)

    timers.at(0, again)
    fire(timers, 0)
    assert fired == [1]


@pytest.mark.parametrize(
    ("text", "integer", "unsigned"),
    [
        ("9" * 30, "value out of range", "value out of range"),
        ("9" * 5_000, "value out of range", "value out of range"),
        ("-" + "9" * 30, "value out of range", "invalid syntax"),
        ("9223372036854775807", 2**63 - 1, 2**63 - 1),
        ("9223372036854775808", "value out of range", 2**63),
        ("-9223372036854775808", -(2**63), "invalid syntax"),
        ("18446744073709551616", "value out of range", "value out of range"),
        ("+1", 1, "invalid syntax"),
        ("0" * 5_000 + "7", 7, 7),
        (" 1", "invalid syntax", "invalid syntax"),
        ("1_0", "invalid syntax", "invalid syntax"),
        ("\u0661", "invalid syntax", "invalid syntax"),
        ("\u00b2", "invalid syntax", "invalid syntax"),
    ],
)
def test_numbers_of_a_query(text: str, integer: int | str, unsigned: int | str) -> None:
    query = Parameters(urlencode({"n": text}))
    for read, expected in ((query.integer, integer), (query.unsigned, unsigned)):
        if isinstance(expected, int):
            assert read("n") == expected
        else:
            with pytest.raises(BadParameter, match=expected):
                read("n")


def test_parameters() -> None:  # K-216
    query = Parameters("a=1&b=TRUE&c=-5&d=x&e=&a=2")
    assert query.text("a") == "1"
    assert query.flag("b")
    assert not query.flag("e")
    assert not query.flag("missing")
    assert query.integer("c") == -5
    with pytest.raises(BadParameter) as caught:
        query.flag("d")
    assert str(caught.value) == (
        "Error decoding boolean for 'd': strconv.ParseBool: parsing \"x\": invalid syntax"
    )
    with pytest.raises(BadParameter, match="Error decoding int for 'd': "):
        query.integer("d")
    with pytest.raises(BadParameter, match="Error decoding uint64 for 'c': "):
        query.unsigned("c")


def test_listen_takes_a_free_port_and_refuses_a_taken_one() -> None:
    with listen("127.0.0.1", -1) as first:
        port = first.getsockname()[1]
        assert port > 0
        assert not first.getblocking()
        with pytest.raises(
            ListenError, match=f"listen tcp 127.0.0.1:{port}: bind: address already"
        ):
            listen("127.0.0.1", port)


def has_ipv6() -> bool:
    """A loopback address, too: containers often have the protocol and no address."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return socket.has_dualstack_ipv6()
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
def test_a_wildcard_is_reached_over_both_protocols(wildcard: str) -> None:
    with listen(wildcard, -1) as listener:
        host, port = address(listener, wildcard)
        assert host == wildcard
        for loopback in ("127.0.0.1", "::1"):
            with socket.create_connection((loopback, port), 10) as client:
                assert client.getpeername()[1] == port
        with pytest.raises(ListenError, match="bind: address already in use"):
            listen(wildcard, port)


def test_listen_refuses_what_is_no_port() -> None:
    with pytest.raises(ListenError, match="listen tcp: address 99999: invalid port"):
        listen("127.0.0.1", 99999)


def test_ports_file(tmp_path: Path) -> None:  # K-326
    file = PortsFile(str(tmp_path), "slipstream-server")
    file.write({"nats": urls("nats", "127.0.0.1", 1)})
    assert file.path == tmp_path / f"slipstream-server_{os.getpid()}.ports"
    assert json.loads(file.path.read_text()) == {"nats": ["nats://127.0.0.1:1"]}
    assert [entry.name for entry in tmp_path.iterdir()] == [file.path.name]
    file.remove()
    file.remove()
    assert not file.path.exists()


def test_all_interfaces_are_reachable_by_loopback() -> None:
    assert "127.0.0.1" in reachable_hosts("0.0.0.0")
    assert reachable_hosts("10.0.0.1") == ["10.0.0.1"]
    assert urls("nats", "::1", 5) == ["nats://[::1]:5"]
