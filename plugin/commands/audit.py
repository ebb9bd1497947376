"""`python -m plugin audit`: recorded decisions once more, from stored bars and the named bundles."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from plugin.audit import Audited, audit
from plugin.audit_bars import AuditBars
from plugin.candle_store import CandleStore
from plugin.command_line import NO, NOT_ENOUGH_EVIDENCE, YES, add_command, print_json, utc_ms
from plugin.errors import WrongUse
from plugin.settings import load_settings
from shadow.texts import plain
from shadow.window import replayed_until

_DAY_MS = 86_400_000
_SHOWN = 20
_EPILOG = """\
example:
  python -m shadow.audit --days 2
  python -m plugin audit --days 30 --symbol BTC/USDT --store data/candles

The folders are those of .env and the environment. exit codes: 0 all is as recorded, 1 something
differs, 2 wrong use, 3 nothing could be compared: no stored bars, no bundle, or no prediction
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `audit`."""
    parser = add_command(subparsers, "audit", "recompute recorded decisions and compare", _EPILOG)
    parser.add_argument("--days", type=_days, default=2.0, help="the last so many days (default: 2)")
    parser.add_argument("--now", type=utc_ms, metavar="DATE", help="their end, UTC (the clock)")
    parser.add_argument("--dir", type=Path, help="the shadow log (default: ML_SHADOW_DIR)")
    parser.add_argument("--models", type=Path, help="the bundles (default: ML_MODELS_DIR)")
    parser.add_argument("--store", type=Path, help="folder of stored bars (default: ML_CANDLES_DIR)")
    parser.add_argument("--venue", default="binance_spot", help="(default: binance_spot)")
    parser.add_argument("--symbol", action="append", default=[], help="only this; may be repeated")
    parser.add_argument(
        "--tolerance", type=float, default=0.0, metavar="P", help="what is no difference yet (0)"
    )
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Recompute, compare, say."""
    settings = load_settings(args.env, os.environ)
    log = args.dir or settings.shadow_dir
    if not log.is_dir():
        raise WrongUse("a folder of shadow records", str(log), "name one by --dir")
    now_ms = args.now or replayed_until(log) or time.time_ns() // 1_000_000
    bars = AuditBars(CandleStore(args.store or settings.candles_dir), args.venue)
    columns = (TextColumn("recomputing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=args.json) as progress:
        task = progress.add_task("", total=None)
        audited = audit(
            log,
            args.models or settings.models_dir,
            bars,
            now_ms - round(args.days * _DAY_MS),
            now_ms,
            symbols=frozenset(args.symbol),
            tolerance=args.tolerance,
            step=lambda done, of: progress.update(task, completed=done, total=of),
        )
    if args.json:
        print_json(msgspec.to_builtins(dataclasses.asdict(audited)))
    else:
        _show(audited)
    if not audited.n_bars:
        return NOT_ENOUGH_EVIDENCE
    return NO if audited.n_differences else YES


def _show(audited: Audited) -> None:
    console = Console(highlight=False)
    n_answers, n_numbers = f"{audited.n_bars:,}", f"{audited.n_numbers:,}"
    if not audited.n_bars:
        console.print("nothing could be compared")
    elif not audited.n_differences:
        console.print(f"{n_answers} answers, {n_numbers} values: all as recorded, to the last bit")
    else:
        console.print(
            f"{audited.n_differences:,} of {n_numbers} values differ, by up to {audited.largest:.3g}"
        )
        console.print(_table(audited))
    for reason, n in audited.not_compared.most_common():
        console.print(f"not compared: {plain(reason)} {n:,}", markup=False)


def _table(audited: Audited) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    for heading in ("bar", "symbol", "what", "ahead"):
        table.add_column(heading)
    for heading in ("recorded", "recomputed", "size"):
        table.add_column(heading, justify="right")
    for one in audited.differences[:_SHOWN]:
        what = one.what if one.role == "champion" else f"{one.what} ({one.role})"
        figures = (_figure(one.recorded), _figure(one.recomputed), _figure(one.size))
        table.add_row(one.open_time[:16], plain(one.symbol), plain(what), one.horizon or "", *figures)
    if audited.n_differences > _SHOWN:
        table.add_row(f"{audited.n_differences - _SHOWN:,} more")
    return table


def _figure(value: float | str | None) -> str:
    if isinstance(value, str):
        return plain(value)[:16]
    return "-" if value is None else f"{value:.6g}"


def _days(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number <= 36_500:
        raise argparse.ArgumentTypeError(f"expected 0 to 36,500 days, was {text!r}")
    return number
