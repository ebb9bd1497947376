"""`python -m plugin health`: load what serves, let it predict once, say what is well and what not."""

from __future__ import annotations

import argparse
import os
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from plugin.bundle import load_bundle
from plugin.canary import TOLERANCE, check_in_child
from plugin.candles import SIMULATED_VENUE
from plugin.clock import SystemClock, utc_text
from plugin.command_line import NO, YES, add_command, print_json
from plugin.errors import ShadowgateError
from plugin.golden import Golden, answer_golden
from plugin.registry import Registry
from plugin.settings import Settings, load_settings
from shadow.reader import BarKey, LogReader

_DAY_MS = 86_400_000
_EPILOG = """\
example:
  python -m plugin health --skip-live

Without --skip-live the newest shadow record is looked at, too: it must not be older than two bars.
exit codes: 0 all is well, 1 something is not, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `health`."""
    parser = add_command(
        subparsers, "health", "say whether every member of the ensemble is well", _EPILOG
    )
    parser.add_argument("--skip-live", action="store_true", help="do not ask whether bars come in")
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check and say; 0 when nothing is wrong."""
    settings = load_settings(args.env, os.environ)
    report = _check_bundle(settings)
    if not args.skip_live:
        report["live"] = _check_live(settings)
        report["faults"] += report["live"]["faults"]
    report["healthy"] = not report["faults"]
    if args.json:
        print_json(report)
    else:
        _show(report)
    return YES if report["healthy"] else NO


def _check_bundle(settings: Settings) -> dict[str, Any]:
    registry = Registry(settings.models_dir)
    report: dict[str, Any] = {"bundle": None, "verdict": "none", "missing_gates": []}
    report |= {"members": {}, "regime": None}
    try:
        pointer = registry.champion()
        if pointer is None:
            fault = f"no bundle serves from {settings.models_dir}: train one, or appoint one"
            return {**report, "faults": [fault]}
        report["bundle"] = pointer.bundle_id
        folder = registry.bundle_folder(pointer)
        canary = check_in_child(folder)
        if canary.refusal is not None:
            return {**report, "faults": [canary.refusal]}
        bundle = load_bundle(folder)
        verdict = registry.verdict(bundle.manifest)
        golden = Golden.decode(bundle.golden)
        answered = answer_golden(bundle, golden.bars, golden.open_time_ms)
    except ShadowgateError as error:
        return {**report, "faults": [str(error)]}
    report["simulated"] = bundle.manifest.venue == SIMULATED_VENUE
    report["verdict"] = verdict.level if verdict else "none"
    report["missing_gates"] = list(verdict.missing) if verdict else ["report"]
    report["members"] = {
        name: _check_member(golden.members[:, number], answered.members[:, number])
        for number, name in enumerate(bundle.manifest.member_names)
    }
    if bundle.manifest.regime:
        report["regime"] = _check_member(golden.regime, answered.regime)
    asked = {**report["members"], **_of_regime(report)}
    faults = [f"{name}: {one['status']}" for name, one in asked.items() if one["status"] != "ok"]
    return {**report, "faults": faults}


def _of_regime(report: dict[str, Any]) -> dict[str, Any]:
    return {"regime": report["regime"]} if report["regime"] else {}


def _check_member(expected: np.ndarray[Any, Any], said: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Both are (cases, horizons), or (cases, questions) of the regime."""
    difference = float(np.abs(expected - said).max())
    if not np.isfinite(said).all():
        status = "nan"
    elif (np.ptp(said, axis=0) == 0.0).any():
        status = "constant"
    else:
        status = "ok" if difference <= TOLERANCE else "differs from training"
    return {
        "status": status,
        "lowest_p": float(said.min()),
        "highest_p": float(said.max()),
        "difference_from_training": difference,
    }


def _check_live(settings: Settings) -> dict[str, Any]:
    now_ms = SystemClock().now_ms()
    limit_ms = 2 * settings.timeframe.length_ms
    lookback_ms = limit_ms + _DAY_MS
    reader = LogReader(settings.shadow_dir, BarKey, since_day=utc_text(now_ms - lookback_ms)[:10])
    deque(reader, maxlen=0)
    newest, faults = {}, []
    for symbol in settings.symbols:
        opened = reader.newest_open_ms.get((symbol, settings.timeframe.name))
        newest[symbol] = utc_text(opened) if opened is not None else None
        if opened is None or now_ms - opened > limit_ms + settings.timeframe.length_ms:
            faults.append(f"{symbol}: no record of the last two bars in {settings.shadow_dir}")
    return {"newest_bar": newest, "damage": reader.damage.counts(), "faults": faults}


def _show(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if report.get("simulated"):
        console.print("SIMULATED market: it learnt on no real prices", style="bold yellow")
    if report["members"]:
        table = Table("member", "status", "lowest p", "highest p", "from training")
        for name, one in {**report["members"], **_of_regime(report)}.items():
            table.add_row(
                name,
                one["status"],
                f"{one['lowest_p']:.3f}",
                f"{one['highest_p']:.3f}",
                f"{one['difference_from_training']:.0e}",
            )
        console.print(table)
    console.print(f"bundle   {report['bundle'] or 'none'}")
    missing = ", ".join(report["missing_gates"])
    console.print(
        f"verdict  {report['verdict']}" + (f" (missing for live: {missing})" if missing else "")
    )
    for symbol, newest in report.get("live", {}).get("newest_bar", {}).items():
        console.print(f"{symbol}  newest recorded bar {newest or 'none'}")
    for fault in report["faults"]:
        console.print(fault, style="red", markup=False, soft_wrap=True)
    console.print("all is well" if report["healthy"] else "NOT well", style="bold")
