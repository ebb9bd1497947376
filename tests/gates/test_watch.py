"""A new champion that does not do its work goes; one that does stays."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from gates.limits import LIMITS, Limits
from gates.view import View, moved_ms
from gates.watch import OWN_FAULTS, is_watched, on_watch, watched
from plugin.errors import BundleRefused
from plugin.registry import Pointer, Registry
from shadow.record import BarRecord
from tests.support.promotions import (
    answered,
    challenge,
    challenger_of,
    champion_of,
    close_ms,
    side_by_side,
    told,
)
from tests.support.records import START_MS, bar, write_log

AT = "2025-01-01T00:00:00Z"
PAGE = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text()


@pytest.fixture
def registry(models: Path) -> Registry:
    """A models folder in which the challenger was promoted at the open of bar 0."""
    challenge(models, 1)
    registry = Registry(models)
    registry.promote(at=AT, who="a test", why="to watch it")
    return registry


def roles(registry: Registry) -> tuple[Pointer, Pointer]:
    champion, challenger = registry.champion(), registry.challenger()
    assert champion is not None
    assert challenger is not None
    return champion, challenger


def due(registry: Registry, shadow: Path, n_bars: int, limits: Limits = LIMITS) -> tuple[str, str]:
    """What is due at the close of bar number `n_bars` - 1, and why."""
    view = View(registry, shadow, 14, close_ms(n_bars - 1), limits)
    step = on_watch(view, *roles(registry))
    return step.action, step.why


def bars(
    registry: Registry, reasons: list[str], former: list[str] | None = None, symbol: str = "BTC/USDT"
) -> list[BarRecord]:
    """Bars of which the new champion said nothing for that reason, or something where it is `ok`."""
    new, old = champion_of(registry.folder), challenger_of(registry.folder)
    assert new is not None
    assert old is not None

    def p(reason: str) -> float | None:
        return 0.52 if reason == "ok" else None

    return [
        answered(
            at,
            new,
            p(reason),
            reason,
            challenger=told(old, p(beside), beside),
            symbol=symbol,
        )
        for at, (reason, beside) in enumerate(
            zip(reasons, former or ["ok"] * len(reasons), strict=True)
        )
    ]


def test_only_a_promoted_champion_beside_the_one_before_is_watched(registry: Registry) -> None:
    champion, former = roles(registry)
    assert is_watched(champion, former)
    assert not is_watched(champion, None)
    challenge(registry.folder, 2)
    assert not is_watched(*roles(registry))
    registry.roll_back(at=AT, who="a test", why="")
    challenge(registry.folder, 3)
    assert not is_watched(*roles(registry))


@pytest.mark.parametrize(("n_faults", "action"), [(4, "nothing"), (5, "rolled back")])
@pytest.mark.parametrize("reason", ["error", "member_nan:lgb", "member_constant:xgb"])
def test_both_sides_of_the_share_of_answers_that_it_owes(
    registry: Registry, tmp_path: Path, n_faults: int, action: str, reason: str
) -> None:
    write_log(tmp_path / "log", bars(registry, ["ok"] * 40 + [reason] * n_faults))
    found, why = due(registry, tmp_path / "log", 40 + n_faults)
    assert found == action
    if action == "rolled back":
        assert "expected less than 20%, was 21%" in why
        assert f"({reason} 5)" in why


def test_a_share_that_just_reaches_the_limit_is_enough(registry: Registry, tmp_path: Path) -> None:
    write_log(tmp_path / "log", bars(registry, ["ok"] * 40 + ["error"] * 5))
    exact, above = (Limits(watch_error_share=share) for share in (5 / 24, 5.01 / 24))
    assert due(registry, tmp_path / "log", 45, exact)[0] == "rolled back"
    assert due(registry, tmp_path / "log", 45, above)[0] == "nothing"


def test_the_first_faults_count_as_a_share_of_all_that_are_looked_at(
    registry: Registry, tmp_path: Path
) -> None:
    write_log(tmp_path / "log", bars(registry, ["error"] * 5))
    assert due(registry, tmp_path / "log", 4)[0] == "nothing"
    assert due(registry, tmp_path / "log", 5)[0] == "rolled back"


def test_faults_of_long_ago_are_forgotten(registry: Registry, tmp_path: Path) -> None:
    write_log(tmp_path / "log", bars(registry, ["error"] * 5 + ["ok"] * 24))
    assert due(registry, tmp_path / "log", 24)[0] == "rolled back"
    assert due(registry, tmp_path / "log", 25)[0] == "nothing"


@pytest.mark.parametrize("reason", ["gap", "dead_market", "companion_gap", "disabled", "not_finite"])
def test_bars_and_switches_are_not_its_fault(registry: Registry, tmp_path: Path, reason: str) -> None:
    write_log(tmp_path / "log", bars(registry, [reason] * 40))
    assert due(registry, tmp_path / "log", 40)[0] == "nothing"


def test_what_the_former_champion_could_not_answer_either_is_not_its_fault(
    registry: Registry, tmp_path: Path
) -> None:
    write_log(tmp_path / "both", bars(registry, ["error"] * 40, ["error"] * 40))
    assert due(registry, tmp_path / "both", 40)[0] == "nothing"
    write_log(tmp_path / "gap", bars(registry, ["error"] * 40, ["gap"] * 40))
    assert due(registry, tmp_path / "gap", 40)[0] == "rolled back"


def test_of_several_symbols_the_share_is_taken_over_all(registry: Registry, tmp_path: Path) -> None:
    broken = bars(registry, ["error"] * 9, symbol="ETH/USDT")
    well = bars(registry, ["ok"] * 9)
    log = [one for both in zip(well, broken, strict=True) for one in both]
    write_log(tmp_path / "log", log)
    assert due(registry, tmp_path / "log", 9)[0] == "nothing"
    write_log(tmp_path / "more", [*log, *bars(registry, ["error"] * 10, symbol="ETH/USDT")[9:]])
    assert due(registry, tmp_path / "more", 10)[0] == "rolled back"


def test_every_reason_that_lies_with_the_models_is_its_fault() -> None:
    """docs/pipeline.md groups them; the rank of the volatility is no matter of a bundle."""
    group = PAGE.split("| **the models** | | |")[1].split("| **the gates** | | |")[0]
    reasons = [line.split("`")[1] for line in group.strip().splitlines()]
    assert len(reasons) > 5
    for reason in reasons:
        assert reason.startswith(OWN_FAULTS) == (reason != "unknown_regime"), reason


def test_what_was_recorded_before_the_promotion_and_is_to_come_does_not_count(
    registry: Registry, tmp_path: Path
) -> None:
    champion, _ = roles(registry)
    write_log(tmp_path / "log", bars(registry, ["error"] * 10))
    since_ms, now_ms = close_ms(3), close_ms(7)
    seen = watched(tmp_path / "log", champion, since_ms, now_ms, LIMITS)
    assert (seen.n_bars, seen.n_served, seen.faults) == (4, 4, {"error": 4})
    assert seen.share == 4 / 24


def test_nothing_recorded_is_nothing_due(registry: Registry, tmp_path: Path) -> None:
    action, why = due(registry, tmp_path / "none", 1)
    assert (action, why) == ("nothing", "watched: bar 0 of 1008 since it was promoted")


@pytest.mark.parametrize(("n", "action"), [(47, "nothing"), (48, "watch ended")])
def test_both_sides_of_the_end_of_the_watch(
    registry: Registry, tmp_path: Path, n: int, action: str
) -> None:
    write_log(tmp_path / "log", bars(registry, ["ok"] * n))
    assert due(registry, tmp_path / "log", n, Limits(watch_bars=48))[0] == action


@pytest.mark.parametrize(("n", "action"), [(47, "nothing"), (48, "rolled back")])
def test_a_champion_that_the_live_process_never_asks_does_not_stay(
    registry: Registry, tmp_path: Path, n: int, action: str
) -> None:
    other = str(challenger_of(registry.folder))
    write_log(tmp_path / "log", [bar(at, champion=other) for at in range(n)])
    found, why = due(registry, tmp_path / "log", n, Limits(watch_bars=48))
    assert found == action
    if action == "rolled back":
        assert "it has not been asked at any of the 48 bars" in why


def collapse(registry: Registry, n: int) -> list[BarRecord]:
    """The new champion is wrong where the former one is right."""
    new, old = str(champion_of(registry.folder)), str(challenger_of(registry.folder))
    return side_by_side(new, old, n, edges=(-0.1, 0.1))


def test_both_sides_of_the_evidence_that_it_is_worse_by_the_margin(
    registry: Registry, tmp_path: Path
) -> None:
    write_log(tmp_path / "log", collapse(registry, 200))
    found = [due(registry, tmp_path / "log", n)[0] for n in range(1, 201, 5)]
    assert found == sorted(found), "nothing is due, and from some bar on a rollback"
    assert found[0] == "nothing"
    assert found[-1] == "rolled back"
    _, why = due(registry, tmp_path / "log", 200)
    assert "more than 0.005 above that of the champion before: +0.2" in why


def test_a_champion_that_is_better_or_as_good_stays(registry: Registry, tmp_path: Path) -> None:
    new, old = str(champion_of(registry.folder)), str(challenger_of(registry.folder))
    for name, edges in {"better": (0.2, 0.0), "equal": (0.1, 0.1)}.items():
        write_log(tmp_path / name, side_by_side(new, old, 200, edges=edges))
        assert due(registry, tmp_path / name, 200)[0] == "nothing"


def test_where_the_former_champion_is_damaged_the_watch_goes_on(
    registry: Registry, tmp_path: Path
) -> None:
    write_log(tmp_path / "log", collapse(registry, 200))
    (registry.bundles / str(challenger_of(registry.folder)) / "meta.json").unlink()
    assert due(registry, tmp_path / "log", 200)[0] == "nothing"


def test_the_watch_begins_with_the_promotion(registry: Registry) -> None:
    champion, _ = roles(registry)
    assert moved_ms(champion) == START_MS
    assert moved_ms(replace(champion, at="2025-01-01T00:00:00.250Z")) == START_MS + 250
    for at in ("", "soon", "2025-01-01T00:00:00"):
        with pytest.raises(BundleRefused, match="a time with its zone"):
            moved_ms(replace(champion, at=at))
