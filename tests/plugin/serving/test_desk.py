"""Who asks for a bar is told its decision, in time or with the reason why not."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from plugin.answer import Answer, Asked
from plugin.bar import BarClosed
from plugin.decision import Decision, refusal
from plugin.serving.desk import N_REMEMBERED, Desk, Question, collect
from plugin.settings import Settings
from tests.support.bars import HOURLY, SYMBOL, bar_at, open_ms
from tests.support.socket_side import HandClock

FLAGS = Settings()
FAR_MS = open_ms(1_000)


class Scene:
    """A desk, and answers of which only the reason matters."""

    def __init__(self) -> None:
        self.clock = HandClock(open_ms(1))
        self.desk = Desk(HOURLY, [SYMBOL], lambda: FLAGS, lambda: None, self.clock)
        self.told: list[Decision] = []

    def answer(self, slot: int, reason: str = "test", *, is_new: bool = True, **changes: Any) -> Answer:
        bar = bar_at(slot, **changes)
        return Answer(bar, self.decision(bar, reason), Asked(), FLAGS, is_new=is_new)

    def decision(self, bar: BarClosed, reason: str) -> Decision:
        place = bar.symbol, bar.timeframe, bar.open_time_ms
        return refusal(*place, timeframe=HOURLY, flags=FLAGS, serving=None, reason=reason)

    def wait_for(self, slot: int, expires_ms: int = FAR_MS, timeframe: str = "1h") -> Any:
        question = Question(SYMBOL, timeframe, open_ms(slot))
        return self.desk.when_decided(question, expires_ms, self.told.append)

    @property
    def reasons(self) -> list[str]:
        return [decision.reason for decision in self.told]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def test_who_waits_is_told_once_and_who_asks_later_at_once(scene):
    async def story() -> None:
        scene.wait_for(0)
        scene.wait_for(0)
        assert scene.desk.n_waiting == 2
        scene.desk.deliver([scene.answer(0)])
        assert scene.reasons == ["test"] * 2
        assert scene.desk.n_waiting == 0
        scene.wait_for(0)
        assert scene.reasons == ["test"] * 3
        assert (await scene.desk.ask(SYMBOL, "1h", open_ms(0), FAR_MS)).reason == "test"
        scene.desk.deliver([scene.answer(0)])
        assert len(scene.told) == 3

    run(story())


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        (Question(SYMBOL, "4h", open_ms(0)), "other_timeframe"),
        (Question("ETH/USDT", "1h", open_ms(0)), "symbol_not_served"),
        (Question(SYMBOL, "1h", open_ms(0) // 1000), "timestamp_unit"),
        (Question(SYMBOL, "1h", open_ms(0) * 1000), "timestamp_unit"),
        (Question(SYMBOL, "1h", open_ms(0) + 1), "off_grid"),
        (Question(SYMBOL, "1h", open_ms(-1)), "late"),
    ],
)
def test_what_will_never_come_is_refused_at_once(scene, question, reason):
    async def story() -> None:
        refused = await scene.desk.ask(*question, FAR_MS)
        assert (refused.action, refused.reason) == ("abstain", reason)
        assert (refused.symbol, refused.timeframe, refused.open_time_ms) == question
        assert (refused.mode, refused.bundle_id) == ("shadow", None)

    run(story())


def test_who_waits_too_long_is_told_so(scene):
    async def story() -> None:
        expires_ms = scene.clock.now_ms() + 20
        assert (await scene.desk.ask(SYMBOL, "1h", open_ms(0), expires_ms)).reason == "not_yet"
        assert scene.desk.n_waiting == 0

    run(story())


def test_a_question_that_has_expired_is_not_answered(scene):
    async def story() -> None:
        scene.desk.deliver([scene.answer(0)])
        scene.wait_for(0, expires_ms=scene.clock.now_ms() - 1)
        assert scene.reasons == ["timeout"]

    run(story())


def test_after_a_suspension_nobody_is_told_what_is_stale(scene):
    async def story() -> None:
        scene.wait_for(0, expires_ms=scene.clock.now_ms() + 60_000)
        scene.clock.advance_to(scene.clock.now_ms() + 60_001)
        scene.desk.deliver([scene.answer(0)])
        assert scene.reasons == ["timeout"]

    run(story())


def test_who_has_gone_away_is_not_told(scene):
    async def story() -> None:
        withdraw = scene.wait_for(0)
        withdraw()
        withdraw()
        assert scene.desk.n_waiting == 0
        scene.desk.deliver([scene.answer(0)])
        assert scene.told == []

    run(story())


def test_a_bar_that_is_overdue_is_a_gap_now_and_later(scene):
    async def story() -> None:
        scene.wait_for(0)
        scene.desk.overdue(SYMBOL, open_ms(0))
        scene.wait_for(0)
        assert scene.reasons == ["gap", "gap"]
        scene.desk.overdue("ETH/USDT", open_ms(0))
        scene.desk.deliver([scene.answer(0, "gap")])
        scene.wait_for(0)
        assert scene.reasons == ["gap"] * 3

    run(story())


def test_a_bar_that_was_answered_is_never_overdue(scene):
    async def story() -> None:
        scene.desk.deliver([scene.answer(0)])
        scene.desk.overdue(SYMBOL, open_ms(0))
        scene.wait_for(0)
        assert scene.reasons == ["test"]

    run(story())


def test_the_newest_answers_are_remembered_and_older_bars_are_late(scene):
    async def story() -> None:
        scene.clock.advance_to(open_ms(1))
        for slot in range(-9, 1):
            scene.desk.deliver([scene.answer(slot, str(slot))])
        for slot in range(-9, 1):
            scene.wait_for(slot)
        kept = [str(slot) for slot in range(1 - N_REMEMBERED, 1)]
        assert scene.reasons == ["late"] * (10 - N_REMEMBERED) + kept

    run(story())


def test_a_bar_before_the_newest_answered_one_does_not_come_any_more(scene):
    async def story() -> None:
        scene.desk.deliver([scene.answer(1)])
        scene.wait_for(0)
        assert scene.reasons == ["late"]

    run(story())


def test_what_came_again_or_was_refused_is_told_and_not_remembered(scene):
    async def story() -> None:
        scene.wait_for(0)
        scene.desk.deliver([scene.answer(0, "not_finite", is_new=False)])
        assert scene.reasons == ["not_finite"]
        scene.wait_for(0)
        scene.desk.deliver([scene.answer(0, "right")])
        scene.desk.deliver([scene.answer(0, "repeat", is_new=False)])
        scene.wait_for(0)
        assert scene.reasons == ["not_finite", "right", "right"]

    run(story())


def test_who_hands_a_bar_in_is_told_of_that_very_bar(scene):
    one, other = scene.answer(0, "one"), scene.answer(0, "other", is_new=False)
    scene.desk.expect(one.bar, scene.told.append)
    scene.desk.deliver([other])
    assert scene.told == []
    scene.desk.deliver([one])
    scene.desk.deliver([one])
    assert scene.reasons == ["one"]


def test_several_decisions_are_told_together_in_their_order():
    told: list[list[str]] = []
    first, second = collect(2, lambda decisions: told.append(list(decisions)))
    second("b")
    assert told == []
    first("a")
    assert told == [["a", "b"]]
    assert collect(0, lambda decisions: told.append(list(decisions))) == []
    assert told[1:] == [[]]
