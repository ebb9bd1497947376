"""`python -m gates history`: who got which role, when, by whom and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gates.roles import add_models_dir, registry_of, whole
from plugin.command_line import YES, add_command, print_json
from plugin.registry import Pointer

_TRAININGS = "trainings.jsonl"
_SHORT_HASH = 12
_WIDE = 130  # columns from which on a table can be read
_EPILOG = """\
example:
  python -m gates history --last 10

The report is the first of the sha256 of the gate report that stood when the bundle got the role.
exit codes: 0 told, 1 the history is damaged, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `history`."""
    parser = add_command(subparsers, "history", "who served when, and why", _EPILOG)
    add_models_dir(parser)
    parser.add_argument("--last", type=whole("moves", 10**9), help="only so many (default: all)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Tell every move, oldest first, and how many candidates there ever were."""
    registry = registry_of(args)
    moves = registry.history()
    shown = moves[-args.last :] if args.last else moves
    n_trained = count_trained(registry.folder)
    if args.json:
        told = [msgspec.to_builtins(move) for move in shown]
        print_json({"moves": told, "n_moves": len(moves), "candidates_trained": n_trained})
    else:
        _show(Console(highlight=False), shown, len(moves), n_trained)
    return YES


def count_trained(models_dir: Path) -> int | None:
    """How many trainings ever began, published or not; None where none was counted.

    The more were tried, the more likely it is that the best of them was lucky.
    """
    try:
        lines = (models_dir / _TRAININGS).read_bytes().splitlines()
    except FileNotFoundError:
        return None
    return sum(_began(line) for line in lines)


def _began(line: bytes) -> bool:
    try:
        told = json.loads(line)
    except ValueError:  # torn by a crash; the training goes on under another line, or never began
        return False
    return isinstance(told, dict) and told.get("event") == "began"


def _show(console: Console, moves: Sequence[Pointer], n_moves: int, n_trained: int | None) -> None:
    if console.width >= _WIDE:
        console.print(_table(moves))
    else:
        for when, role, kind, bundle, who, why, report in map(_cells, moves):
            stood = f" (report {report})" if report else ""
            lines = f"{when}  {role} {kind}  {bundle}\n    {who}: {why}{stood}"
            console.print(lines, markup=False, soft_wrap=True)
    if len(moves) < n_moves:
        console.print(f"the last {len(moves)} of {n_moves} moves")
    if n_trained is not None:
        console.print(f"candidates ever trained: {n_trained:,}")


def _table(moves: Sequence[Pointer]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in ("When (UTC)", "Role", "Move", "Bundle", "Who", "Why", "Report"):
        table.add_column(heading, no_wrap=heading not in ("Who", "Why"))
    for move in moves:
        table.add_row(*map(escape, _cells(move)))
    return table


def _cells(move: Pointer) -> tuple[str, ...]:
    """Of a dismissal the bundle is the one that was dismissed."""
    when = move.at[:16].replace("T", " ")
    bundle = move.bundle_id or move.replaced or ""
    report = (move.report_sha256 or "")[:_SHORT_HASH]
    return when, move.role, move.kind, bundle, move.who, move.why, report
