"""The one probability that is made of many."""

import math

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.meta_kinds import LogisticModel, Volatility
from plugin.meta_model import MetaModel, meta_inputs

MEMBERS = ("lgb", "xgb")
VOLATILITY = Volatility(centre=-5.0, spread=0.5)
MODEL = LogisticModel(weights=(0.8, 0.4), volatility=VOLATILITY, slope=0.3)
META = MetaModel(MEMBERS, {"5": MODEL, "12": MODEL})


def inputs_of(p: list[list[float]], volatility: list[float]) -> NDArray[np.float64]:
    return meta_inputs(np.array(p), np.array(volatility, dtype=np.float32))


def read(text: bytes) -> MetaModel:
    return MetaModel.from_json(text, (5, 12), MEMBERS)


def test_inputs_are_log_odds_and_the_logarithm_of_the_volatility() -> None:
    (row,) = inputs_of([[0.5], [0.75]], [math.exp(-4.0)])
    assert row == pytest.approx([0.0, math.log(3.0), -4.0], abs=1e-6)


def test_log_odds_are_limited_also_where_a_member_is_certain() -> None:
    certain = inputs_of([[0.0, 1.0, 1e-300, 0.999, 0.98]], [0.01] * 5)
    assert certain[:, 0] == pytest.approx([-4.0, 4.0, -4.0, 4.0, math.log(49)])


def test_a_market_that_stands_still_has_a_finite_volatility() -> None:
    rows = inputs_of([[0.5, 0.5]], [0.0, 1e-30])
    assert rows[:, 1] == pytest.approx(math.log(1e-8))


def test_a_member_that_says_nothing_gives_no_answer_and_no_limit() -> None:
    rows = inputs_of([[math.nan, 0.5], [0.5, 0.5]], [0.01, 0.01])
    assert np.isnan(rows[0, 0])
    probability = MODEL.probability(rows)
    assert np.isnan(probability[0])
    assert probability[1] == 0.5


def test_the_formula() -> None:
    (row,) = inputs_of([[0.6], [0.7]], [math.exp(-5.25)])
    first, second = math.log(0.6 / 0.4), math.log(0.7 / 0.3)
    margin = 0.8 * first + 0.4 * second + 0.3 * -0.5 * (first + second) / 2
    assert MODEL.probability(row[None])[0] == pytest.approx(1 / (1 + math.exp(-margin)), abs=1e-7)


def test_volatility_counts_for_at_most_three_standard_deviations() -> None:
    far = inputs_of([[0.6] * 2, [0.7] * 2], [math.exp(-3.5), 1e6])
    assert MODEL.probability(far)[0] == pytest.approx(MODEL.probability(far)[1], abs=1e-6)


@pytest.mark.parametrize("n", [1, 2, 50, 333])
def test_many_rows_are_answered_as_one_by_one_to_the_last_bit(n: int) -> None:
    rng = np.random.default_rng(n)
    rows = meta_inputs(rng.random((2, n)), rng.random(n).astype(np.float32))
    together = MODEL.probability(rows)
    alone = [MODEL.probability(row[None])[0] for row in rows]
    assert together.tolist() == alone


def test_a_model_survives_its_file() -> None:
    assert read(msgspec.json.encode(META)) == META


def _json(weights: str = "[0.8,0.4]", spread: str = "0.5", members: str = '["lgb","xgb"]') -> bytes:
    volatility = f'{{"centre":-5.0,"spread":{spread}}}'
    one = f'{{"type":"logistic","weights":{weights},"volatility":{volatility},"slope":0.3}}'
    return f'{{"members":{members},"horizons":{{"5":{one},"12":{one}}}}}'.encode()


def test_the_file_that_the_faults_are_made_of_is_read() -> None:
    assert read(_json()) == META


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        _json(weights="[0.8]"),
        _json(weights="[0.8,0.4,0.1]"),
        _json(weights="[0.8,null]"),
        _json(weights="[0.8,1e999]"),
        _json(weights='[0.8,"NaN"]'),
        _json(spread="0"),
        _json(spread="-0.5"),
        _json(members='["xgb","lgb"]'),
        _json(members='["lgb"]'),
        _json().replace(b'"12"', b'"24"'),
        _json().replace(b'"12"', b'"5"'),
        _json().replace(b'"slope"', b'"slant"'),
        _json().replace(b'{"members"', b'{"more":1,"members"'),
    ],
)
def test_what_is_no_model_of_these_members_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(text)
