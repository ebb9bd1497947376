"""`python -m gates check`: ask every gate about a bundle."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from gates.limits import changes, load_limits
from gates.rendering import show_report, show_results
from gates.roles import MAX_DAYS, now_ms, whole
from gates.runner import ask_gates, run_gates
from plugin.command_line import NO, NOT_ENOUGH_EVIDENCE, YES, add_command, print_json, utc_ms
from plugin.manifest import GateResult
from plugin.registry import Registry

_EPILOG = """\
example:
  python -m gates check models/bundles/20260102T030405Z-0123456789ab --shadow-dir data/shadow

limits.toml in the working directory, or the file that --limits names, changes limits; the report
says which. With --gate only some gates are asked: nothing is stored then, and the level is not known.
With --shadow-dir the shadow evidence counts, and the new report is stored beside the bundles, in
models/verdicts, where the live process reads it; --dry-run leaves it unwritten.
exit codes: 0 fit for live, or all passed that were asked, 1 a gate failed, 2 wrong use,
  3 nothing failed, evidence is missing
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `check`."""
    parser = add_command(subparsers, "check", "ask every gate about a bundle", _EPILOG)
    parser.add_argument("bundle", type=Path, help="the folder of the bundle")
    parser.add_argument("--shadow-dir", type=Path, help="folder of shadow records to count as evidence")
    parser.add_argument(
        "--days", type=whole("days", MAX_DAYS), default=14, help="of shadow records (default: 14)"
    )
    parser.add_argument(
        "--now", type=utc_ms, metavar="TIME", help="UTC (default: now, or where a replay stopped)"
    )
    parser.add_argument("--limits", type=Path, metavar="FILE", help="limits in TOML (limits.toml)")
    parser.add_argument(
        "--gate", action="append", default=[], metavar="NAME", help="ask only this one; may be repeated"
    )
    parser.add_argument("--dry-run", action="store_true", help="store nothing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check, say, store; the exit code is the verdict on "live", or on the gates that were asked."""
    folder = args.bundle.resolve()
    limits = load_limits(args.limits)
    asking: dict[str, Any] = {
        "now_ms": now_ms(args),
        "limits": limits,
        "shadow_dir": args.shadow_dir,
        "shadow_days": args.days,
    }
    if args.gate:
        results = ask_gates(args.gate, folder, **asking)
        said = {"level": None, "results": msgspec.to_builtins(results), "stored_at": None}
        if args.json:
            print_json({**said, "changed_limits": changes(limits), "bundle": folder.name})
        else:
            show_results(Console(highlight=False), results, changes(limits))
        return _exit_code(results)
    report = run_gates(folder, **asking)
    stored_at = None
    if args.shadow_dir and not args.dry_run and folder.parent.name == "bundles":
        stored_at = Registry(folder.parent.parent).store_verdict(folder.name, report)
    if args.json:
        stored = str(stored_at) if stored_at else None
        print_json({**msgspec.to_builtins(report), "bundle": folder.name, "stored_at": stored})
    else:
        console = Console(highlight=False)
        show_report(console, report)
        if stored_at:
            console.print(f"stored at {stored_at}")
    return _exit_code(report.results)


def _exit_code(results: Sequence[GateResult]) -> int:
    verdicts = {result.verdict for result in results}
    if verdicts == {"pass"}:
        return YES
    return NO if "fail" in verdicts else NOT_ENOUGH_EVIDENCE
