"""Is the ensemble alive, how good has it been, and could that be luck?

`python -m shadow.report --days 2` answers from the shadow log, without the live process.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.util
import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from shadow.errors import LogUnusable, ShadowgateError

READY, NOT_READY, WRONG_USE, NOT_ENOUGH_EVIDENCE = 0, 1, 2, 3
_EXAMPLES = """examples:
  python -m shadow.report --days 2
  python -m shadow.report --days 14 --symbol BTC/USDT --json
  python -m shadow.report --days 7 --now 2025-06-30T00:00:00Z

exit codes: 0 ready to go live, 1 not ready, 2 wrong use, 3 not enough evidence
"""
_EARLIEST_MS = 1_230_768_000_000  # 2009: seconds read as milliseconds lie before
_MAX_DAYS = 3650


def main(arguments: list[str] | None = None) -> int:
    """Print the report of `arguments`, by default those of the command line; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if importlib.util.find_spec("scipy") is None:
            raise LogUnusable(
                "scipy, which the statistics need", "missing", "install shadowgate[report]"
            )
        return _report(options)
    except (ShadowgateError, OSError) as error:
        sys.stderr.write(f"shadow.report: {error}\n")
        return WRONG_USE


def _report(options: argparse.Namespace) -> int:
    # One thread: the report runs beside a live process, whose latency suffers from busy cores.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Imported here because scipy belongs to an extra, and --help should not wait for it.
    from shadow.checklist import LIMITS, checklist, is_ready, luck
    from shadow.evidence import weigh
    from shadow.limits_file import changed_by, changed_limits, read_limits_file
    from shadow.rendering import render
    from shadow.window import read_window

    file = read_limits_file(options.limits)
    limits = changed_by(LIMITS, file.tables.get("shadow", {}), file, "shadow.")
    changed = changed_limits(limits, LIMITS, "shadow.")
    folder: Path = options.dir
    if not folder.is_dir():
        raise LogUnusable(
            f"a folder of shadow records at {folder}",
            "none there",
            "start the plugin or name one by --dir",
        )
    window = read_window(folder, _now_ms(options, folder), options.days, frozenset(options.symbol))
    _check_symbols(options.symbol, {symbol for symbol, _ in window.columns.series})
    evidence = weigh(window)
    checks = checklist(evidence, options.min_bars, limits)
    ready = is_ready(checks)
    if options.json:
        _print_json(evidence, checks, ready, luck(evidence), changed)
    else:
        render(folder, evidence, checks, ready, luck(evidence))
        if changed:
            said = ", ".join(f"{name} {change}" for name, change in changed.items())
            sys.stdout.write(f"limits changed: {said}\n")
    return {True: READY, False: NOT_READY, None: NOT_ENOUGH_EVIDENCE}[ready]


def _print_json(
    evidence: Any, checks: list[Any], ready: bool | None, chance: Any, changed: dict[str, str]
) -> None:
    import msgspec

    report = msgspec.to_builtins(evidence) | {
        "ready": ready,
        "reasons": [check.says for check in checks if check.verdict != "pass"],
        "checklist": msgspec.to_builtins(checks),
        "luck": msgspec.to_builtins(chance),
        "changed_limits": changed,
    }
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")


def _now_ms(options: argparse.Namespace, folder: Path) -> int:
    from shadow.window import replayed_until

    clock_ms = time.time_ns() // 1_000_000
    if options.now is None:
        replayed_ms = replayed_until(folder)
        return clock_ms if replayed_ms is None else replayed_ms
    now_ms: int = options.now
    if now_ms > clock_ms:
        raise LogUnusable(
            "--now not to lie ahead of the clock", "in the future", "name a time that has passed"
        )
    return now_ms


def _check_symbols(wanted: list[str], seen: set[str]) -> None:
    for symbol in wanted:
        if seen and symbol not in seen:
            near = difflib.get_close_matches(symbol.upper(), seen, n=1) or sorted(seen)[:5]
            raise LogUnusable("a symbol with records", repr(symbol), f"try {', '.join(near)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m shadow.report",
        description=__doc__,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default_dir = Path(os.environ.get("ML_SHADOW_DIR") or "data/shadow")
    parser.add_argument(
        "--days", type=_whole("days", _MAX_DAYS), default=2, help="length of the window (2)"
    )
    parser.add_argument(
        "--min-bars",
        type=_whole("bars", 10**9),
        default=24,
        help="bars below which no share is judged (24)",
    )
    parser.add_argument("--dir", type=Path, default=default_dir, help=f"the shadow log ({default_dir})")
    parser.add_argument(
        "--now",
        type=_moment,
        help="end of the window: 2025-06-30T00:00:00Z, or milliseconds (the clock)",
    )
    parser.add_argument(
        "--limits",
        type=Path,
        metavar="FILE",
        help="limits in TOML, of which the table [shadow] is read (limits.toml, if it is there)",
    )
    parser.add_argument("--symbol", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    return parser


def _whole(unit: str, most: int) -> Any:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of {unit} from 1 to {most}, was {text}"
            )
        return int(text)

    return parse


def _moment(text: str) -> int:
    if text.isascii() and text.isdecimal():
        time_ms = int(text)
    else:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            raise argparse.ArgumentTypeError(
                f"expected a time with its zone such as 2025-06-30T00:00:00Z, was {text}"
            )
        time_ms = int(moment.timestamp() * 1000)
    if time_ms < _EARLIEST_MS:
        raise argparse.ArgumentTypeError(
            f"expected milliseconds since the epoch after 2009, was {text}"
        )
    return time_ms


if __name__ == "__main__":
    sys.exit(main())
