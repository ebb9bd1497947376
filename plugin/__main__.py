"""`python -m plugin`: the live process and what is asked of it, one subcommand each."""

from __future__ import annotations

import sys

from plugin.command_line import run_command
from plugin.commands import health, reload, replay

if __name__ == "__main__":
    sys.exit(run_command("python -m plugin", __doc__ or "", (replay, reload, health)))
