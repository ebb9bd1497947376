"""All gates answer, whatever state the bundle is in, and the level follows from their answers."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from gates.integrity import integrity
from gates.limits import LIMITS, Limits
from gates.real_market import real_market
from gates.runner import GATES, ask_gates, level_of, run_gates
from plugin.errors import WrongUse
from plugin.manifest import GateResult, Level, Verdict
from tests.support.bundles import add_twin, bundle_of, flip_byte, read_manifest, reseal, seal_text
from tests.support.candidates import (
    candidate,
    damaged_candidate,
    good_rows,
    make_fit_for_live,
    results,
)
from tests.support.small_training import SmallTraining

NAMES = [
    "integrity",
    "metadata",
    "parity",
    "latency",
    "memory",
    "worst_fold",
    "worst_year",
    "spread",
    "plausible",
    "collapsed",
    "redundant",
    "seen",
    "real_market",
    "oof_rows",
    "performance_lgb",
    "performance_xgb",
    "performance_cross",
    "performance_stack",
    "skill",
    "over_reversal",
    "calibration",
    "reliability",
    "validation_test",
    "regime",
    "not_worse",
    "shadow_evidence",
    "against_champion",
]


@pytest.fixture
def bundle(models: Path) -> Path:
    return bundle_of(models)


def judged(folder: Path, limits: Limits = LIMITS) -> dict[str, GateResult]:
    report = run_gates(folder, now_ms=time.time_ns() // 1_000_000, limits=limits)
    assert [result.name for result in report.results] == NAMES
    assert report.level == level_of(report.results)
    return {result.name: result for result in report.results}


def test_every_gate_answers_about_an_intact_bundle(bundle: Path) -> None:
    said = judged(bundle)
    assert said["integrity"].verdict == said["parity"].verdict == "pass"
    assert said["shadow_evidence"].verdict == "not enough evidence"
    assert all(result.sentence for result in said.values())


def test_the_report_in_a_bundle_is_what_its_gates_still_say(small_training: SmallTraining) -> None:
    stored = read_manifest(small_training.outcome.bundle).gate_report
    assert stored is not None
    for before, now in zip(stored.results, judged(small_training.outcome.bundle).values(), strict=True):
        if now.name in {"latency", "memory"}:  # measured anew each time
            assert now.verdict == before.verdict
        else:
            assert now == before


def _flip(bundle: Path) -> None:
    flip_byte(bundle / "lgb_h5.txt", 5000)


def _remove(bundle: Path) -> None:
    (bundle / "meta.json").unlink()


def _add(bundle: Path) -> None:
    (bundle / "more").write_bytes(b"")


def _fifo(bundle: Path) -> None:
    (bundle / "golden.npz").unlink()
    os.mkfifo(bundle / "golden.npz")


def _no_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").unlink()


def _newer(bundle: Path) -> None:
    seal_text(bundle, b'{"format_version": 99}')


def _empty(bundle: Path) -> None:
    for path in bundle.iterdir():
        path.unlink()


@pytest.mark.parametrize("damage", [_flip, _remove, _add, _fifo, _no_manifest, _newer, _empty])
def test_every_gate_answers_about_a_bundle_that_is_not_intact(
    bundle: Path, damage: Callable[[Path], None]
) -> None:
    damage(bundle)
    said = judged(bundle)
    assert said["integrity"].verdict == "fail"
    assert said["integrity"].value == said["integrity"].sentence
    others = {result.verdict for name, result in said.items() if name != "integrity"}
    assert others == {"not enough evidence"}


@pytest.mark.parametrize("metrics", [{}, {"5": None}, {"5": [1, 2]}, {"5": {"seen_auc": "none"}}])
def test_what_training_alone_can_say_is_no_evidence_where_its_figures_are_foreign(
    bundle: Path, metrics: dict[str, object]
) -> None:
    make_fit_for_live(bundle)
    reseal(bundle, metrics=metrics)
    said = judged(bundle)
    assert {name: one.verdict for name, one in said.items() if one.verdict != "pass"} == {
        "metadata": "fail",
        "seen": "not enough evidence",
        "over_reversal": "not enough evidence",
        "shadow_evidence": "not enough evidence",
    }


@pytest.mark.parametrize("content", [b"", b"no archive", good_rows().encode()])
def test_rows_that_can_not_be_read_or_are_of_another_bundle_are_no_evidence(
    bundle: Path, content: bytes
) -> None:
    (bundle / "out_of_fold.npz").write_bytes(content)
    classifier = read_manifest(bundle).regime
    assert classifier is not None
    unjudged = msgspec.structs.replace(classifier, figures={})
    reseal(bundle, venue="binance_spot", regime=unjudged)
    said = judged(bundle)
    whole = {"integrity", "metadata", "parity", "latency", "memory", "real_market", "against_champion"}
    assert {name for name, one in said.items() if one.verdict == "pass"} == whole
    assert {one.verdict for name, one in said.items() if name not in whole} == {"not enough evidence"}


def test_no_folder_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="the folder of a bundle"):
        run_gates(tmp_path / "none", now_ms=0)


def test_changed_limits_change_the_verdict_and_stand_in_the_report(bundle: Path) -> None:
    make_fit_for_live(bundle)
    strict = Limits(parity=0.0, fold_auc=0.99, oof_rows=10**9)
    report = run_gates(bundle, now_ms=0, limits=strict)
    said = {result.name: result for result in report.results}
    assert {name: result.limit for name, result in said.items() if name in ("parity", "oof_rows")} == {
        "parity": "<= 0",
        "oof_rows": ">= 1,000,000,000",
    }
    assert said["parity"].verdict == said["worst_fold"].verdict == "fail"
    assert report.changed_limits == {
        "parity": "0 instead of 1e-06",
        "fold_auc": "0.99 instead of 0.5",
        "oof_rows": "1,000,000,000 instead of 20,000",
    }
    report = run_gates(bundle, now_ms=0)
    assert (report.level, report.missing) == ("shadow", ("shadow_evidence",))
    assert report.changed_limits == {}


def test_some_gates_can_be_asked_alone(bundle: Path) -> None:
    said = ask_gates(["seen", "oof_rows"], bundle, now_ms=0)
    assert [result.name for result in said] == ["seen", "oof_rows"]
    with pytest.raises(WrongUse, match="the name of a gate, was 'sen'; try seen"):
        ask_gates(["sen"], bundle, now_ms=0)


def test_the_champion_is_known_to_the_gates_that_compare(models: Path) -> None:
    twin = add_twin(models)
    said = {result.name: result for result in ask_gates(["not_worse", "integrity"], twin, now_ms=0)}
    assert said["not_worse"].verdict == "pass"
    assert "on 1,882 rows" in said["not_worse"].sentence
    flip_byte(bundle_of(models) / "lgb_h5.txt", 5000)
    (said,) = ask_gates(["not_worse"], twin, now_ms=0)
    assert said.verdict == "not enough evidence"
    assert "of the champion: lgb_h5.txt" in said.sentence
    (models / "champion").write_text("no pointer")
    (said,) = ask_gates(["not_worse"], twin, now_ms=0)
    assert said.verdict == "not enough evidence"


def _result(level: str, verdict: Verdict) -> GateResult:
    return GateResult(
        name="any",
        level=level,  # type: ignore[arg-type]
        value=None,
        limit="",
        verdict=verdict,
        sentence="",
    )


@pytest.mark.parametrize("not_passed", ["fail", "not enough evidence"])
@pytest.mark.parametrize(("level", "expected"), [("shadow", "none"), ("live", "shadow")])
def test_one_gate_that_does_not_pass_keeps_a_bundle_from_its_level(
    not_passed: Verdict, level: str, expected: Level
) -> None:
    passed = (_result("shadow", "pass"), _result("live", "pass"))
    assert level_of(passed) == "live"
    assert level_of((*passed, _result(level, not_passed))) == expected


def test_no_gate_is_asked_twice_or_left_out() -> None:
    assert len(set(GATES)) == len(GATES) == 14


def test_integrity_says_why_not() -> None:
    said = results(integrity, damaged_candidate())["integrity"]
    assert (said.verdict, said.level) == ("fail", "shadow")
    assert said.sentence == said.value == "lgb_h5.txt: expected a file, was missing"
    assert results(integrity, candidate())["integrity"].verdict == "pass"


def test_a_bundle_that_learnt_on_a_simulated_market_never_steers(bundle: Path) -> None:
    make_fit_for_live(bundle)
    reseal(bundle, venue="simulated")
    said = judged(bundle)
    assert said["real_market"].verdict == "fail"
    assert "SIMULATED" in said["real_market"].sentence
    reseal(bundle, venue="binance_spot")
    assert judged(bundle)["real_market"].verdict == "pass"
    assert results(real_market, damaged_candidate())["real_market"].verdict == "not enough evidence"
