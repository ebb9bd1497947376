"""`python -m plugin status`: is the live process well, and what does it do?"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from plugin.command_line import NO, YES, add_command, print_json
from plugin.serving.live_status import TIMEOUT_S, NoLiveProcess, ask_status
from plugin.settings import load_settings

_EPILOG = """\
example:
  python -m plugin status

Asks the process that listens at ML_SOCKET.
exit codes: 0 alive and well, 1 not well or no process, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `status`."""
    parser = add_command(subparsers, "status", "ask the live process how it is", _EPILOG)
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask and show."""
    address = load_settings(args.env, os.environ).socket
    try:
        status = {"alive": True, **ask_status(address, TIMEOUT_S)}
    except NoLiveProcess as error:
        status = {"alive": False, "healthy": False, "faults": [str(error)]}
    if args.json:
        print_json(status)
    else:
        _show(status)
    return YES if status["healthy"] else NO


def _show(status: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for fault in status["faults"]:
        console.print(fault, style="red", markup=False)
    if not status["alive"]:
        return
    _show_process(console, status)
    _show_symbols(console, status)
    _show_flags(console, status)


def _show_process(console: Console, status: dict[str, Any]) -> None:
    records, socket = status["records"], status["socket"]
    hours, minutes = divmod(int(status["uptime_s"]) // 60, 60)
    memory = f"{status['memory_bytes'] / 1024**2:.0f} MiB"
    lines = {
        "mode": f"{status['mode']} ({status['reason']})",
        "champion": _role(status["champion"]),
        "missing gates": ", ".join(status["missing_gates"]) or "none",
        "challenger": _role(status["challenger"]),
        "source": f"{status['source']}, {status['timeframe']}{_state(status['source_state'])}",
        "socket": f"{socket['address']}, {socket['connections']} connections",
        "records": f"{records['written']} written, {records['waiting']} waiting, "
        f"{records['lost']} lost" + (f": {records['last_error']}" if records["lost"] else ""),
        "audit": _audit(status["audit"]),
        "process": f"{status['pid']}, up {hours} h {minutes:02d} min, {memory}, "
        f"version {status['version']}",
    }
    grid = Table.grid(padding=(0, 2))
    for name, text in lines.items():
        grid.add_row(name, text)
    console.print(grid)


def _audit(audit: dict[str, Any]) -> str:
    if not audit["every"]:
        return "off"
    counts = f"{audit['equal']} equal, {audit['different']} different"
    return f"one bar in {audit['every']}: {counts}, {audit['not_possible']} not possible"


def _role(role: dict[str, Any]) -> str:
    verdict = f", verdict {role['verdict']}" if role.get("verdict") else ""
    return f"{role['bundle'] or 'none'}{verdict}"


def _state(state: dict[str, Any]) -> str:
    plain = (bool, int, float, str)
    return "".join(f", {name} {value}" for name, value in state.items() if isinstance(value, plain))


def _show_symbols(console: Console, status: dict[str, Any]) -> None:
    table = Table("symbol", "newest bar", "age", "window", "absent", "last answer", "lag")
    for symbol, one in status["symbols"].items():
        answer = one.get("last_answer")
        said = f"{answer['action']} ({answer['reason']})" if answer else "-"
        table.add_row(
            symbol if one["served"] else f"{symbol} (beside)",
            (one["newest_bar"] or "-")[:16].replace("T", " "),
            "-" if one["age_s"] is None else f"{one['age_s'] / 60:.0f} min",
            str(one["n_bars"]) if one["window_full"] else f"{one['n_bars']}, filling",
            str(one["n_absent"]),
            said,
            f"{answer['lag_s']:.2f} s" if answer else "-",
        )
    console.print(table)


def _show_flags(console: Console, status: dict[str, Any]) -> None:
    table = Table("flag", "in force", "")
    for key, flag in status["flags"].items():
        if flag["held_by_environment"]:
            note = "held by the environment"
        elif flag["after_restart"] is not None:
            note = f"{flag['after_restart']} after a restart"
        else:
            note = "" if flag["live"] else "at a start"
        table.add_row(key, flag["value"], note)
    console.print(table)
