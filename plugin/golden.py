"""What did training say of a few real bars, and does this process say the same?

A bundle carries stretches of real bars and what features, members and meta-model said of them when it
was made.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.buffer import LONGEST_WINDOW
from plugin.bundle import Bundle
from plugin.candles import N_ROWS
from plugin.ensemble import Ensemble
from plugin.errors import BundleRefused
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import N_COMPANIONS, ROW_NAMES, lookback_of, write_joined_row
from plugin.manifest import Manifest
from plugin.regime import QUESTIONS
from plugin.windows import Stretch

_MOST_BARS = lookback_of(len(ROW_NAMES)) + LONGEST_WINDOW


@dataclass(frozen=True)
class Golden:
    """`bars` (cases, 1 + companions, 6, n), `open_time_ms` (cases,) of the newest bar, and answers:
    `rows` (cases, columns), `members` (cases, members, horizons), `stacked` (cases, horizons), `regime`
    (cases, questions), of none in a bundle without a classifier.

    n is as many bars as the bundle looks back at (`plugin.looking_back`).
    """

    bars: NDArray[np.float64]
    open_time_ms: NDArray[np.int64]
    rows: NDArray[np.float32]
    members: NDArray[np.float64]
    stacked: NDArray[np.float64]
    regime: NDArray[np.float64]

    @classmethod
    def decode(cls, content: bytes) -> Golden:
        """Raises ValueError where the bars are not such; numpy and zipfile raise what they like."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            golden = cls(**{name: archive[name] for name in cls.__dataclass_fields__})
        bars, opened = golden.bars, golden.open_time_ms
        n_cases = opened.size
        # The compiled features do not look whether a window is as long as they believe.
        *around, n_bars = bars.shape if bars.ndim == 4 else (0, 0, 0, 0)
        is_long_enough = LOOKBACK_BARS <= n_bars <= _MOST_BARS
        expected = [n_cases, 1 + N_COMPANIONS, N_ROWS]
        if around != expected or not is_long_enough or bars.dtype != np.float64 or n_cases == 0:
            raise ValueError(f"bars of shape {bars.shape} and type {bars.dtype} at {n_cases} times")
        return golden

    def encode(self) -> bytes:
        """A numpy archive, the same bytes for the same arrays."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{n: getattr(self, n) for n in self.__dataclass_fields__})
        return buffer.getvalue()


def answer_golden(bundle: Bundle, bars: NDArray[np.float64], open_time_ms: NDArray[np.int64]) -> Golden:
    """What this process says of golden bars. Raises BundleRefused where it has no answer to one."""
    timeframe = Timeframe.parse(bundle.manifest.timeframe)
    newest = bars.shape[3] - 1
    table = np.empty((len(bars), bundle.n_columns), dtype=np.float32)
    for case, opened, row in zip(bars, open_time_ms, table, strict=True):
        own, *companions = ((window, newest) for window in case)
        refusal = write_joined_row(own, companions, int(opened), timeframe.length_ms, row)
        if refusal:
            raise BundleRefused(bundle.manifest.golden_file, "bars that give features", refusal)
    earlier = earlier_rows(bars, open_time_ms, timeframe)
    predictions = Ensemble(bundle).predict([one.symbol for one in earlier], table, earlier)
    for said in predictions:
        if said.reason != "ok":
            raise BundleRefused(bundle.manifest.golden_file, "an answer of every member", said.reason)
    members = [[[*m.horizons.values()] for m in said.members.values()] for said in predictions]
    stacked = [[*said.probabilities.values()] for said in predictions]
    regime = [[*said.regime_probabilities.values()] for said in predictions]
    return Golden(bars, open_time_ms, table, np.array(members), np.array(stacked), np.array(regime))


def earlier_rows(
    bars: NDArray[np.float64], open_time_ms: NDArray[np.int64], timeframe: Timeframe
) -> list[Stretch]:
    """What lies before the newest bar of each golden case."""
    last = bars.shape[3] - 2
    return [
        Stretch(str(number), timeframe, case[0], last, int(opened) - timeframe.length_ms)
        for number, (case, opened) in enumerate(zip(bars, open_time_ms, strict=True))
    ]


def largest_difference(golden: Golden, answered: Golden) -> float:
    """Over rows, members, meta-model and regime; infinity where shapes differ or a number is not
    finite."""
    largest = 0.0
    for name in ("rows", "members", "stacked", "regime"):
        expected, was = getattr(golden, name), getattr(answered, name)
        if expected.shape != was.shape:
            return float("inf")
        difference = np.abs(expected.astype(np.float64) - was)
        if not np.isfinite(difference).all():
            return float("inf")
        largest = max(largest, float(difference.max(initial=0.0)))
    return largest


def differs_most(golden: Golden, answered: Golden, manifest: Manifest) -> tuple[str, int | None]:
    """Where the largest difference is: a member, `stack` or a question of the regime, and the horizon,
    or `features` and None."""
    found: dict[tuple[str, int | None], float] = {}
    found["features", None] = _largest(golden.rows, answered.rows)
    for place, horizon in enumerate(manifest.horizons):
        for number, member in enumerate(manifest.member_names):
            of_member = golden.members[:, number, place], answered.members[:, number, place]
            found[member, horizon] = _largest(*of_member)
        found["stack", horizon] = _largest(golden.stacked[:, place], answered.stacked[:, place])
    if manifest.regime:
        for number, question in enumerate(QUESTIONS):
            of_question = golden.regime[:, number], answered.regime[:, number]
            found[f"regime_{question}", manifest.regime.horizon] = _largest(*of_question)
    return max(found, key=found.__getitem__)


def _largest(expected: NDArray[np.floating], was: NDArray[np.floating]) -> float:
    return float(np.abs(expected.astype(np.float64) - was).max())
