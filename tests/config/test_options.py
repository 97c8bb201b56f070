"""From files and flags to options: defaults, aliases, what is refused and with which words, what a
reload would change.

Method: small files through the same functions that the server uses; the table of options is checked
as a whole (no key twice, a help for each).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from slipstream.config.load import build, changes, check, load, read_document
from slipstream.config.options import (
    Authorization,
    BatchLimits,
    JetStream,
    JetStreamLimits,
    Options,
    User,
)
from slipstream.config.parser import parse_text
from slipstream.config.source import ConfigError
from slipstream.config.table import fields_by_key, rows, specs
from slipstream.config.unbuilt import UNBUILT

S = 1_000_000_000


def options(text: str) -> Options:
    settings, _ = read_document(parse_text(text, "x.conf"))
    built = build(settings)
    check(built)
    return built


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        options(text)
    return str(caught.value)


def test_defaults() -> None:  # K-044..K-053
    defaults = Options()
    assert (defaults.host, defaults.port, defaults.http_port) == ("0.0.0.0", 4222, 0)
    assert (defaults.max_payload, defaults.max_control_line) == (1 << 20, 4096)
    assert (defaults.max_pending, defaults.max_connections) == (64 << 20, 65536)
    assert (defaults.ping_interval_ns, defaults.ping_max) == (120 * S, 2)
    assert (defaults.write_deadline_ns, defaults.authorization.timeout_s) == (10 * S, 2.0)
    assert (defaults.lame_duck_duration_ns, defaults.lame_duck_grace_period_ns) == (120 * S, 10 * S)
    assert defaults.jetstream.durable


def test_feature_flags() -> None:  # C-111, K-315
    assert not Options().feature_flags.js_ack_fc_v2
    assert options("feature_flags { js_ack_fc_v2: true }").feature_flags.js_ack_fc_v2
    assert "expected true or false" in refusal('feature_flags { js_ack_fc_v2: "yes" }')
    assert "js_raft_delete_range" in refusal("feature_flags { js_raft_delete_range: true }")
    assert "unknown field" in refusal("feature_flags { js_acks: true }")


def test_everything_that_is_supported() -> None:  # K-313, K-314
    found = options("""
        listen: 127.0.0.1:4333, server_name: n, client_advertise: "a:1"
        http: "127.0.0.1:8222"
        authorization { timeout: "1.5s", users: [
            {user: a, password: b}
            {username: c, pass: $2a$04$abc, connection_types: standard}
        ] }
        no_auth_user: a
        max_payload: 2MB; max_control_line: 8k; max_pending: 100MB
        max_conn: 10, max_subs: 5, ping_interval: "10s", ping_max: 3, write_deadline: "2s"
        lame_duck_duration: "30s", lame_duck_grace_period: "5s"
        pidfile: p, ports_file_dir: d, logfile: l, log_size_limit: 1m, debug: true, trace: yes
        logtime: off, server_tags: [x, "y:1"], server_metadata { k: v }
        jetstream { store_dir: s, max_mem: "1G", max_file: 10GB, sync_interval: "2m", strict: off
            request_queue_limit: 20, info_queue_limit: 30
            limits { default_max_consumers: 6
                max_ack_pending: 7, max_request_batch: 8, duplicate_window: "1m"
                batch { max_inflight_per_stream: 3, max_inflight_total: 4, max_msgs: 5
                    timeout: "2s" } } }
    """)
    assert found == Options(
        host="127.0.0.1", port=4333, server_name="n", client_advertise="a:1",
        http_host="127.0.0.1", http_port=8222,
        authorization=Authorization(
            timeout_s=1.5,
            users=(User("a", "b"), User("c", "$2a$04$abc", ("standard",))),
        ),
        no_auth_user="a",
        max_payload=2 << 20, max_control_line=8000, max_pending=100 << 20,
        max_connections=10, max_subscriptions=5,
        ping_interval_ns=10 * S, ping_max=3, write_deadline_ns=2 * S,
        lame_duck_duration_ns=30 * S, lame_duck_grace_period_ns=5 * S,
        pid_file="p", ports_file_dir="d", log_file="l", log_size_limit=1_000_000,
        debug=True, trace=True, logtime=False,
        server_tags=("x", "y:1"), server_metadata=(("k", "v"),),
        store_dir="s",
        jetstream=JetStream(
            enabled=True, max_memory=1 << 30, max_file=10 << 30, sync_interval_ns=120 * S,
            strict=False, request_queue_limit=20, info_queue_limit=30,
            limits=JetStreamLimits(6, 7, 8, 60 * S, BatchLimits(3, 4, 5, 2 * S)),
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "enabled", "interval_ns"),
    [
        ("jetstream: true", True, 0),
        ("jetstream: enabled", True, 0),
        ("jetstream: disabled", False, 0),
        ("jetstream {}", True, 0),
        ("jetstream { enabled: false }", False, 0),
        ("jetstream { sync_interval: always }", True, 0),
        ("jetstream { sync: '10s' }", True, 10 * S),
    ],
)
def test_jetstream_forms(text: str, enabled: bool, interval_ns: int) -> None:
    assert options(text).jetstream == JetStream(enabled=enabled, sync_interval_ns=interval_ns)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("foo: 1", 'x.conf:1:1: unknown field "foo"'),
        ("authorization { bar: 2 }", 'x.conf:1:17: unknown field "bar"'),
        ("\n cluster {}", 'x.conf:2:2: "cluster" is not supported yet: this server runs alone'),
        ("tls {}", '"tls" is not supported yet'),
        ("accounts {}", '"accounts" is not supported yet'),
        ("https: 1", '"https" is not supported yet'),
        ("authorization { permissions {} }", '"permissions" is not supported yet'),
        ("authorization { users: [{nkey: x}] }", '"nkey" is not supported yet'),
        ("jetstream { unique_tag: x }", '"unique_tag" is not supported yet'),
        ("port: '1'", "x.conf:1:1: expected an integer, got a string"),
        ("port: true", "expected an integer, got a boolean"),
        ("port: 70000", "70000 is no port"),
        ("debug: 1", "expected true or false, got an integer"),
        ("listen: abc", 'could not parse address string "abc"'),
        ("listen: 'a:b'", 'could not parse port "b"'),
        ("server_name: 'a b'", "server name cannot contain spaces"),
        ("max_payload: 3GB", "too big"),
        (
            "max_payload: 2MB\nmax_pending: 1MB",
            "max_payload (2097152) cannot be higher than max_pending",
        ),
        ("max_control_line: -1", "max_control_line cannot be negative"),
        ("max_control_line: 65536", "max_control_line (65536) cannot be higher than 65535"),
        ("max_control_line: 4MB", "max_control_line (4194304) cannot be higher than 65535"),
        ("ping_interval: 2m", "2m without quotes is the number 2000000: write '2m'"),
        ("write_deadline: 'x'", "invalid duration 'x'"),
        ("lame_duck_duration: '5s'", "the minimum is 30s"),
        ("lame_duck_duration: '30s', lame_duck_grace_period: '40s'", "should be strictly lower"),
        (
            "store_dir: a\njetstream {store_dir: b}",
            "x.conf:2:12: Duplicate 'store_dir' configuration",
        ),
        ("jetstream { max_mem: '1X' }", "must end in K, M, G, T"),
        ("jetstream: maybe", "expected 'enabled' or 'disabled', got 'maybe'"),
        ("jetstream { sync_interval: '0s' }", "must be longer than 0"),
        ("authorization { token: a, user: b }", "Cannot have a user/pass and token"),
        (
            "authorization { users: [], user: b }",
            "Can not have a single user/pass and a users array",
        ),
        ("authorization { users: [], token: b }", "Can not have a token and a users array"),
        ("authorization { users: [{password: x}] }", "User entry requires a user"),
        ("authorization { users: [{user: x}, {user: x}] }", 'Duplicate user "x" detected'),
        ("authorization { users: [{user: x, clients: [FOO]}] }", 'unknown connection type "FOO"'),
        ("authorization: true", "expected a map, got a boolean"),
        ("no_auth_user: x", 'no_auth_user: "x" present, but users/nkeys are not defined'),
        ("no_auth_user: x, authorization { users: [{user: y}] }", 'no_auth_user: "x" not present'),
    ],
)
def test_refusals(text: str, reason: str) -> None:
    assert reason in refusal(text)


def test_all_errors_of_a_file_come_together() -> None:
    lines = refusal("foo: 1\nport: x\ncluster {}").split("\n")
    assert [line.split(": ")[0] for line in lines] == ["x.conf:1:1", "x.conf:2:1", "x.conf:3:1"]


def test_an_unknown_field_may_be_a_variable() -> None:  # K-310
    assert options("mine: 4333\nport: $mine").port == 4333


def test_keys_in_any_case() -> None:  # K-310
    assert options("PORT: 1\nAuthorization { TOKEN: x }").authorization.token == "x"


def test_zero_means_default() -> None:
    assert options("port: 0, max_payload: 0, ping_max: 0") == Options()
    assert options("max_connections: 0").max_connections == -1  # but this admits nobody


def test_a_bare_number_for_a_duration_warns() -> None:  # K-307
    settings, warnings = read_document(parse_text("ping_interval: 5", "x.conf"))
    assert settings == {"ping_interval_ns": 5 * S}
    assert warnings == [
        'x.conf:1:1: invalid use of field "ping_interval": '
        "ping_interval should be converted to a duration"
    ]


def test_an_empty_file_warns(tmp_path: Path) -> None:
    path = tmp_path / "empty.conf"
    path.write_text("")
    assert load(str(path)).warnings == (f"{path}: config has no values or is empty",)


def test_flags_override_the_file(tmp_path: Path) -> None:  # K-304
    path = tmp_path / "x.conf"
    path.write_text("port: 1, debug: true, authorization { user: a, password: b }")
    loaded = load(str(path), {"port": 2, "authorization.password": "c", "debug": False})
    assert (loaded.options.port, loaded.options.debug) == (2, False)
    assert loaded.options.authorization == Authorization(user="a", password="c")
    assert loaded.options.config_file == str(path)


def test_changes_for_a_reload() -> None:  # K-320, K-321
    old = options("port: 1, debug: true, authorization { user: a, password: b }")
    new = options("port: 2, debug: false, authorization { user: a, password: c }")
    found = {change.path: (change.reloadable, str(change)) for change in changes(old, new)}
    assert found == {
        "port": (False, "port: old=1, new=2"),
        "debug": (True, "debug: old=True, new=False"),
        "authorization.password": (
            True,
            "authorization.password: old='[REDACTED]', new='[REDACTED]'",
        ),
    }


def test_the_table_is_whole() -> None:
    flags: set[str] = set()
    for row in rows(Options):
        assert row.spec.help, row.path
        assert row.path.split(".")[-1] in row.path
        assert not flags & set(row.spec.flags), row.path
        flags |= set(row.spec.flags)
    for block, unbuilt in UNBUILT.items():
        assert specs(block)
        assert not set(unbuilt) & set(fields_by_key(block)), "both supported and refused"


def test_secrets_are_not_in_the_text_of_options() -> None:
    secret = "open sesame"
    jetstream = JetStream(encryption_key=secret, previous_encryption_key=secret)
    options = Options(jetstream=jetstream, authorization=Authorization(password=secret))
    assert options.jetstream.encryption_key == secret
    assert secret not in repr(options)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        *((f'jetstream {{ domain: "{name}" }}', "invalid domain name") for name in (
            "a.b", "a b", "a*", ">", r"a\r\nMSG", r"a\tb",
        )),
        (
            "authorization { users: [{user: a, password: b, connection_types: INPROCESS}] }",
            "INPROCESS",
        ),
    ],
)  # fmt: skip
def test_domains_and_kinds_of_connections_that_cannot_be(text: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read_document(parse_text(text, "config"))
    types = "allowed_connection_types: [in_process, STANDARD]"
    kept, _ = read_document(
        parse_text(f"authorization {{ users: [{{user: a, password: b, {types}}}] }}", "config")
    )
    assert kept["authorization.users"][0].user == "a"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('ping_interval: "-5s"', "-5s is too short, the minimum is 0s"),
        ('write_deadline: "-1ns"', "-1ns is too short"),
        ("authorization { timeout: -1 }", "-1 seconds are not between 0 and"),
        ('authorization { timeout: "-3s" }', "-3 seconds are not between"),
        ("logfile_size_limit: -1", "-1 is too small, the minimum is 0"),
        ("logfile_max_num: -1", "-1 is too small, the minimum is 0"),
        ("ping_max: -1", "-1 is too small, the minimum is 0"),
        ("max_subs: -2", "-2 is too small, the minimum is -1, which is unlimited"),
        ("max_traced_msg_len: -2", "the minimum is -1, which is all of it"),
        ("jetstream { max_mem: -2 }", "-2 is no size"),
        ('jetstream { max_file: "-5G" }', "-5G is no size"),
        ('jetstream { max_mem: "99999999999999G" }', "99999999999999G is no size"),
        ("jetstream { request_queue_limit: -1 }", "-1 is too small"),
        ("jetstream { info_queue_limit: -1 }", "-1 is too small"),
        ("jetstream { limits { max_ack_pending: -2 } }", "the minimum is -1, which is no cap"),
        ("jetstream { limits { default_max_consumers: -7 } }", "the minimum is -1"),
        ('jetstream { limits { duplicate_window: "-1s" } }', "-1s is too short"),
        ("jetstream { limits { batch { max_msgs: -1 } } }", "-1 is too small"),
        ('jetstream { limits { batch { timeout: "-1s" } } }', "-1s is too short"),
        ("jetstream { max_buffered_msgs: 5 }", "100,000 messages or 128 MiB of a stream"),
    ],
)
def test_numbers_that_nobody_means(text: str, complaint: str) -> None:
    assert complaint in refusal(text)


def test_numbers_that_mean_no_limit() -> None:
    text = "max_subs: -1, max_traced_msg_len: -1, jetstream { max_mem: -1, max_file: -1, limits {"
    found = options(text + "default_max_consumers: -1, max_ack_pending: -1 } }")
    assert found.jetstream.max_memory == found.jetstream.max_file == -1
    assert found.jetstream.limits.default_max_consumers == -1
