"""Which arguments do several commands have in common?"""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.command_line import utc_ms

_LARGEST_SEED = 2**31 - 1  # the libraries read it as a C integer
DAY_MS = 86_400_000
_MOST_DAYS = 36_500.0


def add_store(parser: argparse.ArgumentParser) -> None:
    """The argument --store: where bars are stored."""
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("ML_CANDLES_DIR", "data/candles")),
        help="folder of stored bars (default: ML_CANDLES_DIR, or else data/candles)",
    )


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    """The argument --models-dir: where is kept what was learnt."""
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("ML_MODELS_DIR", "models")),
        help="(default: ML_MODELS_DIR, or else models)",
    )


def seed(text: str) -> int:
    """A seed that all libraries can read."""
    if not text.isdecimal() or int(text) > _LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"expected a seed from 0 to {_LARGEST_SEED}, was {text!r}")
    return int(text)


def add_bars(parser: argparse.ArgumentParser) -> None:
    """The arguments that choose bars."""
    add_store(parser)
    parser.add_argument("--venue", default="binance_spot", help="(default: binance_spot)")
    parser.add_argument("--timeframe", default="1h", help="length of a bar (default: 1h)")
    parser.add_argument("--symbols", nargs="+", default=["BTC/USDT"], metavar="BASE/QUOTE")
    parser.add_argument(
        "--since", type=utc_ms, default=0, metavar="DATE", help="first bar, UTC (default: all there is)"
    )
    parser.add_argument("--until", type=utc_ms, metavar="DATE", help="end, UTC (default: all there is)")


def add_hold_out(parser: argparse.ArgumentParser) -> None:
    """The argument --hold-out-days, for those who have `add_bars`; `until_ms` reads both."""
    parser.add_argument(
        "--hold-out-days",
        type=_days,
        default=0.0,
        metavar="DAYS",
        help="days before the end to leave unseen (default: 0)",
    )


def until_ms(args: argparse.Namespace, store: CandleStore) -> int:
    """The end of the bars that `add_bars` and `add_hold_out` let somebody choose."""
    candles = store.read(args.venue, args.timeframe, args.symbols[0], until_ms=args.until)
    length_ms = Timeframe.parse(args.timeframe).length_ms
    return candles.first_open_ms + candles.n_bars * length_ms - int(args.hold_out_days * DAY_MS)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not 0.0 <= days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"expected a number of days such as 14, was {text!r}")
    return days
