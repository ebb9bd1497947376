"""Do the rows of a block look like those of a reference, feature by feature?

Two distances between distributions, and limits for them that come from blocks of the reference itself:
features that change slowly lie far from their long-run distribution in every single month, and tables
for independent rows would call that drift each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_BINS = 10


@dataclass(frozen=True)
class Reference:
    """What blocks are compared with, made by `reference_of`.

    `ordered` (features, n) holds each feature's values in rising order; `edges` (features, N_BINS - 1)
    are its deciles, of which some may be equal; `shares` (features, N_BINS) is the part of the values
    in each bin: from one edge, inclusive, up to the next.
    """

    ordered: NDArray[np.float32]
    edges: NDArray[np.float32]
    shares: NDArray[np.float64]


@dataclass(frozen=True)
class DriftLimits:
    """How far blocks of the reference lie from it; made by `limits_of`.

    `psi` and `ks` (features,): what `feature_level` of the blocks do not exceed. `share`: what
    `block_level` of the blocks do not exceed with the share of features that drift.
    """

    psi: NDArray[np.float64]
    ks: NDArray[np.float64]
    share: float


def reference_of(rows: NDArray[np.float32]) -> Reference:
    """The reference of `rows` (n, features). Raises ValueError for no rows or a value not finite."""
    _require_finite(rows)
    ordered = np.sort(rows.T, axis=1)
    places = (np.arange(1, N_BINS) * ordered.shape[1]) // N_BINS
    edges = np.ascontiguousarray(ordered[:, places])
    return Reference(ordered, edges, _shares(ordered, edges))


def psi(reference: Reference, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The population stability index of each feature of `rows` (m, features), over the deciles.

    The sum over bins of (b - r) ln(b / r), b and r the shares of block and reference; an empty bin
    counts as half a row (Yurdakul and Naranjo, "Statistical properties of the population stability
    index", Journal of Risk Model Validation 14, 2020). Raises as `reference_of`.
    """
    _require_finite(rows)
    r = np.maximum(reference.shares, 0.5 / reference.ordered.shape[1])
    b = np.maximum(_shares(np.sort(rows.T, axis=1), reference.edges), 0.5 / len(rows))
    return np.asarray(((b - r) * np.log(b / r)).sum(axis=1))


def ks(reference: Reference, rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """The two-sample Kolmogorov-Smirnov distance of each feature of `rows` (m, features).

    The largest difference between the two empirical distribution functions (Hodges, "The significance
    probability of the Smirnov two-sample test", Arkiv foer Matematik 3, 1958). Raises as
    `reference_of`.
    """
    _require_finite(rows)
    n, m = reference.ordered.shape[1], len(rows)
    distances = np.empty(rows.shape[1])
    for feature, block in enumerate(np.sort(rows.T, axis=1)):
        # Between two values of the block its own function is flat, so only they need be looked at:
        # with all of the reference below each, and with all of it up to and including each.
        below = np.searchsorted(reference.ordered[feature], block, side="left") / n
        up_to = np.searchsorted(reference.ordered[feature], block, side="right") / n
        own_below = np.searchsorted(block, block, side="left") / m
        own_up_to = np.searchsorted(block, block, side="right") / m
        distances[feature] = max(np.abs(below - own_below).max(), np.abs(up_to - own_up_to).max())
    return distances


def limits_of(
    reference: Reference,
    blocks: Sequence[NDArray[np.float32]],
    feature_level: float = 0.95,
    block_level: float = 0.95,
) -> DriftLimits:
    """Limits from blocks of the reference, of the length of those that will be judged.

    Subsampling after Politis and Romano, "Large sample confidence regions based on subsamples under
    minimal assumptions", Annals of Statistics 22, 1994: what consecutive rows of the reference do is
    what consecutive rows do where nothing has changed. Blocks may overlap. Raises ValueError where
    there are fewer than two.
    """
    if len(blocks) < 2:
        raise ValueError(f"expected at least two blocks of the reference, was {len(blocks)}")
    by_psi = np.stack([psi(reference, block) for block in blocks])
    by_ks = np.stack([ks(reference, block) for block in blocks])
    psi_limit = np.quantile(by_psi, feature_level, axis=0, method="higher")
    ks_limit = np.quantile(by_ks, feature_level, axis=0, method="higher")
    shares = ((by_psi > psi_limit) & (by_ks > ks_limit)).mean(axis=1)
    return DriftLimits(psi_limit, ks_limit, float(np.quantile(shares, block_level, method="higher")))


def drifting(reference: Reference, limits: DriftLimits, rows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which features (features,) of a block lie beyond both of their limits."""
    return (psi(reference, rows) > limits.psi) & (ks(reference, rows) > limits.ks)


def _shares(ordered: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.float64]:
    """The part of each feature's rising values in each bin (features, N_BINS)."""
    n = ordered.shape[1]
    inner = [np.searchsorted(*one, side="left") for one in zip(ordered, edges, strict=True)]
    bounds = np.pad(np.array(inner), ((0, 0), (1, 1)), constant_values=((0, 0), (0, n)))
    shares: NDArray[np.float64] = np.diff(bounds, axis=1) / n
    return shares


def _require_finite(rows: NDArray[np.float32]) -> None:
    if not rows.size or not np.isfinite(rows).all():
        raise ValueError(f"expected finite rows, was {rows.shape} with a value that is not, or none")
