"""What bots push becomes batches: in order, one close each, never more than there is room for."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from plugin.answer import Answer, Asked
from plugin.bar import BarClosed
from plugin.decision import Decision, refusal
from plugin.serving.desk import Desk
from plugin.settings import Settings
from plugin.sources.pushed import PushedSource
from tests.support.bar_source_contract import check_source
from tests.support.bars import HOURLY, SYMBOL, bar_at, candles_of, open_ms
from tests.support.socket_side import HandClock

OTHER, FOLLOWED = "ETH/USDT", "XRP/USDT"
FLAGS = Settings()
FAR_MS = open_ms(1_000)


class Scene:
    """A source whose batches are answered with their number in the order of the batches."""

    def __init__(self, room_bars: int = 100) -> None:
        self.clock = HandClock(open_ms(10))
        self.desk = Desk(HOURLY, [SYMBOL, OTHER], lambda: FLAGS, lambda: None, self.clock)
        self.source = PushedSource(self.clock, room_bars)
        self.held: list[int] = []
        self.source.attach(lambda candles: self.held.append(candles.n_bars))
        self.batches: list[list[BarClosed]] = []
        self.told: list[list[str]] = []

    def push(self, *bars: BarClosed, expires_ms: int = FAR_MS) -> None:
        self.source.push(bars, expires_ms, self.desk, self._tell)

    def walk(self, n_batches: int) -> None:
        """Answer so many batches, as the App does."""

        async def story() -> None:
            async for batch in self.source.batches():
                self.batches.append(batch)
                self.desk.deliver([self._answer(bar) for bar in batch if self.desk.serves(bar.symbol)])
                if len(self.batches) == n_batches:
                    self.source.stop()

        run(story())

    @property
    def places(self) -> list[list[tuple[str, int]]]:
        """Symbol and slot of each bar, by batch."""
        return [
            [(bar.symbol, (bar.open_time_ms - open_ms(0)) // HOURLY.length_ms) for bar in batch]
            for batch in self.batches
        ]

    def _tell(self, decisions: Sequence[Decision]) -> None:
        self.told.append([decision.reason for decision in decisions])

    def _answer(self, bar: BarClosed) -> Answer:
        reason = bar.already_answered or str(len(self.batches))
        place = bar.symbol, bar.timeframe, bar.open_time_ms
        decision = refusal(*place, timeframe=HOURLY, flags=FLAGS, serving=None, reason=reason)
        return Answer(bar, decision, Asked(), FLAGS, is_new=True)


def run(story: Coroutine[Any, Any, Any]) -> Any:
    async def in_time() -> Any:
        async with asyncio.timeout(60):
            return await story

    return asyncio.run(in_time())


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_it_keeps_the_contract_of_a_source():
    class SetClock(HandClock):
        def now_ms(self) -> int:
            return FAR_MS

    clock = SetClock(FAR_MS)
    desk = Desk(HOURLY, [SYMBOL], lambda: FLAGS, lambda: None, clock)
    source = PushedSource(clock)
    bars = [
        replace(bar_at(slot, symbol=symbol), received_ms=FAR_MS)
        for slot in (2, 0, 1)
        for symbol in (SYMBOL, OTHER)
    ]
    source.push(bars, FAR_MS, desk, lambda _: None)

    async def story() -> list[list[BarClosed]]:
        asyncio.get_running_loop().call_later(0.05, source.stop)
        return await check_source(source, HOURLY, clock)

    assert [len(batch) for batch in run(story())] == [2, 2, 2]
    assert run(source.history(SYMBOL, 512)) is None


def test_what_waits_for_one_close_is_one_batch_and_each_request_gets_its_own(scene):
    scene.push(bar_at(0))
    scene.push(bar_at(0, symbol=FOLLOWED))
    scene.push(bar_at(0, symbol=OTHER))
    scene.push(bar_at(1))
    scene.push(bar_at(1, close=50.0))  # the same bar again, from another bot
    scene.walk(3)
    assert scene.places == [[(SYMBOL, 0), (FOLLOWED, 0), (OTHER, 0)], [(SYMBOL, 1)], [(SYMBOL, 1)]]
    assert scene.told == [[], ["1"], ["1"], ["2"], ["3"]], "who brings no served symbol is told at once"
    assert scene.source.state()["bars_waiting"] == 0


def test_several_closes_in_one_request_are_walked_oldest_first_and_told_together(scene):
    scene.push(bar_at(2), bar_at(0), bar_at(1, symbol=OTHER), bar_at(1), bar_at(1))
    scene.walk(4)
    assert scene.places == [[(SYMBOL, 0)], [(OTHER, 1), (SYMBOL, 1)], [(SYMBOL, 1)], [(SYMBOL, 2)]]
    assert scene.told == [["4", "1", "2", "2", "3"]]


def test_history_is_taken_in_its_turn_between_two_batches(scene):
    taken: list[int] = []
    scene.push(bar_at(0))
    assert scene.source.take_history(
        candles_of([bar_at(0), bar_at(1)]), lambda: taken.append(len(scene.batches))
    )
    scene.push(bar_at(0, symbol=OTHER))
    scene.walk(2)
    assert scene.held == [2]
    assert taken == [1], "after the first batch, before the second"
    assert scene.places == [[(SYMBOL, 0)], [(OTHER, 0)]]


def test_what_expired_while_it_waited_is_passed_on_as_answered(scene):
    scene.push(bar_at(0), bar_at(0, symbol=FOLLOWED), expires_ms=scene.clock.now_ms())
    scene.push(bar_at(1))
    scene.clock.advance_to(scene.clock.now_ms() + 1)
    scene.walk(2)
    assert [bar.already_answered for bar in scene.batches[0]] == ["timeout"] * 2
    assert [bar.already_answered for bar in scene.batches[1]] == [None]
    assert scene.told == [["timeout"], ["2"]]
    assert scene.source.state()["bars_expired"] == 2


def test_what_finds_no_room_is_busy_at_once_and_later_there_is_room_again():
    scene = Scene(room_bars=2)
    scene.push(bar_at(0), bar_at(0, symbol=OTHER))
    scene.push(bar_at(1), bar_at(1, symbol=FOLLOWED))
    assert scene.told == [["busy"]]
    assert not scene.source.take_history(candles_of([bar_at(0)]), lambda: None)
    scene.walk(1)
    assert scene.source.state() == {"bars_waiting": 0, "bars_refused_busy": 2, "bars_expired": 0}
    assert scene.source.take_history(candles_of([bar_at(0)]), lambda: None)


def test_a_source_that_is_stopped_while_it_waits_ends(scene):
    async def story() -> list[list[BarClosed]]:
        asyncio.get_running_loop().call_soon(scene.source.stop)
        return [batch async for batch in scene.source.batches()]

    assert run(story()) == []
