"""What is served against what training said, and where it differs most."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gates import base
from gates.parity import parity
from plugin.canary import CanaryReport
from plugin.manifest import GateResult, MemberFile
from tests.support.bundles import bundle_of, read_manifest, reseal
from tests.support.candidates import candidate, damaged_candidate, results

Judged = Callable[..., GateResult]


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Judged:
    """The gate's word where the process says a difference, and where it found it."""

    def judge(
        difference: float | None, source: str, horizon: int | None, **fields: object
    ) -> GateResult:
        report = CanaryReport("", "", difference, None, source, horizon)
        monkeypatch.setattr(base, "check_in_child", lambda _: report)
        return results(parity, candidate(**fields))["parity"]

    return judge


@pytest.mark.parametrize(
    ("difference", "verdict"),
    [
        (1e-6, "pass"),
        (1.1e-6, "fail"),
        (None, "not enough evidence"),
        (float("nan"), "not enough evidence"),
        (float("inf"), "not enough evidence"),
    ],
)
def test_both_sides_of_the_limit(judged: Judged, difference: float | None, verdict: str) -> None:
    assert judged(difference, "lgb", 5).verdict == verdict


@pytest.mark.parametrize(
    ("source", "horizon", "where"),
    [
        ("lgb", 12, "(lgb at 12 bars, our reader against LightGBM itself)"),
        ("xgb", 5, "(xgb at 5 bars, our reader against XGBoost itself)"),
        ("stack", 5, "(stack at 5 bars)"),
        ("features", None, "(features)"),
    ],
)
def test_the_place_of_the_largest_difference_is_named(
    judged: Judged, source: str, horizon: int | None, where: str
) -> None:
    assert where in judged(1e-8, source, horizon).sentence


def test_a_network_is_held_against_itself_before_its_export(judged: Judged) -> None:
    network = MemberFile(member="tft", kind="onnx", feature_set="base", horizon=5, file="tft.onnx")
    said = judged(1e-8, "tft", 5, members=(network,))
    assert "(tft at 5 bars, onnxruntime against the network before its export)" in said.sentence


def test_it_is_asked_of_a_real_process_and_once(models: Path) -> None:
    bundle = bundle_of(models)
    one = candidate(folder=bundle, members=read_manifest(bundle).members)
    said = results(parity, one)["parity"]
    assert (said.verdict, said.level) == ("pass", "shadow")
    assert isinstance(said.value, float)
    assert 0.0 <= said.value <= 1e-6
    assert "(xgb at " in said.sentence, "XGBoost adds in float32, all others do not"
    assert one.canary is one.canary


def test_it_fails_where_the_answers_are_others(models: Path) -> None:
    bundle = bundle_of(models)
    (bundle / "lgb_h5.txt").write_bytes((bundle / "lgb_h24.txt").read_bytes())
    reseal(bundle)
    said = results(parity, candidate(folder=bundle))["parity"]
    assert said.verdict == "fail"
    assert "golden.npz: expected answers within 1e-06" in said.sentence
    assert "most of all lgb at 5 bars" in said.sentence


def test_it_has_nothing_to_ask_where_the_bundle_is_not_intact() -> None:
    assert results(parity, damaged_candidate())["parity"].verdict == "not enough evidence"
