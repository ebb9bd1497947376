"""Every kind of meta-model says the opposite of the opposite, and nothing of nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import lightgbm
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.meta_kinds import BoostedModel, NetworkModel
from plugin.meta_model import HorizonModel, MetaModel
from training.meta_models import META_KINDS, MetaKind, fit_model

N_MEMBERS = 3


@dataclass(frozen=True)
class Learnt:
    inputs: NDArray[np.float64]
    model: HorizonModel


@pytest.fixture(scope="module", params=META_KINDS)
def learnt(request: pytest.FixtureRequest) -> Learnt:
    """A model of each kind over members of which the first knows most."""
    return learn(request.param)


def learn(kind: MetaKind) -> Learnt:
    random = np.random.default_rng(4)
    up = (random.random(12_000) < 0.55).astype(np.float64)
    log_odds = np.array([0.6, 0.3, 0.0]) * (up[:, None] - 0.5) + 0.4 * random.normal(size=(up.size, 3))
    inputs = np.column_stack([log_odds, random.normal(-5.0, 0.5, up.size)])
    return Learnt(inputs, fit_model(kind, inputs, up, 7))


def turned(inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([-inputs[:, :-1], inputs[:, -1]])


def test_members_that_say_nothing_lead_to_one_half(learnt: Learnt) -> None:
    """Although more than half of what it learnt from went up."""
    nothing = np.column_stack([np.zeros((5, N_MEMBERS)), np.linspace(-8.0, -2.0, 5)])
    assert learnt.model.probability(nothing) == pytest.approx(0.5, abs=1e-12)


def test_the_opposite_leads_to_the_opposite(learnt: Learnt) -> None:
    said = learnt.model.probability(learnt.inputs)
    assert learnt.model.probability(turned(learnt.inputs)) == pytest.approx(1.0 - said, abs=1e-12)
    assert said.std() > 0.02


def test_who_knows_most_counts_most(learnt: Learnt) -> None:
    one_after_the_other = np.column_stack([np.eye(N_MEMBERS), np.full(N_MEMBERS, -5.0)])
    first, second, third = learnt.model.probability(one_after_the_other)
    assert first > second > third


def test_many_rows_are_answered_as_one_by_one_to_the_last_bit(learnt: Learnt) -> None:
    rows = learnt.inputs[:37]
    alone = [learnt.model.probability(row[None])[0] for row in rows]
    assert learnt.model.probability(rows).tolist() == alone


@pytest.mark.parametrize("column", range(N_MEMBERS))
def test_a_member_without_an_answer_leaves_none(learnt: Learnt, column: int) -> None:
    rows = learnt.inputs[:3].copy()
    rows[1, column] = np.nan
    assert np.isnan(learnt.model.probability(rows)).tolist() == [False, True, False]


def test_a_model_survives_its_file(learnt: Learnt) -> None:
    text = msgspec.json.encode(MetaModel(("a", "b", "c"), {"5": learnt.model}))
    read = MetaModel.from_json(text, (5,), ("a", "b", "c")).horizons["5"]
    assert read == learnt.model
    said = learnt.model.probability(learnt.inputs)
    assert read.probability(learnt.inputs).tobytes() == said.tobytes()


def test_a_model_of_other_members_is_refused(learnt: Learnt) -> None:
    text = msgspec.json.encode(MetaModel(("a", "b"), {"5": learnt.model}))
    with pytest.raises(ValueError):
        MetaModel.from_json(text, (5,), ("a", "b"))


def test_trees_say_half_of_what_the_library_says_of_both_ways() -> None:
    learnt = learn("boosted")
    assert isinstance(learnt.model, BoostedModel)
    booster = lightgbm.Booster(model_str=learnt.model.text)
    own, other = (
        np.asarray(booster.predict(rows.astype(np.float32), raw_score=True))
        for rows in (learnt.inputs, turned(learnt.inputs))
    )
    expected = 1.0 / (1.0 + np.exp(-(own - other) / 2.0))
    assert learnt.model.probability(learnt.inputs) == pytest.approx(expected, abs=1e-9)


def test_the_formula_of_the_network() -> None:
    learnt = learn("network")
    model = learnt.model
    assert isinstance(model, NetworkModel)
    *log_odds, log_volatility = learnt.inputs[0].tolist()
    [volatility] = model.volatility.standardised(np.array([log_volatility]))

    def raw(sign: float) -> float:
        return sum(
            out
            * math.tanh(
                sum(w * sign * x / model.unit for w, x in zip(weights, log_odds, strict=True))
                + of_volatility * volatility
                + bias
            )
            for out, (*weights, of_volatility, bias) in zip(model.out, model.hidden, strict=True)
        )

    expected = 1.0 / (1.0 + math.exp(-(raw(1.0) - raw(-1.0)) / 2.0))
    assert model.probability(learnt.inputs[:1])[0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"unit": 0.0},
        {"unit": math.nan},
        {"hidden": ()},
        {"hidden": ((1.0, 1.0, 1.0, 1.0),) * 4},
        {"out": (1.0, 1.0, 1.0)},
        {"out": (1.0, 1.0, 1.0, math.inf)},
    ],
)
def test_a_spoilt_network_is_refused(spoilt: dict[str, object]) -> None:
    model = learn("network").model
    assert isinstance(model, NetworkModel)
    model.check(N_MEMBERS)
    with pytest.raises(ValueError):
        msgspec.structs.replace(model, **spoilt).check(N_MEMBERS)


@pytest.mark.parametrize("damage", ["", "tree\n", "\ud800"])
def test_spoilt_trees_are_refused(damage: str) -> None:
    model = learn("boosted").model
    assert isinstance(model, BoostedModel)
    model.check(N_MEMBERS)
    with pytest.raises(ValueError):
        msgspec.structs.replace(model, text=damage).check(N_MEMBERS)
