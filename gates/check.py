"""`python -m gates check`: ask every gate about a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from rich.console import Console

from gates.rendering import show_report
from gates.runner import run_gates
from plugin.clock import SystemClock
from plugin.command_line import NO, NOT_ENOUGH_EVIDENCE, YES, add_command, print_json, utc_ms
from plugin.durable import locked, replace_file
from plugin.manifest import GateReport
from plugin.registry import Registry

_MAX_DAYS = 3650
_EPILOG = """\
example:
  python -m gates check models/bundles/20260102T030405Z-0123456789ab --shadow-dir data/shadow

With --shadow-dir the shadow evidence counts, and the new report is stored beside the bundles, in
models/verdicts, where the live process reads it; --dry-run leaves it unwritten.
exit codes: 0 fit for live, 1 a gate failed, 2 wrong use, 3 nothing failed, evidence is missing
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `check`."""
    parser = add_command(subparsers, "check", "ask every gate about a bundle", _EPILOG)
    parser.add_argument("bundle", type=Path, help="the folder of the bundle")
    parser.add_argument("--shadow-dir", type=Path, help="folder of shadow records to count as evidence")
    parser.add_argument("--days", type=_days, default=14, help="of shadow records (default: 14)")
    parser.add_argument(
        "--now", type=utc_ms, metavar="TIME", help="end of those days, UTC (default: now)"
    )
    parser.add_argument("--dry-run", action="store_true", help="store nothing")
    parser.set_defaults(run=run)


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MAX_DAYS:
        raise argparse.ArgumentTypeError(f"expected 1 to {_MAX_DAYS} whole days, was {text!r}")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Check, say, store; the exit code is the verdict on "live"."""
    folder = args.bundle.resolve()
    report = run_gates(
        folder,
        now_ms=args.now if args.now is not None else SystemClock().now_ms(),
        shadow_dir=args.shadow_dir,
        shadow_days=args.days,
    )
    stored_at = None
    if args.shadow_dir and not args.dry_run and folder.parent.name == "bundles":
        stored_at = _store(folder, report)
    if args.json:
        stored = str(stored_at) if stored_at else None
        print_json({**msgspec.to_builtins(report), "bundle": folder.name, "stored_at": stored})
    else:
        console = Console(highlight=False)
        show_report(console, report)
        if stored_at:
            console.print(f"stored at {stored_at}")
    verdicts = {result.verdict for result in report.results}
    if report.level == "live":
        return YES
    return NO if "fail" in verdicts else NOT_ENOUGH_EVIDENCE


def _store(folder: Path, report: GateReport) -> Path:
    place = Registry(folder.parent.parent).verdict_file(folder.name)
    place.parent.mkdir(mode=0o700, exist_ok=True)
    with locked(place.parent):
        replace_file(place, msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    return place
