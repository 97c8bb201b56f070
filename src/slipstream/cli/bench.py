"""`slipstream bench WORKLOAD`: measures a NATS server, ours or any other.

The workloads' dataclasses are the options: a field's type, default and help text become its flag.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from urllib.parse import unquote, urlsplit

from slipstream.bench._load import LoadError
from slipstream.bench.api_client import ApiError, ServerAddress
from slipstream.bench.consumer_workloads import Consume, Fetch, Replay
from slipstream.bench.core_workloads import CoreDelivery, CorePublish, CoreRequest, CoreSubscribe
from slipstream.bench.get_workloads import DirectGet, KeyValueGet, KeyValuePut, KeyValueWatch
from slipstream.bench.measurement import ServerProcess
from slipstream.bench.retention_workloads import InterestFlow, PublishBesideConsumers, WorkQueue
from slipstream.bench.stream_workloads import AtomicBatchPublish, StreamPublish
from slipstream.bench.workload import NotSupported, Workload

WORKLOADS: tuple[type[Workload], ...] = (
    CorePublish,
    CoreSubscribe,
    CoreDelivery,
    CoreRequest,
    StreamPublish,
    AtomicBatchPublish,
    Fetch,
    Consume,
    Replay,
    DirectGet,
    KeyValuePut,
    KeyValueGet,
    KeyValueWatch,
    WorkQueue,
    InterestFlow,
    PublishBesideConsumers,
)
PROGRESS_CELLS = 30
EXIT_FAILED, EXIT_USAGE, EXIT_NOT_SUPPORTED = 1, 2, 3


def server_address(url: str) -> ServerAddress:
    """nats://[user:password@|token@]host[:port]"""
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    if parts.scheme != "nats" or not parts.hostname:
        raise argparse.ArgumentTypeError(f"{url!r} is not nats://host:port")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return ServerAddress(
        host=parts.hostname,
        port=parts.port or 4222,
        user=user if parts.password is not None else "",
        password=password,
        token=user if parts.password is None else "",
    )


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="slipstream bench", description=__doc__)
    workloads = found.add_subparsers(dest="workload", metavar="WORKLOAD", required=True)
    for workload in WORKLOADS:
        command = workloads.add_parser(
            workload.name,
            help=workload.summary,
            description=workload.summary,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        command.set_defaults(make=workload)
        _add_server_options(command)
        _add_workload_options(command, workload)
    return found


def _add_server_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-s",
        "--server",
        type=server_address,
        default="nats://127.0.0.1:4222",
        help="nats://[user:password@|token@]host[:port]",
    )
    command.add_argument("--pid", type=int, help="the server's process, for its CPU and memory")
    command.add_argument("--runs", type=int, default=1, help="how many times to run")
    command.add_argument("--json", action="store_true", help="one JSON object per run")
    command.add_argument(
        "--stall",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="fail when nothing comes for so long",
    )


def _add_workload_options(command: argparse.ArgumentParser, workload: type[Workload]) -> None:
    for option in fields(workload):
        if not option.init:
            continue
        flag = "--" + option.name.replace("_", "-")
        text = str(option.metadata["help"])
        default = option.default
        if isinstance(default, bool):
            command.add_argument(flag, action="store_true", help=text)
        else:
            command.add_argument(
                flag,
                type=type(default),
                default=default,
                choices=option.metadata["choices"] or None,
                help=text,
            )


class ProgressBar:
    """A line on the terminal that says how far a run is; silent elsewhere."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._shown = sys.stderr.isatty()

    def __call__(self, done: int, total: int, seconds: float) -> None:
        if not self._shown or not total:
            return
        cells = PROGRESS_CELLS * done // total
        bar = "#" * cells + "-" * (PROGRESS_CELLS - cells)
        rate = done / seconds if seconds else 0.0
        print(
            f"\r{self._name} [{bar}] {100 * done // total:3d}% {rate:,.0f}/s ",
            end="",
            file=sys.stderr,
            flush=True,
        )

    def clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> None:
    process = ServerProcess(arguments.pid) if arguments.pid else None
    chosen = {
        field.name: getattr(arguments, field.name) for field in fields(arguments.make) if field.init
    }
    for _ in range(arguments.runs):
        bar = ProgressBar(arguments.workload)
        try:
            measurement = arguments.make(**chosen).run(
                arguments.server,
                process=process,
                progress=bar,
                stall_seconds=arguments.stall,
            )
        finally:
            bar.clear()
        print(json.dumps(measurement.as_json()) if arguments.json else measurement.as_text())


def main(argv: Sequence[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        run(arguments)
    except NotSupported as error:
        print(f"{arguments.workload}: not supported by this server: {error}", file=sys.stderr)
        return EXIT_NOT_SUPPORTED
    except ValueError as error:
        print(f"{arguments.workload}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (LoadError, ApiError, OSError) as error:
        print(f"{arguments.workload}: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
