"""A study looks at the first block alone, goes on where it was cut off, and is never mixed."""

import sqlite3
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from plugin.candles import SIMULATED_VENUE, Candles
from plugin.errors import WrongUse
from training import search as module
from training.material import first_block, rows_and_labels, split_rows
from training.models.base import Member
from training.search import DEFAULTS, SPACE, Block, Searched, areas, open_block, search, study_name
from training.settings import TUNABLE, TrainingSettings

HOUR_MS = 3_600_000
SETTINGS = TrainingSettings(venue=SIMULATED_VENUE, n_folds=2)
MEMBER = TUNABLE.with_parameters({"n_trees": 20, "min_data_in_leaf": 20})
HORIZON = 5
NAME = "0123456789abcdef"


@pytest.fixture(scope="module")
def block(candles: Mapping[str, Candles]) -> Block:
    return block_of(candles)


def block_of(candles: Mapping[str, Candles]) -> Block:
    return open_block(SETTINGS, rows_and_labels(SETTINGS, candles), HORIZON)


def nobody(_n_trials: int, _best: float) -> None:
    """Nobody is told."""


def by_leaves(member: Member, _block: Block) -> list[float]:
    """In the place of `areas`: quick, and best for 20 leaves."""
    return [0.6 - abs(member.parameters["num_leaves"] - 20) / 1000, 0.5]


class Cut(Exception):
    """In the place of a kill."""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "areas", by_leaves)


def after(n_trials: int, then: Callable[[], object]) -> Callable[[int, float], None]:
    def told(n_ended: int, _best: float) -> None:
        if n_ended == n_trials:
            then()

    return told


def cut() -> None:
    raise Cut


def trials_in(path: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(path) as database:
        return database.execute("SELECT number, state FROM trials ORDER BY number").fetchall()


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


def altered(candles: Mapping[str, Candles], since_ms: int) -> dict[str, Candles]:
    """Bars that open at or after `since_ms` go another way: every price is mirrored."""
    changed = {}
    for name, own in candles.items():
        bars, later = own.bars.copy(), own.open_time_ms >= since_ms
        base = bars[3, later][0]
        opening, high, low, close = bars[:4, later]
        bars[:4, later] = base * base / np.array([opening, low, high, close])
        changed[name] = Candles(own.symbol, own.timeframe, own.first_open_ms, bars)
    return changed


def test_the_same_seed_finds_the_same_and_another_seed_does_not(block: Block, tmp_path: Path) -> None:
    one, again = (search(tmp_path / name, NAME, block, 4, nobody) for name in ("one.db", "two.db"))
    assert one == again
    other = msgspec.structs.replace(SETTINGS, seed=8)
    assert found_params(tmp_path / "one.db") == found_params(tmp_path / "two.db")
    search(tmp_path / "other.db", NAME, _with_seed(block, other.seed), 4, nobody)
    assert found_params(tmp_path / "other.db")[1:] != found_params(tmp_path / "one.db")[1:]


def _with_seed(block: Block, seed: int) -> Block:
    return Block(block.rows, block.horizon, block.folds, block.bins_from, seed)


def found_params(path: Path) -> list[tuple[object, ...]]:
    """The parameters of every trial, in order."""
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT number, param_name, param_value FROM trial_params JOIN trials USING (trial_id)"
            " ORDER BY number, param_name"
        ).fetchall()
    return [tuple(row[2] for row in rows if row[0] == number) for number in {row[0] for row in rows}]


@pytest.mark.usefixtures("quick")
class TestStudy:
    def test_the_first_trial_is_the_defaults(self, block: Block, tmp_path: Path) -> None:
        found = search(tmp_path / "study.db", NAME, block, 1, nobody)
        assert found.tuning.parameters.by_name() == DEFAULTS
        assert found.tuning.auc == found.tuning.default_auc
        assert found.importance == {}

    def test_the_best_stands_beside_the_defaults_on_the_same_folds(
        self, block: Block, tmp_path: Path
    ) -> None:
        found = search(tmp_path / "study.db", NAME, block, 25, nobody)
        leaves = found.tuning.parameters.num_leaves
        assert abs(leaves - 20) < abs(DEFAULTS["num_leaves"] - 20)
        assert found.tuning.auc == pytest.approx((1.1 - abs(leaves - 20) / 1000) / 2)
        assert found.tuning.default_auc == pytest.approx(0.5475)
        assert [fold["default_auc"] for fold in found.folds] == [0.595, 0.5]
        assert found.folds[0]["auc"] == pytest.approx(2 * found.tuning.auc - 0.5)
        assert (found.tuning.trials, found.tuning.horizon, found.tuning.study) == (25, HORIZON, NAME)
        assert max(found.importance, key=found.importance.__getitem__) == "num_leaves"
        assert set(found.importance) == set(SPACE)
        assert sum(found.importance.values()) == pytest.approx(1.0)

    def test_it_goes_on_where_it_was_cut_off(self, block: Block, tmp_path: Path) -> None:
        path = tmp_path / "deeper" / "study.db"
        with pytest.raises(Cut):
            search(path, NAME, block, 12, after(3, cut))
        assert trials_in(path) == [(number, "COMPLETE") for number in range(3)]
        told: list[int] = []
        found = search(path, NAME, block, 12, lambda n_trials, _: told.append(n_trials))
        assert told == list(range(3, 13))
        assert found.tuning.trials == 12
        params = found_params(path)
        assert len(set(params)) == 12, "no trial is a repetition"

    @pytest.mark.parametrize("n_ended", [0, 2])
    def test_a_trial_that_was_killed_does_not_count(
        self, block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n_ended: int
    ) -> None:
        path, calls = tmp_path / "study.db", []

        def killed(member: Member, on: Block) -> list[float]:
            calls.append(member)
            if len(calls) > n_ended:
                raise Cut
            return by_leaves(member, on)

        monkeypatch.setattr(module, "areas", killed)
        with pytest.raises(Cut):
            search(path, NAME, block, 4, nobody)
        assert trials_in(path)[n_ended][1] == "RUNNING"
        monkeypatch.setattr(module, "areas", by_leaves)
        found = search(path, NAME, block, 4, nobody)
        assert trials_in(path)[n_ended][1] == "FAIL"
        assert found.tuning.trials == 4
        assert found.tuning.default_auc == pytest.approx(0.5475), "the defaults are tried first"

    def test_more_trials_go_on_and_fewer_change_nothing(self, block: Block, tmp_path: Path) -> None:
        path = tmp_path / "study.db"
        three = search(path, NAME, block, 3, nobody)
        assert search(path, NAME, block, 1, nobody) == three
        assert search(path, NAME, block, 5, nobody).tuning.trials == 5

    def test_another_study_in_the_file_is_wrong_use(self, block: Block, tmp_path: Path) -> None:
        search(tmp_path / "study.db", NAME, block, 1, nobody)
        with pytest.raises(WrongUse, match=f"was study {NAME}, of other bars"):
            search(tmp_path / "study.db", "f" * 16, block, 1, nobody)
        assert len(trials_in(tmp_path / "study.db")) == 1

    def test_a_file_that_is_no_study_is_wrong_use_and_left_alone(
        self, block: Block, tmp_path: Path
    ) -> None:
        (tmp_path / "notes.txt").write_text("not a database\n" * 100)
        with pytest.raises(WrongUse, match="name another file with --study"):
            search(tmp_path / "notes.txt", NAME, block, 1, nobody)
        assert (tmp_path / "notes.txt").read_text() == "not a database\n" * 100

    def test_a_folder_that_can_not_be_is_wrong_use(self, block: Block, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(WrongUse, match="correct the path or its permissions"):
            search(tmp_path / "file" / "study.db", NAME, block, 1, nobody)

    def test_two_at_once_are_wrong_use(self, block: Block, tmp_path: Path) -> None:
        def again() -> Searched:
            return search(tmp_path / "study.db", NAME, block, 2, nobody)

        with pytest.raises(WrongUse, match="nobody else at this very study"):
            search(tmp_path / "study.db", NAME, block, 2, after(1, again))
        assert again().tuning.trials == 2


class TestName:
    def test_it_is_another_for_all_that_decides(
        self, candles: Mapping[str, Candles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = candles["LTC/USDT"]
        later = Candles(own.symbol, own.timeframe, own.first_open_ms + HOUR_MS, own.bars)
        names = [
            study_name(SETTINGS, candles, HORIZON),
            study_name(msgspec.structs.replace(SETTINGS, seed=8), candles, HORIZON),
            study_name(msgspec.structs.replace(SETTINGS, n_folds=3), candles, HORIZON),
            study_name(SETTINGS, candles, 12),
            study_name(SETTINGS, {**candles, "LTC/USDT": later}, HORIZON),
        ]
        monkeypatch.delitem(module.SPACE, "lambda_l2")
        names.append(study_name(SETTINGS, candles, HORIZON))
        assert len(set(names)) == len(names)

    def test_it_is_the_same_for_the_same(self, candles: Mapping[str, Candles]) -> None:
        again = dict(reversed(candles.items()))
        assert study_name(SETTINGS, candles, HORIZON) == study_name(SETTINGS, again, HORIZON)


def test_folds_without_rising_or_falling_bars_are_wrong_use(
    block: Block, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "auc", lambda *_: float("nan"))
    with pytest.raises(WrongUse, match="bars that rise and bars that fall in every fold"):
        areas(MEMBER, block)
