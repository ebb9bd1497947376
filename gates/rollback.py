"""`python -m gates rollback`: go back to the champion before."""

from __future__ import annotations

import argparse

from rich.console import Console

from gates.roles import add_models_dir, by_command, registry_of
from plugin.clock import SystemClock, utc_text
from plugin.command_line import YES, add_command, print_json
from plugin.durable import locked

_EPILOG = """\
example:
  python -m gates rollback --why "sure of itself and wrong since Monday"

A second rollback goes further back, not forth again. Nobody is challenger afterwards. The live process
sees the pointer move and loads the bundle by itself.
exit codes: 0 gone back, or would be; 1 the bundle to go back to is damaged; 2 there is none
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `rollback`."""
    parser = add_command(subparsers, "rollback", "go back to the champion before", _EPILOG)
    add_models_dir(parser)
    parser.add_argument("--why", default="by hand", help="kept in the history (default: by hand)")
    parser.add_argument("--dry-run", action="store_true", help="only say to whom")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Go back and say to whom."""
    registry = registry_of(args)
    with locked(registry.folder):
        target = registry.champion_before()
        if not args.dry_run:
            at = utc_text(SystemClock().now_ms())
            registry.roll_back(at=at, who=by_command(), why=args.why)
    if args.json:
        print_json({"bundle": target, "rolled_back": not args.dry_run})
    else:
        said = "would be champion again" if args.dry_run else "is champion again"
        Console(highlight=False).print(f"{target} {said}", soft_wrap=True)
    return YES
