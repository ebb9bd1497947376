"""`python -m gates`: judge bundles, and give them their roles."""

from __future__ import annotations

import sys

from plugin.command_line import LazyCommand, run_command

# Judging needs statistics, looking back and going back need none: a trading host can always do those.
COMMANDS = (
    LazyCommand("check", "ask every gate about a bundle", "gates.check", extra="report"),
    LazyCommand("review", "make the move that is due, if one is", "gates.review", "report"),
    LazyCommand("promote", "make the challenger champion", "gates.promote", extra="report"),
    LazyCommand(
        "recalibrate", "learn from outcomes how sure the champion may be", "gates.recalibrate", "report"
    ),
    LazyCommand("rollback", "go back to the champion before", "gates.rollback"),
    LazyCommand("history", "who had which role, since when and why", "gates.history"),
)

if __name__ == "__main__":
    sys.exit(run_command("python -m gates", __doc__ or "", COMMANDS))
