"""How far have the features moved away from what the champion learnt from, as last measured?"""

from __future__ import annotations

from pathlib import Path

import msgspec

DRIFT_FILE = "drift.json"


class OneFeature(msgspec.Struct, frozen=True):
    """One feature's distances and what blocks of the training data do not exceed."""

    name: str
    psi: float
    psi_limit: float
    ks: float
    ks_limit: float
    drifts: bool


class FeatureDrift(msgspec.Struct, frozen=True, kw_only=True):
    """The newest block against the training data of a bundle; `share` of the features drift.

    `limit` is the share that blocks of the training data themselves do not exceed. `features` has the
    farthest first.
    """

    bundle: str
    measured_at: str
    since: str
    until: str
    n_rows: int
    share: float
    limit: float
    features: list[OneFeature]


def read_drift(models: Path) -> FeatureDrift | None:
    """What was measured last; None where nobody has, or what stands there can not be understood."""
    try:
        return msgspec.json.decode((models / DRIFT_FILE).read_bytes(), type=FeatureDrift)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
