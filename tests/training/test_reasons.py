"""Which trigger counts: after a failure, within the rest after a training, while somebody is tried."""

import math
import shutil
from pathlib import Path

import pytest

from plugin.candle_store import CandleStore
from plugin.clock import utc_text
from plugin.registry import Registry
from tests.support.small_training import END_MS, SmallTraining
from training.attempts import BY_COMMAND, Attempt, Began, Ended
from training.reasons import REST_DAYS, again, days_since_good, look
from training.triggers import DAY_MS, Trigger, Watch


def attempt(outcome: str | None, days_ago: float, trigger: str = "calendar") -> Attempt:
    at = utc_text(END_MS - int(days_ago * DAY_MS))
    ended = outcome and Ended(
        id="x",
        outcome=outcome,  # type: ignore[arg-type]
        bundle_id=None,
        reason="the disk is full",
        at=at,
    )
    return Attempt(number=1, began=Began(id="x", trigger=trigger, at=at), ended=ended or None)


@pytest.fixture
def watch(small_training: SmallTraining, models: Path) -> tuple[Watch, Registry]:
    """A champion 14 days old, of which 10 are allowed."""
    registry = Registry(models)
    return Watch(CandleStore(small_training.store), registry, 10.0), registry


def age(found: tuple[Trigger, ...]) -> Trigger:
    return next(trigger for trigger in found if trigger.name == "age")


@pytest.mark.parametrize(
    ("known", "fires"),
    [
        ([], False),
        ([attempt("failed", 1)], True),
        ([attempt("failed", 2), attempt("waiting", 1)], False),
        ([attempt("failed", 2), attempt("unfit", 1)], False),
        ([attempt("waiting", 2), attempt("failed", 1)], True),
        ([attempt("failed", 1, BY_COMMAND)], False),
        ([attempt("failed", 2), attempt(None, 1)], True),
    ],
)
def test_a_scheduled_training_that_failed_is_tried_again(known: list[Attempt], fires: bool) -> None:
    trigger = again(known)
    assert trigger.fires is fires
    assert ("the disk is full" in trigger.sentence) is fires


@pytest.mark.parametrize(("outcome", "counts"), [("waiting", True), ("unfit", True), ("failed", False)])
@pytest.mark.parametrize(("days_ago", "rested"), [(REST_DAYS - 0.1, False), (REST_DAYS + 0.1, True)])
def test_after_a_training_age_rests(
    watch: tuple[Watch, Registry], outcome: str, counts: bool, days_ago: float, rested: bool
) -> None:
    found = age(look(*watch, [attempt(outcome, days_ago)], END_MS))
    assert found.fires is (rested or not counts)
    assert ("held back" in found.sentence) is not found.fires


def test_nothing_but_a_failure_counts_while_a_challenger_is_tried(
    watch: tuple[Watch, Registry], small_training: SmallTraining
) -> None:
    registry = watch[1]
    other = registry.bundles / "20250101T000000Z-000000000000"
    shutil.copytree(small_training.outcome.bundle, other)
    assert age(look(*watch, [], END_MS)).fires
    registry.appoint(other.name, at="2025-01-01T00:00:00Z", who="test", why="-", role="challenger")
    found = look(*watch, [attempt("failed", 1)], END_MS)
    assert [trigger.name for trigger in found if trigger.fires] == ["again"]
    assert f"{other.name} is being tried" in age(found).sentence
    (registry.folder / "challenger").write_text("{")
    assert not age(look(*watch, [], END_MS)).fires


def test_a_good_training_led_to_a_bundle_fit_for_shadow() -> None:
    known = [attempt("challenger", 9), attempt("unfit", 4), attempt("failed", 2), attempt(None, 0)]
    assert days_since_good(known, END_MS) == 9.0
    assert days_since_good(known, END_MS, judged=True) == 4.0
    assert days_since_good(known[1:], END_MS) == math.inf
