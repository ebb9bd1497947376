"""The classifier must be right more often than the present third, on every symbol, and show it."""

import math
from typing import Any

import msgspec
import pytest

from gates.limits import LIMITS
from gates.regime import regime
from plugin.manifest import RegimeFiles
from tests.support.candidates import SYMBOLS, candidate, damaged_candidate, results


def with_figures(figures: Any) -> RegimeFiles:
    return RegimeFiles(
        kind="lightgbm",
        feature_set="base",
        horizon=24,
        files=("regime_mid_or_high.txt", "regime_high.txt"),
        figures=figures,
    )


def judged(*low: float | None) -> tuple[str, float | str | None]:
    over = {name: {"low": one} for name, one in zip(SYMBOLS, low, strict=False)}
    said = results(regime, candidate(regime=with_figures({"over_now": over})))["regime"]
    return said.verdict, said.value


def test_it_passes_above_the_limit_on_the_worst_symbol_alone() -> None:
    assert judged(0.02, 0.001) == ("pass", 0.001)
    assert judged(0.02, 0.0) == ("fail", 0.0)
    assert judged(-0.01, 0.03) == ("fail", -0.01)


@pytest.mark.parametrize("low", [(0.02,), (0.02, None), (math.nan, 0.02), ()])
def test_a_symbol_without_the_figure_is_no_evidence(low: tuple[float | None, ...]) -> None:
    assert judged(*low) == ("not enough evidence", None)


@pytest.mark.parametrize("figures", [{}, {"over_now": 3}, {"over_now": {"BTC/USDT": "much"}}])
def test_figures_of_another_shape_are_no_evidence(figures: dict[str, Any]) -> None:
    said = results(regime, candidate(regime=with_figures(figures)))["regime"]
    assert said.verdict == "not enough evidence"


def test_without_a_classifier_there_is_nothing_to_be_worse_than() -> None:
    assert results(regime, candidate())["regime"].verdict == "pass"


def test_a_bundle_that_is_not_intact_is_no_evidence() -> None:
    assert results(regime, damaged_candidate())["regime"].verdict == "not enough evidence"


def test_the_limit_can_be_changed() -> None:
    figures = {"over_now": {name: {"low": 0.01} for name in SYMBOLS}}
    strict = msgspec.structs.replace(LIMITS, regime_over_now=0.02)
    assert results(regime, candidate(regime=with_figures(figures)), strict)["regime"].verdict == "fail"
