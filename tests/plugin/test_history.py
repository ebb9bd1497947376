"""Moves of both pointers: told, made, made good after a crash, and gone back on."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.errors import BundleRefused, WrongUse
from plugin.registry import Pointer, Registry
from tests.support.bundles import add_twin, flip_byte, reseal
from tests.support.promotions import BY, add_candidate, challenge


@pytest.fixture
def registry(models: Path) -> Registry:
    return Registry(models)


def champion_of(registry: Registry) -> Pointer:
    pointer = registry.champion()
    assert pointer is not None
    return pointer


def test_the_history_is_read_back_as_it_was_told(registry: Registry) -> None:
    given = registry.appoint(add_twin(registry.folder).name, **BY, why="it is better")
    assert registry.history()[-1] == given
    assert [move.role for move in registry.history()] == ["champion", "champion"]
    assert Registry(registry.folder / "none").history() == []


@pytest.mark.parametrize("torn", [b'{"role":"cham', b"\x00" * 40, b"{}"])
def test_a_torn_last_line_did_not_happen_and_is_set_aside_before_the_next(
    registry: Registry, torn: bytes
) -> None:
    path, before = registry.folder / "history.jsonl", registry.history()
    with path.open("ab") as file:
        file.write(torn)
    assert registry.history() == before
    moved = registry.appoint(add_twin(registry.folder).name, **BY, why="")
    assert registry.history() == [*before, moved]
    (aside,) = registry.folder.glob("history.jsonl.torn-*")
    assert aside.read_bytes() == torn


@pytest.mark.parametrize("damage", [b"{}", b"", b"\xff", b'{"role":"cham'])
def test_damage_in_the_middle_of_the_history_is_refused_by_its_line(
    registry: Registry, damage: bytes
) -> None:
    path = registry.folder / "history.jsonl"
    path.write_bytes(path.read_bytes() + damage + b"\n" + path.read_bytes())
    with pytest.raises(BundleRefused, match=r"history\.jsonl: expected a move of a pointer in line 2"):
        registry.history()
    with pytest.raises(BundleRefused, match="line 2"):
        registry.roll_back(**BY, why="")


def test_a_promotion_swaps_the_two(registry: Registry) -> None:
    first = champion_of(registry).bundle_id
    second = challenge(registry.folder, 1)
    moved = registry.promote(**BY, why="it has shown itself")
    assert (moved.kind, moved.bundle_id, moved.replaced) == ("promoted", second, first)
    assert registry.champion() == moved
    after = registry.challenger()
    assert after is not None
    assert (after.bundle_id, after.replaced, after.kind) == (first, second, "appointed")
    assert registry.history()[-2:] == [moved, after]


def test_without_a_challenger_there_is_nobody_to_promote(registry: Registry) -> None:
    with pytest.raises(WrongUse, match="a challenger to promote"):
        registry.promote(**BY, why="")


def test_a_challenger_that_was_exchanged_since_it_was_appointed_is_not_promoted(
    registry: Registry,
) -> None:
    bundle = registry.bundles / challenge(registry.folder, 1)
    reseal(bundle, git_revision="another")
    before = registry.champion()
    with pytest.raises(BundleRefused, match="another hash"):
        registry.promote(**BY, why="")
    assert registry.champion() == before


def test_a_former_champion_that_was_removed_can_not_stay(registry: Registry) -> None:
    second = challenge(registry.folder, 1)
    shutil.rmtree(registry.bundles / str(champion_of(registry).bundle_id))
    registry.promote(**BY, why="")
    assert champion_of(registry).bundle_id == second
    assert registry.challenger() is None
    assert registry.is_settled()


def test_a_rollback_goes_back_and_leaves_no_challenger(registry: Registry) -> None:
    first = champion_of(registry).bundle_id
    second = challenge(registry.folder, 1)
    registry.promote(**BY, why="")
    moved = registry.roll_back(**BY, why="it is worse")
    assert (moved.kind, moved.bundle_id, moved.replaced) == ("rolled back", first, second)
    assert registry.champion() == moved
    assert registry.challenger() is None
    assert registry.is_settled()


def test_rolling_back_again_goes_further_back_and_never_forth(registry: Registry) -> None:
    line = [champion_of(registry).bundle_id]
    for day in (1, 2, 3):
        line.append(challenge(registry.folder, day))
        registry.promote(**BY, why="")
    for expected in reversed(line[:-1]):
        assert registry.roll_back(**BY, why="").bundle_id == expected
    with pytest.raises(WrongUse, match="a champion before this one"):
        registry.roll_back(**BY, why="")
    assert champion_of(registry).bundle_id == line[0]


def test_after_a_rollback_a_new_promotion_is_what_is_gone_back_from(registry: Registry) -> None:
    first = champion_of(registry).bundle_id
    challenge(registry.folder, 1)
    registry.promote(**BY, why="")
    registry.roll_back(**BY, why="")
    third = challenge(registry.folder, 2)
    registry.promote(**BY, why="")
    assert champion_of(registry).bundle_id == third
    assert registry.roll_back(**BY, why="").bundle_id == first
    with pytest.raises(WrongUse):
        registry.roll_back(**BY, why="")


def test_the_same_champion_appointed_twice_is_not_the_one_before(registry: Registry) -> None:
    registry.appoint(str(champion_of(registry).bundle_id), **BY, why="again")
    with pytest.raises(WrongUse, match="a champion before this one"):
        registry.champion_before()


def test_a_move_that_was_told_and_did_not_happen_is_not_gone_back_to(registry: Registry) -> None:
    first = str(champion_of(registry).bundle_id)
    told_only = add_candidate(registry.folder, 1)
    pointer = (registry.folder / "champion").read_bytes()
    registry.appoint(told_only, **BY, why="")
    (registry.folder / "champion").write_bytes(pointer)  # as a power cut leaves it
    with pytest.raises(WrongUse):
        registry.champion_before()
    third = add_candidate(registry.folder, 2)
    registry.appoint(third, **BY, why="")
    assert registry.champion_before() == first


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_champion_before_that_is_gone_or_damaged_is_refused_by_name(
    registry: Registry, is_gone: bool
) -> None:
    first = str(champion_of(registry).bundle_id)
    second = challenge(registry.folder, 1)
    registry.promote(**BY, why="")
    if is_gone:
        shutil.rmtree(registry.bundles / first)
    else:
        flip_byte(registry.bundles / first / "lgb_h5.txt", 5000)
    with pytest.raises(BundleRefused, match=f"{first}: expected an intact bundle to go back to"):
        registry.roll_back(**BY, why="")
    assert champion_of(registry).bundle_id == second


def test_a_promotion_that_was_cut_off_between_the_pointers_is_settled(registry: Registry) -> None:
    first = champion_of(registry).bundle_id
    second = challenge(registry.folder, 1)
    registry.appoint(second, **BY, why="", kind="promoted")
    assert registry.challenger() is None
    assert not registry.is_settled()
    settled = registry.settle(**BY)
    assert settled is not None
    assert settled.bundle_id == first
    assert registry.challenger() == settled
    assert registry.settle(**BY) is None


def test_a_rollback_that_was_cut_off_between_the_pointers_is_settled(registry: Registry) -> None:
    first = str(champion_of(registry).bundle_id)
    challenge(registry.folder, 1)
    registry.promote(**BY, why="")
    registry.appoint(first, **BY, why="", kind="rolled back")
    assert not registry.is_settled()
    settled = registry.settle(**BY)
    assert settled is not None
    assert (settled.kind, settled.bundle_id) == ("dismissed", None)
    assert registry.challenger() is None
    assert registry.is_settled()


@pytest.mark.parametrize("what", ["promote", "roll_back"])
def test_a_kill_before_any_line_leaves_an_intact_champion_and_what_can_be_settled(
    registry: Registry, what: str
) -> None:
    first = champion_of(registry).bundle_id
    second = challenge(registry.folder, 1)
    if what == "roll_back":
        registry.promote(**BY, why="")
    before = [first, second] if what == "promote" else [second, first]
    after = [second, first] if what == "promote" else [first, None]
    command = [sys.executable, "-m", "tests.support.promotions", str(registry.folder), what]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [one["killed"] for one in seen] == [True] * (len(seen) - 1) + [False]
    settled = [one["settled"] for one in seen]
    assert settled == sorted(settled, key=[before, after].index), "once moved, always moved"
    assert [before, after] == [list(pair) for pair in dict.fromkeys(map(tuple, settled))]
    assert [after[0], None] in [one["left"] for one in seen], "one was cut off between the pointers"
