"""A study goes on where it was cut off, is never mixed with another, and tries the defaults first."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from plugin.candles import SIMULATED_VENUE, Candles
from plugin.errors import WrongUse
from training.material import rows_and_labels
from training.search import Searched, search, study_name
from training.settings import TrainingSettings
from training.trials import DEFAULTS, SPACE, Subject, lightgbm_subject, open_block

HOUR_MS = 3_600_000
SETTINGS = TrainingSettings(venue=SIMULATED_VENUE, n_folds=2)
HORIZON = 5
NAME = "0123456789abcdef"


@pytest.fixture(scope="module")
def lgb(candles: Mapping[str, Candles]) -> Subject:
    return lightgbm_subject(open_block(SETTINGS, rows_and_labels(SETTINGS, candles), HORIZON))


@pytest.fixture(scope="module")
def quick(lgb: Subject) -> Subject:
    """It is worth next to nothing to try something, and 20 leaves are best."""
    return replace(lgb, areas=by_leaves)


def nobody(_n_trials: int, _best: float) -> None:
    """Nobody is told."""


def by_leaves(parameters: Mapping[str, float]) -> list[float]:
    return [0.6 - abs(parameters["num_leaves"] - 20) / 1000, 0.5]


class Cut(Exception):
    """In the place of a kill."""


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


def test_the_same_seed_finds_the_same_and_another_seed_does_not(lgb: Subject, tmp_path: Path) -> None:
    one, again = (search(tmp_path / name, NAME, lgb, 4, nobody) for name in ("one.db", "two.db"))
    assert one == again
    assert found_params(tmp_path / "one.db") == found_params(tmp_path / "two.db")
    other = replace(lgb, block=replace(lgb.block, seed=8))
    search(tmp_path / "other.db", NAME, other, 4, nobody)
    assert found_params(tmp_path / "other.db")[1:] != found_params(tmp_path / "one.db")[1:]


def found_params(path: Path) -> list[tuple[object, ...]]:
    """The parameters of every trial, in order."""
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT number, param_name, param_value FROM trial_params JOIN trials USING (trial_id)"
            " ORDER BY number, param_name"
        ).fetchall()
    return [tuple(row[2] for row in rows if row[0] == number) for number in {row[0] for row in rows}]


class TestStudy:
    def test_the_first_trial_is_the_defaults(self, quick: Subject, tmp_path: Path) -> None:
        found = search(tmp_path / "study.db", NAME, quick, 1, nobody)
        assert found.tuning.parameters == DEFAULTS
        assert found.tuning.auc == found.tuning.default_auc
        assert found.importance == {}

    def test_the_best_stands_beside_the_defaults_on_the_same_folds(
        self, quick: Subject, tmp_path: Path
    ) -> None:
        found = search(tmp_path / "study.db", NAME, quick, 25, nobody)
        leaves = found.tuning.parameters["num_leaves"]
        assert abs(leaves - 20) < abs(DEFAULTS["num_leaves"] - 20)
        assert found.tuning.auc == pytest.approx((1.1 - abs(leaves - 20) / 1000) / 2)
        of_defaults = by_leaves(DEFAULTS)
        assert found.tuning.default_auc == pytest.approx(sum(of_defaults) / 2)
        assert [fold["default_auc"] for fold in found.folds] == of_defaults
        assert found.folds[0]["auc"] == pytest.approx(2 * found.tuning.auc - 0.5)
        assert (found.tuning.trials, found.tuning.horizon, found.tuning.study) == (25, HORIZON, NAME)
        assert max(found.importance, key=found.importance.__getitem__) == "num_leaves"
        assert set(found.importance) == set(SPACE)
        assert sum(found.importance.values()) == pytest.approx(1.0)

    def test_it_goes_on_where_it_was_cut_off(self, quick: Subject, tmp_path: Path) -> None:
        path = tmp_path / "deeper" / "study.db"
        with pytest.raises(Cut):
            search(path, NAME, quick, 12, after(3, cut))
        assert trials_in(path) == [(number, "COMPLETE") for number in range(3)]
        told: list[int] = []
        found = search(path, NAME, quick, 12, lambda n_trials, _: told.append(n_trials))
        assert told == list(range(3, 13))
        assert found.tuning.trials == 12
        params = found_params(path)
        assert len(set(params)) == 12, "no trial is a repetition"

    @pytest.mark.parametrize("n_ended", [0, 2])
    def test_a_trial_that_was_killed_does_not_count(
        self, quick: Subject, tmp_path: Path, n_ended: int
    ) -> None:
        path, calls = tmp_path / "study.db", []

        def killed(parameters: Mapping[str, float]) -> list[float]:
            calls.append(parameters)
            if len(calls) > n_ended:
                raise Cut
            return by_leaves(parameters)

        with pytest.raises(Cut):
            search(path, NAME, replace(quick, areas=killed), 4, nobody)
        assert trials_in(path)[n_ended][1] == "RUNNING"
        found = search(path, NAME, quick, 4, nobody)
        assert trials_in(path)[n_ended][1] == "FAIL"
        assert found.tuning.trials == 4
        of_defaults = sum(by_leaves(DEFAULTS)) / 2
        assert found.tuning.default_auc == pytest.approx(of_defaults), "the defaults are tried first"

    def test_more_trials_go_on_and_fewer_change_nothing(self, quick: Subject, tmp_path: Path) -> None:
        path = tmp_path / "study.db"
        three = search(path, NAME, quick, 3, nobody)
        assert search(path, NAME, quick, 1, nobody) == three
        assert search(path, NAME, quick, 5, nobody).tuning.trials == 5

    def test_another_study_in_the_file_is_wrong_use(self, quick: Subject, tmp_path: Path) -> None:
        search(tmp_path / "study.db", NAME, quick, 1, nobody)
        with pytest.raises(WrongUse, match=f"was study {NAME}, of other bars"):
            search(tmp_path / "study.db", "f" * 16, quick, 1, nobody)
        assert len(trials_in(tmp_path / "study.db")) == 1

    def test_a_file_that_is_no_study_is_wrong_use_and_left_alone(
        self, quick: Subject, tmp_path: Path
    ) -> None:
        (tmp_path / "notes.txt").write_text("not a database\n" * 100)
        with pytest.raises(WrongUse, match="name another file with --study"):
            search(tmp_path / "notes.txt", NAME, quick, 1, nobody)
        assert (tmp_path / "notes.txt").read_text() == "not a database\n" * 100

    def test_a_folder_that_can_not_be_is_wrong_use(self, quick: Subject, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(WrongUse, match="correct the path or its permissions"):
            search(tmp_path / "file" / "study.db", NAME, quick, 1, nobody)

    def test_two_at_once_are_wrong_use(self, quick: Subject, tmp_path: Path) -> None:
        def again() -> Searched:
            return search(tmp_path / "study.db", NAME, quick, 2, nobody)

        with pytest.raises(WrongUse, match="nobody else at this very study"):
            search(tmp_path / "study.db", NAME, quick, 2, after(1, again))
        assert again().tuning.trials == 2


class TestName:
    def test_it_is_another_for_all_that_decides(
        self, candles: Mapping[str, Candles], lgb: Subject
    ) -> None:
        own = candles["LTC/USDT"]
        later = Candles(own.symbol, own.timeframe, own.first_open_ms + HOUR_MS, own.bars)
        smaller = {name: one for name, one in SPACE.items() if name != "lambda_l2"}
        names = [
            study_name(SETTINGS, candles, lgb),
            study_name(msgspec.structs.replace(SETTINGS, seed=8), candles, lgb),
            study_name(msgspec.structs.replace(SETTINGS, n_folds=3), candles, lgb),
            study_name(SETTINGS, candles, replace(lgb, block=replace(lgb.block, horizon=12))),
            study_name(SETTINGS, {**candles, "LTC/USDT": later}, lgb),
            study_name(SETTINGS, candles, replace(lgb, space=smaller)),
            study_name(SETTINGS, candles, replace(lgb, defaults={**DEFAULTS, "n_trees": 51})),
            study_name(SETTINGS, candles, replace(lgb, member="other")),
        ]
        assert len(set(names)) == len(names)

    def test_it_is_the_same_for_the_same(self, candles: Mapping[str, Candles], lgb: Subject) -> None:
        again = dict(reversed(candles.items()))
        assert study_name(SETTINGS, candles, lgb) == study_name(SETTINGS, again, lgb)
