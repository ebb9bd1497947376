"""Does warming up do what the next close will do, with nothing left behind?"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.predictors.trees import Trees
from tests.support.live import FIRST, SERVED, Live, champion_of, with_models
from tests.support.small_training import SmallTraining


@dataclasses.dataclass
class Watched:
    """A model that keeps the rows it was asked."""

    trees: Trees
    asked: list[NDArray[np.float32]] = dataclasses.field(default_factory=list)

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        self.asked.append(rows.copy())
        return self.trees.probability(rows)


@pytest.fixture
def live(small_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(small_training, tmp_path)


def watch(live: Live) -> list[Watched]:
    watched = {
        name: {horizon: Watched(trees) for horizon, trees in by_horizon.items()}
        for name, by_horizon in live.bundle.models.items()
    }
    live.reloader.champion = champion_of(with_models(live.bundle, **watched))
    return [model for by_horizon in watched.values() for model in by_horizon.values()]


def test_every_model_is_asked_several_times_with_the_newest_rows_held(live: Live) -> None:
    models = watch(live)
    live.answer(FIRST)
    closed = [model.asked.pop() for model in models]
    live.pipeline.warm_up()
    for model, rows in zip(models, closed, strict=True):
        assert len(model.asked) > 1
        assert {again.tobytes() for again in model.asked} == {rows.tobytes()}


def test_nothing_is_answered_recorded_or_pushed(live: Live) -> None:
    before = {symbol: buffer.bars.tobytes() for symbol, buffer in live.pipeline.buffers.items()}
    live.pipeline.warm_up()
    assert {symbol: buffer.bars.tobytes() for symbol, buffer in live.pipeline.buffers.items()} == before
    assert live.records() == []
    assert [answer.is_new for answer in live.close(FIRST)] == [True] * len(SERVED)


def test_it_asks_nothing_where_nothing_would_be_asked(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    switched_off = Live(small_training, tmp_path / "off", environ={"ML_ENABLED": "0"})
    empty = Live(small_training, tmp_path / "empty", n_history=0)
    for live in (switched_off, empty):
        models = watch(live)
        live.pipeline.warm_up()
        assert [model.asked for model in models] == [[]] * len(models)
