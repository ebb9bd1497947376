"""Which bundle answers now, and how does another one take its place?

The order is fixed: a child process repeats the golden answers, this process verifies and reads the same
bytes, and only then is one reference swapped. Whatever fails before that leaves the old bundle serving.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from plugin.bundle import Bundle, load_bundle
from plugin.canary import check_in_child
from plugin.decision import Serving
from plugin.ensemble import Ensemble
from plugin.errors import BundleRefused, ShadowgateError
from plugin.manifest import GateReport
from plugin.registry import Pointer, Registry

_log = structlog.get_logger()


@dataclass(frozen=True)
class Champion:
    """The bundle that answers, ready to be asked."""

    bundle: Bundle
    ensemble: Ensemble
    serving: Serving


class Reloader:
    """Holds the champion. `champion` is read once per batch; None until one was loaded."""

    def __init__(self, registry: Registry) -> None:
        self.champion: Champion | None = None
        self._registry = registry
        self._tried: Pointer | None = None
        self._refusal: str | None = None

    def refresh(self) -> None:
        """Load what the champion pointer names, if it moved; a refusal is logged once, never raised."""
        try:
            pointer = self._registry.champion()
            if pointer is None or pointer == self._tried:
                return
            self._tried = pointer
            self.champion = load_champion(self._registry, pointer)
        except ShadowgateError as error:
            serving = self.champion.bundle.bundle_id if self.champion else None
            if str(error) != self._refusal:  # a damaged pointer is met again at every bar
                _log.error("bundle_refused", reason=str(error), still_serving=serving)
            self._refusal = str(error)
        else:
            self._refusal = None
            _log.info("bundle_loaded", bundle=pointer.bundle_id, why=pointer.why)


def load_champion(registry: Registry, pointer: Pointer) -> Champion:
    """The bundle that `pointer` names, tried in a child first. Raises BundleRefused or WrongUse."""
    folder = registry.bundle_folder(pointer)
    canary = check_in_child(folder)
    if canary.refusal is not None:
        raise BundleRefused(folder.name, "a bundle that repeats its golden answers", canary.refusal)
    bundle = load_bundle(folder)
    serving = _serving(bundle, registry.verdict(bundle.manifest))
    return Champion(bundle, Ensemble(bundle), serving)


def _serving(bundle: Bundle, report: GateReport | None) -> Serving:
    return Serving(
        bundle_id=bundle.bundle_id,
        feature_hash=bundle.feature_hash,
        primary_horizon=str(bundle.manifest.primary_horizon),
        verdict=report.level if report else "none",
        missing_gates=report.missing if report else ("report",),
    )
