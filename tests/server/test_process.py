"""`slipstream-server` as a process: log lines in their order, exit codes, files, signals
(K-318..K-331).

Method: the program is started as a harness starts it and read as a harness reads it; where
nats-server is installed, its log is taken as the model for order and wording.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from raw_client import wait_until
from slipstream.testing import ServerProcess
from slipstream.testing.process import PROGRAM, STOP_S_MAX
from wire import NATS_SERVER, WireClient, get, without_unasked

LINE = re.compile(r"\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[(\w{3})\] (.*)")


def texts(log: str) -> list[str]:
    """Level and text of each line; every line must have nats-server's form (K-323)."""
    found = [LINE.fullmatch(line) for line in log.splitlines()]
    assert all(found), log
    return [f"{line[1]} {line[2]}" for line in found if line]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def general(lines: list[str], folder: Path) -> list[str]:
    """Lines without what differs from server to server, and without each server's own."""
    own = ("  Server:", "  Git:", "  Durability:", "  API Level:", "  Store Directory:", "Took")
    starting = lines.index("INF Starting JetStream")
    block = lines.index("INF ---------------- JETSTREAM ----------------")
    shown = lines[: starting + 1] + lines[block:]  # without the picture between them
    kept = [line for line in shown if not line[4:].startswith(own)]
    varies = r"127\.0\.0\.1:\d+|[A-Z0-9]{56}|sha256:\w+|[\d.]+ [KMGTP]B"
    varies += "|" + re.escape(str(folder)) + r"\S+"
    kept = [re.sub(varies, "…", line) for line in kept]
    return [re.sub(r"(Node|Name): .*", r"\1:", line) for line in kept]


@pytest.mark.skipif(NATS_SERVER is None, reason="nats-server is not installed")
def test_the_log_has_nats_servers_lines_in_its_order(tmp_path: Path) -> None:  # K-324, K-325, K-327
    assert NATS_SERVER is not None
    logs = []
    config = "server_name: n, authorization { user: a, password: b }, max_payload: 9MB\n"
    for program in (PROGRAM, [NATS_SERVER]):
        folder = tmp_path / str(len(logs))
        folder.mkdir()
        with ServerProcess(["-js"], folder=folder, program=program, config=config) as server:
            assert server.stop() == 0
            logs.append(general(texts(server.log), folder))
    assert logs[0] == logs[1]
    assert "WRN Plaintext passwords detected, use nkeys or bcrypt" in logs[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_clean_stop_leaves_0(number: signal.Signals) -> None:  # K-318
    with ServerProcess() as server:
        server.send_signal(number)
        assert server.wait() == 0
    assert texts(server.log)[-4:] == [
        "INF Initiating Shutdown...",
        "INF Initiating JetStream Shutdown...",
        "INF JetStream Shutdown",
        "INF Server Exiting..",
    ]


def test_kill_and_start_on_the_same_store() -> None:
    with ServerProcess() as server:
        port, first = server.port, server.pid
        server.kill()
        server.start()
        assert (server.port, server.is_running) == (port, True)
        assert server.pid != first


def test_waiting_pulls_are_told_of_the_shutdown() -> None:  # C-084
    config = json.dumps({"stream_name": "S", "config": {"durable_name": "C"}})
    with ServerProcess(["-js"]) as server, WireClient(server.url) as client:
        requests = (
            ("$JS.API.STREAM.CREATE.S", '{"name":"S"}'),
            ("$JS.API.CONSUMER.CREATE.S.C", config.replace("}}", ',"ack_policy":"explicit"}}')),
        )
        client.answer(
            b'CONNECT {"verbose":false,"headers":true}\r\nSUB api.> 1\r\nSUB pull.> 2\r\n'
        )
        for subject, body in requests:
            client.send(f"PUB {subject} api.1 {len(body)}\r\n{body}\r\n".encode())
            assert b'"error"' not in client.until(b"}\r\n")
        for reply, pull in (("pull.1", '{"batch":3,"max_bytes":1000}'), ("pull.2", "7")):
            subject = "$JS.API.CONSUMER.MSG.NEXT.S.C"
            client.answer(f"PUB {subject} {reply} {len(pull)}\r\n{pull}\r\n".encode())
        server.stop()
        told = client.until_closed()
    head = "NATS/1.0 409 Server Shutdown\r\nNats-Pending-Messages: {}\r\nNats-Pending-Bytes: {}"
    for reply, batch, size in (("pull.1", 3, 1000), ("pull.2", 7, 0)):
        header = head.format(batch, size) + "\r\n\r\n"
        assert f"HMSG {reply} 2 {len(header)} {len(header)}\r\n{header}".encode() in told


def test_pid_and_ports_files(tmp_path: Path) -> None:  # K-326
    pid_file = tmp_path / "pid"
    flags = ["-P", str(pid_file), "--ports_file_dir", str(tmp_path)]
    with ServerProcess(flags) as server:
        ports_file = tmp_path / f"slipstream-server_{server.pid}.ports"
        wait_until(ports_file.exists, "the ports file")
        assert pid_file.read_text() == str(server.pid)
        assert json.loads(ports_file.read_text()) == {
            "nats": [server.url],
            "monitoring": [server.monitoring_url],
        }
        server.stop()
        assert not ports_file.exists()


def test_ports_file_has_the_name_that_the_server_was_started_by(tmp_path: Path) -> None:  # K-326
    link = tmp_path / "nats-server"
    link.write_text(
        f"#!{sys.executable}\n"
        "import sys\nfrom slipstream.cli.nats_server import main\nsys.exit(main())\n"
    )
    link.chmod(0o755)
    with ServerProcess(["--ports_file_dir", str(tmp_path)], program=[str(link)]) as server:
        ports_file = tmp_path / f"nats-server_{server.pid}.ports"
        wait_until(ports_file.exists, "the ports file")
        assert json.loads(ports_file.read_text())["nats"] == [server.url]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("-p 99999", "Error listening on port: 0.0.0.0:99999, "),
        ("-p -1 -m 99999", "Can't start monitoring: can't listen to the monitor port: "),
        ("-p -1 -P /nonexistent/pid", "Could not write pidfile: "),
        ("-p -1 -js -sd /proc/x", "Can't start JetStream: could not create storage directory"),
        ("-p -1 --client_advertise a:b", "Error setting server INFO with ClientAdvertise value"),
    ],
)
def test_what_keeps_it_from_starting_is_fatal(arguments: str, text: str) -> None:  # K-331
    ended = run(*arguments.split())
    assert ended.returncode == 1
    assert texts(ended.stderr)[-1].startswith(f"FTL {text}")


def test_a_taken_port_is_fatal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = run("-a", "127.0.0.1", "-p", str(port))
    assert ended.returncode == 1
    assert texts(ended.stderr)[-1] == (
        f"FTL Error listening on port: 127.0.0.1:{port}, "
        f'"listen tcp 127.0.0.1:{port}: bind: address already in use"'
    )


def test_a_second_server_on_the_store_is_refused() -> None:
    with ServerProcess() as server:
        ended = run("-p", "-1", "-js", "-sd", str(server.store))
        assert ended.returncode == 1
        assert "FTL Can't start JetStream: " in texts(ended.stderr)[-1]
        with WireClient(server.url) as client:
            assert client.answer(b'CONNECT {"verbose":false}\r\n') == b""


def test_a_log_file_that_cannot_be_opened_is_fatal() -> None:
    ended = run("-p", "-1", "-l", "/nonexistent/x.log")
    assert ended.returncode == 1
    assert ended.stderr.startswith("slipstream-server: error opening file: ")


def test_hangup_reloads(tmp_path: Path) -> None:  # K-320, K-322
    config = "authorization { user: a, password: b }\n"
    with ServerProcess([], folder=tmp_path, config=config) as server:
        with WireClient(server.url) as client:
            client.answer(b'CONNECT {"verbose":false,"user":"a","pass":"b"}\r\n')
            (tmp_path / "server.conf").write_text(
                "authorization { user: a, password: c }, max_payload: 100, debug: true\n"
            )
            server.send_signal(signal.SIGHUP)
            assert client.until_closed() == b"-ERR 'Authorization Violation'\r\n"
        wait_until(lambda: "Reloaded server configuration" in server.log, "the reload")
        assert 'INF Trapped "hangup" signal' in texts(server.log)
        assert "INF Reloaded: max_payload = 100" in texts(server.log)
        assert "'c'" not in server.log
        with WireClient(server.url) as client:
            assert client.info["max_payload"] == 100
            connect = b'CONNECT {"verbose":false,"user":"a","pass":"c"}\r\n'
            assert client.answer(connect) == b""
            assert b"Maximum Payload Violation" in client.answer(b"PUB a 200\r\n" + b"x" * 200)
        assert get(server.monitoring_url, "/varz").json["max_payload"] == 100


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("server_name: other", "config reload not supported for server_name: old='', new='other'"),
        ("max_payload: x", "server.conf:1:1: expected an integer, got a string"),
        ("cluster {}", '"cluster" is not supported yet'),
    ],
)
def test_a_reload_that_cannot_be_done_changes_nothing(
    config: str, text: str, tmp_path: Path
) -> None:  # K-321
    with ServerProcess([], folder=tmp_path, config="max_payload: 5000") as server:
        (tmp_path / "server.conf").write_text(f"{config}\nmax_control_line: 100")
        server.send_signal(signal.SIGHUP)
        wait_until(
            lambda: "[ERR] Failed to reload server configuration: " in server.log, "the refusal"
        )
        assert text in server.log
        page = get(server.monitoring_url, "/varz").json
        assert (page["max_payload"], page["max_control_line"]) == (5000, 4096)


def test_flags_survive_a_reload(tmp_path: Path) -> None:  # K-304
    with ServerProcess(["-D"], folder=tmp_path, config="debug: false") as server:
        (tmp_path / "server.conf").write_text("debug: false, ping_max: 7")
        server.send_signal(signal.SIGHUP)
        wait_until(lambda: "Reloaded server configuration" in server.log, "the reload")
        with WireClient(server.url) as client:
            client.answer(b'CONNECT {"verbose":false}\r\n')
        wait_until(lambda: "Client connection closed: " in server.log, "the line of the log")
        assert get(server.monitoring_url, "/varz").json["ping_max"] == 7


def test_fewer_connections_after_a_reload(tmp_path: Path) -> None:
    with ServerProcess([], folder=tmp_path, config="max_connections: 10") as server:
        clients = [WireClient(server.url) for _ in range(3)]
        for client in clients:
            client.answer(b'CONNECT {"verbose":false}\r\n')
        (tmp_path / "server.conf").write_text("max_connections: 1")
        server.send_signal(signal.SIGHUP)
        for client in clients[1:]:
            assert client.until_closed() == b"-ERR 'maximum connections exceeded'\r\n"
        assert clients[0].answer(b"") == b""
        for client in clients:
            client.close()


def test_user_signal_1_reopens_the_log(tmp_path: Path) -> None:  # K-318
    path = tmp_path / "server.log"
    command = [*PROGRAM, "-a", "127.0.0.1", "-p", "-1", "-l", str(path)]
    with subprocess.Popen(command) as process:
        wait_until(lambda: path.exists() and "Server is ready" in path.read_text(), "the log")
        path.rename(tmp_path / "old.log")
        os.kill(process.pid, signal.SIGUSR1)
        wait_until(
            lambda: path.exists() and "File log re-opened" in path.read_text(), "the new log"
        )
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(STOP_S_MAX) == 0
    assert "Server Exiting.." in path.read_text()


def test_user_signal_1_without_a_log_file() -> None:
    with ServerProcess([]) as server:
        server.send_signal(signal.SIGUSR1)
        wait_until(lambda: "File log re-open" in server.log, "the line of the log")
        assert texts(server.log)[-1] == "INF File log re-open ignored, not a file logger"


def test_lame_duck_without_clients_ends_at_once() -> None:  # K-328
    with ServerProcess() as server:
        server.send_signal(signal.SIGUSR2)
        assert server.wait() == 0
    assert "INF Entering lame duck mode, stop accepting new clients" in texts(server.log)


def test_lame_duck_lets_clients_leave(tmp_path: Path) -> None:  # K-328
    config = "lame_duck_duration: '30s', lame_duck_grace_period: '1s'"
    with ServerProcess([], folder=tmp_path, config=config) as server:
        told = WireClient(server.url)
        told.answer(b'CONNECT {"verbose":false,"protocol":1}\r\n')
        untold = WireClient(server.url)
        untold.answer(b'CONNECT {"verbose":false}\r\n')
        told.until(b"INFO ")  # the one behind the first PING
        told.until(b"\r\n")
        server.send_signal(signal.SIGUSR2)
        assert b"INFO " in told.until(b"INFO ")
        assert b'"ldm":true' in told.until(b"\r\n")
        server.send_signal(signal.SIGTERM)  # is ignored now
        with pytest.raises(ConnectionRefusedError):
            WireClient(server.url)
        assert without_unasked(told.until_closed()) == b""
        assert without_unasked(untold.until_closed()) == b""
        assert server.wait() == 0
    lines = texts(server.log)
    assert lines.index("INF Closing existing clients") < lines.index("INF Initiating Shutdown...")


def test_a_signal_by_the_command_line() -> None:  # K-319
    with ServerProcess([]) as server:
        sent = run("--signal", f"quit={server.pid}")
        assert (sent.returncode, sent.stderr) == (0, "")
        assert server.wait() == 0


def test_a_signal_by_pid_file(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    with ServerProcess(["-P", str(pid_file)]) as server:
        assert run("-sl", f"term={pid_file}").returncode == 0
        assert server.wait() == 0


def test_serve_says_in_a_few_words_what_it_does(tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "slipstream.cli.main", "serve", "--port", "-1"),
        *("--monitor", "-1", "--store", str(tmp_path / "store"), "--sync", "2s"),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().decode() for _ in range(4)]
        process.terminate()
        assert process.wait(STOP_S_MAX) == 0
    assert re.fullmatch(r"Slipstream \S+ serves NATS on nats://127\.0\.0\.1:\d+\n", lines[0])
    assert str(tmp_path / "store") in lines[1]
    assert "relaxed, synced every 2s" in lines[2]
    assert "http://127.0.0.1:" in lines[3]
