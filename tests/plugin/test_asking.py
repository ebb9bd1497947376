"""Is what the live side asks, and hears, what training computes on the same bars?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from plugin.ensemble import Ensemble, Prediction
from plugin.features.joined import joined_history
from plugin.windows import EarlierRows
from tests.support.live import FIRST, SERVED, Live, champion_of, stored
from tests.support.small_training import SmallTraining

N_BARS = 300


class Remembering(Ensemble):
    """An ensemble that keeps the rows it was asked."""

    def __init__(self, ensemble: Ensemble) -> None:
        super().__init__(ensemble.bundle)
        self.asked: list[tuple[tuple[str, ...], NDArray[np.float32]]] = []

    def predict(
        self,
        symbols: Sequence[str],
        rows: NDArray[np.float32],
        earlier: Sequence[EarlierRows] = (),
    ) -> list[Prediction]:
        self.asked.append((tuple(symbols), rows.copy()))
        return super().predict(symbols, rows, earlier)


@pytest.fixture
def live(small_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(small_training, tmp_path)


def test_every_row_asked_is_the_row_of_history_to_the_last_bit(live):
    champion = live.reloader.champion
    ensemble = Remembering(champion.ensemble)
    live.reloader.champion = dataclasses.replace(champion, ensemble=ensemble)
    for column in range(FIRST, FIRST + N_BARS):
        live.answer(column)
    assert [symbols for symbols, _ in ensemble.asked] == [SERVED] * N_BARS
    for number, symbol in enumerate(SERVED):
        beside = live.bundle.manifest.companions[symbol]
        rows, refused = joined_history(
            stored(live.store, symbol), [stored(live.store, s) for s in beside]
        )
        assert not refused[FIRST : FIRST + N_BARS].any()
        asked = np.stack([rows[number] for _, rows in ensemble.asked])
        assert asked.tobytes() == rows[FIRST : FIRST + N_BARS].tobytes()


def test_a_bar_is_asked_about_the_same_whoever_else_closes_with_it(small_training, tmp_path):
    alone, together = (Live(small_training, tmp_path / name) for name in ("alone", "together"))
    alone.pipeline.buffers["ETH/USDT"].push(alone.bar(FIRST, "ETH/USDT"))
    (of_one,) = alone.answer(FIRST, alone.bars(FIRST, without=["ETH/USDT"]))
    of_all, _ = together.answer(FIRST)
    assert of_one.decision.probabilities == of_all.decision.probabilities
    assert of_one.decision.size_multiplier == of_all.decision.size_multiplier


def test_warming_up_leaves_no_trace(small_training, tmp_path):
    warmed, cold = (Live(small_training, tmp_path / name) for name in ("warmed", "cold"))
    for column in range(FIRST, FIRST + 15):
        for _ in range(13):  # more often than a member may repeat itself
            warmed.pipeline.warm_up()
        for one, other in zip(warmed.answer(column), cold.answer(column), strict=True):
            assert replace(one.decision, latency_us=0) == replace(other.decision, latency_us=0)


def test_a_bundle_of_another_timeframe_is_not_asked(live):
    other = replace(live.bundle.manifest, timeframe="4h")
    live.reloader.champion = champion_of(dataclasses.replace(live.bundle, manifest=other))
    said = {answer.decision.reason for answer in live.close(FIRST)}
    assert said == {"timeframe_not_in_bundle"}
    assert {record.ml_reason for record in live.bar_records()} == said
