"""What do the members and the meta-model of one bundle say of a batch of rows?

All symbols that closed together are asked at once: one call per member and horizon.
A member that is not well leaves the meta-model without an answer; nothing stands in for it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import eq

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.bundle import Bundle
from plugin.features.joined import ROW_NAMES
from plugin.meta_model import meta_inputs
from shadow.record import MemberRecord, MemberStatus

# A forest asked with new rows does not repeat itself to the last bit unless something is broken.
CONSTANT_AFTER_BARS = 12
_OK: MemberStatus = "ok"
_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")


class Asking(msgspec.Struct, frozen=True):
    """What all predictions of one batch share: who was asked, about which horizons, in what time."""

    members: tuple[str, ...]
    horizons: tuple[str, ...]
    primary: int
    microseconds: tuple[float, ...]


class Prediction(msgspec.Struct, frozen=True):
    """What the ensemble said of one symbol.

    `said` holds probabilities by member and horizon. `probabilities` maps a horizon, as text, to the
    probability of "up", and `meta_p` is the one at the primary horizon; they are empty and None unless
    `reason` is `ok`.
    """

    asking: Asking
    said: list[list[float]]
    statuses: Sequence[MemberStatus]
    probabilities: dict[str, float]
    meta_p: float | None
    reason: str

    @property
    def members(self) -> dict[str, MemberRecord]:
        """What each member said, for the record: made when asked for, after the answer is out."""
        asking = self.asking
        return {
            name: MemberRecord(
                None if status == "nan" else said[asking.primary],
                status,
                took,
                dict(zip(asking.horizons, said, strict=True)),
            )
            for name, said, status, took in zip(
                asking.members, self.said, self.statuses, asking.microseconds, strict=True
            )
        }


class Ensemble:
    """The members of a bundle, asked together."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        manifest = bundle.manifest
        self._horizons = tuple(str(horizon) for horizon in manifest.horizons)
        self._primary = manifest.horizons.index(manifest.primary_horizon)
        self._all_ok: Sequence[MemberStatus] = [_OK for _ in bundle.models]
        self._last_said: dict[str, list[float]] = {}
        self._repeats: dict[str, list[int]] = {}

    def predict(self, symbols: Sequence[str], rows: NDArray[np.float32]) -> list[Prediction]:
        """One prediction per symbol; `rows` is (symbols, columns) as `ROW_NAMES`, finite."""
        said, microseconds = self._ask_members(rows)
        asking = Asking(tuple(self.bundle.models), self._horizons, self._primary, microseconds)
        stacked = np.empty((rows.shape[0], len(self._horizons)))
        for number, horizon in enumerate(self._horizons):
            inputs = meta_inputs(said[:, number], rows[:, _VOLATILITY_COLUMN])
            stacked[:, number] = self.bundle.meta.horizons[horizon].probability(inputs)
        sound = np.all((said >= 0.0) & (said <= 1.0), axis=1)  # NaN is not
        by_symbol = zip(
            symbols,
            said.transpose(2, 0, 1).tolist(),
            said[:, self._primary].T.tolist(),
            sound.T.tolist(),
            stacked.tolist(),
            strict=True,
        )
        return [self._prediction(asking, *one) for one in by_symbol]

    def _ask_members(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], tuple[float, ...]]:
        """Probabilities (members, horizons, symbols) and the microseconds a symbol took each member."""
        models = self.bundle.models
        said = np.empty((len(models), len(self._horizons), rows.shape[0]))
        microseconds = []
        for number, by_horizon in enumerate(models.values()):
            started = time.perf_counter_ns()
            for place, horizon in enumerate(self.bundle.manifest.horizons):
                said[number, place] = by_horizon[horizon].probability(rows)
            microseconds.append((time.perf_counter_ns() - started) / 1000 / rows.shape[0])
        return said, tuple(microseconds)

    def _prediction(
        self,
        asking: Asking,
        symbol: str,
        said: list[list[float]],
        now: list[float],
        sound: list[bool],
        stacked: list[float],
    ) -> Prediction:
        statuses = self._statuses(symbol, now, sound)
        if statuses is self._all_ok:
            probabilities = dict(zip(self._horizons, stacked, strict=True))
            return Prediction(asking, said, statuses, probabilities, stacked[self._primary], "ok")
        unwell = next(number for number, status in enumerate(statuses) if status != "ok")
        reason = f"member_{statuses[unwell]}:{asking.members[unwell]}"
        return Prediction(asking, said, statuses, {}, None, reason)

    def _statuses(self, symbol: str, now: list[float], sound: list[bool]) -> Sequence[MemberStatus]:
        """How well each member is; `_all_ok` itself where all are. `now` is at the primary horizon."""
        before = self._last_said.get(symbol)
        self._last_said[symbol] = now
        repeated = before is not None and any(map(eq, now, before))
        if not repeated:
            self._repeats.pop(symbol, None)
            if all(sound):
                return self._all_ok
        repeats = self._repeats.get(symbol, [0] * len(now))
        if before is not None and repeated:
            pairs = zip(now, before, repeats, strict=True)
            repeats = [count + 1 if new == old else 0 for new, old, count in pairs]
            self._repeats[symbol] = repeats
        statuses = list(map(_status, sound, repeats))
        return self._all_ok if statuses == self._all_ok else statuses


def _status(is_sound: bool, repeats: int) -> MemberStatus:
    if not is_sound:
        return "nan"
    return "constant" if repeats >= CONSTANT_AFTER_BARS else "ok"
