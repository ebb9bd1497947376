"""`python -m training price`: price forecasts as tutorials make them, held against "no change"."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from plugin.candle_store import CandleStore
from plugin.clock import SystemClock
from plugin.command_line import NO, NOT_ENOUGH_EVIDENCE, YES, add_command, print_json
from training.commands.shared import add_bars, add_models_dir, seed
from training.price.comparison import OfSymbol, compare, models_of, verdicts
from training.price.record import write_record
from training.price.rendering import show_comparison
from training.price.settings import QUICK_BARS, QUICK_EPOCHS, PriceSettings

_DEFAULTS = PriceSettings(venue="binance_spot")
_MOST = 10_000
_EPILOG = f"""\
examples:
  python -m training price --symbols BTC/USDT ETH/USDT
  python -m training price --quick-test        # the newest {QUICK_BARS:,} bars, {QUICK_EPOCHS} epochs

The close --horizon bars later is forecast from the last --window bars by linear regression, a random
forest, a simple RNN, a GRU and a stacked LSTM, and by "no change". The first 70 % of the rows are
learnt from, the next 15 % tell when to stop, the last 15 % judge. The record goes to models/prices.
exit codes: 0 some model is better than "no change" beyond luck, 1 none is, 2 wrong use or unusable
bars, 3 too few bars to tell
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `price`."""
    parser = add_command(
        subparsers,
        "price",
        'forecast prices as tutorials do, and judge it against "no change"',
        _EPILOG,
    )
    add_bars(parser)
    parser.add_argument(
        "--window", type=_count, default=_DEFAULTS.window, metavar="BARS", help="(default: %(default)s)"
    )
    parser.add_argument(
        "--horizon",
        type=_count,
        default=_DEFAULTS.horizon,
        metavar="BARS",
        help="(default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=_count,
        default=_DEFAULTS.epochs,
        help="of networks, at most (default: %(default)s)",
    )
    parser.add_argument(
        "--bidirectional", action="store_true", help="let the LSTM read its window both ways"
    )
    parser.add_argument("--seed", type=seed, default=_DEFAULTS.seed, help="(default: %(default)s)")
    parser.add_argument(
        "--quick-test",
        action="store_true",
        help=f"only the newest {QUICK_BARS:,} bars and {QUICK_EPOCHS} epochs: does it run?",
    )
    add_models_dir(parser)
    parser.set_defaults(run=run, symbols=list(_DEFAULTS.symbols))


def run(args: argparse.Namespace) -> int:
    """Compare, keep and say; 0 where some model is better than "no change"."""
    settings = _settings(args)
    store = CandleStore(args.store)
    models = models_of(settings)
    columns = (
        TextColumn("models"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=Console(stderr=True), disable=args.json) as progress:
        task = progress.add_task("bars", total=len(settings.symbols) * len(models))
        found = compare(
            settings,
            store,
            models,
            step=lambda words: progress.update(task, description=words),
            finished=lambda: progress.advance(task),
        )
    place, record = write_record(args.models_dir, settings, found, SystemClock().now_ms())
    if args.json:
        print_json(record)
    else:
        console = Console(highlight=False)
        show_comparison(console, settings, found)
        console.print(f"record: {place}", soft_wrap=True)
    return _exit_code(found)


def _exit_code(found: Mapping[str, OfSymbol]) -> int:
    given = verdicts(found)
    if "better" in given:
        return YES
    return NOT_ENOUGH_EVIDENCE if "not enough evidence" in given else NO


def _settings(args: argparse.Namespace) -> PriceSettings:
    quick = args.quick_test
    return PriceSettings(
        venue=args.venue,
        timeframe=args.timeframe,
        symbols=tuple(dict.fromkeys(args.symbols)),
        since_ms=args.since,
        until_ms=args.until,
        newest_bars=QUICK_BARS if quick else None,
        window=args.window,
        horizon=args.horizon,
        epochs=QUICK_EPOCHS if quick else args.epochs,
        bidirectional=args.bidirectional,
        seed=args.seed,
    )


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to {_MOST:,}, was {text!r}")
    return int(text)
