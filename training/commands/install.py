"""`python -m training install`: take a packed bundle in, tried on this host first."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from plugin.clock import SystemClock, utc_text
from plugin.command_line import NO, YES, add_command, print_json
from plugin.settings import load_settings
from training.installing import Installed, install

_EPILOG = """\
example:
  python -m training install 20260102T030405Z-0123456789ab.zip

Form, signature, hashes and golden answers are checked before the bundle gets its place; after a refusal
nothing has changed. ML_MODELS_DIR and ML_PUBLIC_KEY are read from .env, as by the live process.
exit codes: 0 installed or already there, 1 refused or fit for nothing, 2 wrong use
"""
_SIGNATURE = {
    "confirmed": "confirmed",
    "not looked at": "there is one, not looked at: ML_PUBLIC_KEY names no key",
    "none": "none, and ML_PUBLIC_KEY asks for none",
}
_NEXT = {
    "champion": "serves from now on: `python -m plugin reload` waits until it does",
    "challenger": "predicts beside the champion: `python -m gates review` tells how it does",
    "waiting": "until the challenger's place is free: `python -m gates review` tells how that one does",
    "equal": "the champion has learnt the very same; there is nothing to try",
    "unfit": "its gates did not find it fit to be recorded: `python -m gates check` tells why",
}


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `install`."""
    parser = add_command(
        subparsers, "install", "take a packed bundle in, tried on this host first", _EPILOG
    )
    parser.add_argument("file", type=Path, help="written by `python -m training pack`")
    parser.add_argument("--models-dir", type=Path, help="(default: ML_MODELS_DIR)")
    parser.add_argument(
        "--public-key", type=Path, metavar="FILE", help="Ed25519 key, PEM (default: ML_PUBLIC_KEY)"
    )
    parser.add_argument("--dry-run", action="store_true", help="try it, and change nothing")
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Install and say what became of it."""
    settings = load_settings(args.env, os.environ)
    named = Path(settings.public_key) if settings.public_key else None
    installed = install(
        args.file,
        args.models_dir if args.models_dir is not None else settings.models_dir,
        args.public_key if args.public_key is not None else named,
        at=utc_text(SystemClock().now_ms()),
        who="install",
        dry_run=args.dry_run,
    )
    if args.json:
        print_json(asdict(installed))
    else:
        _show(Console(highlight=False), installed, args.dry_run)
    return NO if installed.became == "unfit" else YES


def _show(console: Console, installed: Installed, dry_run: bool) -> None:
    tried = "it could be installed" if dry_run else "installed"
    state = "was there before, with the same bytes" if installed.was_there else tried
    console.print(f"bundle:     {installed.bundle_id}: {state}", soft_wrap=True)
    console.print(f"signature:  {_SIGNATURE[installed.signature]}", soft_wrap=True)
    if installed.became is not None:
        console.print(f"role:       {installed.became}: {_NEXT[installed.became]}", soft_wrap=True)
    elif installed.was_there:
        console.print("role:       as before: `python -m gates history` tells it", soft_wrap=True)
