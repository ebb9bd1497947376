"""What must hold on real hourly bars of BTC/USDT."""

from pathlib import Path

import pytest

from gates.limits import LIMITS
from plugin.candle_store import CandleStore
from training.retrain import Outcome, retrain
from training.settings import TrainingSettings

UNTIL_MS = 1_751_328_000_000  # 2025-07-01


@pytest.fixture(scope="module")
def outcome(market: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The default training at the primary horizon alone."""
    settings = TrainingSettings(venue="binance_spot", horizons=(5,), until_ms=UNTIL_MS)
    models = tmp_path_factory.mktemp("models")
    return retrain(settings, CandleStore(market), models, LIMITS, step=lambda _: None)


@pytest.mark.market
@pytest.mark.slow
def test_members_have_the_skill_that_was_asked_for(outcome: Outcome):
    metrics = outcome.record["metrics"]["5"]
    assert metrics["mean_fold_auc"]["lgb"] >= 0.55
    assert metrics["oof_rows"] >= 20_000


@pytest.mark.market
@pytest.mark.slow
def test_the_stack_has_skill_beyond_luck_and_the_naive_rule(outcome: Outcome):
    figures = outcome.record["metrics"]["5"]["symbols"]["BTC/USDT"]
    assert figures["stack"]["auc_low"] > max(0.5, figures["reversal"]["auc"])
    assert figures["stack"]["brier"] < 0.25


@pytest.mark.market
@pytest.mark.slow
def test_the_stack_is_no_worse_than_its_members_beyond_what_chance_explains(outcome: Outcome):
    figures = outcome.record["metrics"]["5"]["symbols"]["BTC/USDT"]
    members = [figures[name]["auc"] for name in ("lgb", "xgb", "cross")]
    assert figures["stack"]["auc"] >= sum(members) / len(members)
    assert figures["stack"]["auc_high"] > max(members)


@pytest.mark.market
@pytest.mark.slow
def test_an_honest_candidate_stops_at_shadow_and_too_good_would_be_a_bug(outcome: Outcome):
    assert outcome.report.level == "shadow"
    assert outcome.role == "champion"
    assert "performance_stack" in outcome.report.missing
    assert outcome.record["metrics"]["5"]["symbols"]["BTC/USDT"]["stack"]["auc"] < 0.62
