"""Who has seen the rows that it was judged on does as well on them as a model that learnt from them."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gates.limits import LIMITS
from gates.seen import seen
from plugin.candle_store import CandleStore
from plugin.manifest import GateResult
from tests.support.candidates import (
    MEMBERS,
    answers_of,
    candidate,
    damaged_candidate,
    good_figures,
    good_rows,
    put,
    results,
)
from tests.support.small_training import SETTINGS, SmallTraining
from training import material
from training.retrain import retrain
from training.splits import Fold

ROWS = good_rows()


def judged(*candidate_of: Any, **more: Any) -> GateResult:
    return results(seen, candidate(*candidate_of, **more))["seen"]


def test_good_rows_pass_at_the_level_shadow() -> None:
    found = judged()
    assert (found.verdict, found.level) == ("pass", "shadow")


def test_the_value_is_the_least_of_all_members_and_horizons() -> None:
    rows = ROWS.fold > 0
    ahead = [
        0.7 - roc_auc_score(ROWS.up[rows, place], answers_of(name, horizon)[rows])
        for name in MEMBERS
        for place, horizon in enumerate((5, 12))
    ]
    assert judged().value == pytest.approx(min(ahead), abs=1e-12)


@pytest.mark.parametrize("member", MEMBERS)
def test_both_sides_of_the_limit(member: str) -> None:
    """What the serving model reached on the same rows is moved; the limit is not."""
    rows = ROWS.fold > 0
    out_of_fold = roc_auc_score(ROWS.up[rows, 0], answers_of(member)[rows])
    for more, verdict in ((0.0101, "pass"), (0.0099, "fail"), (0.0, "fail"), (-0.02, "fail")):
        found = judged(put(good_figures(), ("seen_auc", member), out_of_fold + more))
        assert found.verdict == verdict
        assert f"least for {member} at 5 bars" in found.sentence


def test_the_limit_can_be_moved() -> None:
    found = judged()
    assert isinstance(found.value, float)
    strict = msgspec.structs.replace(LIMITS, seen=math.nextafter(found.value, 1.0))
    assert results(seen, candidate(), strict)["seen"].verdict == "fail"


@pytest.mark.parametrize("unknown", [msgspec.UNSET, None, math.nan, math.inf])
def test_a_member_whose_serving_model_was_not_asked_could_be_the_worst(unknown: object) -> None:
    figures = put(good_figures(), ("seen_auc", "xgb"), unknown)
    assert judged(figures).verdict == "not enough evidence"


def test_figures_that_are_missing_at_one_horizon_are_no_evidence() -> None:
    assert judged(metrics={"5": good_figures()}).verdict == "not enough evidence"


def test_one_class_alone_is_no_evidence() -> None:
    assert judged(rows=replace(ROWS, up=np.ones_like(ROWS.up))).verdict == "not enough evidence"


@pytest.mark.parametrize("one", [damaged_candidate(), candidate(rows=b"none")])
def test_without_rows_there_is_no_evidence(one: Any) -> None:
    assert results(seen, one)["seen"].verdict == "not enough evidence"


def test_a_training_whose_folds_had_seen_their_test_rows_is_caught(
    small_training: SmallTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By nobody else: its stack is better than any that was honestly trained."""
    honest = material.walk_forward

    def with_test_rows(*arguments: Any) -> list[Fold]:
        folds = honest(*arguments)
        return [replace(fold, train=np.union1d(fold.train, fold.test)) for fold in folds]

    monkeypatch.setattr(material, "walk_forward", with_test_rows)
    settings = msgspec.structs.replace(SETTINGS, horizons=(5,))
    store = CandleStore(small_training.store)
    leaky = retrain(settings, store, tmp_path / "models", LIMITS, step=lambda _: None)
    assert "seen" not in small_training.outcome.report.missing
    assert leaky.report.level == "none"
    shadow = [one for one in leaky.report.results if one.level == "shadow"]
    assert [(one.name, one.verdict) for one in shadow if one.verdict != "pass"] == [("seen", "fail")]
