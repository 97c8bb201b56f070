"""`slipstream-server`: takes nats-server's flags, configuration files and signals, and leaves its
exit codes (K-300..K-305, K-331).

Exit codes: 0 after a clean stop, after help, version and a valid `-t`; 1 for everything that keeps
the server from running. An unknown flag shows the usage and exits 0, as nats-server 2.15.1 does.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from slipstream.cli import command_line, signals
from slipstream.cli.command_line import CommandLine, CommandLineError
from slipstream.cli.flags import FlagError
from slipstream.config.load import Loaded, load
from slipstream.config.source import ConfigError
from slipstream.server.terminal import complain, say
from slipstream.version import NATS_VERSION, VERSION

PROGRAM = "slipstream-server"


def main(arguments: Sequence[str] | None = None) -> int:
    try:
        asked = command_line.parse(sys.argv[1:] if arguments is None else arguments)
    except FlagError as error:
        complain(str(error))
        say(command_line.usage(PROGRAM))
        return 0
    except CommandLineError as error:
        return failed(str(error))
    if asked.show_version:
        # Harnesses parse the first line to choose what they may expect of the server.
        say(f"nats-server: v{NATS_VERSION}\nslipstream: v{VERSION}")
        return 0
    if asked.show_help:
        say(command_line.usage(PROGRAM))
        return 0
    if asked.signal:
        return _send_signal(asked.signal)
    return _run(asked)


def failed(reason: str) -> int:
    complain(f"{PROGRAM}: {reason}")
    return 1


def _send_signal(expression: str) -> int:
    try:
        signals.send(expression)
    except signals.SignalError as error:
        return failed(str(error))
    return 0


def _run(asked: CommandLine) -> int:
    if asked.check_config and not asked.config_file:
        return failed("must specify [-c, --config] option to check configuration file syntax")
    try:
        loaded = load(asked.config_file, asked.settings)
    except ConfigError as error:
        return failed(str(error))
    except OSError as error:
        return failed(f"open {asked.config_file}: {(error.strerror or str(error)).lower()}")
    if asked.check_config:
        return _report_check(loaded)
    for warning in loaded.warnings:
        complain(warning)
    from slipstream.server.process import run  # the kernel is not needed until here

    return run(loaded.options, flags=asked.settings, program=_started_as())


def _started_as() -> str:
    """What the ports file is named after: harnesses know the server under a link's name."""
    name = os.path.basename(sys.argv[0])
    return PROGRAM if name.endswith(".py") else name


def _report_check(loaded: Loaded) -> int:
    """A warning counts as an error here, as in nats-server."""
    if loaded.warnings:
        return failed("\n".join(loaded.warnings))
    options = loaded.options
    complain(
        f"{PROGRAM}: configuration file {options.config_file} is valid ({options.config_digest})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
