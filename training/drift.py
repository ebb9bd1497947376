"""How far has each feature moved away from what a bundle learnt from?

The report shows what was measured last: `models/drift.json`, which the schedule writes whenever it
looks, and `python -m training drift` when somebody asks.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.clock import SystemClock, utc_text
from plugin.durable import replace_file
from plugin.features.joined import ROW_NAMES
from shadow.drift import DriftLimits, Reference, ks, psi
from shadow.drift_file import DRIFT_FILE, FeatureDrift, OneFeature


def measure_drift(
    bundle: str,
    reference: Reference,
    limits: DriftLimits,
    block: NDArray[np.float32],
    since_ms: int,
    until_ms: int,
) -> FeatureDrift:
    """The distances of `block` (m, features), bars of `[since_ms, until_ms)`, the farthest first.

    A feature drifts where both of its distances lie beyond their limits, as in `shadow.drift.drifting`.
    Raises ValueError for no rows.
    """
    by_psi, by_ks = psi(reference, block), ks(reference, block)
    drifts = (by_psi > limits.psi) & (by_ks > limits.ks)
    features = [
        OneFeature(
            name=ROW_NAMES[at],
            psi=float(by_psi[at]),
            psi_limit=float(limits.psi[at]),
            ks=float(by_ks[at]),
            ks_limit=float(limits.ks[at]),
            drifts=bool(drifts[at]),
        )
        for at in np.argsort(-by_ks / np.maximum(limits.ks, 1e-12), kind="stable").tolist()
    ]
    return FeatureDrift(
        bundle=bundle,
        measured_at=utc_text(SystemClock().now_ms()),
        since=utc_text(since_ms),
        until=utc_text(until_ms),
        n_rows=len(block),
        share=float(drifts.mean()),
        limit=limits.share,
        features=sorted(features, key=lambda one: not one.drifts),
    )


def store_drift(models_dir: Path, measured: FeatureDrift) -> None:
    """Put it where the report looks."""
    replace_file(models_dir / DRIFT_FILE, msgspec.json.encode(measured) + b"\n")
