"""Does every source say something, and every member something of its own?

Log odds are looked at, not probabilities: they show alike what happens near 0.5 and near 0 or 1. A
network that was exported wrongly says 0.0 of every bar, and a copy of a member only looks like another.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from gates.base import NOT_MEASURED, Candidate, answer, at_most, not_known, words
from gates.limits import Limits
from gates.measured import Measured
from gates.metrics import worst
from gates.out_of_fold import STACK
from plugin.golden import Golden
from plugin.manifest import GateResult, Manifest
from plugin.regime import QUESTIONS

_Floats = NDArray[np.float64]
_MOST_SURE = 1e-9  # beyond this, log odds go towards infinity


def collapse(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """No constant output, out of fold or on the golden bars; no two members that say the same."""
    return [_collapsed(candidate, limits), _redundant(candidate, limits)]


def _collapsed(candidate: Candidate, limits: Limits) -> GateResult:
    name, limit = "collapsed", f">= {words(limits.log_odds_spread)}"
    measured, manifest = candidate.measured, candidate.manifest
    what = "smallest standard deviation of the log odds that any source says"
    if manifest is None or isinstance(measured, str):
        return not_known(name, "shadow", limit, f"{what}: {measured}")
    try:
        golden = Golden.decode(candidate.contents[manifest.golden_file])
        said = {**dict(_golden(golden, manifest)), **dict(_out_of_fold(measured))}
    except Exception as error:  # whatever a foreign archive makes numpy raise
        why = f"{manifest.golden_file} can not be used: {error}"
        return not_known(name, "shadow", limit, why)
    spreads = {where: float(_log_odds(p).std()) for where, p in said.items()}
    smallest = worst(spreads.values())
    if smallest is None:
        return not_known(name, "shadow", limit, f"{what}: {NOT_MEASURED}")
    where = min(spreads, key=spreads.__getitem__)
    shares = {where: _largest_share(p) for where, p in said.items()}
    most = max(shares, key=shares.__getitem__)
    sound = smallest >= limits.log_odds_spread and shares[most] <= limits.identical_share
    sentence = (
        f"{what}: expected at least {limits.log_odds_spread:g}, was {words(smallest)} by {where};"
        f" the same answer at most to {limits.identical_share:.0%} of bars,"
        f" was {shares[most]:.1%} by {most}"
    )
    return answer(name, "shadow", smallest, limit, "pass" if sound else "fail", sentence)


def _out_of_fold(measured: Measured) -> Iterator[tuple[str, _Floats]]:
    """In every block on its own: what differs between blocks alone says nothing of bars."""
    for at in measured.by_horizon():
        for source in (*at.members, STACK):
            said = at.said(source)
            for block in at.blocks[1:] if source == STACK else at.blocks:
                yield f"{source} at {at.horizon} bars, block {block}", said[at.rows.fold == block]


def _golden(golden: Golden, manifest: Manifest) -> Iterator[tuple[str, _Floats]]:
    """What the models that serve say: (cases,) by source and horizon. Raises ValueError."""
    shape = (golden.open_time_ms.size, len(manifest.member_names), len(manifest.horizons))
    if golden.members.shape != shape or golden.stacked.shape != shape[::2]:
        raise ValueError(f"answers of shape {golden.members.shape} and {golden.stacked.shape}")
    for place, horizon in enumerate(manifest.horizons):
        for number, member in enumerate(manifest.member_names):
            yield f"{member} at {horizon} bars, golden", golden.members[:, number, place]
        yield f"{STACK} at {horizon} bars, golden", golden.stacked[:, place]
    if manifest.regime:
        for question, said in zip(QUESTIONS, golden.regime.T, strict=True):
            yield f"regime_{question}, golden", said


def _redundant(candidate: Candidate, limits: Limits) -> GateResult:
    measured = candidate.measured
    what = "largest correlation of what two members say"
    if isinstance(measured, str):
        return at_most("redundant", "shadow", None, limits.correlation, what, measured)
    if len(measured.members) == 1:
        limit = f"<= {words(limits.correlation)}"
        return answer("redundant", "shadow", None, limit, "pass", "there is one member only")
    found = {
        f"{first} and {second} at {at.horizon} bars": _correlation(at.said(first), at.said(second))
        for at in measured.by_horizon()
        for first, second in combinations(at.members, 2)
    }
    largest = worst(found.values(), max)
    if largest is not None:
        what += f" ({max(found, key=found.__getitem__)})"
    return at_most("redundant", "shadow", largest, limits.correlation, what)


def _correlation(first: _Floats, second: _Floats) -> float:
    one, other = _log_odds(first), _log_odds(second)
    if not np.ptp(one) or not np.ptp(other):
        return math.nan
    return float(np.corrcoef(one, other)[0, 1])


def _log_odds(p: _Floats) -> _Floats:
    inner = np.clip(p, _MOST_SURE, 1.0 - _MOST_SURE)
    odds: _Floats = np.log(inner / (1.0 - inner))
    return odds


def _largest_share(p: _Floats) -> float:
    return float(np.unique(p, return_counts=True)[1].max() / p.size)
