"""`python -m plugin reload`: wait until the live process has what the registry names in service."""

from __future__ import annotations

import argparse
import math
import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from plugin.command_line import NO, YES, add_command, print_json
from plugin.errors import WrongUse
from plugin.registry import Registry
from plugin.reloader import ROLES
from plugin.serving_state import STATE_FILE, ServingState, read_state, wake
from plugin.settings import Settings, load_settings

_PAUSE_S = 0.05
_TIMEOUT_S = 150.0  # a bundle has 120 s to repeat its golden answers
_EPILOG = """\
example:
  python -m plugin reload

The live process notices a moved pointer by itself; this waits until it has, and says how it went. What
was refused is tried again.
exit codes: 0 the bundles serve, 1 one was refused or the time was up, 2 wrong use or no live process
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `reload`."""
    parser = add_command(subparsers, "reload", "wait until the appointed bundles serve", _EPILOG)
    parser.add_argument(
        "--timeout", type=_seconds, default=_TIMEOUT_S, help="seconds to wait (default: 150)"
    )
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, wait and say."""
    settings = load_settings(args.env, os.environ)
    state = _live(settings)
    n_before = state.n_reloads
    if not wake(state):
        raise _no_live_process(settings)
    give_up_at = time.monotonic() + args.timeout
    with Console(stderr=True).status("the live process loads ...") as status:
        if args.json:
            status.stop()
        while not (done := _is_done(settings, state, n_before)) and time.monotonic() < give_up_at:
            time.sleep(_PAUSE_S)
            state = _live(settings)
    answer = _answer(state, None if done else args.timeout)
    if args.json:
        print_json(answer)
    else:
        _show(answer)
    return YES if answer["serves"] else NO


def _live(settings: Settings) -> ServingState:
    state = read_state(settings.socket.parent)
    if state is None:
        raise _no_live_process(settings)
    return state


def _no_live_process(settings: Settings) -> WrongUse:
    was = f"none that says so in {settings.socket.parent / STATE_FILE}"
    return WrongUse("a live process", was, "start it: it loads what is appointed when it starts")


def _is_done(settings: Settings, state: ServingState, n_before: int) -> bool:
    """Whether it has looked since it was asked, and at the pointers as they are now."""
    registry = Registry(settings.models_dir)
    newest = {"champion": registry.champion(), "challenger": registry.challenger()}
    return state.n_reloads > n_before and all(
        state.role(role).pointer == newest[role] for role in ROLES
    )


def _answer(state: ServingState, waited_s: float | None) -> dict[str, Any]:
    reasons = [f"{role}: {refusal}" for role in ROLES if (refusal := state.role(role).refusal)]
    if waited_s is not None:
        reasons.append(f"it has not looked at the newest pointers within {waited_s:g} s")
    elif state.champion.bundle is None and not reasons:
        reasons.append("no bundle is appointed: train one, or appoint one")
    return {
        "serves": not reasons,
        "pid": state.pid,
        "champion": state.champion.bundle,
        "challenger": state.challenger.bundle,
        "reasons": reasons,
    }


def _show(answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    for reason in answer["reasons"]:
        console.print(reason, style="red", markup=False, soft_wrap=True)
    verb = "serves" if answer["serves"] else "still serves"
    console.print(f"{answer['champion'] or 'no bundle'} {verb}")
    if answer["challenger"]:
        console.print(f"{answer['challenger']} is tried beside it")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"expected 0 to 3600 seconds, was {text!r}")
    return seconds
