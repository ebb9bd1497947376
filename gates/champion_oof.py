"""Is it worse than the champion on the bars that both were judged on?

Both have said of these bars what they thought before they had seen them. The pairs of one bar are
compared, so that what makes a bar hard for both cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gates.base import Candidate, answer, not_known, words
from gates.limits import Limits
from gates.measured import Measured
from gates.out_of_fold import STACK
from plugin.manifest import GateResult, Verdict
from shadow.statistics import LAGS_PER_OVERLAP, MIN_BARS_PER_LAG, mean_interval

_NAME = "not_worse"
_WHAT = "Brier score of the stack less the champion's on the bars that both were judged on"


def not_worse(candidate: Candidate, limits: Limits) -> Sequence[GateResult]:
    """The whole 95 % interval within the margin passes, all of it beyond fails: non-inferiority."""
    margin, limit = limits.oof_brier_margin, f"<= {words(limits.oof_brier_margin)}"
    own, champion = candidate.measured, candidate.champion
    if isinstance(own, str):
        return [not_known(_NAME, "live", limit, f"{_WHAT}: {own}")]
    if champion is None:
        return [answer(_NAME, "live", None, limit, "pass", "there is no champion to be worse than")]
    theirs = champion.measured
    if isinstance(theirs, str):
        why = f"of the champion: {champion.refusal or theirs}"
        return [not_known(_NAME, "live", limit, f"{_WHAT}: {why}")]
    found = _compare(own, theirs)
    if isinstance(found, str):
        return [not_known(_NAME, "live", limit, f"{_WHAT}: {found}")]
    verdict: Verdict = "not enough evidence"
    if found.high <= margin:
        verdict = "pass"
    elif found.low > margin:
        verdict = "fail"
    sentence = (
        f"{_WHAT}: expected an upper end of the 95 % interval {limit}, was {words(found.high)}"
        f" ({words(found.low)} to {words(found.high)} on {found.n:,} rows)"
    )
    return [answer(_NAME, "live", found.high, limit, verdict, sentence)]


class _Interval(NamedTuple):
    """Both ends of a 95 % interval over n rows."""

    low: float
    high: float
    n: int


def _compare(own: Measured, theirs: Measured) -> _Interval | str:
    """Candidate less champion, squared errors row by row; or why there is nothing to compare."""
    if own.length_ms != theirs.length_ms:
        return "the champion's bars are of another length"
    if own.horizon not in theirs.rows.horizons:
        return f"the champion does not look {own.horizon} bars ahead"
    theirs = theirs.at(own.horizon)
    first, second = _common_rows(own, theirs)
    # Labels can differ where an exchange has mended its bars between the two trainings.
    same = own.up[first] == theirs.up[second]
    first, second = first[same], second[same]
    if not first.size:
        return "there is no row that both were judged on"
    up, bars = own.up[first], own.bar_number[first]
    difference = (own.said(STACK)[first] - up) ** 2 - (theirs.said(STACK)[second] - up) ** 2
    found = mean_interval(difference, own.horizon, bars)
    enough = MIN_BARS_PER_LAG * LAGS_PER_OVERLAP * own.horizon
    if not difference.any() and np.unique(bars).size >= enough:
        # The same training again: there is no spread to make an interval of, and no need of one.
        return _Interval(0.0, 0.0, first.size)
    if not math.isfinite(found.high):
        return found.reason or "no error can be estimated"
    return _Interval(found.low, found.high, found.n)


def _common_rows(own: Measured, theirs: Measured) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers of the same symbols and bars in both, of those on which both stacks answer."""
    first, second = np.flatnonzero(own.common), np.flatnonzero(theirs.common)
    n_symbols, names = len(own.symbols), {name: number for number, name in enumerate(own.symbols)}
    renamed = np.array([names.get(name, -1) for name in theirs.symbols])[theirs.rows.symbol[second]]
    second, renamed = second[renamed >= 0], renamed[renamed >= 0]
    key_of_own = own.rows.known_from_ms[first] * n_symbols + own.rows.symbol[first]
    key_of_theirs = theirs.rows.known_from_ms[second] * n_symbols + renamed
    _, places, their_places = np.intersect1d(
        key_of_own, key_of_theirs, assume_unique=True, return_indices=True
    )
    return first[places], second[their_places]
