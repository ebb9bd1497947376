"""A trial looks at the first block alone."""

from collections.abc import Mapping
from itertools import pairwise

import pytest

from plugin.candles import SIMULATED_VENUE, Candles
from plugin.errors import WrongUse
from tests.support.altered_candles import altered
from training.material import first_block, rows_and_labels, split_rows
from training.settings import TUNABLE, TrainingSettings
from training.trials import Block, areas, open_block

HOUR_MS = 3_600_000
SETTINGS = TrainingSettings(venue=SIMULATED_VENUE, n_folds=2)
MEMBER = TUNABLE.with_parameters({"n_trees": 20, "min_data_in_leaf": 20})
HORIZON = 5


@pytest.fixture(scope="module")
def block(candles: Mapping[str, Candles]) -> Block:
    return block_of(candles)


def block_of(candles: Mapping[str, Candles]) -> Block:
    return open_block(SETTINGS, rows_and_labels(SETTINGS, candles), HORIZON)


class TestBlock:
    def test_it_is_what_every_fold_of_the_training_learns_from(
        self, candles: Mapping[str, Candles]
    ) -> None:
        dataset = rows_and_labels(SETTINGS, candles)
        first = split_rows(SETTINGS, dataset)[max(SETTINGS.horizons)][0]
        rows = first_block(SETTINGS, dataset)
        assert rows.known_from_ms.tobytes() == dataset.known_from_ms[first.train].tobytes()
        assert rows.rows.tobytes() == dataset.rows[first.train].tobytes()
        ends_ms = max(labels.label_end_ms.max() for labels in rows.labels.values())
        assert ends_ms + SETTINGS.embargo_bars * HOUR_MS < first.test_start_ms

    def test_its_folds_follow_each_other_and_each_learns_from_before(self, block: Block) -> None:
        assert len(block.folds) == SETTINGS.n_folds
        for fold in block.folds:
            assert block.rows.labels[HORIZON].label_end_ms[fold.train].max() < fold.test_start_ms
            assert block.rows.judged[block.tested(fold)].all()
        for one, other in pairwise(block.folds):
            assert one.test_end_ms == other.test_start_ms
            assert other.train.size > one.train.size

    def test_no_bar_after_it_changes_what_a_trial_is_worth(
        self, candles: Mapping[str, Candles], block: Block
    ) -> None:
        end_ms = max(labels.label_end_ms.max() for labels in block.rows.labels.values())
        assert areas(MEMBER, block_of(altered(candles, int(end_ms)))) == areas(MEMBER, block)

    def test_a_bar_in_it_does(self, candles: Mapping[str, Candles], block: Block) -> None:
        start_ms = block.folds[-1].test_start_ms
        assert areas(MEMBER, block_of(altered(candles, start_ms))) != areas(MEMBER, block)

    def test_parameters_change_what_a_trial_is_worth(self, block: Block) -> None:
        assert areas(MEMBER.with_parameters({"num_leaves": 4}), block) != areas(MEMBER, block)


def test_folds_without_rising_or_falling_bars_are_wrong_use(
    block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.trials.auc", lambda *_: float("nan"))
    with pytest.raises(WrongUse, match="bars that rise and bars that fall in every fold"):
        areas(MEMBER, block)
