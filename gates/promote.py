"""`python -m gates promote`: make the challenger champion, if it has earned it."""

from __future__ import annotations

import argparse
from typing import Any

from rich.console import Console

from gates.may_promote import Judged, judge
from gates.promotion import promote
from gates.rendering import show_results
from gates.roles import add_evidence, add_models_dir, by_command, view_of
from gates.view import View
from plugin.clock import utc_text
from plugin.command_line import NO, NOT_ENOUGH_EVIDENCE, YES, add_command, print_json
from plugin.durable import locked
from plugin.errors import WrongUse

_EPILOG = """\
example:
  python -m gates promote --dry-run

All gates are asked again. The champion before goes on predicting for a while, to be gone back to.
--override waives evidence that is missing; neither fitness for shadow, nor being shown to be worse.
The live process sees the pointer move and loads the bundle by itself.
exit codes: 0 promoted, or would be; 1 a gate failed; 2 wrong use; 3 nothing failed, evidence is missing
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `promote`."""
    parser = add_command(subparsers, "promote", "make the challenger champion", _EPILOG)
    add_models_dir(parser)
    add_evidence(parser)
    parser.add_argument("--override", metavar="REASON", help="promote although evidence is missing")
    parser.add_argument("--dry-run", action="store_true", help="only say whether it would be")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Judge, say, promote; the exit code is whether it may be."""
    if args.override is not None and not args.override.strip():
        raise WrongUse("a reason after --override", repr(args.override), "it is kept in the history")
    view = view_of(args)
    with locked(view.registry.folder):
        judged = judge(view)
        allowed = judged.may_promote or (args.override is not None and judged.may_be_overridden)
        if allowed and not args.dry_run:
            _promote(view, judged, args.override)
    answer: dict[str, Any] = {
        "bundle": judged.bundle_id,
        "allowed": allowed,
        "promoted": allowed and not args.dry_run,
        "missing": [one.name for one in judged.missing],
    }
    if args.json:
        print_json({**answer, "reasons": [one.sentence for one in judged.missing]})
    else:
        _show(judged, answer)
    if allowed:
        return YES
    return NO if any(one.verdict == "fail" for one in judged.missing) else NOT_ENOUGH_EVIDENCE


def _promote(view: View, judged: Judged, override: str | None) -> None:
    missing = ", ".join(one.name for one in judged.missing)
    why = f"{override.strip()} (without {missing})" if override and missing else "its gates pass"
    at = utc_text(view.now_ms)
    promote(view.registry, judged.bundle_id, judged.report, at=at, who=by_command(), why=why)


def _show(judged: Judged, answer: dict[str, Any]) -> None:
    console = Console(highlight=False)
    if judged.missing:
        show_results(console, judged.missing, judged.report.changed_limits)
    if answer["promoted"]:
        said = "is champion now; `python -m gates rollback` goes back"
    elif answer["allowed"]:
        said = "would be promoted"
    else:
        said = f"stays challenger; missing: {', '.join(answer['missing'])}"
    console.print(f"{judged.bundle_id} {said}", soft_wrap=True)
