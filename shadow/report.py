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
from pathlib import Path
from typing import TYPE_CHECKING

from shadow.errors import LogUnusable, ShadowgateError
from shadow.report_options import parser

if TYPE_CHECKING:
    from shadow.findings import Findings, Terms
    from shadow.window import Window

READY, NOT_READY, WRONG_USE, NOT_ENOUGH_EVIDENCE = 0, 1, 2, 3
_DAY_MS = 86_400_000


def main(arguments: list[str] | None = None) -> int:
    """Print the report of `arguments`, by default those of the command line; the exit code."""
    options = parser(__doc__).parse_args(arguments)
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
    from shadow.findings import find

    terms = _terms(options)
    window = _window(options)
    _check_symbols(options.symbol, {symbol for symbol, _ in window.columns.series})
    findings = find(options.dir, window, terms)
    _show(options, findings, window)
    return {True: READY, False: NOT_READY, None: NOT_ENOUGH_EVIDENCE}[findings.ready]


def _terms(options: argparse.Namespace) -> Terms:
    from shadow.counterfactual import Costs
    from shadow.findings import Terms
    from shadow.report_limits import read_report_limits

    limits = read_report_limits(options.limits)
    costs = Costs(fee_bps=options.fee_bps, slippage_bps=options.slippage_bps)
    return Terms(options.models, options.min_bars, limits.checklist, limits.pair, limits.changed, costs)


def _window(options: argparse.Namespace) -> Window:
    from shadow.stored_closes import StoredCloses
    from shadow.window import read_window

    folder: Path = options.dir
    if not folder.is_dir():
        raise LogUnusable(
            f"a folder of shadow records at {folder}",
            "none there",
            "start the plugin or name one by --dir",
        )
    store = None if options.store is None else StoredCloses(options.store, options.venue)
    now_ms = _now_ms(options, folder)
    days = options.days if options.since is None else (now_ms - options.since) / _DAY_MS
    if days <= 0:
        raise LogUnusable("--since to lie before the end of the window", "later", "name another")
    window = read_window(folder, now_ms, days, frozenset(options.symbol), store=store)
    for series, why in {} if store is None else store.refused.items():
        sys.stderr.write(f"shadow.report: stored bars of {series} are not used: {why}\n")
    return window


def _show(options: argparse.Namespace, findings: Findings, window: Window) -> None:
    if options.csv is not None:
        from shadow.table_file import write_table

        write_table(options.csv, window)
    if options.html is not None:
        from shadow.page.report_page import write_page

        write_page(options.html, findings, window, options.lang)
    if options.json:
        import msgspec

        report = as_json(findings)
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(report), indent=2).decode() + "\n")
    else:
        from shadow.rendering import render

        render(findings, options.lang)


def as_json(findings: Findings) -> dict[str, object]:
    """The findings as plain values; the figures of the evidence stand on the first level."""
    import msgspec

    report: dict[str, object] = msgspec.to_builtins(findings)
    evidence = report.pop("evidence")
    assert isinstance(evidence, dict)  # noqa: S101  (a struct becomes one)
    reasons = [check.says for check in findings.checklist if check.verdict != "pass"]
    return evidence | report | {"reasons": reasons}


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


if __name__ == "__main__":
    sys.exit(main())
