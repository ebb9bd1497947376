"""What may be asked of the report, and what is refused with a sentence?"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

_EXAMPLES = """examples:
  python -m shadow.report --days 2
  python -m shadow.report --days 14 --symbol BTC/USDT --json
  python -m shadow.report --since 2025-06-01T00:00:00Z --now 2025-06-30T00:00:00Z --html report.html

exit codes: 0 ready to go live, 1 not ready, 2 wrong use, 3 not enough evidence
"""
_EARLIEST_MS = 1_230_768_000_000  # 2009: seconds read as milliseconds lie before
_MAX_DAYS = 3650
_MAX_BPS = 1000.0


def parser(description: str | None) -> argparse.ArgumentParser:
    """The parser of `python -m shadow.report`; defaults come from the environment."""
    parser = command_parser("shadow.report", description, _EXAMPLES)
    _add_window(parser)
    _add_sources(parser)
    views = parser.add_argument_group("what comes out")
    views.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    views.add_argument("--lang", choices=("en", "zh"), default="en", help="language of the report (en)")
    views.add_argument(
        "--html", type=Path, metavar="FILE", help="write the report as one page with pictures, too"
    )
    views.add_argument(
        "--csv", type=Path, metavar="FILE", help="write a line per bar with its outcomes, too"
    )
    return parser


def command_parser(module: str, description: str | None, examples: str) -> argparse.ArgumentParser:
    """The parser of `python -m <module>`, whose help ends with examples."""
    return argparse.ArgumentParser(
        prog=f"python -m {module}",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _add_window(parser: argparse.ArgumentParser) -> None:
    window = parser.add_argument_group("which bars")
    length = window.add_mutually_exclusive_group()
    length.add_argument(
        "--days", type=whole("days", _MAX_DAYS), default=2, help="length of the window (2)"
    )
    length.add_argument("--since", type=moment, help="begin of the window instead, as --now")
    window.add_argument(
        "--now",
        type=moment,
        help="end of the window: 2025-06-30T00:00:00Z, or milliseconds (the clock)",
    )
    window.add_argument("--symbol", action="append", default=[], help="only this one; may be repeated")
    window.add_argument(
        "--min-bars",
        type=whole("bars", 10**9),
        default=24,
        help="bars below which no share is judged (24)",
    )


def _add_sources(parser: argparse.ArgumentParser) -> None:
    sources = parser.add_argument_group("what it is made from")
    log = default_path("ML_SHADOW_DIR", "data/shadow")
    sources.add_argument("--dir", type=Path, default=log, help=f"the shadow log ({log})")
    models = default_path("ML_MODELS_DIR", "models")
    sources.add_argument(
        "--models", type=Path, default=models, help=f"bundles and what was measured ({models})"
    )
    sources.add_argument(
        "--store", type=Path, help="stored bars, for outcomes whose bar was not recorded (none)"
    )
    sources.add_argument(
        "--venue", default="binance_spot", help="the folder of that store to read (binance_spot)"
    )
    sources.add_argument(
        "--limits",
        type=Path,
        metavar="FILE",
        help="limits in TOML, of which the table [shadow] is read (limits.toml, if it is there)",
    )
    for name, default in (("fee", 10.0), ("slippage", 5.0)):
        sources.add_argument(
            f"--{name}-bps",
            type=basis_points,
            default=default,
            metavar="N",
            help=f"{name} of a trade in hundredths of a percent ({default:g})",
        )


def default_path(key: str, otherwise: str) -> Path:
    """What the environment says, if it says something."""
    return Path(os.environ.get(key) or otherwise)


def whole(unit: str, most: int) -> Callable[[str], int]:
    """Reads a whole number of `unit` from 1 to `most`."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of {unit} from 1 to {most}, was {text}"
            )
        return int(text)

    return parse


def basis_points(text: str) -> float:
    """Reads a cost from 0 to 1,000 hundredths of a percent."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0.0 <= number <= _MAX_BPS:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to {_MAX_BPS:g}, was {text}")
    return number


def moment(text: str) -> int:
    """Reads a time with its zone, or milliseconds since the epoch."""
    if text.isascii() and text.isdecimal():
        time_ms = int(text)
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            at = None
        if at is None or at.tzinfo is None:
            raise argparse.ArgumentTypeError(
                f"expected a time with its zone such as 2025-06-30T00:00:00Z, was {text}"
            )
        time_ms = int(at.timestamp() * 1000)
    if time_ms < _EARLIEST_MS:
        raise argparse.ArgumentTypeError(
            f"expected milliseconds since the epoch after 2009, was {text}"
        )
    return time_ms
