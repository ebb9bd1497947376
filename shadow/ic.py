"""Do the predictions still say what they said when they were learnt? In sample against out of sample.

`python -m shadow.ic --every 30` measures every half hour, and keeps a line of JSON each time.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shadow.errors import LogUnusable, ShadowgateError
from shadow.report_options import command_parser, default_path, moment, whole

if TYPE_CHECKING:
    from shadow.ic_figures import IcFigures

_EXAMPLES = """examples:
  python -m shadow.ic --days 30
  python -m shadow.ic --every 30 --out data/ic.jsonl
  python -m shadow.ic --panel factors.parquet --json

exit codes: 0 measured, 2 wrong use, 3 nothing could be measured
"""
_MINUTE_S = 60


def main(arguments: list[str] | None = None) -> int:
    """Measure once, or again and again until told to stop; the exit code."""
    options = _parser().parse_args(arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        if importlib.util.find_spec("scipy") is None:
            raise LogUnusable(
                "scipy, which the statistics need", "missing", "install shadowgate[report]"
            )
        if options.every is None:
            return _measure(options)
        return _again_and_again(options)
    except (ShadowgateError, OSError) as error:
        sys.stderr.write(f"shadow.ic: {error}\n")
        return 2


def _again_and_again(options: argparse.Namespace) -> int:
    """At whole multiples of the interval by the clock, so that lines of several hosts meet."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    length_s = options.every * _MINUTE_S
    while not stopped.is_set():
        _measure(options)
        if stopped.wait(length_s - time.time() % length_s):
            break
    return 0


def _measure(options: argparse.Namespace) -> int:
    figures = _figures(options)
    now = _utc_now()
    if options.out is not None:
        _keep(options.out, now, figures)
    if options.json:
        import msgspec

        told = {"at": now, "figures": msgspec.to_builtins(figures)}
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n")
    else:
        _show(now, figures)
    sys.stdout.flush()
    return 0 if any(not math.isnan(one.rank_ic) for one in figures) else 3


def _figures(options: argparse.Namespace) -> list[IcFigures]:
    # Imported here because scipy belongs to an extra, and --help should not wait for it.
    from shadow.ic_figures import measure_split
    from shadow.ic_sources import read_learnt, rows_of_log, rows_of_panel, rows_out_of_fold
    from shadow.stored_closes import StoredCloses
    from shadow.window import read_window, replayed_until

    if options.panel is not None:
        return [measure_split(rows) for rows in rows_of_panel(options.panel)]
    if not options.dir.is_dir():
        raise LogUnusable(
            f"a folder of shadow records at {options.dir}", "none there", "name one by --dir"
        )
    now_ms = options.now or replayed_until(options.dir) or time.time_ns() // 1_000_000
    store = None if options.store is None else StoredCloses(options.store, options.venue)
    window = read_window(options.dir, now_ms, options.days, frozenset(options.symbol), store=store)
    bundles = {kind.bundle for kind in window.columns.kinds if kind.bundle is not None}
    found = []
    for bundle in sorted(bundles)[-1:]:  # the newest one: of others the report tells
        own = read_window(options.dir, now_ms, options.days, frozenset(options.symbol), bundle, store)
        learnt = read_learnt(options.models, bundle)
        for horizon in sorted(own.columns.probabilities, key=int):
            splits = rows_of_log(own, horizon, learnt)
            if learnt is not None:
                told = rows_out_of_fold(options.models, learnt, horizon, store)
                splits += [] if told is None else [told]
            found += [measure_split(rows) for rows in splits if rows.prediction.size]
    return found


def _keep(path: Path, now: str, figures: list[IcFigures]) -> None:
    """Append a line for each figure, each by one write, and bring them to the disk."""
    import msgspec

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, 0o600)
    try:
        for one in figures:
            line: dict[str, Any] = {"at": now} | msgspec.structs.asdict(one)
            os.write(descriptor, msgspec.json.encode(line) + b"\n")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _show(now: str, figures: list[IcFigures]) -> None:
    from rich.console import Console
    from rich.table import Table

    from shadow.texts import count, figure, plain

    table = Table(box=None, padding=(0, 1), pad_edge=False, title=now, title_justify="left")
    table.add_column("split", no_wrap=True)
    headings = ("ahead", "n", "IC", "rank IC (t)", "top", "bottom", "MSE", "MAE")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in figures:
        table.add_row(
            plain(one.split) + (" *" if one.across else ""),
            str(one.horizon_bars),
            count(one.n),
            figure(one.ic),
            f"{figure(one.rank_ic)} ({figure(one.rank_ic_t, 1)})",
            figure(one.top_ic),
            figure(one.bottom_ic),
            figure(one.mse, 4),
            figure(one.mae),
        )
    console = Console(highlight=False)
    console.print(table if figures else "nothing has come of the predictions yet")
    if figures:
        console.print("top, bottom: rank IC within that fifth of the predictions", style="dim")
    if any(one.across for one in figures):
        console.print("* rank IC: the mean over the bars of the correlation across symbols")
    broken = sum(one.n_broken for one in figures)
    if broken:
        console.print(f"{broken} rows that are not finite were left out")


def _utc_now() -> str:
    from shadow.files import utc_text

    return utc_text(time.time_ns() // 1_000_000)


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("shadow.ic", __doc__, _EXAMPLES)
    log, models = default_path("ML_SHADOW_DIR", "data/shadow"), default_path("ML_MODELS_DIR", "models")
    parser.add_argument("--dir", type=Path, default=log, help=f"the shadow log ({log})")
    parser.add_argument("--models", type=Path, default=models, help=f"the bundles ({models})")
    parser.add_argument("--days", type=whole("days", 3650), default=30, help="of the log (30)")
    parser.add_argument("--now", type=moment, help="end of these days, as for the report (the clock)")
    parser.add_argument("--symbol", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--store", type=Path, help="stored bars, for returns out of fold (none)")
    parser.add_argument("--venue", default="binance_spot", help="its folder to read (binance_spot)")
    parser.add_argument("--panel", type=Path, metavar="FILE", help="a panel in parquet, and no log")
    parser.add_argument(
        "--every", type=whole("minutes", 1440), metavar="MINUTES", help="again and again (once)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="append lines of JSON to it")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    return parser


if __name__ == "__main__":
    sys.exit(main())
