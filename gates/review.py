"""`python -m gates review`: look at the roles once and make the move that is due."""

from __future__ import annotations

import argparse

import msgspec
from rich.console import Console

from gates.promotion import review
from gates.recalibration import By, update
from gates.roles import add_evidence, add_models_dir, by_command, view_of
from plugin.clock import utc_text
from plugin.command_line import YES, add_command, print_json

_EPILOG = """\
example:
  python -m gates review --dry-run

`python -m training schedule` does this every few minutes. It watches a new champion and rolls it back,
dismisses a challenger that is worse or undecided for too long, fills a seat that is free and, with
--auto-promote, promotes a challenger that has earned it. It recalibrates the champion, if that is due.
exit codes: 0 looked, 1 something is damaged, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `review`."""
    parser = add_command(subparsers, "review", "make the move that is due, if one is", _EPILOG)
    add_models_dir(parser)
    add_evidence(parser)
    parser.add_argument("--auto-promote", action="store_true", help="as with ML_AUTO_PROMOTE=1")
    parser.add_argument("--dry-run", action="store_true", help="only say which")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look and say."""
    view = view_of(args)
    found = review(
        view.registry,
        shadow_dir=view.shadow_dir,
        shadow_days=view.shadow_days,
        now_ms=view.now_ms,
        limits=view.limits,
        auto_promote=args.auto_promote,
        at=utc_text(view.now_ms),
        who=by_command(),
        dry_run=args.dry_run,
    )
    by = By(view.now_ms, by_command())
    learnt = update(view.registry, view.shadow_dir, view.limits.pair_evidence, by, dry_run=args.dry_run)
    if args.json:
        told = {**msgspec.to_builtins(found), "recalibration": msgspec.to_builtins(learnt)}
        print_json({**told, "dry_run": args.dry_run})
    else:
        console = Console(highlight=False)
        console.print(found.says, soft_wrap=True, markup=False)
        console.print(f"recalibration: {learnt.why}", soft_wrap=True, markup=False)
    return YES
