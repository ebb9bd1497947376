"""`python -m training`: bars, training and bundles, one subcommand each."""

from __future__ import annotations

import sys

from plugin.command_line import run_command
from training.commands import demo, fetch, run, verify


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; the exit code."""
    return run_command("python -m training", __doc__ or "", (demo, fetch, verify, run), arguments)


if __name__ == "__main__":
    sys.exit(main())
