"""Is the challenger at least about as good as the champion, on the bars that both were asked about?"""

import math
from pathlib import Path

import pytest
from msgspec.structs import replace

from gates.against_champion import against_champion, compare_pair
from gates.base import Candidate, Incumbent
from gates.limits import LIMITS, Limits
from plugin.manifest import GateResult, Manifest
from shadow.compare import Comparison
from shadow.record import BarRecord
from tests.support.candidates import candidate, damaged_candidate
from tests.support.promotions import HORIZON, close_ms, side_by_side
from tests.support.records import write_log

OWN = Path("20250201T000000Z-0123456789ab")
CHAMPION = Path("20250101T000000Z-0123456789ab")
OTHER = "20241231T000000Z-ba9876543210"
N = 120
"""Bars after which bundles that differ much are told apart."""


def manifest_of(folder: Path) -> Manifest:
    manifest = candidate(folder=folder).manifest
    assert manifest is not None
    return manifest


def tried(shadow: Path | None, n_bars: int = N, **more: object) -> Candidate:
    """The challenger at the close of bar number `n_bars` - 1."""
    champion = Incumbent(CHAMPION, manifest_of(CHAMPION), None)
    settled = {"champion": champion, "shadow_dir": shadow, "now_ms": close_ms(n_bars - 1)}
    return candidate(folder=OWN, **{**settled, **more})


def judged(of: Candidate, limits: Limits = LIMITS) -> GateResult:
    (result,) = against_champion(of, limits)
    assert (result.name, result.level) == ("against_champion", "live")
    assert result.limit == f">= {limits.pair_evidence:g}"
    return result


def pair(edges: tuple[float, float], n: int = N) -> list[BarRecord]:
    """Records in which the champion has the first edge and the challenger the second."""
    return side_by_side(CHAMPION.name, OWN.name, n, edges=edges)


def compared(shadow: Path, n_bars: int = N, limits: Limits = LIMITS) -> Comparison:
    until_ms = close_ms(n_bars - 1)
    found = compare_pair(shadow, manifest_of(OWN), manifest_of(CHAMPION), limits, until_ms)
    assert isinstance(found, Comparison)
    return found


def test_a_better_challenger_passes(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.0, 0.2)))
    result = judged(tried(tmp_path))
    assert result.verdict == "pass"
    assert isinstance(result.value, float)
    assert result.value >= 20
    assert f"on {N - HORIZON} bars): expected >= 20, was" in result.sentence


def test_a_worse_one_fails(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.2, 0.0)))
    result = judged(tried(tmp_path))
    assert result.verdict == "fail"
    assert "is shown to be above the champion's: +0.16" in result.sentence


def test_both_sides_of_the_evidence_that_it_is_not_worse(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.1, 0.1), 700))
    reached = compared(tmp_path, 700).evidence.not_inferior
    assert 1 < reached < 20
    of = tried(tmp_path, 700)
    assert judged(of, Limits(pair_evidence=reached)).verdict == "pass"
    assert (
        judged(of, Limits(pair_evidence=math.nextafter(reached, 99))).verdict == "not enough evidence"
    )


def test_both_sides_of_the_evidence_that_it_is_worse(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.2, 0.0), 60))
    reached = compared(tmp_path, 60).evidence.worse
    assert reached > 1
    of = tried(tmp_path, 60)
    assert judged(of, Limits(pair_evidence=reached)).verdict == "fail"
    assert (
        judged(of, Limits(pair_evidence=math.nextafter(reached, 1e9))).verdict == "not enough evidence"
    )


def test_within_the_margin_but_shown_to_be_worse_is_a_failure(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.1, 0.08), 400))
    wide = Limits(pair_brier_margin=0.05, pair_evidence=2.0)
    of = tried(tmp_path, 400)
    evidence = compared(tmp_path, 400, wide).evidence
    assert min(evidence.not_inferior, evidence.worse) > 2.0
    assert judged(of, wide).verdict == "fail"


def test_too_few_bars_are_not_enough_and_the_missing_ones_are_estimated(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.1, 0.1), 400))
    result = judged(tried(tmp_path, 400))
    assert result.verdict == "not enough evidence"
    needed = compared(tmp_path, 400).evidence.bars_needed
    assert needed is not None
    assert result.sentence.endswith(f"; about {needed:,} more bars, {needed / 24:.0f} days")
    early = judged(tried(tmp_path, 60))
    assert early.verdict == "not enough evidence"
    assert early.sentence.endswith("how many more bars it takes can not be told yet")


def test_records_that_were_not_there_yet_do_not_count(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.0, 0.2)))
    assert judged(tried(tmp_path)).verdict == "pass"
    assert judged(tried(tmp_path, 10)).verdict == "not enough evidence"


@pytest.mark.parametrize("n", [0, 1, HORIZON])
def test_where_no_outcome_is_known_there_is_nothing_to_compare(tmp_path: Path, n: int) -> None:
    write_log(tmp_path, pair((0.0, 0.2), n))
    result = judged(tried(tmp_path, max(n, 1)))
    assert result.verdict == "not enough evidence"
    assert "nothing to compare with the champion yet" in result.sentence


def test_records_of_other_bundles_do_not_count(tmp_path: Path) -> None:
    write_log(tmp_path / "a", side_by_side(OTHER, OWN.name, N, edges=(0.0, 0.2)))
    write_log(tmp_path / "b", side_by_side(CHAMPION.name, OTHER, N, edges=(0.0, 0.2)))
    write_log(tmp_path / "c", side_by_side(OWN.name, CHAMPION.name, N, edges=(0.2, 0.0)))
    for folder in "abc":
        assert judged(tried(tmp_path / folder)).verdict == "not enough evidence"


def test_a_damaged_log_is_not_enough_evidence_however_good_it_looks(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.0, 0.2)))
    (day, *_) = sorted(tmp_path.glob("*.jsonl"))
    lines = day.read_bytes().split(b"\n")
    lines[5] = lines[5].replace(b"BTC", b"BTX")
    day.write_bytes(b"\n".join(lines))
    result = judged(tried(tmp_path))
    assert result.verdict == "not enough evidence"
    assert "faults in the log" in result.sentence


def test_where_only_the_champion_answered_that_is_said(tmp_path: Path) -> None:
    records = pair((0.0, 0.2))
    silent = side_by_side(CHAMPION.name, OWN.name, N + 7, silent=True, first=N)
    write_log(tmp_path, [*records, *silent])
    assert ", 7 without its answer)" in judged(tried(tmp_path, N + 7)).sentence


def test_where_nobody_else_serves_there_is_nobody_to_be_worse_than() -> None:
    result = judged(tried(None, champion=None))
    assert (result.verdict, result.value) == ("pass", None)
    assert "nobody else serves" in result.sentence


def test_a_champion_that_can_not_be_read_is_not_nobody(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.0, 0.2)))
    lost = Incumbent(CHAMPION, None, "champion: expected a pointer")
    result = judged(tried(tmp_path, champion=lost))
    assert result.verdict == "not enough evidence"
    assert "the champion can not be read: champion: expected a pointer" in result.sentence


def test_a_bundle_that_is_not_intact_has_nothing_to_compare() -> None:
    assert judged(damaged_candidate()).verdict == "not enough evidence"


def test_without_records_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    assert "let it run beside the champion" in judged(tried(None)).sentence
    missing = judged(tried(tmp_path / "none"))
    assert missing.verdict == "not enough evidence"
    assert str(tmp_path / "none") in missing.sentence


def test_records_that_can_not_be_read_are_no_evidence_and_no_exception(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.0, 0.2)))
    (tmp_path / "2025-01-02.jsonl").unlink()
    (tmp_path / "2025-01-02.jsonl").mkdir()
    result = judged(tried(tmp_path))
    assert result.verdict == "not enough evidence"
    assert "can not be read" in result.sentence


def test_a_bundle_that_predicts_something_else_can_not_be_compared(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.0, 0.2)))
    for change in ({"primary_horizon": 12}, {"timeframe": "4h"}):
        other = Incumbent(CHAMPION, replace(manifest_of(CHAMPION), **change), None)
        result = judged(tried(tmp_path, champion=other))
        assert result.verdict == "not enough evidence"
        assert "was 5 bars of 1h" in result.sentence


def test_limits_that_make_no_sense_are_no_evidence_and_no_exception(tmp_path: Path) -> None:
    write_log(tmp_path, pair((0.0, 0.2)))
    for limits in (Limits(pair_evidence=1.0), Limits(pair_brier_margin=-0.1)):
        result = judged(tried(tmp_path), limits)
        assert result.verdict == "not enough evidence"
        assert "can not be compared" in result.sentence
