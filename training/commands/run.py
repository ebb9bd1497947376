"""`python -m training run`: from stored bars to a judged bundle."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from gates.limits import LIMITS
from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.command_line import NO, YES, add_command, print_json, utc_ms
from training.commands.shared import add_store
from training.rendering import show_outcome
from training.retrain import n_steps, retrain
from training.settings import TrainingSettings

_DAY_MS = 86_400_000
_MOST_DAYS = 36_500.0
_LARGEST_SEED = 2**31 - 1  # both libraries read it as a C integer
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
        type=_days,
        default=0.0,
        metavar="DAYS",
        help="days before the end to leave unseen (default: 0)",
    )
    parser.add_argument("--folds", type=int, default=_DEFAULTS.n_folds, help="of the walk-forward")
    parser.add_argument("--seed", type=_seed, default=_DEFAULTS.seed, help="(default: %(default)s)")
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("ML_MODELS_DIR", "models")),
        help="(default: ML_MODELS_DIR, or else models)",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train and say how good it is; 0 where the bundle may at least be recorded."""
    store = CandleStore(args.store)
    settings = TrainingSettings(
        venue=args.venue,
        timeframe=args.timeframe,
        symbols=tuple(dict.fromkeys(args.symbols)),
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
        show_outcome(Console(highlight=False), outcome)
    return NO if outcome.report.level == "none" else YES


def _until_ms(args: argparse.Namespace, store: CandleStore) -> int:
    candles = store.read(args.venue, args.timeframe, args.symbols[0], until_ms=args.until)
    length_ms = Timeframe.parse(args.timeframe).length_ms
    return candles.first_open_ms + candles.n_bars * length_ms - int(args.hold_out_days * _DAY_MS)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > _LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"expected a seed from 0 to {_LARGEST_SEED}, was {text!r}")
    return int(text)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0.0 <= days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"expected a number of days such as 14, was {text!r}")
    return days
