"""Every option of the server, typed, with its default: the single place that says what can be
configured.

Each field carries its row of the table (see table.py). An `Options` value is complete and checked;
a running server holds one and never changes it, a reload makes a new one and compares.
"""

from __future__ import annotations

from dataclasses import dataclass

from slipstream.config import readers
from slipstream.config.table import option
from slipstream.gotext.durations import MINUTE_NS, SECOND_NS

DEFAULT_PORT = 4222
CLOSED_CONNECTIONS_MAX = 10_000
ACCOUNT_GLOBAL = "$G"
ACCOUNT_SYSTEM = "$SYS"
API_REQUESTS_QUEUED = 10_000
CONTROL_LINE_BYTES_MAX = 65_535  # so that no subject is longer than a stream can store
CONNECTION_TYPES = frozenset(
    {"STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"}
)


@dataclass(frozen=True, slots=True)
class User:
    """One entry of `authorization.users`."""

    user: str = option("", keys=("user", "username"), read=readers.string, help="Name")
    password: str = option(
        "",
        keys=("password", "pass"),
        read=readers.string,
        secret=True,
        help="Password, plain or a bcrypt hash",
    )
    allowed_connection_types: tuple[str, ...] = option(
        (),
        keys=("allowed_connection_types", "connection_types", "clients"),
        read=readers.strings,
        help="Kinds of connections that may log in as this user; all when empty",
    )


@dataclass(frozen=True, slots=True)
class Authorization:
    """Who may connect. At most one of: a token, one user, a list of users."""

    token: str = option(
        "",
        keys=("token",),
        read=readers.string,
        flags=("auth",),
        metavar="token",
        reloadable=True,
        secret=True,
        help="Authorization token required for connections, plain or a bcrypt hash",
    )
    user: str = option(
        "",
        keys=("user", "username"),
        read=readers.string,
        flags=("user",),
        metavar="user",
        reloadable=True,
        help="User required for connections",
    )
    password: str = option(
        "",
        keys=("password", "pass"),
        read=readers.string,
        flags=("pass",),
        metavar="password",
        reloadable=True,
        secret=True,
        help="Password required for connections, plain or a bcrypt hash",
    )
    users: tuple[User, ...] | None = option(
        None,
        keys=("users",),
        reloadable=True,
        secret=True,
        help="List of users, each with user and password",
    )
    timeout_s: float = option(
        2.0,
        keys=("timeout",),
        read=readers.seconds,
        zero_is_default=True,
        reloadable=True,
        help="Seconds a client has for its CONNECT",
    )

    @property
    def required(self) -> bool:
        return bool(self.token or self.user or self.password or self.users is not None)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Of atomic and fast batches together; 0 leaves each kind its default."""

    max_inflight_per_stream: int = option(
        0,
        keys=("max_inflight_per_stream",),
        read=readers.at_least(0),
        help="Open batches of a stream; by default 50 atomic ones and 1,000 fast ones",
    )
    max_inflight_total: int = option(
        0,
        keys=("max_inflight_total",),
        read=readers.at_least(0),
        help="Open batches of the server; by default 1,000 atomic ones and 50,000 fast ones",
    )
    max_msgs: int = option(
        0,
        keys=("max_msgs",),
        read=readers.at_least(0),
        help="Messages of an atomic batch; by default 1,000",
    )
    timeout_ns: int = option(
        0,
        keys=("timeout",),
        read=readers.NOT_NEGATIVE,
        help="A batch without a message for so long is given up; by default 10s",
    )


@dataclass(frozen=True, slots=True)
class JetStreamLimits:
    """Server-wide caps on what streams and consumers may ask for; 0 is no cap. After a reload they
    hold for what is created or updated from then on.
    """

    default_max_consumers: int = option(
        1000,
        keys=("default_max_consumers",),
        read=readers.at_least(-1, "no cap"),
        zero_is_default=True,
        reloadable=True,
        help="Consumers of a stream when neither it nor its account has a limit; -1 is no cap",
    )
    max_ack_pending: int = option(
        0,
        keys=("max_ack_pending",),
        read=readers.at_least(-1, "no cap"),
        reloadable=True,
        help="Highest max_ack_pending of a consumer",
    )
    max_request_batch: int = option(
        0,
        keys=("max_request_batch",),
        read=readers.at_least(-1, "no cap"),
        reloadable=True,
        help="Highest batch of a pull request",
    )
    duplicate_window_ns: int = option(
        0,
        keys=("duplicate_window",),
        read=readers.NOT_NEGATIVE,
        reloadable=True,
        help="Longest duplicate window of a stream",
    )
    batch: BatchLimits = option(
        BatchLimits(), keys=("batch",), help="Caps on batches that are being published"
    )


@dataclass(frozen=True, slots=True)
class JetStream:
    """Streams and consumers, and how safely they are stored."""

    enabled: bool = option(
        False,
        keys=("enabled", "enable"),
        read=readers.boolean,
        flags=("js", "jetstream"),
        help="Enable JetStream",
    )
    max_memory: int = option(
        -1,
        keys=("max_mem", "max_mem_store", "max_memory_store"),
        read=readers.storage_size,
        help="Bytes of memory for streams; by default three quarters of the machine's",
    )
    max_file: int = option(
        -1,
        keys=("max_file", "max_file_store"),
        read=readers.storage_size,
        help="Bytes of disk for streams; by default three quarters of what is free",
    )
    sync_interval_ns: int = option(
        0,
        keys=("sync_interval", "sync"),
        help=(
            "'always' (the default): a message is acknowledged when it is on stable storage. "
            "A duration: acknowledged at once and synced that often, as nats-server does"
        ),
    )
    strict: bool = option(
        True,
        keys=("strict",),
        read=readers.boolean,
        help="Refuse API requests with unknown fields",
    )
    domain: str = option(
        "",
        keys=("domain",),
        read=readers.domain,
        help="Another name of this JetStream: its API is at $JS.<domain>.API too",
    )
    request_queue_limit: int = option(
        API_REQUESTS_QUEUED,
        keys=("request_queue_limit",),
        read=readers.at_least(0),
        zero_is_default=True,
        help="Requests to the API that may wait; further ones are not answered",
    )
    info_queue_limit: int = option(
        0,
        keys=("info_queue_limit",),
        read=readers.at_least(0),
        help="The same for questions (INFO, NAMES, LIST); by default request_queue_limit",
    )
    encryption_key: str = option(
        "",
        keys=("key", "ek", "encryption_key"),
        read=readers.string,
        secret=True,
        help="Encrypts everything in the store, what is there already too",
    )
    previous_encryption_key: str = option(
        "",
        keys=("prev_key", "prev_ek", "prev_encryption_key"),
        read=readers.string,
        secret=True,
        help="The key that the store was last opened with, when the key changes",
    )
    cipher: str = option(
        "chacha",
        keys=("cipher",),
        read=readers.cipher,
        help=(
            "'chacha' (ChaCha20-Poly1305) or 'aes' (AES-256-GCM); "
            "after a change files are written anew"
        ),
    )
    limits: JetStreamLimits = option(
        JetStreamLimits(), keys=("limits",), help="Caps on what clients may ask for"
    )

    @property
    def api_requests_queued(self) -> int:
        return self.request_queue_limit if self.request_queue_limit > 0 else API_REQUESTS_QUEUED

    @property
    def api_info_requests_queued(self) -> int:
        return self.info_queue_limit if self.info_queue_limit > 0 else self.api_requests_queued

    @property
    def durable(self) -> bool:
        """Whether an acknowledged message is on stable storage."""
        return self.sync_interval_ns == 0


@dataclass(frozen=True, slots=True)
class FeatureFlags:
    """What nats-server lets its users switch on before it is the default."""

    js_ack_fc_v2: bool = option(
        False,
        keys=("js_ack_fc_v2",),
        read=readers.boolean,
        help="Subjects of acknowledgements and flow control name the domain and the account",
    )


@dataclass(frozen=True, slots=True)
class Options:
    """A server's whole configuration."""

    # Listening
    host: str = option(
        "0.0.0.0",
        keys=("host", "net"),
        read=readers.string,
        flags=("a", "addr", "net"),
        metavar="host",
        help="Address to listen on",
    )
    port: int = option(
        DEFAULT_PORT,
        keys=("port",),
        read=readers.port,
        zero_is_default=True,
        flags=("p", "port"),
        metavar="port",
        help="Port for clients; -1 takes a free one",
    )
    server_name: str = option(
        "",
        keys=("server_name",),
        read=readers.no_spaces,
        flags=("n", "name", "server_name"),
        metavar="name",
        help="Name of the server; its id when not given",
    )
    client_advertise: str = option(
        "",
        keys=("client_advertise",),
        read=readers.string,
        flags=("client_advertise",),
        metavar="host:port",
        reloadable=True,
        help="Address that clients are told instead of the listening one",
    )
    # Monitoring
    http_host: str = option("", help="Address of the monitoring port; by default that of clients")
    http_port: int = option(
        0,
        keys=("http_port", "monitor_port"),
        read=readers.port,
        flags=("m", "http_port"),
        metavar="port",
        help="Port for monitoring over HTTP; 0 is off, -1 takes a free one",
    )
    http_base_path: str = option(
        "", keys=("http_base_path",), read=readers.string, help="Prefix of all monitoring paths"
    )
    max_closed_clients: int = option(
        CLOSED_CONNECTIONS_MAX,
        keys=("max_closed_clients",),
        read=readers.integer_between(1, 10_000_000),
        help="How many closed connections /connz remembers",
    )
    # Who may connect
    authorization: Authorization = option(
        Authorization(), keys=("authorization",), help="Who may connect"
    )
    no_auth_user: str = option(
        "",
        keys=("no_auth_user",),
        read=readers.string,
        help="One of the users; clients without credentials become it",
    )
    # Limits
    max_payload: int = option(
        1024 * 1024,
        keys=("max_payload",),
        read=readers.int32,
        zero_is_default=True,
        reloadable=True,
        help="Largest message, in bytes",
    )
    max_control_line: int = option(
        4096,
        keys=("max_control_line",),
        read=readers.int32,
        zero_is_default=True,
        reloadable=True,
        help="Longest protocol line, in bytes; at most 65535",
    )
    max_pending: int = option(
        64 * 1024 * 1024,
        keys=("max_pending",),
        read=readers.integer,
        zero_is_default=True,
        help="Bytes that may wait for a slow client before it is disconnected",
    )
    max_connections: int = option(
        65536,
        keys=("max_connections", "max_conn"),
        read=readers.integer,
        reloadable=True,
        help="How many clients may be connected",
    )
    max_subscriptions: int = option(
        0,
        keys=("max_subscriptions", "max_subs"),
        read=readers.at_least(-1, "unlimited"),
        help="How many subscriptions one client may have; 0 is unlimited",
    )
    ping_interval_ns: int = option(
        2 * MINUTE_NS,
        keys=("ping_interval",),
        read=readers.NOT_NEGATIVE,
        zero_is_default=True,
        reloadable=True,
        help="How often idle clients are pinged",
    )
    ping_max: int = option(
        2,
        keys=("ping_max",),
        read=readers.at_least(0),
        zero_is_default=True,
        reloadable=True,
        help="Unanswered pings before a client counts as stale",
    )
    write_deadline_ns: int = option(
        10 * SECOND_NS,
        keys=("write_deadline",),
        read=readers.NOT_NEGATIVE,
        zero_is_default=True,
        reloadable=True,
        help="How long a write to a client may take",
    )
    no_header_support: bool = option(
        False,
        keys=("no_header_support",),
        read=readers.boolean,
        help="Clients can neither send nor get headers",
    )
    # Life of the process
    lame_duck_duration_ns: int = option(
        2 * MINUTE_NS,
        keys=("lame_duck_duration",),
        read=readers.duration_at_least(30 * SECOND_NS, "30s"),
        help="How long lame duck mode spreads the closing of clients",
    )
    lame_duck_grace_period_ns: int = option(
        10 * SECOND_NS,
        keys=("lame_duck_grace_period",),
        read=readers.duration_at_least(0, "0s"),
        help="How long lame duck mode waits before it closes the first client",
    )
    pid_file: str = option(
        "",
        keys=("pid_file", "pidfile"),
        read=readers.string,
        flags=("P", "pid"),
        metavar="file",
        reloadable=True,
        help="File that gets the process id",
    )
    ports_file_dir: str = option(
        "",
        keys=("ports_file_dir",),
        read=readers.string,
        flags=("ports_file_dir",),
        metavar="folder",
        reloadable=True,
        help="Folder that gets a file with the ports in use",
    )
    # Logs
    log_file: str = option(
        "",
        keys=("log_file", "logfile"),
        read=readers.string,
        flags=("l", "log"),
        metavar="file",
        reloadable=True,
        help="File for the log instead of stderr",
    )
    log_size_limit: int = option(
        0,
        keys=("log_size_limit", "logfile_size_limit"),
        read=readers.at_least(0),
        flags=("log_size_limit",),
        metavar="bytes",
        reloadable=True,
        help="Size at which the log file is renamed and begun anew; 0 is never",
    )
    log_max_files: int = option(
        0,
        keys=("log_max_num", "logfile_max_num"),
        read=readers.at_least(0),
        reloadable=True,
        help="How many log files are kept, the current one included; 0 is all",
    )
    debug: bool = option(
        False,
        keys=("debug",),
        read=readers.boolean,
        flags=("D", "debug"),
        reloadable=True,
        help="Log what helps to find faults",
    )
    trace: bool = option(
        False,
        keys=("trace",),
        read=readers.boolean,
        flags=("V", "trace"),
        reloadable=True,
        help="Log what clients send and get, line by line, with the messages",
    )
    max_traced_msg_len: int = option(
        0,
        keys=("max_traced_msg_len",),
        read=readers.at_least(-1, "all of it"),
        flags=("max_traced_msg_len",),
        metavar="bytes",
        reloadable=True,
        help="How much of a message a trace shows, in bytes; 0 is all of it",
    )
    logtime: bool = option(
        True,
        keys=("logtime",),
        read=readers.boolean,
        flags=("T", "logtime"),
        reloadable=True,
        help="Begin log lines with the time",
    )
    logtime_utc: bool = option(
        False,
        keys=("logtime_utc",),
        read=readers.boolean,
        flags=("logtime_utc",),
        reloadable=True,
        help="Log in UTC instead of local time",
    )
    # Identity
    server_tags: tuple[str, ...] = option(
        (), keys=("server_tags",), read=readers.strings, reloadable=True, help="Tags of the server"
    )
    server_metadata: tuple[tuple[str, str], ...] = option(
        (),
        keys=("server_metadata",),
        read=readers.string_map,
        reloadable=True,
        help="Pairs of strings that describe the server",
    )
    # Storage
    store_dir: str = option(
        "",
        keys=("store_dir", "storedir"),
        read=readers.string,
        flags=("sd", "store_dir"),
        metavar="folder",
        help="Folder of JetStream's store",
    )
    jetstream: JetStream = option(JetStream(), keys=("jetstream",), help="Streams and consumers")
    feature_flags: FeatureFlags = option(
        FeatureFlags(), keys=("feature_flags",), help="What can be switched on ahead of its time"
    )
    # Where the rest came from
    config_file: str = ""
    config_digest: str = ""
