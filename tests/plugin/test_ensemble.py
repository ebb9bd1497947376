"""The members of a real bundle, asked together, and what becomes of one that is not well."""

import dataclasses
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.bundle import Bundle, load_bundle
from plugin.ensemble import CONSTANT_AFTER_BARS, Ensemble, Prediction
from plugin.features.joined import ROW_NAMES
from plugin.golden import Golden
from tests.support.small_training import SmallTraining

MEMBERS = ["lgb", "xgb", "cross"]
HORIZONS = ["5", "12", "24"]


@pytest.fixture(scope="module")
def bundle(small_training: SmallTraining) -> Bundle:
    return load_bundle(small_training.outcome.bundle)


@pytest.fixture(scope="module")
def golden(bundle: Bundle) -> Golden:
    return Golden.decode(bundle.golden)


class Says:
    """A model that says the given probabilities, or the last of them for ever."""

    def __init__(self, *probabilities: float) -> None:
        self.left = list(probabilities)

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        said = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return np.full(len(rows), said)


def with_model(bundle: Bundle, member: str, horizon: int, model: object) -> Ensemble:
    models = {**bundle.models, member: {**bundle.models[member], horizon: model}}
    return Ensemble(dataclasses.replace(bundle, models=models))  # type: ignore[arg-type]


def random_rows(n: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(n)
    rows = rng.standard_normal((n, len(ROW_NAMES)))
    rows[:, ROW_NAMES.index("realised_vol_20")] = rng.uniform(1e-9, 0.1, n)
    return rows.astype(np.float32)


def without_times(prediction: Prediction) -> object:
    said = {name: (one.p, one.status, one.horizons) for name, one in prediction.members.items()}
    return said, prediction.probabilities, prediction.meta_p, prediction.reason


@pytest.mark.parametrize("n", [1, 2, 50, 333])
def test_a_batch_is_answered_as_one_by_one_to_the_last_bit(bundle: Bundle, n: int) -> None:
    rows, symbols = random_rows(n), [f"S{number}/USDT" for number in range(n)]
    together = Ensemble(bundle).predict(symbols, rows)
    lonely = Ensemble(bundle)
    for symbol, row, prediction in zip(symbols, rows, together, strict=True):
        (alone,) = lonely.predict([symbol], row[None])
        assert without_times(alone) == without_times(prediction)


def test_the_answers_are_those_of_training(bundle: Bundle, golden: Golden) -> None:
    symbols = [str(number) for number in range(len(golden.rows))]
    for case, said in enumerate(Ensemble(bundle).predict(symbols, golden.rows)):
        assert said.reason == "ok"
        assert list(said.members) == MEMBERS
        assert list(said.probabilities) == HORIZONS
        assert said.meta_p == said.probabilities["5"]
        for number, member in enumerate(said.members.values()):
            assert list(member.horizons.values()) == pytest.approx(
                golden.members[case, number], abs=1e-6
            )
            assert (member.p, member.status) == (member.horizons["5"], "ok")
            assert member.us > 0.0
        assert list(said.probabilities.values()) == pytest.approx(golden.stacked[case], abs=1e-6)


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("horizon", [5, 24])
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -0.001, 1.001])
def test_a_member_without_a_probability_silences_the_ensemble(
    bundle: Bundle, golden: Golden, member: str, horizon: int, wrong: float
) -> None:
    ensemble = with_model(bundle, member, horizon, Says(wrong))
    (said,) = ensemble.predict(["BTC/USDT"], golden.rows[:1])
    assert said.reason == f"member_nan:{member}"
    assert (said.probabilities, said.meta_p) == ({}, None)
    assert (said.members[member].status, said.members[member].p) == ("nan", None)
    assert all(one.status == "ok" for name, one in said.members.items() if name != member)


@pytest.mark.parametrize("certain", [0.0, 1.0])
def test_a_member_that_is_certain_counts_and_leads_to_no_certainty(
    bundle: Bundle, golden: Golden, certain: float
) -> None:
    (said,) = with_model(bundle, "lgb", 5, Says(certain)).predict(["BTC/USDT"], golden.rows[:1])
    assert said.reason == "ok"
    assert said.members["lgb"].p == certain
    assert said.meta_p is not None
    assert 0.0 < said.meta_p < 1.0


def _statuses(ensemble: Ensemble, n: int, symbol: str = "BTC/USDT") -> list[str]:
    rows = random_rows(n)
    return [ensemble.predict([symbol], row[None])[0].members["xgb"].status for row in rows]


def test_a_member_that_repeats_itself_for_too_long_is_constant(bundle: Bundle) -> None:
    ensemble = with_model(bundle, "xgb", 5, Says(0.51))
    statuses = _statuses(ensemble, CONSTANT_AFTER_BARS + 3)
    assert statuses == ["ok"] * CONSTANT_AFTER_BARS + ["constant"] * 3
    (said,) = ensemble.predict(["BTC/USDT"], random_rows(1))
    assert said.reason == "member_constant:xgb"
    assert (said.probabilities, said.meta_p) == ({}, None)
    assert said.members["xgb"].p == 0.51


def test_one_other_answer_ends_the_repetition(bundle: Bundle) -> None:
    same = [0.51] * CONSTANT_AFTER_BARS
    statuses = _statuses(with_model(bundle, "xgb", 5, Says(*same, 0.52, 0.51)), 2 * CONSTANT_AFTER_BARS)
    assert set(statuses) == {"ok"}


def test_repetition_is_counted_for_each_symbol_alone(bundle: Bundle) -> None:
    ensemble = with_model(bundle, "xgb", 5, Says(0.51))
    assert "constant" in _statuses(ensemble, CONSTANT_AFTER_BARS + 1, "BTC/USDT")
    assert set(_statuses(ensemble, CONSTANT_AFTER_BARS, "ETH/USDT")) == {"ok"}


def test_the_first_member_that_is_not_well_is_the_reason(bundle: Bundle, golden: Golden) -> None:
    models = {name: {**by_horizon, 5: Says(math.nan)} for name, by_horizon in bundle.models.items()}
    ensemble = Ensemble(dataclasses.replace(bundle, models=models))  # type: ignore[arg-type]
    assert ensemble.predict(["BTC/USDT"], golden.rows[:1])[0].reason == "member_nan:lgb"


class SilentOnTheFirst:
    """A model that has no number for the first row."""

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.where(np.arange(len(rows)) == 0, math.nan, 0.6)


def test_a_symbol_on_which_a_member_is_silent_leaves_the_others_alone(bundle: Bundle) -> None:
    ensemble = with_model(bundle, "lgb", 12, SilentOnTheFirst())
    first, second = ensemble.predict(["BTC/USDT", "ETH/USDT"], random_rows(2))
    assert (first.reason, first.meta_p) == ("member_nan:lgb", None)
    assert second.reason == "ok"
    assert all(math.isfinite(p) for p in second.probabilities.values())
