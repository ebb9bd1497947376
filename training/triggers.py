"""Is there a reason to train before the calendar says so: drift, another regime, or a champion's age?

Every trigger says what it measured, what it held that against, and whether it fires. What can not be
measured never fires: there is nothing to learn from bars that are not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.bundle import verify_bundle
from plugin.candle_store import CandleStore
from plugin.errors import ShadowgateError
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import ROW_NAMES
from plugin.manifest import Manifest
from plugin.regime import regime_of
from plugin.registry import Registry
from shadow.drift import DriftLimits, Reference, limits_of, reference_of
from shadow.drift_file import FeatureDrift
from training.dataset import Dataset, build_dataset
from training.drift import measure_drift

DAY_MS = 86_400_000
BLOCK_DAYS = 30
STRIDE_DAYS = 10
"""Blocks of the reference begin this many days apart."""
LEAST_BLOCKS = 20
"""One in twenty of them may lie beyond the limits; with fewer there is no such one."""
WATCHED_SYMBOLS = 4
"""The first of those served: more would cost minutes and gigabytes, and tell little more."""
REGIME_DAYS = 7
REGIME_MARGIN = 0.05
_NEWEST_DAYS = 60
_VOL_RANK = ROW_NAMES.index("vol_rank_24")


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """One reason to train: `value` was measured (None: could not be), `limit` is where it fires."""

    name: str
    value: float | None
    limit: float | None
    fires: bool
    sentence: str


def drift_trigger(measured: FeatureDrift | None, n_expected: int) -> Trigger:
    """Fires where more features of a block drift than in the blocks of the reference.

    A block with less than half of the `n_expected` rows is not judged; None is one without a row.
    """
    n_rows = 0 if measured is None else measured.n_rows
    if measured is None or 2 * n_rows < n_expected:
        return _unknown("drift", f"{n_rows:,} of {n_expected:,} rows of the newest days are there")
    names = [one.name for one in measured.features if one.drifts]
    farthest = ", ".join(names[:3])
    return Trigger(
        name="drift",
        value=measured.share,
        limit=measured.limit,
        fires=measured.share > measured.limit,
        sentence=f"{len(names)} of {len(measured.features)} features drift"
        + (f": {farthest}" if names else ""),
    )


def regime_trigger(
    trained: NDArray[np.float32],
    newest: NDArray[np.float32],
    age_days: NDArray[np.int64],
    bars_a_day: int,
    days_since_training: float,
) -> Trigger:
    """Fires where each of the newest days lies in another third of volatility than the end of training.

    `trained` are the ranks (in [0, 1]) of the last week that was learnt from, `newest` those after it,
    `age_days` for each of `newest` how many whole days ago it was. A day counts by its median, which
    must lie REGIME_MARGIN beyond the border of the trained third. It does not fire where a training has
    begun since the change was complete, `days_since_training` ago (infinity: none).
    """
    if not 2 * len(trained) > REGIME_DAYS * bars_a_day:
        return _unknown("regime", f"{len(trained)} bars of the last week of training are there")
    regime = regime_of(float(np.median(trained)))
    low, high = {"low": (-np.inf, 1 / 3), "mid": (1 / 3, 2 / 3), "high": (2 / 3, np.inf)}.get(
        regime, (-np.inf, np.inf)
    )
    away = 0
    while (day := newest[age_days == away]).size > bars_a_day / 2:
        rank = float(np.median(day))
        if not (rank < low - REGIME_MARGIN or rank > high + REGIME_MARGIN):
            break
        away += 1
    return Trigger(
        name="regime",
        value=float(away),
        limit=float(REGIME_DAYS),
        fires=away >= REGIME_DAYS and days_since_training > away - REGIME_DAYS,
        sentence=f"for {away} days volatility has not been {regime}, as at the end of training",
    )


def age_trigger(trained_until_ms: int, now_ms: int, max_age_days: float) -> Trigger:
    """Fires where the last bar that the champion learnt from is older than `max_age_days`."""
    age = (now_ms - trained_until_ms) / DAY_MS
    return Trigger(
        name="age",
        value=age,
        limit=max_age_days,
        fires=age > max_age_days,
        sentence=f"the champion has learnt from nothing of the last {age:.1f} days",
    )


@dataclass(frozen=True)
class _Learnt:
    """What the champion has learnt from, as the triggers need it; None where there is too little."""

    bundle_id: str
    drift: tuple[Reference, DriftLimits] | None
    last_week: NDArray[np.float32]


class Watch:
    """Looks at the triggers. What the champion learnt from is read once for each champion.

    `drift` is what the last look has measured, None where it could not be.
    """

    def __init__(self, store: CandleStore, registry: Registry, max_age_days: float) -> None:
        self._store = store
        self._registry = registry
        self._max_age_days = max_age_days
        self._learnt: _Learnt | None = None
        self.drift: FeatureDrift | None = None

    def look(self, now_ms: int, days_since_training: float) -> tuple[Trigger, ...]:
        """All triggers; never raises for bars or a bundle that can not be read."""
        self.drift = None
        try:
            pointer = self._registry.champion()
            if pointer is None:
                return (_nobody(self._max_age_days),)
            manifest, _ = verify_bundle(self._registry.bundle_folder(pointer))
        except ShadowgateError as error:
            return tuple(_unknown(name, str(error)) for name in ("age", "drift", "regime"))
        until_ms = _trained_until_ms(manifest)
        age = age_trigger(until_ms, now_ms, self._max_age_days)
        try:
            return (age, *self._look_at_bars(manifest, until_ms, now_ms, days_since_training))
        except ShadowgateError as error:
            return (age, *(_unknown(name, str(error)) for name in ("drift", "regime")))

    def _look_at_bars(
        self, manifest: Manifest, until_ms: int, now_ms: int, days_since_training: float
    ) -> tuple[Trigger, Trigger]:
        learnt = self._learnt
        if learnt is None or learnt.bundle_id != manifest.bundle_id:
            learnt = self._learnt = self._read_learnt(manifest, until_ms)
        newest = self._rows(manifest, now_ms - _NEWEST_DAYS * DAY_MS, now_ms)
        bars_a_day = DAY_MS // Timeframe.parse(manifest.timeframe).length_ms
        if learnt.drift is None:
            drift = _unknown("drift", f"the champion has learnt from fewer than {LEAST_BLOCKS} blocks")
        else:
            since_ms = now_ms - BLOCK_DAYS * DAY_MS
            block = newest.rows[newest.known_from_ms > since_ms]
            measured = None
            if len(block):
                measured = measure_drift(manifest.bundle_id, *learnt.drift, block, since_ms, now_ms)
            drift = drift_trigger(measured, BLOCK_DAYS * bars_a_day * len(newest.symbols))
            self.drift = measured if drift.value is not None else None
        after = newest.judged & (newest.known_from_ms > until_ms)
        age_days = (now_ms - newest.known_from_ms[after]) // DAY_MS
        ranks = newest.rows[after, _VOL_RANK]
        return drift, regime_trigger(learnt.last_week, ranks, age_days, bars_a_day, days_since_training)

    def _read_learnt(self, manifest: Manifest, until_ms: int) -> _Learnt:
        dataset = self._rows(manifest, int(manifest.settings.get("since_ms", 0)), until_ms)
        times = dataset.known_from_ms
        in_last_week = dataset.judged & (times > until_ms - REGIME_DAYS * DAY_MS)
        n_expected = BLOCK_DAYS * DAY_MS // Timeframe.parse(manifest.timeframe).length_ms
        blocks = _blocks(dataset, n_expected * len(dataset.symbols))
        drift = None
        if len(blocks) >= LEAST_BLOCKS:
            reference = reference_of(dataset.rows)
            drift = reference, limits_of(reference, blocks)
        return _Learnt(manifest.bundle_id, drift, dataset.rows[in_last_week, _VOL_RANK])

    def _rows(self, manifest: Manifest, since_ms: int, until_ms: int) -> Dataset:
        """The rows of the watched symbols, of which the first one is judged."""
        symbols = manifest.symbols[:WATCHED_SYMBOLS]
        names = dict.fromkeys(name for own in symbols for name in (own, *manifest.companions[own]))
        warm_up_ms = LOOKBACK_BARS * Timeframe.parse(manifest.timeframe).length_ms
        candles = {
            name: self._store.read(
                manifest.venue, manifest.timeframe, name, max(0, since_ms - warm_up_ms), until_ms
            )
            for name in names
        }
        return build_dataset(candles, symbols, manifest.companions, (), since_ms, n_judged=1)


def _blocks(dataset: Dataset, n_expected: int) -> list[NDArray[np.float32]]:
    times = dataset.known_from_ms
    if not times.size:
        return []
    starts = np.arange(times[0], times[-1] - BLOCK_DAYS * DAY_MS + 1, STRIDE_DAYS * DAY_MS)
    bounds = np.searchsorted(times, [starts, starts + BLOCK_DAYS * DAY_MS])
    return [dataset.rows[a:b] for a, b in bounds.T if 2 * (b - a) >= n_expected]


def _trained_until_ms(manifest: Manifest) -> int:
    length_ms = Timeframe.parse(manifest.timeframe).length_ms
    bars = [manifest.bars[symbol] for symbol in manifest.symbols]
    return min(one.first_open_ms + one.n_bars * length_ms for one in bars)


def _unknown(name: str, why: str) -> Trigger:
    return Trigger(name=name, value=None, limit=None, fires=False, sentence=f"not known: {why}")


def _nobody(max_age_days: float) -> Trigger:
    return Trigger(
        name="age", value=None, limit=max_age_days, fires=True, sentence="no bundle serves yet"
    )
