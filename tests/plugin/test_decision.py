import json
import math
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.decision import EDGE, SHADOW_EVIDENCE, Decision, Serving, decide, permission
from plugin.settings import Settings
from tests.support.bars import HOURLY, bar_at, open_ms

NAN, INFINITY = float("nan"), float("inf")
STACKING = Settings(enable_stacking=True)
WAIVING = Settings(enable_stacking=True, require_shadow_pass=False)
PAGE = (Path(__file__).parents[2] / "docs" / "decisions.md").read_text(encoding="utf-8")


def serving(verdict: str = "live", *missing: str) -> Serving:
    return Serving(
        bundle_id="20250101T000000Z-abcd",
        feature_hash="f00d",
        primary_horizon="5",
        verdict=verdict,
        missing_gates=missing,
    )


LIVE = serving()


def decided(flags: Settings = STACKING, bundle: Serving | None = LIVE, **changed: object) -> Decision:
    given = {
        "probabilities": {"5": 0.6, "12": 0.5},
        "abstain_reason": None,
        "regime": "mid",
        "latency_us": 9.0,
    }
    return decide(bar_at(3), HOURLY, flags, bundle, **(given | changed))


def test_a_decision_carries_all_that_is_needed_to_follow_or_repeat_it():
    assert decided() == Decision(
        symbol="BTC/USDT",
        timeframe="1h",
        open_time_ms=open_ms(3),
        valid_until_ms=open_ms(5),
        mode="live",
        action="long",
        probabilities={"5": 0.6, "12": 0.5},
        size_multiplier=1.0,
        stop_atr=2.0,
        regime="mid",
        bundle_id="20250101T000000Z-abcd",
        feature_hash="f00d",
        reason="ok",
        latency_us=9.0,
    )


@pytest.mark.parametrize(
    ("flags", "bundle", "mode", "reason"),
    [
        (Settings(enabled=False), serving(), "off", "disabled"),
        (Settings(enabled=False, enable_stacking=True), None, "off", "disabled"),
        (STACKING, None, "shadow", "no_bundle"),
        (Settings(), None, "shadow", "no_bundle"),
        (STACKING, serving("none", "integrity", "parity"), "shadow", "gate_integrity"),
        (WAIVING, serving("none", SHADOW_EVIDENCE), "shadow", "gate_shadow_evidence"),
        (STACKING, serving("none"), "shadow", "gate_report_missing"),
        (Settings(), serving(), "shadow", "stacking_off"),
        (Settings(), serving("shadow", "performance"), "shadow", "stacking_off"),
        (STACKING, serving(), "live", "ok"),
        (STACKING, serving("shadow", "performance"), "shadow", "gate_performance"),
        (STACKING, serving("shadow", SHADOW_EVIDENCE), "shadow", "gate_shadow_evidence"),
        (WAIVING, serving("shadow", SHADOW_EVIDENCE), "live", "ok"),
        (WAIVING, serving("shadow", "performance"), "shadow", "gate_performance"),
        (WAIVING, serving("shadow", SHADOW_EVIDENCE, "performance"), "shadow", "gate_shadow_evidence"),
        (WAIVING, serving("shadow"), "shadow", "gate_report_missing"),
        (STACKING, serving("live", "performance"), "shadow", "gate_performance"),
        (WAIVING, serving("live", SHADOW_EVIDENCE), "shadow", "gate_shadow_evidence"),
        (STACKING, serving("LIVE"), "shadow", "gate_report_missing"),
    ],
)
def test_the_mode_follows_flags_and_verdict(flags, bundle, mode, reason):
    decision = decided(flags, bundle)
    assert (decision.mode, decision.reason) == (mode, reason)
    assert permission(flags, bundle) == (mode, reason)


@pytest.mark.parametrize(
    ("p", "action"),
    [
        (1.0, "long"),
        (0.5 + EDGE, "long"),
        (math.nextafter(0.5 + EDGE, 0), "flat"),
        (0.5, "flat"),
        (math.nextafter(0.5 - EDGE, 1), "flat"),
        (0.5 - EDGE, "short"),
        (0.0, "short"),
    ],
)
def test_the_action_follows_the_probability_at_the_primary_horizon(p, action):
    assert decided(probabilities={"12": 0.5, "5": p}).action == action


def test_in_shadow_the_decision_shows_what_would_be_done_live():
    live, shadow = decided(), decided(Settings())
    assert (shadow.mode, shadow.reason) == ("shadow", "stacking_off")
    assert msgspec.structs.replace(shadow, mode="live", reason="ok") == live


@pytest.mark.parametrize("p", [None, NAN, INFINITY, -INFINITY, -0.001, 1.001])
def test_what_is_no_probability_is_never_acted_on(p):
    for stated in ({"5": p, "12": 0.6}, {"5": 0.6, "12": p}):
        decision = decided(probabilities=stated)
        assert (decision.action, decision.reason) == ("abstain", "not_finite")
        assert list(decision.probabilities.values()) == [0.6]


@pytest.mark.parametrize("stated", [None, {}, {"12": 0.9}])
def test_without_a_probability_at_the_primary_horizon_nothing_is_done(stated):
    decision = decided(probabilities=stated)
    assert (decision.action, decision.reason) == ("abstain", "not_finite")


def test_a_reason_not_to_predict_goes_before_everything_but_the_switch():
    assert decided(abstain_reason="gap").reason == "gap"
    assert decided(Settings(), abstain_reason="gap", regime="unknown").reason == "gap"
    assert decided(abstain_reason="gap").action == "abstain"
    assert decided(Settings(enabled=False), abstain_reason="gap").reason == "disabled"
    assert decided(STACKING, None, abstain_reason="gap").reason == "no_bundle"


@pytest.mark.parametrize(
    ("bundle", "flags"),
    [(None, STACKING), (serving("none", "integrity"), STACKING), (serving(), Settings(enabled=False))],
)
def test_what_may_not_answer_abstains_whatever_it_predicts(bundle, flags):
    assert decided(flags, bundle).action == "abstain"


@pytest.mark.parametrize(
    ("regime", "size_multiplier", "stop_atr"),
    [("low", 1.0, 1.5), ("mid", 1.0, 2.0), ("high", 0.5, 3.0)],
)
def test_size_and_stop_follow_the_regime(regime, size_multiplier, stop_atr):
    decision = decided(regime=regime)
    assert decision.regime == regime
    assert (decision.size_multiplier, decision.stop_atr) == (size_multiplier, stop_atr)


def test_an_unknown_regime_abstains():
    decision = decided(regime="unknown")
    assert (decision.action, decision.reason, decision.regime) == (
        "abstain",
        "unknown_regime",
        "unknown",
    )


ANY_FLAGS = st.builds(
    Settings, enabled=st.booleans(), enable_stacking=st.booleans(), require_shadow_pass=st.booleans()
)
ANY_SERVING = st.none() | st.builds(
    Serving,
    bundle_id=st.text(),
    feature_hash=st.text(),
    primary_horizon=st.sampled_from(["5", "12"]),
    verdict=st.sampled_from(["none", "shadow", "live"]),
    missing_gates=st.lists(st.sampled_from([SHADOW_EVIDENCE, "performance"]), max_size=2).map(tuple),
)
ANY_P = st.none() | st.floats() | st.floats(0, 1)
ANY_INPUT = {
    "flags": ANY_FLAGS,
    "bundle": ANY_SERVING,
    "probabilities": st.none() | st.dictionaries(st.sampled_from(["5", "12", "24"]), ANY_P),
    "abstain_reason": st.none() | st.sampled_from(["gap", "warming_up"]),
    "regime": st.sampled_from(["low", "mid", "high", "unknown"]),
}


@given(**ANY_INPUT)
def test_nothing_steers_unless_flag_verdict_and_probability_all_allow_it(**given):
    decision = decided(**given)
    if decision.mode != "live":
        return
    flags, bundle = given["flags"], given["bundle"]
    assert flags.enabled
    assert flags.enable_stacking
    waived = bundle.verdict == "shadow" and bundle.missing_gates == (SHADOW_EVIDENCE,)
    assert (bundle.verdict == "live" and not bundle.missing_gates) or (
        waived and not flags.require_shadow_pass
    )
    if decision.action != "abstain":
        assert given["abstain_reason"] is None
        assert math.isfinite(given["probabilities"][bundle.primary_horizon])


@given(**ANY_INPUT)
def test_every_decision_is_whole_and_fit_for_json(**given):
    decision = decided(**given)
    assert (
        (decision.action == "abstain")
        == (decision.size_multiplier == 0.0)
        == (decision.stop_atr == 0.0)
    )
    assert decision.reason
    if decision.reason == "ok":
        assert decision.mode == "live"
        assert decision.action != "abstain"
    assert all(0.0 <= p <= 1.0 for p in decision.probabilities.values())
    assert (
        json.loads(msgspec.json.encode(decision), parse_constant=pytest.fail)["mode"] == decision.mode
    )


@given(**ANY_INPUT)
def test_every_reason_stands_in_the_documentation(**given):
    reason = decided(**given).reason
    assert f"`{reason}`" in PAGE or (
        reason.startswith("gate_") and "`gate_` and the first missing gate" in PAGE
    )


def test_the_documented_numbers_are_those_of_the_code():
    for regime in ("low", "mid", "high"):
        decision = decided(regime=regime)
        row = rf"\| `{decision.regime}` \| .* \| {decision.size_multiplier} \| {decision.stop_atr} \|"
        assert re.search(row, PAGE)
    assert f"p ≥ {0.5 + EDGE}" in PAGE
    assert f"p ≤ {0.5 - EDGE}" in PAGE


def test_the_documented_fields_are_those_of_a_decision():
    table = PAGE.partition("## Fields")[2].partition("## Mode")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?`) \| ", table, re.M)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert named == set(Decision.__struct_fields__)
