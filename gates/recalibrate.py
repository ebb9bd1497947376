"""`python -m gates recalibrate`: learn from outcomes how the champion is to be read."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from gates.limits import load_limits
from gates.recalibration import By, Looked, reset, update
from gates.roles import add_models_dir, by_command, now_ms, registry_of
from plugin.command_line import YES, add_command, print_json, utc_ms
from plugin.errors import WrongUse
from shadow.recalibration import Horizon

_EPILOG = """\
example:
  python -m gates recalibrate
  python -m gates recalibrate --reset

Learns at most once in 24 bars; `python -m training schedule` does it by itself. What was learnt is only
recorded, until ML_RECALIBRATE=1 and it is shown to be better. A reset forgets it, and only outcomes of
bars from then on count.
exit codes: 0 looked, 1 something is damaged, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `recalibrate`."""
    parser = add_command(
        subparsers, "recalibrate", "learn from outcomes how sure the champion may be", _EPILOG
    )
    add_models_dir(parser)
    parser.add_argument(
        "--dir",
        dest="shadow_dir",
        metavar="DIR",
        type=Path,
        default=Path(os.environ.get("ML_SHADOW_DIR", "data/shadow")),
        help="the shadow log (default: ML_SHADOW_DIR, or else data/shadow)",
    )
    parser.add_argument(
        "--now", type=utc_ms, metavar="TIME", help="UTC (default: now, or where a replay stopped)"
    )
    parser.add_argument("--limits", type=Path, metavar="FILE", help="limits in TOML (limits.toml)")
    parser.add_argument("--reset", action="store_true", help="begin anew, from now on")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Learn, or forget, and say what is in force."""
    registry, by = registry_of(args), By(now_ms(args), by_command())
    if args.reset:
        looked = reset(registry, by, dry_run=args.dry_run)
    else:
        if not args.shadow_dir.is_dir():
            remedy = "let the champion answer first, or name another folder by --dir"
            raise WrongUse("a folder of shadow records", str(args.shadow_dir), remedy)
        level = load_limits(args.limits).pair_evidence
        looked = update(registry, args.shadow_dir, level, by, dry_run=args.dry_run)
    if args.json:
        print_json({**msgspec.to_builtins(looked), "dry_run": args.dry_run})
    else:
        _show(Console(highlight=False), looked)
    return YES


def _show(console: Console, looked: Looked) -> None:
    recalibration = looked.recalibration
    if recalibration is None:
        console.print(looked.why, soft_wrap=True, markup=False)
        return
    said = f"{recalibration.bundle_id}: {recalibration.kind}: {looked.why}"
    console.print(said, soft_wrap=True, markup=False)
    if recalibration.horizons:
        console.print(_table(recalibration.horizons))


def _table(horizons: dict[str, Horizon]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (
        "Ahead",
        "n (worth)",
        "shift",
        "slope",
        "Brier p' - p",
        "bars",
        "evidence",
        "may act",
    ):
        table.add_column(heading, justify="left" if heading == "Ahead" else "right", no_wrap=True)
    for name, one in horizons.items():
        own = one.fit.coefficients
        table.add_row(
            name,
            f"{one.fit.n:,} ({_figure(one.fit.n_effective, '.0f')})",
            _figure(own.shift if own else None, "+.3f"),
            _figure(own.slope if own else None, ".3f"),
            _figure(one.mean_difference, "+.5f"),
            f"{one.n_judged:,}",
            _figure(one.better, ".3g"),
            "yes" if one.holds else "no",
        )
    return table


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
