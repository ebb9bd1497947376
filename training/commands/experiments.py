"""`python -m training experiments`: which trainings there were, and in what they differ."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from plugin.command_line import NO, YES, add_command, print_json
from plugin.durable import replace_file
from plugin.errors import WrongUse
from shadow.texts import plain
from training.commands.shared import add_models_dir
from training.experiments import MOST_COMPARED, Run, Skipped, compare, find, read_runs
from training.experiments_page import render_page
from training.experiments_text import show_comparison, show_runs

_EPILOG = """\
examples:
  python -m training experiments --last 10
  python -m training experiments 20260104T0317 20260111T0317 --html compared.html

Ids may be cut as long as one run alone begins so. A file among the records that is none is named and
skipped.
exit codes: 0 listed or compared, 1 there is no record, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `experiments`."""
    parser = add_command(subparsers, "experiments", "list trainings, or compare some of them", _EPILOG)
    parser.add_argument("ids", nargs="*", metavar="ID", help="runs to compare, two or more")
    parser.add_argument("--last", type=int, metavar="N", help="list the newest alone (default: all)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="put the comparison into a page, too")
    add_models_dir(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List or compare; 1 where there is nothing to list."""
    _check(args)
    runs, skipped = read_runs(args.models_dir)
    if not args.json:
        for one in skipped:
            sys.stderr.write(f"skipped {plain(one.file)}: {plain(one.why)}\n")
    if args.ids:
        return _compare(args, runs, skipped)
    if args.last is not None:
        runs = runs[-args.last :]
    if args.json:
        print_json({"runs": [_listed(one) for one in runs], "skipped": msgspec.to_builtins(skipped)})
    elif runs:
        show_runs(Console(highlight=False), runs)
    else:
        sys.stdout.write(f"no record in {args.models_dir / 'runs'}: every training writes one\n")
    return YES if runs else NO


def _check(args: argparse.Namespace) -> None:
    if args.last is not None and args.last < 1:
        raise WrongUse("a number of runs from 1 on after --last", args.last, "correct it")
    if args.ids and args.last is not None:
        raise WrongUse("ids or --last", "both", "leave one out")
    if args.ids and not 2 <= len(args.ids) <= MOST_COMPARED:
        raise WrongUse(f"2 to {MOST_COMPARED} ids to compare", len(args.ids), "name others, or none")
    if args.html is not None and not args.ids:
        raise WrongUse("ids to compare with --html", "none", "name two or more")


def _compare(args: argparse.Namespace, runs: list[Run], skipped: list[Skipped]) -> int:
    chosen = [find(runs, beginning) for beginning in args.ids]
    if len({one.bundle_id for one in chosen}) < len(chosen):
        raise WrongUse("different runs to compare", "one of them twice", "name each once")
    found = compare(chosen)
    if args.html is not None:
        page = render_page(found).encode()
        try:
            replace_file(args.html, page)
        except OSError as error:
            reason = error.strerror or str(error)
            raise WrongUse(f"to write {args.html}", reason, "name another file") from error
    if args.json:
        sides = msgspec.to_builtins(found)
        told = {**sides, "runs": [_listed(one) for one in chosen]}
        print_json({**told, "skipped": msgspec.to_builtins(skipped)})
    else:
        show_comparison(Console(highlight=False), found)
    return YES


def _listed(one: Run) -> dict[str, Any]:
    return {
        "bundle_id": one.bundle_id,
        "trigger": one.trigger,
        "role": one.role,
        "symbols": one.chosen.symbols,
        "members": list(one.members),
        "horizon": one.chosen.primary_horizon,
        "stack": {symbol: msgspec.to_builtins(area) for symbol, area in one.stack().items()},
        "tuning": msgspec.to_builtins(one.tuning),
        "minutes": round(one.total_minutes(), 3),
    }
