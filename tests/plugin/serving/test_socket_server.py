"""Bots ask on real sockets; a replay of the same bars is the oracle."""

import asyncio
import gc
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from plugin.answer import Answer
from plugin.app import App
from plugin.bar import BarClosed
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE, closed_bars
from plugin.clock import ReplayClock
from plugin.deadlines import REPLAY
from plugin.live_flags import LiveFlags
from plugin.sources import ReplaySource
from shadow.record import BarRecord
from tests.support.bars import HOURLY
from tests.support.live import FOLLOWED, SERVED, read_records, without_timings
from tests.support.scripted_source import until
from tests.support.small_training import END_MS, SmallTraining
from tests.support.socket_side import ALL, FAR_MS, N_BARS, SINCE_MS, SocketSide

Make = Callable[..., SocketSide]


@pytest.fixture
def make(small_training: SmallTraining, tmp_path: Path) -> Iterator[Make]:
    yield lambda **options: SocketSide(small_training, tmp_path, **options)
    gc.unfreeze()  # App freezes what lives, and in a test that is the whole session


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


def replay(training: SmallTraining, folder: Path) -> tuple[list[dict[str, Any]], list[BarRecord]]:
    """The decisions and records of a clean replay of the same stretch."""
    store, clock, answers = CandleStore(training.store), ReplayClock(SINCE_MS), []
    flags = LiveFlags(folder / "none", training.environment(folder / "replayed"))

    def open_source(symbols):
        candles = [store.read(SIMULATED_VENUE, HOURLY.name, symbol) for symbol in symbols]
        return ReplaySource(candles, SINCE_MS, END_MS, clock)

    asyncio.run(App(flags, open_source, clock, SIMULATED_VENUE, deadlines=REPLAY).run(answers.extend))
    decisions = [msgspec.to_builtins(answer.decision) for answer in answers]
    return decisions, bar_records(folder / "replayed")


def bar_records(folder: Path) -> list[BarRecord]:
    return [record for record in read_records(folder) if isinstance(record, BarRecord)]


def untimed(decision: dict[str, Any]) -> dict[str, Any]:
    return {**decision, "latency_us": 0.0}


def comparable(record: BarRecord) -> BarRecord:
    """Less what measures the machine, and where the bar came from."""
    flags = {**record.flags, "ML_SOURCE": ""}
    return msgspec.structs.replace(without_timings(record), flags=flags)


def test_pushed_bars_are_decided_and_recorded_as_in_a_replay(make, small_training, tmp_path):
    side, told = make(), []

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            await side.give_history(bot)
            for number in range(N_BARS):
                told.extend(await side.push(bot, number))

    run(story())
    decisions, records = replay(small_training, tmp_path)
    assert len(told) == N_BARS * len(SERVED)
    assert {one["reason"] for one in told} == {"stacking_off"}
    assert [untimed(one) for one in told] == [untimed(one) for one in decisions]
    pushed = bar_records(side.shadow)
    assert list(map(comparable, pushed)) == list(map(comparable, records))
    assert {record.flags["ML_SOURCE"] for record in pushed} == {"socket"}


def test_it_says_what_it_holds_and_how_it_is(make):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            empty = {"newest_open_ms": None, "n_bars": 0, "n_absent": 0}
            assert await bot.say("hello") == {
                "type": "welcome",
                "id": 1,
                "version": 1,
                "takes_bars": True,
                "timeframe": "1h",
                "served": list(SERVED),
                "followed": list(FOLLOWED),
                "lookback": 512,
                "held": dict.fromkeys(ALL, empty),
            }
            rows = side.rows(SERVED[0], -30, 0)
            del rows[10:13]
            held = await bot.say("history", symbol=SERVED[0], timeframe="1h", bars=rows)
            assert held["held"] == {"newest_open_ms": side.open_ms(-1), "n_bars": 30, "n_absent": 3}
            assert (await bot.say("hello"))["held"][SERVED[0]] == held["held"]
            assert await bot.say("status") == {"type": "status", "id": 4, "status": {"mode": "shadow"}}

    run(story())


def test_a_history_fills_a_gap_and_leaves_out_what_is_no_valid_bar(make):
    side = make()
    symbol = SERVED[0]

    async def story() -> None:
        async with side.running(), side.bot() as bot:

            async def given(rows: list[list[object]]) -> dict[str, Any]:
                reply = await bot.say("history", symbol=symbol, timeframe="1h", bars=rows)
                return reply["held"]

            rows = side.rows(symbol, -600, 0)
            broken = [list(row) for row in rows]
            broken[500][4] = None  # no close
            broken[510][1] = -1.0
            broken[520][0] += 1  # off the grid
            assert (await given(broken))["n_absent"] == 3
            assert (await given(rows[495:525]))["n_absent"] == 0
            still_open = await given(side.rows(symbol, -1, 1))
            assert still_open["newest_open_ms"] == side.open_ms(-1)
            decades_apart = [[HOURLY.floor(1_300_000_000_000), *rows[0][1:]], rows[-1]]
            assert (await given(decades_apart))["n_bars"] == 600
            nothing_valid = await given([[1, 1.0, 1.0, 1.0, 1.0, 1.0]])
            assert nothing_valid["n_bars"] == 600
            assert side.app.pipeline.buffers[symbol].bars.shape[1] < 800

    run(story())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"symbol": "NONE/USDT"}, "symbol_not_followed"),
        ({"timeframe": "4h"}, "other_timeframe"),
        ({"bars": [[2, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]]}, "out_of_order"),
        ({"bars": [[1, 1, 1, 1, 1, 1]] * 2}, "out_of_order"),
    ],
)
def test_a_history_that_can_not_be_placed_is_refused(make, changes, reason):
    side = make()
    fields = {"symbol": SERVED[0], "timeframe": "1h", "bars": [[1, 1, 1, 1, 1, 1]], **changes}

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            reply = await bot.say("history", **fields)
            assert (reply["type"], reply["reason"]) == ("refused", reason)
            assert await bot.ends()

    run(story())


def test_bars_that_are_no_valid_ones_are_abstained_from_with_their_reason(make):
    side = make()
    symbol, other = SERVED
    cases = [
        (side.bar(0, symbol, close=None), "not_finite"),
        (side.bar(0, symbol, open=-1.0, low=-1.0), "not_positive"),
        (side.bar(0, symbol, low=1e9), "ohlc_inconsistent"),
        (side.bar(0, symbol, timeframe="4h"), "other_timeframe"),
        (side.bar(0, symbol, open_time_ms=side.open_ms(0) + 1), "off_grid"),
        (side.bar(0, symbol, open_time_ms=side.open_ms(0) * 1000), "timestamp_unit"),
        (side.bar(5, symbol), "not_closed"),
        (side.bar(0, symbol), "companion_missing:XRP/USDT"),
        (side.bar(0, other), f"companion_missing:{symbol}"),
    ]

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            side.close_of(0)
            reply = await bot.say("bars", expires_ms=FAR_MS, bars=[bar for bar, _ in cases])
            decisions = reply["decisions"]
            assert [one["reason"] for one in decisions] == [reason for _, reason in cases]
            places = [(one["symbol"], one["timeframe"], one["open_time_ms"]) for one in decisions]
            assert places == [
                (bar["symbol"], bar["timeframe"], bar["open_time_ms"]) for bar, _ in cases
            ], "in the order of the request"
            assert {one["action"] for one in decisions} == {"abstain"}

    run(story())
    assert len(bar_records(side.shadow)) == 2


def test_symbols_that_are_not_served_get_no_decision(make):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            side.close_of(0)
            bars = [side.bar(0, FOLLOWED[0]), side.bar(0) | {"symbol": "NONE/USDT"}]
            reply = await bot.say("bars", expires_ms=FAR_MS, bars=bars)
            assert (reply["type"], reply["decisions"]) == ("decisions", [])
            assert len(await side.push(bot, 1)) == len(SERVED)

    run(story())


def test_what_the_bot_means_to_do_itself_is_recorded(make):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            side.close_of(0)
            signals = dict(zip(SERVED, ("long", None), strict=True))
            bars = [side.bar(0, name, host_signal=signal) for name, signal in signals.items()]
            await bot.say("bars", expires_ms=FAR_MS, bars=bars)

    run(story())
    assert [record.host_signal for record in bar_records(side.shadow)] == ["long", None]


def test_bots_with_a_symbol_each_are_answered_in_one_walk(make):
    side = make()

    async def story() -> None:
        async with side.running(), AsyncExitStack() as stack:
            bots = [await stack.enter_async_context(side.bot()) for _ in ALL]
            await side.give_history(bots[0])
            told = await asyncio.gather(
                *(side.push(bot, 0, [symbol]) for bot, symbol in zip(bots, ALL, strict=True))
            )
            decided = [one for decisions in told for one in decisions]
            assert [one["symbol"] for one in decided] == list(SERVED)
            # The one that came first may have been alone; a later one finds all it compares with.
            assert "stacking_off" in {one["reason"] for one in decided}

    run(story())


def test_the_same_bar_again_gets_the_same_answer_on_any_connection(make):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as one, side.bot() as other:
            await side.give_history(one)
            first = await side.push(one, 0)
            again = await side.push(other, 0)
            assert again == first
            question = {"symbol": SERVED[0], "timeframe": "1h", "open_time_ms": side.open_ms(0)}
            reply = await other.say("ask", expires_ms=FAR_MS, **question)
            assert reply["decisions"] == first[:1]

    run(story())
    assert len(bar_records(side.shadow)) == len(SERVED)


def test_a_request_that_expired_while_it_waited_is_recorded_and_told_nothing_but_that(make):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            await side.give_history(bot)
            decisions = await side.push(bot, 0, expires_ms=side.open_ms(1) - 1)
            assert {(one["action"], one["reason"]) for one in decisions} == {("abstain", "timeout")}
            assert {one["reason"] for one in await side.push(bot, 1)} == {"stacking_off"}

    run(story())
    reasons = [record.decision.reason for record in bar_records(side.shadow)]
    assert reasons == ["timeout"] * len(SERVED) + ["stacking_off"] * len(SERVED)


def test_a_decision_that_is_ready_after_the_request_has_expired_is_not_told(make):
    side = make()
    answer = side.app.pipeline.answer

    def slowly(batch: Sequence[BarClosed]) -> list[Answer]:
        answers = answer(batch)
        side.clock.advance_to(FAR_MS + 1)
        return answers

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            await side.give_history(bot)
            side.app.pipeline.answer = slowly
            decisions = await side.push(bot, 0)
            assert {(one["action"], one["reason"]) for one in decisions} == {("abstain", "timeout")}

    run(story())
    assert {record.decision.reason for record in bar_records(side.shadow)} == {"stacking_off"}


def test_a_fault_in_one_request_ends_its_connection_alone(make):
    side = make()

    def fail() -> dict[str, object]:
        raise ZeroDivisionError

    side.reception._status = fail

    async def story() -> None:
        async with side.running(), side.bot() as one, side.bot() as other:
            reply = await one.say("status")
            assert (reply["type"], reply["reason"]) == ("refused", "error")
            assert await one.ends()
            assert (await other.say("hello"))["type"] == "welcome"

    run(story())


def test_with_a_feed_of_its_own_bars_and_questions_wait_for_the_answer(make):
    side = make(pushed=False)
    source = side.source

    async def story() -> None:
        async with side.running(), side.bot() as one, side.bot() as other:
            assert (await one.say("hello"))["takes_bars"] is False
            side.close_of(0)
            bars = [side.bar(0, symbol, close=1.0) for symbol in ALL]
            pushing = asyncio.create_task(one.say("bars", expires_ms=FAR_MS, bars=bars))
            place = {"symbol": SERVED[1], "timeframe": "1h", "open_time_ms": side.open_ms(0)}
            asking = asyncio.create_task(other.say("ask", expires_ms=FAR_MS, **place))
            await until(lambda: side.desk.n_waiting == 1 + len(SERVED))
            closed = [closed_bars(side.candles(symbol, 0, 1), "test") for symbol in ALL]
            source.put([bar for bars in closed for bar in bars])
            pushed, asked = (await pushing)["decisions"], (await asking)["decisions"]
            assert [one["symbol"] for one in pushed] == list(SERVED)
            assert {one["reason"] for one in pushed} == {"stacking_off"}, "the feed's values count"
            assert asked == pushed[1:]
            later = {**place, "open_time_ms": side.open_ms(1)}
            reply = await other.say("ask", expires_ms=side.clock.now_ms() + 20, **later)
            assert reply["decisions"][0]["reason"] == "not_yet"
            refused = await one.say("history", symbol=SERVED[0], timeframe="1h", bars=[[1] * 6])
            assert (refused["type"], refused["reason"]) == ("refused", "own_feed")

    run(story())


def test_who_goes_away_is_not_waited_for(make):
    side = make(pushed=False)

    async def story() -> None:
        async with side.running():
            async with side.bot() as bot:
                bars = side.bars(0)
                bot.send({"type": "bars", "id": 1, "expires_ms": FAR_MS, "bars": bars})
                await until(lambda: side.desk.n_waiting == len(SERVED))
            await until(lambda: side.desk.n_waiting == 0)
            await until(lambda: side.server.state()["connections"] == 0)

    run(story())
