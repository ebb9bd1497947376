"""`python -m plugin run`: the live process."""

from __future__ import annotations

import argparse
import faulthandler
import os
import sys
from pathlib import Path

from plugin.clock import SystemClock
from plugin.command_line import NO, YES, add_command
from plugin.logs import configure_logs
from plugin.serving.service import Service

_SWITCH_S = 0.0005
"""So long a thread that records or exposes metrics may keep the loop from an answer."""
_EPILOG = """\
example:
  python -m plugin run

Everything is set in .env (docs/settings.md). SIGTERM ends it once the batch under way is answered and
recorded, SIGHUP lets it look at the appointed bundles. `python -m plugin status` asks how it is.
exit codes: 0 told to stop, 1 another process writes the records or the source ended, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `run`."""
    parser = add_command(subparsers, "run", "answer every bar that closes, until told to stop", _EPILOG)
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    faulthandler.enable()  # the watchdog's SIGABRT leaves the stacks of all threads on stderr
    sys.setswitchinterval(_SWITCH_S)
    clock = SystemClock()
    configure_logs(clock, as_json=args.json or not sys.stderr.isatty())
    return YES if Service(args.env, os.environ, clock).serve() else NO
