"""Candidates that were made worse on purpose: each goes through the real training, one part exchanged.

The gate that should stop it is named; an honest training beside them shows that it stops only these.
All of it is tried on a simulated market and on real bars.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from gates.limits import LIMITS
from gates.may_promote import missing_for_promotion
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.registry import Registry
from tests.support.small_training import END_MS
from training import material
from training import retrain as walk
from training.candles import simulate
from training.dataset import Dataset
from training.settings import REFERENCE_ASSETS, TrainingSettings
from training.splits import Fold

N_BARS = 4_500
BLOCK_BARS = 48
SIMULATED = TrainingSettings(venue=SIMULATED_VENUE, until_ms=END_MS, horizons=(5,), n_folds=3)
REAL = TrainingSettings(
    venue="binance_spot", since_ms=1_609_459_200_000, until_ms=END_MS, horizons=(5,), n_folds=3
)
LEARN, ROWS_AND_LABELS, WALK_FORWARD = walk.learn, walk.rows_and_labels, material.walk_forward

Exchange = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Setting:
    """Bars to train on, and a models folder whose champion was trained honestly."""

    settings: TrainingSettings
    store: Path
    models: Path
    honest: walk.Outcome

    def train_with(self, exchange: Exchange) -> walk.Outcome:
        with pytest.MonkeyPatch.context() as patched:
            exchange(patched)
            return train(self.settings, self.store, self.models)


def train(settings: TrainingSettings, store: Path, models: Path) -> walk.Outcome:
    return walk.retrain(settings, CandleStore(store), models, LIMITS, step=lambda _: None)


@pytest.fixture(
    scope="module",
    params=["simulated", pytest.param("real", marks=[pytest.mark.market, pytest.mark.slow])],
)
def setting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    folder = tmp_path_factory.mktemp("bad")
    models = folder / "models"
    if request.param == "real":
        settings, store = REAL, request.getfixturevalue("market")
    else:
        settings, store = SIMULATED, folder / "candles"
        simulate(store, REFERENCE_ASSETS, "1h", N_BARS, seed=2, end_ms=END_MS)
    return Setting(settings, store, models, train(settings, store, models))


def shuffled(dataset: Dataset) -> Dataset:
    """Labels dealt out anew in blocks, which leaves them as alike to their neighbours as they were."""
    n_rows = BLOCK_BARS * len(dataset.symbols)
    blocks = np.split(np.arange(dataset.n_rows), np.arange(n_rows, dataset.n_rows, n_rows))
    np.random.default_rng(0).shuffle(blocks)
    order = np.concatenate(blocks)
    labels = {
        horizon: replace(own, up=own.up[order], forward_return=own.forward_return[order])
        for horizon, own in dataset.labels.items()
    }
    return replace(dataset, labels=labels)


def learn_from_shuffled_labels(patched: pytest.MonkeyPatch) -> None:
    """And be judged by the right ones."""
    patched.setattr(
        walk, "learn", lambda settings, dataset, *more: LEARN(settings, shuffled(dataset), *more)
    )


def shuffle_all_labels(patched: pytest.MonkeyPatch) -> None:
    patched.setattr(walk, "rows_and_labels", lambda *given: shuffled(ROWS_AND_LABELS(*given)))


def learn_from_the_test_block(patched: pytest.MonkeyPatch) -> None:
    def leaky(*given: object) -> list[Fold]:
        folds = WALK_FORWARD(*given)
        return [replace(fold, train=np.union1d(fold.train, fold.test)) for fold in folds]

    patched.setattr(material, "walk_forward", leaky)


def verdicts(outcome: walk.Outcome) -> dict[str, str]:
    return {result.name: result.verdict for result in outcome.report.results}


def missing(outcome: walk.Outcome, setting: Setting) -> set[str]:
    return {one.name for one in missing_for_promotion(outcome.report, setting.honest.report)}


def check_champion_still_serves(setting: Setting) -> None:
    champion = Registry(setting.models).champion()
    assert champion is not None
    assert champion.bundle_id == setting.honest.bundle.name


def test_the_honest_one_passes_what_stops_the_others(setting: Setting) -> None:
    stopping = {"seen", "skill", "performance_lgb", "not_worse"}
    said = verdicts(setting.honest)
    assert setting.honest.role == "champion"
    assert {gate: said[gate] for gate in stopping} == dict.fromkeys(stopping, "pass")
    assert not stopping & missing(setting.honest, setting)


@pytest.mark.parametrize("exchange", [learn_from_shuffled_labels, shuffle_all_labels])
def test_shuffled_labels_are_stopped_by_skill(setting: Setting, exchange: Exchange) -> None:
    """It may be fit to be recorded, as it hurts nobody there; it is neither live nor promoted."""
    bad = setting.train_with(exchange)
    said = verdicts(bad)
    assert said["skill"] == said["performance_lgb"] == "fail"
    assert said["not_worse"] != "pass"
    assert bad.report.level != "live"
    assert {"skill", "not_worse"} <= missing(bad, setting)
    check_champion_still_serves(setting)


def test_a_test_set_that_it_has_seen_is_stopped_by_seen(setting: Setting) -> None:
    """Its figures are the best of all: that it learnt them by heart is the only thing against it."""
    bad = setting.train_with(learn_from_the_test_block)
    assert verdicts(bad)["seen"] == "fail"
    assert (bad.report.level, bad.role) == ("none", "unfit")
    stopped_by = {
        one.name for one in bad.report.results if one.level == "shadow" and one.verdict != "pass"
    }
    assert stopped_by == {"seen"}
    figures = [
        one.record["metrics"]["5"]["symbols"]["BTC/USDT"]["stack"]["auc"]
        for one in (bad, setting.honest)
    ]
    assert figures[0] > figures[1] + 0.03
    check_champion_still_serves(setting)
