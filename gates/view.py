"""What does a review of the roles look at, and what does it say?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from gates.limits import Limits
from plugin.bundle import verify_bundle
from plugin.errors import BundleRefused, ShadowgateError
from plugin.manifest import GateReport, Manifest
from plugin.registry import Pointer, Registry

Action = Literal[
    "settled", "rolled back", "watch ended", "dismissed", "promoted", "seated", "ready", "nothing"
]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What is due for one bundle, and why. `ready` waits for a person; `nothing` for more bars.

    `report` is what all gates said of a bundle that is to be `promoted`.
    """

    action: Action
    bundle_id: str | None
    why: str
    report: GateReport | None = None


@dataclass(frozen=True)
class View:
    """The registry, the records of `shadow_days` before `now_ms`, and what they are held against."""

    registry: Registry
    shadow_dir: Path
    shadow_days: int
    now_ms: int
    limits: Limits

    def manifest(self, pointer: Pointer) -> Manifest | None:
        """Of the bundle that a pointer names, every byte verified; None where it is not intact."""
        try:
            return verify_bundle(self.registry.bundle_folder(pointer))[0]
        except ShadowgateError:
            return None

    def report(self, pointer: Pointer) -> GateReport | None:
        """The newest report on that bundle; None where it is not intact or was never judged.

        Raises BundleRefused where a later report is damaged.
        """
        manifest = self.manifest(pointer)
        return self.registry.verdict(manifest) if manifest else None


def moved_ms(pointer: Pointer) -> int:
    """When a pointer was moved. Raises BundleRefused where it does not say so."""
    try:
        moment = datetime.fromisoformat(pointer.at)
        if moment.tzinfo is None:
            raise ValueError("no zone")
    except ValueError as error:
        raise BundleRefused(pointer.role, "a time with its zone", pointer.at) from error
    return round(moment.timestamp() * 1000)
