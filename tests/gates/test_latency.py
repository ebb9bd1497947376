"""Fast enough and small enough, by itself and beside the champion; the times here are scripted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gates import base
from gates import latency as gate
from gates.base import Candidate
from gates.latency import latency
from gates.limits import LIMITS, Limits
from plugin.canary import CanaryReport
from tests.support.bundles import add_twin, bundle_of
from tests.support.candidates import candidate, champion, damaged_candidate, results

OWN, THEIRS = Path("own"), Path("theirs")
MIB = 2**20


@dataclass
class Children:
    """Reports of processes by folder, given out one after the other."""

    reports: dict[Path, Iterator[CanaryReport]]
    asked: list[str]

    def __call__(self, folder: Path) -> CanaryReport:
        self.asked.append(folder.name)
        return next(self.reports[folder])


def report(microseconds: float | None, mebibytes: float | None) -> CanaryReport:
    grown = None if mebibytes is None else round(mebibytes * MIB)
    return CanaryReport("", "", 0.0, None, row_microseconds=microseconds, memory_bytes=grown)


REFUSED = CanaryReport("", "meta.json", None, "it died")


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> Children:
    scripted = Children({}, [])
    for module in (base, gate):
        monkeypatch.setattr(module, "check_in_child", scripted)
    return scripted


def judged(
    children: Children,
    own: list[CanaryReport],
    theirs: list[CanaryReport] | None = None,
    limits: Limits = LIMITS,
) -> dict[str, str]:
    children.reports = {OWN: iter(own), THEIRS: iter(theirs or [])}
    beside = None if theirs is None else champion(folder=THEIRS)
    said = results(latency, candidate(folder=OWN, champion=beside), limits)
    assert {one.level for one in said.values()} == {"shadow"}
    return {name: one.verdict for name, one in said.items()}


@pytest.mark.parametrize(
    ("microseconds", "mebibytes", "expected"),
    [
        (50_000.0, 512.0, ("pass", "pass")),
        (50_000.1, 1.0, ("fail", "pass")),
        (1.0, 512.2, ("pass", "fail")),
        (None, None, ("not enough evidence", "not enough evidence")),
        (float("nan"), 1.0, ("not enough evidence", "pass")),
    ],
)
def test_both_sides_of_the_limits_where_nobody_serves(
    children: Children, microseconds: float, mebibytes: float, expected: tuple[str, str]
) -> None:
    assert tuple(judged(children, [report(microseconds, mebibytes)]).values()) == expected
    assert children.asked == ["own"]


@pytest.mark.parametrize(
    ("own", "theirs", "expected"),
    [
        ((24_000.0, 120.0), (12_000.0, 80.0), ("pass", "pass")),
        ((24_000.1, 1.0), (12_000.0, 80.0), ("fail", "pass")),
        ((1.0, 120.1), (12_000.0, 80.0), ("pass", "fail")),
        ((10_000.0, 64.0), (1.0, 1.0), ("pass", "pass")),
        ((10_000.1, 64.1), (1.0, 1.0), ("fail", "fail")),
        ((50_000.1, 512.1), (49_000.0, 500.0), ("fail", "fail")),
    ],
)
def test_both_sides_of_the_ratio_to_the_champion(
    children: Children,
    own: tuple[float, float],
    theirs: tuple[float, float],
    expected: tuple[str, str],
) -> None:
    said = judged(children, [report(*own)] * 2, [report(*theirs)] * 2)
    assert tuple(said.values()) == expected


def test_the_two_are_asked_in_turn_and_the_best_of_each_counts(children: Children) -> None:
    own = [report(90_000.0, 900.0), report(20_000.0, 100.0)]
    theirs = [report(11_000.0, 90.0), report(99_000.0, 999.0)]
    assert judged(children, own, theirs) == {"latency": "pass", "memory": "pass"}
    assert children.asked == ["own", "theirs", "own", "theirs"]
    assert judged(children, own, [theirs[1], report(9_000.0, 60.0)]) == {
        "latency": "fail",
        "memory": "fail",
    }


def test_one_process_that_says_nothing_is_no_evidence(children: Children) -> None:
    said = judged(children, [report(20_000.0, 100.0), REFUSED], [report(20_000.0, 100.0)] * 2)
    assert set(said.values()) == {"not enough evidence"}


@pytest.mark.parametrize(("own", "verdict"), [(9_000.0, "pass"), (11_000.0, "not enough evidence")])
def test_beside_a_champion_that_can_not_be_asked_only_what_nobody_notices_passes(
    children: Children, own: float, verdict: str
) -> None:
    assert judged(children, [report(own, 1.0)] * 2, [REFUSED] * 2)["latency"] == verdict
    children.reports = {OWN: iter([report(own, 1.0)])}
    damaged = champion(folder=THEIRS, manifest=None, refusal="meta.json: other bytes")
    said = results(latency, candidate(folder=OWN, champion=damaged))
    assert said["latency"].verdict == verdict


def test_a_bundle_that_is_refused_or_not_intact_is_no_evidence(children: Children) -> None:
    assert set(judged(children, [REFUSED]).values()) == {"not enough evidence"}
    said = results(latency, damaged_candidate(OWN))
    assert {one.verdict for one in said.values()} == {"not enough evidence"}
    assert children.asked == ["own"]


def test_other_limits_are_kept_and_shown(children: Children) -> None:
    limits = Limits(latency_us=10.0, memory_mib=10.0)
    assert judged(children, [report(10.1, 10.1)], None, limits) == {"latency": "fail", "memory": "fail"}
    looser = Limits(latency_ratio=3.0, memory_ratio=3.0)
    said = judged(children, [report(30_000.0, 300.0)] * 2, [report(10_000.0, 100.0)] * 2, looser)
    assert said == {"latency": "pass", "memory": "pass"}


def _of_real_processes(bundle: Path, beside: Path) -> Candidate:
    theirs: dict[str, Any] = {"manifest": candidate().manifest, "refusal": None}
    return candidate(folder=bundle, champion=champion(folder=beside, **theirs))


def test_a_twin_of_the_champion_is_as_fast_and_as_small(models: Path) -> None:
    said = results(latency, _of_real_processes(add_twin(models), bundle_of(models)))
    for name, one in said.items():
        assert one.verdict == "pass", one
        assert isinstance(one.value, float), name
        assert "times the champion's" in one.sentence
    assert said["memory"].value <= LIMITS.memory_free_mib
