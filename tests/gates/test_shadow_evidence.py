"""What a bundle has shown in shadow: its own records, enough of them, and all well."""

import math
from pathlib import Path

import pytest
from msgspec.structs import replace

from gates.limits import LIMITS, Limits
from gates.shadow_evidence import shadow_evidence
from plugin.manifest import GateResult
from shadow.record import BarRecord
from tests.support.candidates import candidate
from tests.support.promotions import told
from tests.support.records import HOUR_MS, START_MS, bar, member, silent_bar, write_log

OWN = Path("20250101T000000Z-0123456789ab")
OTHER = "20241231T000000Z-ba9876543210"


def records(n: int, **fields: object) -> list[BarRecord]:
    return [bar(at, champion=OWN.name, **fields) for at in range(n)]


def judged(folder: Path | None, n_bars: int, days: int = 14) -> GateResult:
    """The gate's word at the close of bar number `n_bars` - 1."""
    now_ms = START_MS + n_bars * HOUR_MS
    one = candidate(folder=OWN, shadow_dir=folder, shadow_days=days, now_ms=now_ms)
    (result,) = shadow_evidence(one, LIMITS)
    assert (result.name, result.level) == ("shadow_evidence", "live")
    return result


def judged_records(folder: Path, log: list[BarRecord]) -> GateResult:
    write_log(folder, log)
    return judged(folder, len(log))


def test_a_day_of_sound_records_of_this_bundle_passes(tmp_path: Path) -> None:
    result = judged_records(tmp_path, records(30))
    assert (result.verdict, result.value) == ("pass", 30.0)
    assert result.sentence == "30 hours in shadow, all well"


@pytest.mark.parametrize(("n", "verdict"), [(24, "pass"), (23, "not enough evidence")])
def test_both_sides_of_the_hours_in_shadow(tmp_path: Path, n: int, verdict: str) -> None:
    assert judged_records(tmp_path, records(n)).verdict == verdict


@pytest.mark.parametrize(("hours", "verdict"), [(30.0, "pass"), (31.0, "not enough evidence")])
def test_a_changed_limit_of_the_checklist_counts(tmp_path: Path, hours: float, verdict: str) -> None:
    write_log(tmp_path, records(30))
    limits = Limits(shadow=replace(LIMITS.shadow, hours_in_shadow=hours))
    one = candidate(folder=OWN, shadow_dir=tmp_path, shadow_days=14, now_ms=START_MS + 30 * HOUR_MS)
    (result,) = shadow_evidence(one, limits)
    assert result.verdict == verdict


def test_without_a_folder_the_sentence_says_how_to_name_one() -> None:
    result = judged(None, 30)
    assert result.verdict == "not enough evidence"
    assert "--shadow-dir" in result.sentence


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    result = judged(tmp_path / "none", 30)
    assert result.verdict == "not enough evidence"
    assert str(tmp_path / "none") in result.sentence


def test_an_empty_folder_is_no_evidence(tmp_path: Path) -> None:
    result = judged(tmp_path, 30)
    assert result.verdict == "not enough evidence"
    assert result.sentence == "no record of the last 14 days is of this bundle"


def test_records_of_another_bundle_do_not_count(tmp_path: Path) -> None:
    result = judged_records(tmp_path, [bar(at, champion=OTHER) for at in range(200)])
    assert (result.verdict, result.value) == ("not enough evidence", None)
    assert result.sentence == "no record of the last 14 days is of this bundle"


def test_records_of_another_bundle_beside_its_own_neither_help_nor_harm(tmp_path: Path) -> None:
    log = [bar(at, champion=OTHER, ml_error="lgb: broke") for at in range(10)]
    log += [bar(at, champion=OWN.name) for at in range(10, 100)]
    result = judged_records(tmp_path, log)
    assert (result.verdict, result.value) == ("pass", 90.0)


@pytest.mark.parametrize(("n", "verdict"), [(24, "pass"), (23, "not enough evidence")])
def test_hours_of_another_bundle_are_not_its_own(tmp_path: Path, n: int, verdict: str) -> None:
    log = [bar(at, champion=OTHER) for at in range(100)]
    log += [bar(at, champion=OWN.name) for at in range(100, 100 + n)]
    assert judged_records(tmp_path, log).verdict == verdict


def beside(n: int, at: int, p: float | None = 0.52, reason: str = "ok") -> BarRecord:
    """Bar `at`, on which the bundle was the challenger; from bar `n` on it was not asked."""
    return bar(at, champion=OTHER, challenger=told(OWN.name, p, reason) if at < n else None)


@pytest.mark.parametrize(("n", "verdict"), [(24, "pass"), (23, "not enough evidence")])
def test_what_it_said_as_challenger_counts_as_much(tmp_path: Path, n: int, verdict: str) -> None:
    result = judged_records(tmp_path, [beside(n, at) for at in range(n)])
    assert (result.verdict, result.value) == (verdict, float(n))


def test_what_the_champion_said_beside_it_does_not_count_for_it(tmp_path: Path) -> None:
    silent = [beside(60, at, None, "member_constant:lgb") for at in range(60)]
    assert judged_records(tmp_path / "silent", silent).verdict == "fail"
    unwell = [replace(beside(60, at), ml_error="lgb: broke") for at in range(60)]
    assert judged_records(tmp_path / "unwell", unwell).verdict == "pass"


def test_an_error_of_a_challenger_fails_and_is_told(tmp_path: Path) -> None:
    log = [beside(60, at) for at in range(60)]
    log[30] = beside(60, 30, None, "error")
    result = judged_records(tmp_path, log)
    assert result.verdict == "fail"
    assert "bars with an error: expected at most 0, was 1" in result.sentence


def test_what_it_said_in_either_role_adds_up(tmp_path: Path) -> None:
    log = [beside(15, at) for at in range(15)]
    only = {"members": {"lgb": member()}}
    log += [bar(at, champion=OWN.name, **only) for at in range(15, 30)]
    result = judged_records(tmp_path, log)
    assert (result.verdict, result.value) == ("pass", 30.0)


def test_bars_that_no_bundle_answered_are_not_its_own(tmp_path: Path) -> None:
    log = [silent_bar(0, "no_bundle", champion=None), *records(100)[1:]]
    result = judged_records(tmp_path, log)
    assert (result.verdict, result.value) == ("pass", 99.0)


def test_a_fault_fails_and_is_told(tmp_path: Path) -> None:
    log = records(100)
    log[50] = bar(50, champion=OWN.name, ml_error="lgb: broke")
    result = judged_records(tmp_path, log)
    assert result.verdict == "fail"
    assert "bars with an error: expected at most 0, was 1" in result.sentence


def test_a_member_that_is_often_not_well_fails(tmp_path: Path) -> None:
    sick = {"lgb": member(), "xgb": member(math.nan, "nan")}
    log = [*records(80), *(bar(at, champion=OWN.name, members=sick) for at in range(80, 100))]
    result = judged_records(tmp_path, log)
    assert result.verdict == "fail"
    assert "xgb answers normally" in result.sentence


def test_a_silent_ensemble_fails(tmp_path: Path) -> None:
    log = [silent_bar(at, "gap", champion=OWN.name) for at in range(60)]
    assert judged_records(tmp_path, log).verdict == "fail"


def test_a_damaged_log_is_not_enough_evidence(tmp_path: Path) -> None:
    write_log(tmp_path, records(60))
    (day, *_) = sorted(tmp_path.glob("*.jsonl"))
    lines = day.read_bytes().split(b"\n")
    lines[5] = lines[5].replace(b"0.52", b"0.62", 1)
    day.write_bytes(b"\n".join(lines))
    result = judged(tmp_path, 60)
    assert result.verdict == "not enough evidence"
    assert "damage in the log" in result.sentence


def test_a_simulated_market_is_no_evidence(tmp_path: Path) -> None:
    result = judged_records(tmp_path, records(100, flags={"ML_EXCHANGE": "simulated"}))
    assert result.verdict == "not enough evidence"
    assert "simulated" in result.sentence


def test_records_that_can_not_be_read_are_no_evidence_and_no_exception(tmp_path: Path) -> None:
    write_log(tmp_path, records(30))
    (tmp_path / "2025-01-02.jsonl").unlink()
    (tmp_path / "2025-01-02.jsonl").mkdir()
    result = judged(tmp_path, 30)
    assert result.verdict == "not enough evidence"
    assert "can not be read" in result.sentence


def test_records_without_a_timeframe_are_no_evidence_and_no_exception(tmp_path: Path) -> None:
    result = judged_records(tmp_path, records(30, timeframe="soon"))
    assert result.verdict == "not enough evidence"
    assert "can not be read" in result.sentence
