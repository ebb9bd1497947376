"""`python -m plugin set`: show or change one flag, and say what comes of it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from plugin.bundle import load_bundle
from plugin.command_line import YES, add_command, print_json
from plugin.decision import Serving, permission
from plugin.env_edit import set_flag
from plugin.errors import ShadowgateError
from plugin.registry import Pointer, Registry
from plugin.reloader import serving_of
from plugin.serving.live_status import NoLiveProcess, ask_status
from plugin.settings import LIVE_KEYS, Settings, check_flag, load_settings, without_password

_ASK_S = 2.0
_EPILOG = """\
example:
  python -m plugin set ML_ENABLE_STACKING 1

Changes one line of .env, whole or not at all, and says when it takes effect and what still keeps
decisions from steering. Without a value it shows the flag.
exit codes: 0 shown or written, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `set`."""
    parser = add_command(subparsers, "set", "show or change one flag in .env", _EPILOG)
    parser.add_argument("flag", metavar="FLAG", help="such as ML_ENABLE_STACKING")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="(default: show it)")
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write if there is something to write, and say."""
    check_flag(args.flag, args.value, "the command line")
    answer: dict[str, Any] = {"flag": args.flag, "written": False}
    if args.value is not None:
        was, answer["written"] = set_flag(args.env, args.flag, args.value)
        answer["was"] = was if was is None else without_password(was)
    held = _held(load_settings(args.env, os.environ))
    settings = load_settings(args.env, held.flags)
    answer["value"] = settings.as_text()[args.flag]
    answer |= _effect(args.flag, held) | _steering(settings)
    if args.json:
        print_json(answer)
    else:
        _show(answer, args.env)
    return YES


class _Held(NamedTuple):
    """The flags that an environment holds: that of the live process, where there is one."""

    flags: Mapping[str, str]
    by_live_process: bool


def _held(settings: Settings) -> _Held:
    try:
        status = ask_status(settings.socket, _ASK_S)
    except NoLiveProcess:
        return _Held(os.environ, by_live_process=False)
    flags = status["flags"].items()
    held = {key: flag["value"] for key, flag in flags if flag["held_by_environment"]}
    return _Held(held, by_live_process=True)


def _effect(flag: str, held: _Held) -> dict[str, Any]:
    if flag in held.flags:
        effect = "never"
    elif not held.by_live_process:
        effect = "at the next start"
    else:
        effect = "at the next bar" if flag in LIVE_KEYS else "after a restart"
    return {
        "takes_effect": effect,
        "held_by_environment": flag in held.flags,
        "process_runs": held.by_live_process,
    }


def _steering(settings: Settings) -> dict[str, Any]:
    """The mode that these settings lead to with the bundle that is appointed, and why."""
    registry = Registry(settings.models_dir)
    try:
        pointer = registry.champion()
        serving = _serving(registry, pointer) if pointer else None
        refusal = None
    except ShadowgateError as error:
        serving, refusal = None, str(error)
    mode, reason = permission(settings, serving)
    return {
        "mode": mode,
        "reason": reason,
        "bundle": serving.bundle_id if serving else None,
        "verdict": serving.verdict if serving else "none",
        "missing_gates": list(serving.missing_gates) if serving else [],
        "bundle_refused": refusal,
    }


def _serving(registry: Registry, pointer: Pointer) -> Serving:
    bundle = load_bundle(registry.bundle_folder(pointer))
    return serving_of(bundle, registry.verdict(bundle.manifest))


def _show(answer: dict[str, Any], env: Path) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{answer['flag']} is {answer['value'] or 'empty'}", markup=False)
    if answer["written"]:
        was = "not set" if answer["was"] is None else answer["was"] or "empty"
        console.print(f"written to {env}, where it was {was}", markup=False)
    if answer["held_by_environment"]:
        held = "the environment holds this flag: what stands in the file has no effect"
        console.print(held, style="yellow")
    elif answer["written"]:
        console.print(_WHEN[answer["takes_effect"]])
    why = f" ({answer['reason']})" if answer["reason"] != "ok" else ""
    console.print(f"mode {answer['mode']}{why}", style="green" if answer["mode"] == "live" else "")
    if answer["bundle_refused"]:
        console.print(answer["bundle_refused"], style="red", markup=False)
    if answer["missing_gates"]:
        console.print(f"missing gates: {', '.join(answer['missing_gates'])}")
        console.print("`python -m gates check` says what each of them needs")


_WHEN = {
    "at the next bar": "in force within about two seconds, from the next bar on",
    "after a restart": "the running process keeps the old value until it is restarted",
    "at the next start": "no process runs: in force when one starts",
}
