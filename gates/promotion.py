"""Who gets which role, and who loses it? Every move of a pointer that no person makes is made here.

    training, installation ─▶ enter ─▶ challenger ─▶ review ─▶ champion ─▶ review ─▶ kept or rolled back

A new bundle enters once. `review` is asked every few minutes and makes one move at most, so that each
rests on pointers that were read before it. docs/registry.md has its rules as a table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from gates.limits import Limits
from gates.trial import on_trial
from gates.view import Step, View
from gates.watch import is_watched, on_watch
from plugin.bundle import verify_bundle
from plugin.durable import locked
from plugin.errors import ShadowgateError, WrongUse
from plugin.manifest import GateReport
from plugin.registry import Pointer, Registry

Standing = Literal["champion", "challenger", "waiting", "equal", "unfit"]


def enter(registry: Registry, bundle_id: str, report: GateReport, *, at: str, who: str) -> Standing:
    """Give a new bundle the role that is free for it; who calls holds the lock of the models folder.

    A seat that is taken is not taken away: a challenger needs weeks of evidence, and a training every
    week would never let one have them. One that equals the champion has nothing to show. Raises
    BundleRefused where a pointer is damaged.
    """
    registry.settle(at=at, who=who)
    champion, challenger = registry.champion(), registry.challenger()
    for pointer in (champion, challenger):
        if pointer and pointer.bundle_id == bundle_id:
            return pointer.role
    if report.level == "none":
        return "unfit"
    if champion is None:
        registry.appoint(bundle_id, at=at, who=who, why="the first bundle that is fit for shadow")
        return "champion"
    if _learnt_the_same(registry, bundle_id, champion):
        return "equal"
    if challenger is not None:
        return "waiting"
    why = "fit for shadow: it predicts beside the champion"
    registry.appoint(bundle_id, at=at, who=who, why=why, role="challenger")
    return "challenger"


def _learnt_the_same(registry: Registry, bundle_id: str, champion: Pointer) -> bool:
    try:
        own = verify_bundle(registry.bundles / bundle_id)[0]
        return own.content_hash == verify_bundle(registry.bundle_folder(champion))[0].content_hash
    except ShadowgateError:  # what is damaged equals nothing
        return False


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, and whether a pointer was moved for it."""

    step: Step
    moved: bool

    @property
    def says(self) -> str:
        """One line for people and logs."""
        due = "" if self.moved or self.step.action in ("nothing", "ready") else "due: "
        return f"{due}{self.step.action}: {self.step.bundle_id or 'nobody'}: {self.step.why}"


def review(
    registry: Registry,
    *,
    shadow_dir: Path,
    now_ms: int,
    limits: Limits,
    auto_promote: bool,
    at: str,
    who: str,
    shadow_days: int = 14,
    dry_run: bool = False,
) -> Review:
    """Look at the roles once and make the move that is due, if one is; a `dry_run` only says which.

    The `shadow_days` before `now_ms` must show that a challenger is well; it is compared with the
    champion on all bars that both were asked about. Holds the lock of the models folder meanwhile, so
    who calls must not.

    Raises BundleRefused where a pointer, the history or the bundle to go back to is damaged; WrongUse
    where there is no models folder; OSError and LogUnusable where the records can not be read.
    """
    if not registry.folder.is_dir():
        raise WrongUse(
            "a folder of models", str(registry.folder), "train first, or name another folder"
        )
    view = View(registry, shadow_dir, shadow_days, now_ms, limits)
    with locked(registry.folder):
        step = _due(view, auto_promote)
        moved = not dry_run and _carry_out(registry, step, at, who)
    return Review(step=step, moved=moved)


def promote(
    registry: Registry, bundle_id: str, report: GateReport, *, at: str, who: str, why: str
) -> Pointer:
    """Keep the report on the challenger and make it champion; who calls holds the lock.

    Raises as `Registry.promote`.
    """
    registry.store_verdict(bundle_id, report)
    return registry.promote(at=at, who=who, why=why)


def _due(view: View, auto_promote: bool) -> Step:
    registry = view.registry
    champion, challenger = registry.champion(), registry.challenger()
    if champion is None:
        why = "nobody serves: the first bundle that is fit for shadow will"
        return Step(action="nothing", bundle_id=None, why=why)
    if not registry.is_settled():
        why = "the move that made it champion was cut off between the two pointers"
        return Step(action="settled", bundle_id=champion.bundle_id, why=why)
    if challenger is None:
        return _next_in_line(registry, champion)
    if is_watched(champion, challenger):
        return on_watch(view, champion, challenger)
    return on_trial(view, champion, challenger, auto_promote)


def _next_in_line(registry: Registry, champion: Pointer) -> Step:
    """The newest bundle that is fit for shadow, younger than the champion, and never had a role."""
    had_a_role = {move.bundle_id for move in registry.history()}
    younger = {
        folder.name for folder in registry.bundles.iterdir() if folder.name > str(champion.bundle_id)
    }
    for name in sorted(younger - had_a_role, reverse=True):
        try:
            report = registry.verdict(verify_bundle(registry.bundles / name)[0])
        except ShadowgateError:  # it is damaged; an older one may be whole
            continue
        if _learnt_the_same(registry, name, champion):
            continue
        if report is not None and report.level != "none":
            why = "the newest that waited: it predicts beside the champion"
            return Step(action="seated", bundle_id=name, why=why)
    return Step(action="nothing", bundle_id=champion.bundle_id, why="serves; nobody waits to be tried")


def _carry_out(registry: Registry, step: Step, at: str, who: str) -> bool:
    """Whether a pointer was moved."""
    match step:
        case Step(action="settled"):
            registry.settle(at=at, who=who)
        case Step(action="rolled back"):
            registry.roll_back(at=at, who=who, why=step.why)
        case Step(action="dismissed" | "watch ended"):
            registry.dismiss(at=at, who=who, why=step.why)
        case Step(action="seated", bundle_id=str(bundle_id)):
            registry.appoint(bundle_id, at=at, who=who, why=step.why, role="challenger")
        case Step(action="promoted", bundle_id=str(bundle_id), report=GateReport() as report):
            promote(registry, bundle_id, report, at=at, who=who, why=step.why)
        case _:
            return False
    return True
