"""The whole circle of roles: in, beside, up, watched, and back."""

import hashlib
import shutil
from pathlib import Path

import msgspec
import pytest

from gates.limits import Limits
from gates.promotion import enter
from plugin.errors import BundleRefused, WrongUse
from plugin.manifest import GateReport
from plugin.registry import Registry
from tests.support.bundles import bundle_of, flip_byte, read_manifest
from tests.support.promotions import (
    BY,
    N_BARS,
    add_candidate,
    answered,
    ask_few_gates,
    challenge,
    challenger_of,
    champion_of,
    looked,
    roles,
    side_by_side,
    told,
    told_of,
)
from tests.support.records import write_log

FIT = GateReport(level="shadow", results=())
UNFIT = GateReport(level="none", results=())
LENIENT = Limits(memory_ratio=10.0, latency_ratio=10.0)
"""Measured on a machine that does other things as well."""


@pytest.fixture
def registry(models: Path) -> Registry:
    return Registry(models)


@pytest.fixture
def few_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_few_gates(monkeypatch)


@pytest.fixture
def shadow(tmp_path: Path) -> Path:
    return tmp_path / "shadow"


def test_the_first_fit_bundle_serves_the_next_challenges_and_further_ones_wait(
    registry: Registry,
) -> None:
    (registry.folder / "champion").rename(registry.folder / "was_champion")
    first = bundle_names(registry)[0]
    assert enter(registry, first, UNFIT, **BY) == "unfit"
    assert roles(registry) == (None, None)
    assert enter(registry, first, FIT, **BY) == "champion"
    names = [add_candidate(registry.folder, day) for day in (1, 2, 3)]
    assert enter(registry, names[0], UNFIT, **BY) == "unfit"
    assert enter(registry, names[1], FIT, **BY) == "challenger"
    assert enter(registry, names[2], FIT, **BY) == "waiting"
    assert roles(registry) == (first, names[1])
    assert [enter(registry, name, FIT, **BY) for name in (first, names[1])] == [
        "champion",
        "challenger",
    ]


def test_one_that_has_learnt_the_same_as_the_champion_has_nothing_to_show(
    registry: Registry, few_gates: None, shadow: Path
) -> None:
    champion = champion_of(registry.folder)
    settings = read_manifest(bundle_of(registry.folder)).settings
    equal = add_candidate(registry.folder, 1, settings=settings)
    assert enter(registry, equal, FIT, **BY) == "equal"
    assert roles(registry) == (champion, None)
    assert looked(registry, shadow).step.action == "nothing", "nor is it seated later"


def bundle_names(registry: Registry) -> list[str]:
    return sorted(folder.name for folder in registry.bundles.iterdir())


def test_who_enters_does_not_take_the_seat_that_a_cut_off_promotion_left(registry: Registry) -> None:
    former, new = champion_of(registry.folder), challenge(registry.folder, 1)
    registry.appoint(new, **BY, why="", kind="promoted")  # killed before the second pointer
    assert enter(registry, add_candidate(registry.folder, 2), FIT, **BY) == "waiting"
    assert roles(registry) == (new, former)


def test_with_a_damaged_pointer_nobody_enters(registry: Registry) -> None:
    (registry.folder / "champion").write_bytes(b"{")
    with pytest.raises(BundleRefused, match="champion"):
        enter(registry, add_candidate(registry.folder, 1), FIT, **BY)
    with pytest.raises(BundleRefused, match="champion"):
        looked(registry, registry.folder)


def test_the_full_circle_to_a_collapse_and_back(registry: Registry, shadow: Path) -> None:
    """Enter, gather evidence, be promoted, be watched, collapse, be rolled back, all unattended."""
    first, second = str(champion_of(registry.folder)), add_candidate(registry.folder, 1)
    report = read_manifest(bundle_of(registry.folder)).gate_report
    assert report is not None
    assert enter(registry, second, report, **BY) == "challenger"
    log = side_by_side(first, second, N_BARS, edges=(0.0, 0.2))
    write_log(shadow, log)
    early = looked(registry, shadow, 20, auto_promote=True)
    assert (early.step.action, early.moved) == ("nothing", False)
    found = looked(registry, shadow, limits=LENIENT, auto_promote=True)
    assert (found.step.action, found.moved) == ("promoted", True), found.says
    assert roles(registry) == (second, first)
    stored = registry.verdict_file(second).read_bytes()
    promotion = registry.champion()
    assert promotion is not None
    assert promotion.report_sha256 == hashlib.sha256(stored).hexdigest()
    passed = {
        one.name
        for one in msgspec.json.decode(stored, type=GateReport).results
        if one.verdict == "pass"
    }
    assert {"against_champion", "shadow_evidence", "parity"} <= passed

    collapsed = side_by_side(second, first, 100, edges=(-0.2, 0.2), first=N_BARS)
    shutil.rmtree(shadow)
    write_log(shadow, [*log, *collapsed])
    watched = looked(registry, shadow, N_BARS + 10)
    assert (watched.step.action, watched.moved) == ("nothing", False)
    assert "watched: bar 10 of 1008" in watched.says
    back = looked(registry, shadow, N_BARS + 100)
    assert (back.step.action, back.moved) == ("rolled back", True)
    assert roles(registry) == (first, None)
    assert registry.history()[-2].why == back.step.why
    assert "is shown to be more than 0.005 above" in back.says
    idle = looked(registry, shadow, N_BARS + 100)
    assert (idle.step.action, idle.moved) == ("nothing", False)
    assert "nobody waits to be tried" in idle.says


def test_a_stable_champion_stays_and_the_one_before_makes_room(
    registry: Registry, shadow: Path
) -> None:
    first, second, third = (
        champion_of(registry.folder),
        challenge(registry.folder, 1),
        add_candidate(registry.folder, 2),
    )
    registry.promote(**BY, why="")
    write_log(shadow, told_of(registry, (0.1, 0.1), 50))
    limits = Limits(watch_bars=50)
    assert looked(registry, shadow, 49, limits=limits).step.action == "nothing"
    assert roles(registry) == (second, first)
    ended = looked(registry, shadow, 50, limits=limits)
    assert (ended.step.action, ended.step.bundle_id, ended.moved) == ("watch ended", first, True)
    assert roles(registry) == (second, None)
    assert looked(registry, shadow, 50, limits=limits).step.action == "seated"
    assert roles(registry) == (second, third)


def test_the_newest_that_waited_gets_the_free_seat(registry: Registry, shadow: Path) -> None:
    old = add_candidate(registry.folder, 1)
    serving = add_candidate(registry.folder, 2)
    registry.appoint(serving, **BY, why="")
    had_a_role = challenge(registry.folder, 9)
    registry.dismiss(**BY, why="")
    fit, damaged = add_candidate(registry.folder, 5), add_candidate(registry.folder, 6)
    unfit, unjudged = (
        add_candidate(registry.folder, 7, gate_report=UNFIT),
        add_candidate(registry.folder, 8, gate_report=None),
    )
    (registry.bundles / damaged / "meta.json").unlink()
    add_candidate(registry.folder, 4)
    found = looked(registry, shadow)
    assert (found.step.action, found.step.bundle_id, found.moved) == ("seated", fit, True)
    assert roles(registry) == (serving, fit)
    assert {old, had_a_role, damaged, unfit, unjudged} & {fit} == set()


def test_older_bundles_than_the_champion_do_not_wait(registry: Registry, shadow: Path) -> None:
    add_candidate(registry.folder, 1)
    registry.appoint(add_candidate(registry.folder, 2), **BY, why="")
    assert looked(registry, shadow).step.action == "nothing"


def test_what_was_cut_off_is_settled_first(registry: Registry, shadow: Path) -> None:
    first, second = champion_of(registry.folder), challenge(registry.folder, 1)
    registry.appoint(second, **BY, why="", kind="promoted")
    assert looked(registry, shadow, dry_run=True).says.startswith("due: settled")
    assert roles(registry) == (second, None)
    assert looked(registry, shadow).says.startswith("settled")
    assert roles(registry) == (second, first)
    assert looked(registry, shadow).step.action == "nothing"


@pytest.mark.usefixtures("few_gates")
@pytest.mark.parametrize("auto_promote", [True, False])
def test_a_dry_run_moves_nothing(registry: Registry, shadow: Path, auto_promote: bool) -> None:
    registry.store_verdict(str(champion_of(registry.folder)), FIT)
    challenge(registry.folder, 1)
    write_log(shadow, told_of(registry))
    before = {path.name: path.read_bytes() for path in registry.folder.iterdir() if path.is_file()}
    found = looked(registry, shadow, auto_promote=auto_promote, dry_run=True)
    assert found.step.action == ("promoted" if auto_promote else "ready")
    assert not found.moved
    after = {path.name: path.read_bytes() for path in registry.folder.iterdir() if path.is_file()}
    assert after == before
    assert not registry.verdict_file(str(challenger_of(registry.folder))).exists()


def test_without_a_champion_nothing_is_due(registry: Registry, shadow: Path) -> None:
    (registry.folder / "champion").unlink()
    assert "nobody serves" in looked(registry, shadow).says


def test_without_a_folder_of_models_it_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="a folder of models"):
        looked(Registry(tmp_path / "none"), tmp_path)
    assert not (tmp_path / "none").exists()


def test_a_champion_before_that_is_damaged_is_named_and_the_new_one_stays(
    registry: Registry, shadow: Path
) -> None:
    first, second = champion_of(registry.folder), challenge(registry.folder, 1)
    registry.promote(**BY, why="")
    failing = [
        answered(at, second, None, "error", challenger=told(str(first), 0.52)) for at in range(24)
    ]
    write_log(shadow, failing)
    flip_byte(registry.bundles / str(first) / "lgb_h5.txt", 5000)
    with pytest.raises(BundleRefused, match=f"{first}: expected an intact bundle to go back to"):
        looked(registry, shadow, 24)
    assert champion_of(registry.folder) == second
