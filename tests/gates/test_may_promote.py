"""Which gates must a challenger pass to take the place of a champion that passes some?"""

import pytest

from gates.may_promote import IN_SHADOW, NOT_WORSE, Judged, missing_for_promotion
from gates.runner import level_of
from plugin.manifest import GateReport, GateResult, Verdict


def result(name: str, verdict: Verdict = "pass", level: str = "live") -> GateResult:
    return GateResult(
        name=name,
        level=level,  # type: ignore[arg-type]
        value=None,
        limit="",
        verdict=verdict,
        sentence=f"about {name}",
    )


def report(*results: GateResult) -> GateReport:
    return GateReport(level=level_of(results), results=results)


SOUND = (result("parity", level="shadow"), result(NOT_WORSE), *(result(name) for name in IN_SHADOW))
NOT_PASSED: tuple[Verdict, ...] = ("fail", "not enough evidence")


def missing(of: GateReport, champion: GateReport | None = None) -> list[str]:
    return [one.name for one in missing_for_promotion(of, champion)]


def test_with_nothing_but_shadow_evidence_to_show_the_place_can_be_taken() -> None:
    assert missing(report(*SOUND)) == []
    assert missing(report(*SOUND), report()) == []


@pytest.mark.parametrize("verdict", NOT_PASSED)
@pytest.mark.parametrize("at", range(len(SOUND)))
def test_fitness_for_shadow_and_both_kinds_of_evidence_are_needed(at: int, verdict: Verdict) -> None:
    spoilt = [*SOUND]
    spoilt[at] = result(SOUND[at].name, verdict, SOUND[at].level)
    (found,) = missing_for_promotion(report(*spoilt), None)
    assert (found.name, found.verdict) == (SOUND[at].name, verdict)


@pytest.mark.parametrize("name", [NOT_WORSE, *IN_SHADOW])
def test_evidence_that_was_not_asked_for_is_missing(name: str) -> None:
    (found,) = missing_for_promotion(report(*(one for one in SOUND if one.name != name)), None)
    assert (found.name, found.verdict) == (name, "not enough evidence")
    assert found.sentence == f"{name} was not asked"


def test_an_empty_report_passes_nothing() -> None:
    assert missing(report()) == [NOT_WORSE, *IN_SHADOW]


@pytest.mark.parametrize("verdict", NOT_PASSED)
@pytest.mark.parametrize("name", ["skill", "real_market"])
def test_what_the_champion_has_shown_is_not_lost(name: str, verdict: Verdict) -> None:
    champion = report(result(name), result("other", "fail"))
    assert missing(report(*SOUND, result(name, verdict)), champion) == [name]
    assert missing(report(*SOUND, result(name)), champion) == []
    assert missing(report(*SOUND), champion) == [name]


@pytest.mark.parametrize("verdict", NOT_PASSED)
def test_a_figure_of_other_years_hinders_only_where_the_champion_is_fit_for_live(
    verdict: Verdict,
) -> None:
    point = result("performance_stack")
    of = report(*SOUND, result("performance_stack", verdict))
    assert missing(of, report(point, result("other", "fail"))) == []
    live = report(result("parity", level="shadow"), point)
    assert live.level == "live"
    assert missing(of, live) == ["performance_stack"]
    assert missing(report(*SOUND, point), live) == []


@pytest.mark.parametrize("verdict", NOT_PASSED)
def test_a_gate_that_the_champion_does_not_pass_or_know_is_no_hindrance(verdict: Verdict) -> None:
    champion = report(result("skill", verdict))
    of = report(*SOUND, result("skill", "fail"), result("new", "fail"))
    assert missing(of, champion) == []
    assert missing(of, None) == []


def judged(*results: GateResult) -> Judged:
    of = report(*results)
    return Judged(bundle_id="any", report=of, missing=missing_for_promotion(of, None))


def test_missing_evidence_may_be_overridden() -> None:
    few = judged(*SOUND[:2], *(result(name, "not enough evidence") for name in IN_SHADOW))
    assert not few.may_promote
    assert few.may_be_overridden
    assert judged(*SOUND).may_promote


@pytest.mark.parametrize("verdict", NOT_PASSED)
def test_who_is_not_fit_for_shadow_may_not_be_overridden(verdict: Verdict) -> None:
    assert not judged(result("parity", verdict, "shadow"), *SOUND[1:]).may_be_overridden


def test_being_shown_to_be_worse_may_not_be_overridden() -> None:
    worse = judged(*SOUND[:2], result("against_champion", "fail"), result("shadow_evidence"))
    assert not worse.may_be_overridden
    unwell = judged(*SOUND[:2], result("against_champion"), result("shadow_evidence", "fail"))
    assert unwell.may_be_overridden
