"""What a manifest must say of where the bundle came from, and what is said where it is missing."""

from typing import Any

import msgspec
import pytest

from gates.limits import LIMITS
from gates.metadata import KNOWN_MAJORS, metadata
from gates.real_market import real_market
from plugin.bundle import verify_bundle
from plugin.manifest import GateResult, MemberFile, SymbolBars
from tests.support.candidates import candidate, damaged_candidate, good_figures, results
from tests.support.small_training import SmallTraining

BARS = {
    name: SymbolBars(first_open_ms=0, n_bars=1, sha256="0f" * 32)
    for name in ("BTC/USDT", "ETH/USDT", "XRP/USDT")
}
NETWORK = MemberFile(member="tft", kind="onnx", feature_set="base", horizon=5, file="tft.onnx")
TREES = MemberFile(member="lgb", kind="lightgbm", feature_set="base", horizon=5, file="lgb.txt")


def judged(**fields: Any) -> GateResult:
    return results(metadata, candidate(**fields))["metadata"]


def test_a_complete_manifest_passes_at_the_level_shadow() -> None:
    found = judged(bars=BARS)
    assert (found.verdict, found.level, found.value) == ("pass", "shadow", "complete")


def test_what_training_writes_is_complete(small_training: SmallTraining) -> None:
    manifest = verify_bundle(small_training.outcome.bundle)[0]
    assert judged(**msgspec.structs.asdict(manifest)).verdict == "pass"


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"bars": {}}, "bars of BTC/USDT with their hash"),
        (
            {"bars": {**BARS, "XRP/USDT": SymbolBars(first_open_ms=0, n_bars=1, sha256="")}},
            "bars of XRP/USDT with their hash",
        ),
        (
            {"bars": {**BARS, "ETH/USDT": SymbolBars(first_open_ms=0, n_bars=0, sha256="0f" * 32)}},
            "bars of ETH/USDT",
        ),
        (
            {"bars": {**BARS, "ETH/USDT": SymbolBars(first_open_ms=0, n_bars=1, sha256="0F" * 32)}},
            "bars of ETH/USDT",
        ),
        ({"settings": {}}, "settings"),
        ({"label": ""}, "label"),
        ({"venue": ""}, "venue"),
        ({"created": ""}, "a time of creation with its zone, was ''"),
        ({"created": "2025-01-01T00:00:00"}, "a time of creation with its zone"),
        ({"created": "yesterday"}, "a time of creation with its zone"),
        ({"libraries": {}}, "lightgbm 4, was none; xgboost 3, was none"),
        ({"libraries": {"lightgbm": "5.0.0", "xgboost": "3.1"}}, "lightgbm 4, was 5.0.0"),
        ({"libraries": {"lightgbm": "4.6", "xgboost": "30.1"}}, "xgboost 3, was 30.1"),
        ({"members": (NETWORK,)}, "onnxruntime 1, was none"),
        ({"metrics": {"5": good_figures()}}, "metrics at 12 bars"),
        ({"metrics": {"5": good_figures(), "12": {}}}, "metrics at 12 bars"),
        ({"metrics": {"5": good_figures(), "12": None}}, "metrics at 12 bars"),
    ],
)
def test_what_is_missing_is_named(fields: dict[str, Any], what: str) -> None:
    found = judged(**fields)
    assert found.verdict == "fail"
    assert what in found.sentence
    assert found.value is not None
    assert found.sentence == f"the manifest lacks: {found.value}"


@pytest.mark.parametrize("member", [NETWORK, TREES])
def test_only_libraries_of_its_own_members_must_be_known(member: MemberFile) -> None:
    library, major = KNOWN_MAJORS[member.kind]
    assert judged(members=(member,), libraries={library: f"{major}.9"}).verdict == "pass"


def test_a_bundle_that_is_not_intact_says_nothing() -> None:
    assert results(metadata, damaged_candidate(), LIMITS)["metadata"].verdict == "not enough evidence"


@pytest.mark.parametrize(("venue", "verdict"), [("binance_spot", "pass"), ("simulated", "fail")])
def test_a_simulated_market_is_no_market(venue: str, verdict: str) -> None:
    assert results(real_market, candidate(venue=venue))["real_market"].verdict == verdict
