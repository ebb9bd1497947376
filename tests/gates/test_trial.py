"""A challenger is promoted, dismissed, or told what it has still to show."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from gates.limits import Limits
from plugin.manifest import GateResult, Verdict
from plugin.registry import Registry
from tests.support.bundles import flip_byte, read_manifest, reseal
from tests.support.promotions import (
    N_BARS,
    ask_few_gates,
    challenge,
    challenger_of,
    champion_of,
    looked,
    roles,
    side_by_side,
    told_of,
)
from tests.support.records import write_log


@pytest.fixture
def registry(models: Path) -> Registry:
    return Registry(models)


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    return tmp_path / "shadow"


@pytest.fixture
def few_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_few_gates(monkeypatch)


def test_without_auto_promote_a_person_is_told_what_would_do_it(
    registry: Registry, shadow: Path
) -> None:
    challenge(registry.folder, 1)
    write_log(shadow, told_of(registry))
    before = roles(registry)
    found = looked(registry, shadow)
    assert (found.step.action, found.moved) == ("ready", False)
    assert "`python -m gates promote`" in found.says
    assert roles(registry) == before


def _too_few(registry: Registry, shadow: Path) -> None:
    write_log(shadow, told_of(registry, n=20))


def _no_records(registry: Registry, shadow: Path) -> None:
    shadow.mkdir()


def _no_folder(registry: Registry, shadow: Path) -> None:
    pass


def _damaged_log(registry: Registry, shadow: Path) -> None:
    write_log(shadow, told_of(registry))
    (day, *_) = sorted(shadow.glob("*.jsonl"))
    flip_byte(day, 50)


def _of_another_bundle(registry: Registry, shadow: Path) -> None:
    other = "20240101T000000Z-ba9876543210"
    write_log(shadow, side_by_side(str(champion_of(registry.folder)), other, N_BARS, edges=(0.0, 0.2)))


def _against_another_champion(registry: Registry, shadow: Path) -> None:
    other = "20240101T000000Z-ba9876543210"
    write_log(
        shadow, side_by_side(other, str(challenger_of(registry.folder)), N_BARS, edges=(0.0, 0.2))
    )


def _simulated(registry: Registry, shadow: Path) -> None:
    flags = {"ML_EXCHANGE": "simulated"}
    write_log(shadow, [replace(one, flags=flags) for one in told_of(registry)])


def _often_silent(registry: Registry, shadow: Path) -> None:
    champion, challenger = map(str, roles(registry))
    silent = side_by_side(champion, challenger, 40, silent=True, first=N_BARS)
    write_log(shadow, [*told_of(registry), *silent])


def _damaged_bundle(registry: Registry, shadow: Path) -> None:
    write_log(shadow, told_of(registry))
    flip_byte(registry.bundles / str(challenger_of(registry.folder)) / "lgb_h5.txt", 5000)


def _exchanged_bundle(registry: Registry, shadow: Path) -> None:
    write_log(shadow, told_of(registry))
    reseal(registry.bundles / str(challenger_of(registry.folder)), git_revision="another")


def _removed_bundle(registry: Registry, shadow: Path) -> None:
    write_log(shadow, told_of(registry))
    shutil.rmtree(registry.bundles / str(challenger_of(registry.folder)))


def _damaged_champion(registry: Registry, shadow: Path) -> None:
    write_log(shadow, told_of(registry))
    flip_byte(registry.bundles / str(champion_of(registry.folder)) / "lgb_h5.txt", 5000)


@pytest.mark.parametrize(
    "spoil",
    [
        _too_few,
        _no_records,
        _no_folder,
        _damaged_log,
        _of_another_bundle,
        _against_another_champion,
        _simulated,
        _often_silent,
        _damaged_bundle,
        _exchanged_bundle,
        _removed_bundle,
        _damaged_champion,
    ],
)
def test_who_is_never_promoted(
    registry: Registry, shadow: Path, spoil: Callable[[Registry, Path], None]
) -> None:
    challenge(registry.folder, 1)
    before = roles(registry)
    spoil(registry, shadow)
    found = looked(registry, shadow, N_BARS + 40, auto_promote=True)
    assert (found.step.action, found.moved) == ("nothing", False), found.says
    assert "on trial: " in found.says
    assert roles(registry) == before


def test_one_that_is_shown_to_be_worse_is_dismissed(registry: Registry, shadow: Path) -> None:
    first, second = champion_of(registry.folder), challenge(registry.folder, 1)
    write_log(shadow, told_of(registry, (0.2, 0.0)))
    found = looked(registry, shadow, auto_promote=True)
    assert (found.step.action, found.step.bundle_id) == ("dismissed", second)
    assert roles(registry) == (first, None)
    assert looked(registry, shadow).step.action == "nothing", "who had a role waits no more"


@pytest.mark.parametrize(("days", "action"), [(4.9, "dismissed"), (5.1, "nothing")])
def test_both_sides_of_the_days_that_a_challenger_has(
    registry: Registry, shadow: Path, days: float, action: str
) -> None:
    challenge(registry.folder, 1)
    write_log(shadow, told_of(registry, (0.1, 0.1)))
    found = looked(registry, shadow, N_BARS, limits=Limits(challenger_days=days))  # after five days
    assert found.step.action == action
    assert ("undecided after 5 days" in found.says) == (action == "dismissed")


def test_one_that_waits_for_a_person_is_not_dismissed_for_it(registry: Registry, shadow: Path) -> None:
    challenge(registry.folder, 1)
    write_log(shadow, told_of(registry))
    assert looked(registry, shadow, limits=Limits(challenger_days=1)).step.action == "ready"


def skilled(registry: Registry, bundle_id: str, verdict: Verdict) -> None:
    """A stored report whose gate `skill` has that verdict."""
    report = read_manifest(registry.bundles / bundle_id).gate_report
    assert report is not None
    others = [one for one in report.results if one.name != "skill"]
    skill = GateResult(
        name="skill", level="live", value=0.5, limit="> 0.5", verdict=verdict, sentence="skill: so so"
    )
    registry.store_verdict(bundle_id, replace(report, results=(*others, skill)))


@pytest.mark.parametrize(
    ("of_champion", "of_challenger", "action"),
    [
        ("pass", "pass", "ready"),
        ("pass", "not enough evidence", "nothing"),
        ("pass", "fail", "nothing"),
        ("fail", "fail", "ready"),
    ],
)
def test_what_the_champion_has_shown_the_challenger_must_show_too(
    registry: Registry, shadow: Path, of_champion: Verdict, of_challenger: Verdict, action: str
) -> None:
    second = challenge(registry.folder, 1)
    skilled(registry, str(champion_of(registry.folder)), of_champion)
    skilled(registry, second, of_challenger)
    write_log(shadow, told_of(registry))
    found = looked(registry, shadow)
    assert found.step.action == action
    assert ("skill: so so" in found.says) == (action == "nothing")


@pytest.mark.usefixtures("few_gates")
def test_what_all_gates_find_last_counts_most(registry: Registry, shadow: Path) -> None:
    challenge(registry.folder, 1)
    before = roles(registry)
    write_log(shadow, told_of(registry))
    found = looked(registry, shadow, auto_promote=True, limits=Limits(fold_auc=0.99))
    assert (found.step.action, found.moved) == ("nothing", False)
    assert "in its worst block of time" in found.says
    assert roles(registry) == before
    assert not registry.verdict_file(str(before[1])).exists()
