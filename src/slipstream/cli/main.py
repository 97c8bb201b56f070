"""`slipstream`: the server and its tools under one command, with a friendlier face than
`slipstream-server`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from slipstream.config.load import load
from slipstream.config.options import DEFAULT_PORT
from slipstream.config.source import ConfigError
from slipstream.server.terminal import complain
from slipstream.version import NATS_VERSION, VERSION

STORE_DEFAULT = "slipstream-store"


def main(arguments: Sequence[str] | None = None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["bench"]:  # it has many flags of its own
        from slipstream.cli import bench

        return bench.main(given[1:])
    parsed = _parser().parse_args(given)
    if parsed.command == "serve":
        return _serve(parsed)
    if parsed.command == "verify":
        from slipstream.cli import verify

        return verify.main(parsed.folder, config=parsed.config)
    if parsed.command == "repair":
        from slipstream.cli import repair

        return repair.main(parsed.folder, config=parsed.config, apply=parsed.apply)
    print(f"slipstream {VERSION} (NATS {NATS_VERSION})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="slipstream", description="A durable server for NATS clients, and its tools."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    serve = commands.add_parser("serve", help="run a server with JetStream")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument(
        "--port", type=int, help=f"port for clients, -1 for a free one (default: {DEFAULT_PORT})"
    )
    serve.add_argument(
        "--monitor", type=int, metavar="PORT", help="port for /varz and the like (default: none)"
    )
    serve.add_argument(
        "--store", metavar="FOLDER", help=f"where streams live (default: {STORE_DEFAULT})"
    )
    serve.add_argument("--name", help="name of the server")
    serve.add_argument(
        "--config", metavar="FILE", default="", help="a configuration file in NATS's format"
    )
    serve.add_argument(
        "--sync",
        metavar="INTERVAL",
        help="acknowledge before a message is on stable storage, and sync this often ('2s'); "
        "by default every acknowledged message is synced",
    )
    serve.add_argument("--verbose", action="store_true", help="log what helps to find faults")
    verify = commands.add_parser("verify", help="check a stopped server's store and report")
    repair = commands.add_parser(
        "repair", help="say how a store that does not open can be saved, and what would be lost"
    )
    repair.add_argument(
        "--apply", action="store_true", help="do it, after moving the originals aside"
    )
    for command in (verify, repair):
        command.add_argument("folder", help="the folder that was given with --store")
        command.add_argument(
            "--config",
            metavar="FILE",
            default="",
            help="the server's configuration; an encrypted store needs its keys",
        )
    commands.add_parser("bench", help="measure any NATS server (bench --help)", add_help=False)
    commands.add_parser("version", help="show the version")
    return parser


def _serve(parsed: argparse.Namespace) -> int:
    try:
        settings = _settings(parsed)
        loaded = load(parsed.config, settings)
    except (ConfigError, OSError) as error:
        complain(f"slipstream serve: {error}")
        return 1
    for warning in loaded.warnings:
        complain(warning)
    from slipstream.server.process import run

    return run(loaded.options, flags=settings, program="slipstream", announce=True)


def _settings(parsed: argparse.Namespace) -> dict[str, Any]:
    """What was given; without a configuration file over defaults that suit one machine."""
    settings: dict[str, Any] = {"jetstream.enabled": True}
    if not parsed.config:
        settings |= {"host": "127.0.0.1", "store_dir": STORE_DEFAULT}
    given = {
        "host": parsed.host,
        "port": parsed.port,
        "http_port": parsed.monitor,
        "store_dir": parsed.store,
        "server_name": parsed.name,
        "debug": parsed.verbose or None,
    }
    settings |= {path: value for path, value in given.items() if value is not None}
    if parsed.sync is not None:
        settings["jetstream.sync_interval_ns"] = _sync_interval(parsed.sync)
    return settings


def _sync_interval(text: str) -> int:
    """Raises ConfigError."""
    from slipstream.config.load import read_document
    from slipstream.config.parser import parse_text

    document = parse_text(f"jetstream {{ sync_interval: '{text}' }}", "--sync")
    settings, _ = read_document(document)
    interval_ns: int = settings["jetstream.sync_interval_ns"]
    return interval_ns


if __name__ == "__main__":
    sys.exit(main())
