"""Which bundles are in service, and how does another one take their place?

The order is fixed: a child process repeats the golden answers, this process verifies and reads the same
bytes and answers them once, and only then is one reference swapped. Whatever fails before that leaves
the old bundle in service. All but the swap may run beside the event loop, while bars are answered.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import structlog

from plugin.beside import beside
from plugin.bundle import Bundle, load_bundle
from plugin.canary import check_in_child
from plugin.decision import Serving
from plugin.ensemble import Ensemble
from plugin.errors import BundleRefused, ShadowgateError
from plugin.golden import Golden, answer_golden
from plugin.manifest import GateReport
from plugin.registry import Pointer, Registry, Role
from plugin.serving_state import RoleState
from shadow.recalibration import Recalibration, RecalibrationRefused, read_recalibration

_log = structlog.get_logger()
ROLES: tuple[Role, ...] = ("champion", "challenger")


@dataclass(frozen=True)
class Champion:
    """The bundle that answers, ready to be asked."""

    bundle: Bundle
    ensemble: Ensemble
    serving: Serving
    recalibration: Recalibration | None = None


@dataclass(frozen=True)
class _Found:
    """What a look at the registry found: `bundle` belongs into service, the old one where it was not
    replaced. `serving` and `recalibration` are the champion's; `refusal` says why what `pointer` names
    is not in service."""

    pointer: Pointer | None
    bundle: Bundle | None
    serving: Serving | None
    recalibration: Recalibration | None
    refusal: str | None


class Reloader:
    """Holds the champion and the challenger. Each is read once per batch; None until one was loaded."""

    def __init__(self, registry: Registry) -> None:
        self.champion: Champion | None = None
        self.challenger: Ensemble | None = None
        self._registry = registry
        # What was looked at last, and why it was refused: not tried again until the pointer moves.
        self._tried: dict[Role, tuple[Pointer | None, str | None]] = dict.fromkeys(ROLES, (None, None))
        self._loaded: dict[Role, Pointer | None] = dict.fromkeys(ROLES)
        self._refusals: dict[Role, str | None] = dict.fromkeys(ROLES)
        self._verdict_refusal: str | None = None
        self._recalibration_refusal: str | None = None

    def refresh(self) -> None:
        """Load what the pointers name, if they moved, and read the champion's verdict.

        A refusal is logged once, never raised. The caller waits; beside bars, see `refresh_beside`.
        """
        for role in ROLES:
            self._take(role, self._look(role))

    async def refresh_beside(self) -> None:
        """As `refresh`, but the event loop waits only for the swap. One call at a time."""
        for role in ROLES:
            self._take(role, await beside(partial(self._look, role), f"reload {role}"))

    def forget_refusals(self) -> None:
        """Let the next refresh try again what was refused, though its pointer has not moved."""
        for role in ROLES:
            if self._refusals[role] is not None:
                self._tried[role], self._refusals[role] = (None, None), None

    def roles(self) -> dict[Role, RoleState]:
        """What is in service, by role, for those who ask from outside."""
        return {role: self._state_of(role) for role in ROLES}

    def _state_of(self, role: Role) -> RoleState:
        bundle, (pointer, _) = self._held(role), self._tried[role]
        return RoleState(pointer, bundle.bundle_id if bundle else None, self._refusals[role])

    def _look(self, role: Role) -> _Found:
        """Find what belongs into service. Changes nothing that a bar reads; never raises."""
        found = self._look_once(role)
        while self._has_moved(role, found.pointer):  # the newest wins
            found = self._look_once(role)
        return found

    def _look_once(self, role: Role) -> _Found:
        pointer, refusal = None, None
        try:
            pointer = self._pointer(role)
            tried, why_refused = self._tried[role]
            if pointer is not None and pointer == tried:
                bundle, refusal = self._held(role), why_refused
            else:
                bundle = self._bundle_of(role, pointer)
        except Exception as error:  # whatever it is, what serves must go on serving
            bundle = self._held(role)
            refusal = str(error) if isinstance(error, ShadowgateError) else repr(error)
        serving = recalibration = None
        if bundle is not None and role == "champion":
            serving, recalibration = self._serving(bundle), self._recalibration(bundle)
        return _Found(pointer, bundle, serving, recalibration, refusal)

    def _bundle_of(self, role: Role, pointer: Pointer | None) -> Bundle | None:
        held = self._held(role)
        if pointer is None:
            return held if role == "champion" else None
        if held is not None and _same_bundle(pointer, self._loaded[role]):
            return held
        return load_tried(self._registry, pointer)

    def _serving(self, bundle: Bundle) -> Serving:
        """With the newest verdict. One that can not be read allows nothing, whatever the last did."""
        try:
            report = self._registry.verdict(bundle.manifest)
            self._verdict_refusal = None
        except BundleRefused as error:
            report = None
            if str(error) != self._verdict_refusal:
                _log.error("verdict_refused", bundle=bundle.bundle_id, reason=str(error))
            self._verdict_refusal = str(error)
        return serving_of(bundle, report)

    def _recalibration(self, bundle: Bundle) -> Recalibration | None:
        """The newest one. What can not be read changes no probability, whatever the last did."""
        try:
            found = read_recalibration(self._registry.folder, bundle.bundle_id)
            self._recalibration_refusal = None
        except RecalibrationRefused as error:
            found = None
            if str(error) != self._recalibration_refusal:
                _log.error("recalibration_refused", bundle=bundle.bundle_id, reason=str(error))
            self._recalibration_refusal = str(error)
        return found

    def _take(self, role: Role, found: _Found) -> None:
        """Put into service what was found: the only place where a reference is swapped."""
        before = self._held(role)
        self._tell(role, found, before)
        if found.pointer is not None or found.refusal is None:
            self._tried[role] = found.pointer, found.refusal
        self._refusals[role] = found.refusal
        if found.bundle is not before:
            self._loaded[role] = found.pointer
        if role == "champion":
            self._take_champion(found)
        elif found.bundle is not before:
            self.challenger = Ensemble(found.bundle) if found.bundle else None

    def _tell(self, role: Role, found: _Found, before: Bundle | None) -> None:
        # A damaged pointer is met again at every look, and by both roles.
        if found.refusal is not None and found.refusal not in self._refusals.values():
            still = before.bundle_id if before else None
            _log.error("bundle_refused", role=role, reason=found.refusal, still_serving=still)
        if found.bundle is before:
            return
        if found.bundle is None:
            _log.info("challenger_dismissed", bundle=before.bundle_id if before else None)
        else:
            why = found.pointer.why if found.pointer else None
            _log.info("bundle_loaded", role=role, bundle=found.bundle.bundle_id, why=why)

    def _take_champion(self, found: _Found) -> None:
        bundle, serving, before = found.bundle, found.serving, self.champion
        if bundle is None or serving is None:
            return
        if before is None or before.bundle is not bundle:
            self.champion = Champion(bundle, Ensemble(bundle), serving, found.recalibration)
            if self.challenger is not None and self.challenger.bundle.bundle_id == bundle.bundle_id:
                self.challenger = None  # promoted: it is not compared with itself for a single bar
            return
        if before.serving != serving:
            was, now = before.serving.verdict, serving.verdict
            _log.info("verdict_changed", bundle=bundle.bundle_id, was=was, now=now)
        if before.recalibration != found.recalibration:
            kind = found.recalibration.kind if found.recalibration else "none"
            _log.info("recalibration_changed", bundle=bundle.bundle_id, now=kind)
        if (before.serving, before.recalibration) != (serving, found.recalibration):
            self.champion = replace(before, serving=serving, recalibration=found.recalibration)

    def _held(self, role: Role) -> Bundle | None:
        held = self.champion if role == "champion" else self.challenger
        return held.bundle if held else None

    def _pointer(self, role: Role) -> Pointer | None:
        return self._registry.champion() if role == "champion" else self._registry.challenger()

    def _has_moved(self, role: Role, pointer: Pointer | None) -> bool:
        try:
            return self._pointer(role) != pointer
        except ShadowgateError:
            return False  # the next look will say so


def load_tried(registry: Registry, pointer: Pointer) -> Bundle:
    """The bundle that `pointer` names, tried in a child first and warm.

    Raises BundleRefused or WrongUse, the former also where a later verdict can not be read.
    """
    folder = registry.bundle_folder(pointer)
    canary = check_in_child(folder)
    if canary.refusal is not None:
        raise BundleRefused(folder.name, "a bundle that repeats its golden answers", canary.refusal)
    bundle = load_bundle(folder)
    registry.verdict(bundle.manifest)
    golden = Golden.decode(bundle.golden)
    answer_golden(bundle, golden.bars, golden.open_time_ms)  # the first bar must not be the slow one
    return bundle


def _same_bundle(one: Pointer, other: Pointer | None) -> bool:
    if other is None:
        return False
    return (one.bundle_id, one.manifest_sha256) == (other.bundle_id, other.manifest_sha256)


def serving_of(bundle: Bundle, report: GateReport | None) -> Serving:
    """What a bundle is allowed by a gate report; without one, nothing."""
    return Serving(
        bundle_id=bundle.bundle_id,
        feature_hash=bundle.feature_hash,
        primary_horizon=str(bundle.manifest.primary_horizon),
        verdict=report.level if report else "none",
        missing_gates=report.missing if report else ("report",),
    )
