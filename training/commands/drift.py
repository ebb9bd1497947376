"""`python -m training drift`: how far the features have moved since the champion learnt."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from plugin.candle_store import CandleStore
from plugin.clock import SystemClock
from plugin.command_line import NO, NOT_ENOUGH_EVIDENCE, YES, add_command, print_json, utc_ms
from plugin.registry import Registry
from plugin.settings import load_settings
from shadow.drift_file import FeatureDrift
from training.drift import store_drift
from training.triggers import Watch

_SHOWN = 15
_EPILOG = """\
example:
  python -m training drift

Compares the features of the newest 30 days of stored bars with what the champion has learnt from, and
keeps the answer in models/drift.json, where `python -m shadow.report` finds it. The folders are those
of .env and the environment.
exit codes: 0 no more features drift than in the past, 1 more do, 2 wrong use,
3 it can not be measured
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `drift`."""
    parser = add_command(
        subparsers, "drift", "how far the features have moved since the champion learnt", _EPILOG
    )
    parser.add_argument("--now", type=utc_ms, metavar="DATE", help="end of the 30 days (the clock)")
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Measure, keep and say."""
    settings = load_settings(args.env, os.environ)
    watch = Watch(CandleStore(settings.candles_dir), Registry(settings.models_dir), max_age_days=1.0)
    now_ms = args.now if args.now is not None else SystemClock().now_ms()
    with Console(stderr=True).status("measuring ...", spinner="line"):
        triggers = watch.look(now_ms, days_since_training=0.0)
    measured = watch.drift
    if measured is None:
        told = [one.sentence for one in triggers if one.name == "drift"]
        why = told[0] if told else "not known: no bundle serves yet"
        _say_unknown(why, as_json=args.json)
        return NOT_ENOUGH_EVIDENCE
    store_drift(settings.models_dir, measured)
    if args.json:
        print_json(msgspec.to_builtins(measured))
    else:
        _show(measured)
    return NO if measured.share > measured.limit else YES


def _say_unknown(why: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"reason": why})
    else:
        Console(highlight=False).print(why, markup=False)


def _show(measured: FeatureDrift) -> None:
    console = Console(highlight=False)
    n_drifting = sum(one.drifts for one in measured.features)
    console.print(
        f"{measured.since[:10]} to {measured.until[:10]}, {measured.n_rows:,} rows, against what"
        f" {measured.bundle} has learnt from: {n_drifting} of {len(measured.features)} features drift,"
        f" {measured.share:.1%} (limit {measured.limit:.1%})",
        markup=False,
    )
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column("farthest")
    for heading in ("psi", "limit", "ks", "limit", "drifts"):
        table.add_column(heading, justify="right")
    for one in measured.features[:_SHOWN]:
        figures = (one.psi, one.psi_limit, one.ks, one.ks_limit)
        table.add_row(one.name, *(f"{value:.3f}" for value in figures), "yes" if one.drifts else "")
    console.print(table)
