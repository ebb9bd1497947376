"""`python -m training run`: from stored bars to a judged bundle."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gates.limits import LIMITS
from gates.rendering import show_report
from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.command_line import NO, YES, add_command, print_json, utc_ms
from training.commands.shared import add_store
from training.retrain import Outcome, n_steps, retrain
from training.settings import TrainingSettings

_DAY_MS = 86_400_000
_DEFAULTS = TrainingSettings(venue="binance_spot")
_EPILOG = """\
example:
  python -m training run --symbols BTC/USDT ETH/USDT --hold-out-days 14

The bundle is written to models/bundles, a record of the run to models/runs. The first bundle that
is fit for shadow becomes the champion; later ones wait for `python -m gates`.
exit codes: 0 fit for shadow or live, 1 fit for nothing, 2 wrong use or unusable bars
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `run`."""
    parser = add_command(subparsers, "run", "train the ensemble and judge the bundle", _EPILOG)
    add_store(parser)
    parser.add_argument("--venue", default="binance_spot", help="(default: binance_spot)")
    parser.add_argument("--timeframe", default="1h", help="length of a bar (default: 1h)")
    parser.add_argument("--symbols", nargs="+", default=["BTC/USDT"], metavar="BASE/QUOTE")
    parser.add_argument(
        "--since", type=utc_ms, default=0, metavar="DATE", help="first bar, UTC (default: all there is)"
    )
    parser.add_argument("--until", type=utc_ms, metavar="DATE", help="end, UTC (default: all there is)")
    parser.add_argument(
        "--hold-out-days",
        type=float,
        default=0.0,
        help="days before the end to leave unseen (default: 0)",
    )
    parser.add_argument("--folds", type=int, default=_DEFAULTS.n_folds, help="of the walk-forward")
    parser.add_argument("--seed", type=int, default=_DEFAULTS.seed)
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("ML_MODELS_DIR", "models")),
        help="(models)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and say how good it is; 0 where the bundle may at least be recorded."""
    store = CandleStore(args.store)
    settings = TrainingSettings(
        venue=args.venue,
        timeframe=args.timeframe,
        symbols=tuple(args.symbols),
        since_ms=args.since,
        until_ms=_until_ms(args, store),
        n_folds=args.folds,
        seed=args.seed,
    )
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=args.json) as progress:
        task = progress.add_task("features", total=n_steps(settings))
        outcome = retrain(
            settings,
            store,
            args.models_dir,
            LIMITS,
            lambda what: progress.update(task, advance=1, description=what),
        )
    if args.json:
        print_json({**outcome.record, "is_champion": outcome.is_champion})
    else:
        _show(Console(highlight=False), settings, outcome)
    return NO if outcome.report.level == "none" else YES


def _until_ms(args: argparse.Namespace, store: CandleStore) -> int:
    candles = store.read(args.venue, args.timeframe, args.symbols[0], until_ms=args.until)
    length_ms = Timeframe.parse(args.timeframe).length_ms
    return candles.first_open_ms + candles.n_bars * length_ms - int(args.hold_out_days * _DAY_MS)


def _show(console: Console, settings: TrainingSettings, outcome: Outcome) -> None:
    if settings.venue == SIMULATED_VENUE:
        console.print("SIMULATED market: no real prices", style="bold yellow")
    for horizon in settings.horizons:
        metrics = outcome.record["metrics"][str(horizon)]
        for symbol in settings.symbols:
            console.print(_table(f"{symbol}, {horizon} bars ahead, out of fold", symbol, metrics))
    show_report(console, outcome.report)
    minutes = ", ".join(f"{part} {took:.1f}" for part, took in outcome.record["minutes"].items())
    console.print(f"minutes: {minutes}")
    console.print(f"bundle:  {outcome.bundle}" + (" (champion)" if outcome.is_champion else ""))


def _table(title: str, symbol: str, metrics: dict[str, Any]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for heading in ("AUC", "95 % interval", "mean over folds", "Brier", "rank IC", "t", "rows"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, one in metrics["symbols"][symbol].items():
        mean = metrics["mean_fold_auc"].get(name)
        table.add_row(
            name,
            _number(one["auc"], ".4f"),
            f"{one['auc_low']:.3f} to {one['auc_high']:.3f}" if one.get("auc_low") is not None else "",
            _number(mean, ".4f"),
            _number(one["brier"], ".4f"),
            _number(one.get("rank_ic"), ".3f"),
            _number(one.get("rank_ic_t"), ".1f"),
            f"{one['n']:,}",
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
