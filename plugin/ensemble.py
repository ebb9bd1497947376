"""What do the members and the meta-model of one bundle say of a batch of rows?

All symbols that closed together are asked at once: one call per member and horizon, one per network.
A member over rows that is not well leaves the meta-model without an answer; nothing stands in for it. A
network that is not well, or that lacks its window, leaves it to the meta-model without networks: a hole
in the bars costs a window of 48 bars three days, and the other members need not be silent so long.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from operator import eq

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.bundle import Bundle
from plugin.features.joined import ROW_NAMES
from plugin.meta_model import HorizonModel, meta_inputs
from plugin.prepared import Prepared
from plugin.regime import QUESTIONS
from plugin.windows import EarlierRows
from shadow.record import MemberRecord, MemberStatus

# A forest asked with new rows does not repeat itself to the last bit unless something is broken.
CONSTANT_AFTER_BARS = 12
_OK: MemberStatus = "ok"
_SILENT: Sequence[MemberStatus] = ("nan", "missing")
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
    `reason` is `ok`. `without_networks` is what the meta-model without networks says, whoever answered;
    it is empty in a bundle without networks. `regime_probabilities` are by question of the regime
    classifier, finite or not; empty in a bundle without one.
    """

    asking: Asking
    said: list[list[float]]
    statuses: Sequence[MemberStatus]
    probabilities: dict[str, float]
    meta_p: float | None
    reason: str
    without_networks: dict[str, float]
    regime_probabilities: dict[str, float]

    @property
    def members(self) -> dict[str, MemberRecord]:
        """What each member said, for the record: made when asked for, after the answer is out."""
        asking = self.asking
        return {
            name: MemberRecord(
                None if status in _SILENT else said[asking.primary],
                status,
                took,
                {} if status == "missing" else dict(zip(asking.horizons, said, strict=True)),
            )
            for name, said, status, took in zip(
                asking.members, self.said, self.statuses, asking.microseconds, strict=True
            )
        }

    def stacked_by(self, statuses: Iterable[MemberStatus]) -> dict[str, float]:
        """What the meta-model says of the same numbers where members were as well as `statuses` tell:
        only who has asked before can know that one repeats itself."""
        well = all(status == "ok" for status in statuses)
        return self.probabilities if well else self.without_networks


class Ensemble:
    """The members of a bundle, asked together."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        manifest = bundle.manifest
        self._horizons = tuple(str(horizon) for horizon in manifest.horizons)
        self._primary = manifest.horizons.index(manifest.primary_horizon)
        self._all_ok: Sequence[MemberStatus] = [_OK for _ in manifest.member_names]
        self._n_row_members = len(bundle.models)
        self._prepared = Prepared(bundle.networks)
        self._last_said: dict[str, list[float]] = {}
        self._repeats: dict[str, list[int]] = {}

    def prepare(self, windows: Sequence[EarlierRows]) -> None:
        """Do between bars what networks can do before the next ones close; `windows` end with the
        newest row there is. Without it the same is done at the close."""
        if self.bundle.networks:
            self._prepared.prepare(windows)

    def predict(
        self,
        symbols: Sequence[str],
        rows: NDArray[np.float32],
        earlier: Sequence[EarlierRows] = (),
    ) -> list[Prediction]:
        """One prediction per symbol; `rows` is (symbols, columns of the bundle), finite, and `earlier`
        knows the rows before each: without it networks have no window."""
        said, has_window, microseconds = self._ask_members(rows, earlier)
        asking = Asking(self.bundle.manifest.member_names, self._horizons, self._primary, microseconds)
        volatility = rows[:, _VOLATILITY_COLUMN]
        stacked = self._stack(self.bundle.meta.horizons, said, volatility)
        of_rows = said[: self._n_row_members]
        without = self._stack(self.bundle.meta.without_networks, of_rows, volatility)
        sound = np.all((said >= 0.0) & (said <= 1.0), axis=1)  # NaN is not
        by_symbol = zip(
            symbols,
            said.transpose(2, 0, 1).tolist(),
            said[:, self._primary].T.tolist(),
            sound.T.tolist(),
            has_window.T.tolist(),
            stacked.tolist(),
            without.tolist(),
            self._regimes(rows),
            strict=True,
        )
        return [self._prediction(asking, *one) for one in by_symbol]

    def _regimes(self, rows: NDArray[np.float32]) -> list[dict[str, float]]:
        """What the regime classifier says of each row; nothing where there is none."""
        classifier = self.bundle.regime
        if classifier is None:
            return [{} for _ in rows]
        said = classifier.probabilities(rows).tolist()
        return [dict(zip(QUESTIONS, one, strict=True)) for one in said]

    def _stack(
        self,
        meta: Mapping[str, HorizonModel],
        said: NDArray[np.float64],
        volatility: NDArray[np.float32],
    ) -> NDArray[np.float64]:
        """Probabilities (symbols, horizons); (symbols, 0) where there is no such meta-model."""
        horizons = self._horizons if meta else ()
        stacked = np.empty((said.shape[2], len(horizons)))
        for number, horizon in enumerate(horizons):
            inputs = meta_inputs(said[:, number], volatility)
            stacked[:, number] = meta[horizon].probability(inputs)
        return stacked

    def _ask_members(
        self, rows: NDArray[np.float32], earlier: Sequence[EarlierRows]
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_], tuple[float, ...]]:
        """Probabilities (members, horizons, symbols); (members, symbols) whether a member had all that
        it looks at; and the microseconds a symbol took each member."""
        n_members, n_symbols = len(self._all_ok), rows.shape[0]
        said = np.empty((n_members, len(self._horizons), n_symbols))
        has_window = np.ones((n_members, n_symbols), dtype=np.bool_)
        ended = [time.perf_counter_ns()]
        for number, by_horizon in enumerate(self.bundle.models.values()):
            for place, horizon in enumerate(self.bundle.manifest.horizons):
                said[number, place] = by_horizon[horizon].probability(rows)
            ended.append(time.perf_counter_ns())
        slots = self._prepared.prepare(earlier) if self.bundle.networks else []
        for number, (name, network) in enumerate(self.bundle.networks.items(), self._n_row_members):
            has_window[number] = False
            if slots:
                state, has_window[number] = self._prepared.state(name, slots)
                said[number] = network.probability(rows, state).T
            said[number, :, ~has_window[number]] = np.nan
            ended.append(time.perf_counter_ns())
        took = tuple((after - before) / 1000 / n_symbols for before, after in pairwise(ended))
        return said, has_window, took

    def _prediction(
        self,
        asking: Asking,
        symbol: str,
        said: list[list[float]],
        now: list[float],
        sound: list[bool],
        has_window: list[bool],
        stacked: list[float],
        without: list[float],
        regime: dict[str, float],
    ) -> Prediction:
        statuses = self._statuses(symbol, now, sound, has_window)
        by_horizon = dict(zip(self._horizons, without, strict=True)) if without else {}
        if statuses is self._all_ok:
            answer = dict(zip(self._horizons, stacked, strict=True))
        else:
            unwell = next(number for number, status in enumerate(statuses) if status != "ok")
            if unwell < self._n_row_members:
                reason = f"member_{statuses[unwell]}:{asking.members[unwell]}"
                return Prediction(asking, said, statuses, {}, None, reason, by_horizon, regime)
            answer = by_horizon
        meta_p = answer[self._horizons[self._primary]]
        return Prediction(asking, said, statuses, answer, meta_p, "ok", by_horizon, regime)

    def _statuses(
        self, symbol: str, now: list[float], sound: list[bool], has_window: list[bool]
    ) -> Sequence[MemberStatus]:
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
        statuses = list(map(_status, sound, has_window, repeats))
        return self._all_ok if statuses == self._all_ok else statuses


def _status(is_sound: bool, has_window: bool, repeats: int) -> MemberStatus:
    if not has_window:
        return "missing"
    if not is_sound:
        return "nan"
    return "constant" if repeats >= CONSTANT_AFTER_BARS else "ok"
