"""What do the members and the meta-model of one bundle say of a batch of rows?

All symbols that closed together are asked at once: one call per member and horizon.
A member that is not well leaves the meta-model without an answer; nothing stands in for it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.bundle import Bundle
from plugin.features.joined import ROW_NAMES
from plugin.meta_model import meta_inputs
from shadow.record import MemberRecord, MemberStatus

# A forest asked with new rows does not repeat itself to the last bit unless something is broken.
CONSTANT_AFTER_BARS = 12
_VOLATILITY_COLUMN = ROW_NAMES.index("realised_vol_20")


class Prediction(msgspec.Struct, frozen=True):
    """What the ensemble said of one symbol.

    `probabilities` maps a horizon, as text, to the probability of "up", and `meta_p` is the one at the
    primary horizon. They are empty and None unless `reason` is `ok`.
    """

    members: dict[str, MemberRecord]
    probabilities: dict[str, float]
    meta_p: float | None
    reason: str


class Ensemble:
    """The members of a bundle, asked together."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._horizons = [str(horizon) for horizon in bundle.manifest.horizons]
        self._primary = str(bundle.manifest.primary_horizon)
        self._last_said: dict[tuple[str, str], tuple[float, int]] = {}

    def predict(self, symbols: Sequence[str], rows: NDArray[np.float32]) -> list[Prediction]:
        """One prediction per symbol; `rows` is (symbols, columns) as `ROW_NAMES`, finite."""
        said, microseconds = self._ask_members(rows)
        stacked = np.empty((rows.shape[0], len(self._horizons)))
        for number, horizon in enumerate(self._horizons):
            inputs = meta_inputs(said[:, number], rows[:, _VOLATILITY_COLUMN])
            stacked[:, number] = self.bundle.meta.horizons[horizon].probability(inputs)
        by_symbol = stacked.tolist()
        by_member = said.transpose(2, 0, 1).tolist()
        sound = np.all((said >= 0.0) & (said <= 1.0), axis=1).T.tolist()  # NaN is not
        return [
            self._prediction(*one, microseconds)
            for one in zip(symbols, by_member, sound, by_symbol, strict=True)
        ]

    def _ask_members(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], list[float]]:
        """Probabilities (members, horizons, symbols) and the microseconds that each member took."""
        models = self.bundle.models
        said = np.empty((len(models), len(self._horizons), rows.shape[0]))
        microseconds = []
        for number, by_horizon in enumerate(models.values()):
            started = time.perf_counter_ns()
            for place, horizon in enumerate(self.bundle.manifest.horizons):
                said[number, place] = by_horizon[horizon].probability(rows)
            microseconds.append((time.perf_counter_ns() - started) / 1000 / rows.shape[0])
        return said, microseconds

    def _prediction(
        self,
        symbol: str,
        said: list[list[float]],
        sound: list[bool],
        stacked: list[float],
        microseconds: list[float],
    ) -> Prediction:
        members = {}
        reason = "ok"
        said_by = zip(self.bundle.models, said, sound, microseconds, strict=True)
        for name, by_horizon, is_sound, took in said_by:
            horizons = dict(zip(self._horizons, by_horizon, strict=True))
            now = horizons[self._primary]
            status = self._status(symbol, name, now) if is_sound else "nan"
            at_primary = now if is_sound else None
            members[name] = MemberRecord(at_primary, status, took, horizons)
            if status != "ok" and reason == "ok":
                reason = f"member_{status}:{name}"
        probabilities = dict(zip(self._horizons, stacked, strict=True)) if reason == "ok" else {}
        return Prediction(members, probabilities, probabilities.get(self._primary), reason)

    def _status(self, symbol: str, member: str, now: float) -> MemberStatus:
        before, repeats = self._last_said.get((symbol, member), (None, 0))
        repeats = repeats + 1 if now == before else 0
        self._last_said[symbol, member] = (now, repeats)
        return "constant" if repeats >= CONSTANT_AFTER_BARS else "ok"
