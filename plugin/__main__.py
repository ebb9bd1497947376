"""`python -m plugin`: the live process and what is asked of it, one subcommand each."""

from __future__ import annotations

import sys

from plugin.command_line import LazyCommand, run_command

_COMMANDS = (
    LazyCommand("run", "answer every bar that closes, until told to stop", "plugin.commands.run"),
    LazyCommand("status", "ask the live process how it is", "plugin.commands.status"),
    LazyCommand("set", "show or change one flag in .env", "plugin.commands.set"),
    LazyCommand("replay", "replay stored bars through the live pipeline", "plugin.commands.replay"),
    LazyCommand("reload", "wait until the appointed bundles serve", "plugin.commands.reload"),
    LazyCommand("health", "say whether every member of the ensemble is well", "plugin.commands.health"),
    LazyCommand("audit", "recompute recorded decisions and compare", "plugin.commands.audit"),
    LazyCommand("feed", "publish closed bars in Redis for workers", "plugin.commands.feed", "bus"),
    LazyCommand(
        "collect", "gather the workers' records into one log", "plugin.commands.collect", "bus"
    ),
)

if __name__ == "__main__":
    sys.exit(run_command("python -m plugin", __doc__ or "", _COMMANDS))
