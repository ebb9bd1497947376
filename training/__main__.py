"""`python -m training`: bars, training and bundles, one subcommand each."""

from __future__ import annotations

import sys

from plugin.command_line import LazyCommand, run_command

# Imported when asked for: the host that trades has no training library, and still packs and installs.
COMMANDS = (
    LazyCommand(
        "demo",
        "train, gate, replay and report, from real bars, in a few minutes",
        "training.commands.demo",
        extra="train",
    ),
    LazyCommand(
        "fetch",
        "download bars into the store, or simulate a market",
        "training.commands.fetch",
        extra="train",
    ),
    LazyCommand(
        "verify",
        "find gaps and unusable rows in stored bars",
        "training.commands.verify",
        extra="train",
    ),
    LazyCommand(
        "run", "train the ensemble and judge the bundle", "training.commands.run", extra="train"
    ),
    LazyCommand(
        "tune",
        "search parameters of a member in the training block",
        "training.commands.tune",
        extra="train",
    ),
    LazyCommand(
        "experiments",
        "list trainings, or compare some of them",
        "training.commands.experiments",
    ),
    LazyCommand(
        "schedule",
        "train by the calendar and by triggers, and review the roles",
        "training.commands.schedule",
        extra="train",
    ),
    LazyCommand(
        "drift",
        "how far the features have moved since the champion learnt",
        "training.commands.drift",
    ),
    LazyCommand(
        "price",
        'forecast prices as tutorials do, and judge it against "no change"',
        "training.commands.price",
        extra="networks",
    ),
    LazyCommand("pack", "make one file of a bundle, for another host", "training.commands.pack"),
    LazyCommand(
        "install", "take a packed bundle in, tried on this host first", "training.commands.install"
    ),
)


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; the exit code."""
    return run_command("python -m training", __doc__ or "", COMMANDS, arguments)


if __name__ == "__main__":
    sys.exit(main())
