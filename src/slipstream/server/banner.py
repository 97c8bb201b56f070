"""What a server says in its log when it starts (K-324, K-325, K-330), and the pid file."""

from __future__ import annotations

import os
from pathlib import Path

from slipstream.config.options import Options
from slipstream.gotext.durations import format_duration
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.protocol.short_hash import short_hash
from slipstream.server.authentication import plaintext_secrets
from slipstream.server.identity import Identity
from slipstream.server.log import Log
from slipstream.server.store_keys import CIPHERS, SHOWN
from slipstream.version import NATS_VERSION, VERSION

MAX_PAYLOAD_DISCOURAGED = 8 * 1024 * 1024
_UNITS = "KMGTP"
RULE = "-" * 43
DURABLE = "every acknowledged message is synced"


def log_identity(identity: Identity, options: Options, log: Log) -> None:
    # The first two lines and `Name`, `ID` are what log monitors look for, so they stay
    # nats-server's.
    log.info("Starting nats-server")
    log.info(f"  Version:  {NATS_VERSION}")
    log.info(f"  Server:   Slipstream {VERSION}")
    log.info(f"  Name:     {identity.name}")
    if options.jetstream.enabled:
        log.info(f"  Node:     {short_hash(identity.name)}")
    log.info(f"  ID:       {identity.server_id}")


def log_configuration(options: Options, log: Log) -> None:
    """Where it comes from, and what is doubtful in it."""
    if plaintext_secrets(options):
        log.warn("Plaintext passwords detected, use nkeys or bcrypt")
    if options.config_file:
        log.info(f"Using configuration file: {options.config_file} ({options.config_digest})")
    if options.max_payload > MAX_PAYLOAD_DISCOURAGED:
        log.warn(
            f"Maximum payloads over {format_size(MAX_PAYLOAD_DISCOURAGED)} are generally "
            "discouraged and could lead to poor performance"
        )


def log_jetstream(options: Options, log: Log) -> None:
    log.info("---------------- JETSTREAM ----------------")
    log.info(f"  Strict:          {str(options.jetstream.strict).lower()}")
    log.info(f"  Max Memory:      {format_size(options.jetstream.max_memory)}")
    log.info(f"  Max Storage:     {format_size(options.jetstream.max_file)}")
    log.info(f'  Store Directory: "{Path(options.store_dir)}"')
    if options.jetstream.encryption_key:
        log.info(f"  Encryption:      {SHOWN[CIPHERS[options.jetstream.cipher]]}")
    log.info(f"  API Level:       {API_LEVEL}")
    log.info(f"  Durability:      {durability(options)}")
    log.info(RULE)


def greeting(url: str, monitoring_url: str, options: Options) -> str:
    """The short form for people; `monitoring_url` is empty without that port."""
    lines = [
        f"Slipstream {VERSION} serves NATS on {url}",
        f"  store       {Path(options.store_dir)}",
        f"  durability  {durability(options)}",
    ]
    if monitoring_url:
        lines.append(f"  monitoring  {monitoring_url}")
    return "\n".join(lines)


def durability(options: Options) -> str:
    if options.jetstream.durable:
        return DURABLE
    interval = format_duration(options.jetstream.sync_interval_ns)
    return f"relaxed, synced every {interval}; a crash of the machine can lose that much"


def format_size(size: int) -> str:
    """`8.00 MB`; powers of 1024."""
    if size < 1024:
        return f"{size} B"
    amount, power = float(size), 0
    while amount >= 1024 and power < len(_UNITS):
        amount, power = amount / 1024, power + 1
    return f"{amount:.2f} {_UNITS[power - 1]}B"


def write_pid(path: str) -> None:
    """Raises OSError."""
    Path(path).write_text(str(os.getpid()))


def remove_pid(path: str) -> None:
    """After a start that failed; another process may have written its own id there by now. Raises
    OSError.
    """
    if Path(path).read_text() == str(os.getpid()):
        Path(path).unlink()
