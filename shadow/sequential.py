"""Does one bundle predict as well as another, and may one look at the answer after every bar?

Bundles are compared by the Brier score. A label over h bars overlaps with its neighbours, so the bars
are dealt out to interleaved sequences whose labels do not. Each sequence bets a capital of 1 against
the claim that it is to refute. If the claim holds, the capital ever reaches x with a chance of at most
1/x, however often one looks (Ville 1939).

- *Constant bets.* With bets of constant size this holds where the claim is true on average: in
  expectation the product of 1 + bet * gain is at most exp(bet * sum of the expected gains). Bets that
  follow what was seen need a claim that is true at every single bar. (On claims about averages: Choe
  and Ramdas, "Comparing sequential forecasters", Operations Research 2024.)
- *The share, not the mean.* A sequence learns its labels h bars late, and labels of the others overlap
  with them; for somebody who looks at every bar the mean of the capitals promises nothing (Choe and
  Ramdas, "Combining evidence across filtrations", 2024; on forecasts h steps ahead: Henzi and Ziegel,
  Biometrika 2022). Here the evidence is x when a share q of the sequences has ever reached x / q. In
  expectation that share is at most q / x by Ville, so the chance is at most 1/x by Markov, however the
  sequences depend on each other. q is half of the sequences, rounded up.
- *Against the clock.* In every 24th hourly bar a sequence would see one hour of the day only, and half
  of the hours would decide. So the stride is the first number from h on that has no factor 2 or 3.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

_Floats = NDArray[np.float64]
_Integers = NDArray[np.int64]

BAND = 0.3, 0.7
"""Where probabilities of the next bars are plausible."""
CLIPPED, UNCLIPPED = 0.4, 1.0
"""How far Brier scores of one bar can lie apart, with probabilities clipped to BAND and without."""
MIN_BARS_PER_SEQUENCE = 30
"""Below, the growth so far says too little about the bars still needed."""
_BET_SIZES = np.array([1.0, 0.5, 0.25])
_BET_SHARES = np.array([0.5, 0.25, 0.25])
"""How the capital is split. The largest bet is the best where bundles differ little: it has most."""
_SHY_OF_RUIN = 0.999
_LARGEST_LOG = 700.0
_ROUNDING = 1e-9


class PairEvidence(msgspec.Struct, frozen=True, kw_only=True):
    """E-values against four claims on d, the mean of one bundle's loss less that of the other.

    `not_inferior` refutes d >= margin, `better` d >= 0, `worse` d <= 0, `worse_by_margin` d <= margin.
    Each never falls from bar to bar, and is ever at least x with a chance of at most 1/x if its claim
    holds. `bars_needed`: bars until `not_inferior` is at the level if it goes on as on average so far;
    0 where it is there, None where it would never be, or where `MIN_BARS_PER_SEQUENCE` are not there.
    Where `reason` is not None nothing can be told, and every figure is NaN: it passes no limit.
    """

    n_bars: int
    mean_difference: float
    not_inferior: float
    better: float
    worse: float
    worse_by_margin: float
    bars_needed: int | None
    reason: str | None = None


def clipped(p: ArrayLike) -> _Floats:
    """Probabilities brought into BAND."""
    return np.clip(np.asarray(p, dtype=np.float64), *BAND)


def pair_evidence(
    difference: ArrayLike,
    bar_number: ArrayLike,
    overlap_bars: int,
    margin: float,
    level: float,
    largest: float = CLIPPED,
) -> PairEvidence:
    """The evidence after all of n bars, from what could be seen bar by bar.

    `difference` (n,) the loss of the bundle in question less that of the other, one item per bar: the
    mean where several symbols share it. `bar_number` (n,) in any order, none twice. `overlap_bars` the
    horizon of the labels in bars. `level` the e-value that decides. `largest` bounds |difference|.
    Raises ValueError for a call that makes no sense.
    """
    difference, bars = _in_time_order(difference, bar_number)
    _check_call(bars, overlap_bars, margin, level, largest)
    if not difference.size:
        return _nothing(0, "no bars to compare")
    n_broken = int(np.count_nonzero(~np.isfinite(difference)))
    if n_broken:
        return _nothing(difference.size, f"{n_broken} of {difference.size} differences are not finite")
    widest = float(np.abs(difference).max())
    if widest > largest + _ROUNDING:
        raise ValueError(f"expected differences of at most {largest}, was {widest}")

    def evidence(gain: _Floats, worst: float) -> float:
        return float(evidence_path(gain, bars, overlap_bars, worst)[-1])

    gain, worst = margin - difference, margin - largest
    not_inferior = evidence(gain, worst)
    is_there = not_inferior >= level
    return PairEvidence(
        n_bars=difference.size,
        mean_difference=float(difference.mean()),
        not_inferior=not_inferior,
        better=evidence(-difference, -largest),
        worse=evidence(difference, -largest),
        worse_by_margin=evidence(difference - margin, -largest - margin),
        bars_needed=0 if is_there else _bars_needed(gain, bars, overlap_bars, level, worst),
    )


def evidence_path(
    gain: _Floats, bar_number: _Integers, overlap_bars: int, worst: float
) -> NDArray[np.float64]:
    """After each of n bars, the evidence against "the mean of `gain` is at most 0"; it never falls.

    `gain` (n,) finite and at least `worst`, which is negative; `bar_number` (n,) strictly rising.
    """
    n_sequences = stride(overlap_bars)
    sequence = bar_number % n_sequences
    best = np.zeros((gain.size, n_sequences))  # logarithms
    for number in range(n_sequences):
        own = sequence == number
        capital = np.logaddexp.reduce(_log_capital(gain[own], worst), axis=1)
        best[own, number] = np.maximum(capital, 0.0)  # it begins with 1
    np.maximum.accumulate(best, axis=0, out=best)
    n_half = _n_half(n_sequences)
    reached_by_half = np.partition(best, n_sequences - n_half, axis=1)[:, n_sequences - n_half]
    path: _Floats = np.exp(np.minimum(reached_by_half, _LARGEST_LOG)) * (n_half / n_sequences)
    return path


def stride(overlap_bars: int) -> int:
    """How many sequences there are, and how many bars apart those of one sequence are."""
    bars = overlap_bars
    while math.gcd(bars, 6) > 1:
        bars += 1
    return bars


def _n_half(n_sequences: int) -> int:
    return (n_sequences + 1) // 2


def _bets(worst: float) -> _Floats:
    """No bet may lose more than it has, not even at the worst gain."""
    return _BET_SIZES * (_SHY_OF_RUIN / -worst)


def _log_capital(gain: _Floats, worst: float) -> _Floats:
    """(n, bets): the logarithm of what stands on each size of bet after each bar of one sequence."""
    growth: _Floats = np.log1p(np.outer(gain, _bets(worst)))
    return np.asarray(np.cumsum(growth, axis=0) + np.log(_BET_SHARES))


def _bars_needed(
    gain: _Floats, bars: _Integers, overlap_bars: int, level: float, worst: float
) -> int | None:
    """When half of the sequences will have reached their limit, at the mean growth of the best bet."""
    n_sequences = stride(overlap_bars)
    growth = np.log1p(np.outer(gain, _bets(worst))).mean(axis=0)
    grows = growth > 0.0
    if gain.size < MIN_BARS_PER_SEQUENCE * n_sequences or not grows.any():
        return None
    n_half = _n_half(n_sequences)
    target = math.log(level * n_sequences / n_half)
    missing = np.zeros(n_sequences)
    for number in range(n_sequences):
        capital = _log_capital(gain[bars % n_sequences == number], worst)
        if np.logaddexp.reduce(capital, axis=1).max(initial=0.0) < target:
            now = capital[-1] if capital.size else np.log(_BET_SHARES)
            missing[number] = ((target - now)[grows] / growth[grows]).min()
    return max(1, math.ceil(float(np.sort(missing)[n_half - 1]) * n_sequences))


def _nothing(n_bars: int, reason: str) -> PairEvidence:
    nan = math.nan
    return PairEvidence(
        n_bars=n_bars,
        mean_difference=nan,
        not_inferior=nan,
        better=nan,
        worse=nan,
        worse_by_margin=nan,
        bars_needed=None,
        reason=reason,
    )


def _in_time_order(difference: ArrayLike, bar_number: ArrayLike) -> tuple[_Floats, _Integers]:
    difference = np.asarray(difference, dtype=np.float64)
    bars = np.asarray(bar_number, dtype=np.int64)
    if difference.ndim != 1 or difference.shape != bars.shape:
        raise ValueError(f"expected columns of one length, was {difference.shape} and {bars.shape}")
    order = np.argsort(bars, kind="stable")
    return difference[order], bars[order]


def _check_call(
    bars: _Integers, overlap_bars: int, margin: float, level: float, largest: float
) -> None:
    if (np.diff(bars) == 0).any():
        raise ValueError("expected one difference per bar, was a bar number that repeats")
    if overlap_bars < 1:
        raise ValueError(f"expected a horizon of at least 1 bar, was {overlap_bars}")
    if not 0.0 <= margin < largest:
        raise ValueError(f"expected a margin from 0 to below {largest}, was {margin}")
    if not level > 1.0:
        raise ValueError(f"expected a level above 1, was {level}")
