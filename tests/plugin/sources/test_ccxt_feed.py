"""Real ccxt on a local exchange that goes wrong in every way: what comes out, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from plugin.errors import WrongUse
from tests.support.exchange import banned, body_of, maintenance, rate_limited, truncated
from tests.support.followed_feed import NOW_SLOT, SYMBOLS, Followed, open_ms
from tests.support.raw_bars import HOUR_MS
from tests.support.scripted_source import until

FIRST, NEXT = NOW_SLOT - 1, NOW_SLOT


@pytest.fixture
def followed() -> Iterator[Followed]:
    scene = Followed()
    with scene.exchange:
        yield scene


async def hours_pass(scene: Followed, first: int, last: int) -> None:
    """Let the bars in these slots close one after the other, each delivered before the next."""
    for slot in range(first, last + 1):
        scene.go_to(slot + 1)
        await scene.delivered(slot)


def test_history_ends_before_the_newest_closed_bar_which_is_the_first_batch(followed: Followed) -> None:
    async def play() -> None:
        feed = followed.open_feed()
        history = await feed.history("BTC/USDT", 512)
        assert history is not None
        assert history.n_bars == 512
        assert history.open_time_ms[-1] == open_ms(FIRST - 1)
        assert (history.bars == followed.candles["BTC/USDT"].bars[:, FIRST - 512 : FIRST]).all()
        assert len(followed.exchange.asked("klines")) == 1
        async with followed.running():
            assert followed.slots() == [(symbol, FIRST) for symbol in SYMBOLS]
            assert len(followed.batches) == 1
            assert set(followed.answered().values()) == {None}

    asyncio.run(play())


def test_bars_that_close_together_are_one_batch_with_the_values_they_closed_with(
    followed: Followed,
) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            asked = len(followed.exchange.asked("klines"))
            await hours_pass(followed, NEXT, NEXT + 4)
            assert followed.slots() == [
                (symbol, slot) for slot in range(FIRST, NEXT + 5) for symbol in SYMBOLS
            ]
            assert set(followed.answered().values()) == {None}
            assert followed.has_true_values()
            assert followed.overdue == []
            assert len(followed.exchange.asked("klines")) == asked, "the stream was enough"
            state = followed.feed.state()
            assert state["connected"] is True
            assert state["transport"] == "websocket"
            assert state["last_bar"] == dict.fromkeys(SYMBOLS, open_ms(NEXT + 4))

    asyncio.run(play())


def test_without_a_websocket_rest_brings_the_bars_in_time(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        followed.exchange.faults["ws"] = [maintenance()] * 10_000
        async with followed.running():
            await hours_pass(followed, NEXT, NEXT + 3)
            assert set(followed.answered().values()) == {None}
            assert followed.has_true_values()
            assert followed.feed.state()["transport"] == "rest"

    asyncio.run(play())


@pytest.mark.parametrize("fault", ["silent", "frozen", "deaf"])
def test_a_stream_that_says_nothing_new_is_torn_down_while_rest_brings_the_bars(
    followed: Followed, fault: str
) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            setattr(followed.exchange.stream, fault, True)
            if fault == "deaf":
                followed.exchange.disconnect_all()
            await hours_pass(followed, NEXT, NEXT + 2)
            await until(lambda: followed.feed.state()["reconnects"])
            setattr(followed.exchange.stream, fault, False)
            await hours_pass(followed, NEXT + 3, NEXT + 5)
            await followed.streaming()
            assert sorted(followed.slots()) == sorted(set(followed.slots())), "each bar once"
            assert followed.has_true_values()

    asyncio.run(play())


def test_a_lost_connection_comes_back_with_its_subscriptions(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            followed.exchange.disconnect_all()
            await until(lambda: len(followed.exchange.asked("SUBSCRIBE")) >= 2)
            await followed.streaming()
            await hours_pass(followed, NEXT, NEXT + 2)
            assert followed.has_true_values()
            assert set(followed.answered().values()) == {None}

    asyncio.run(play())


def test_a_cut_frame_ends_the_connection_and_loses_no_bar(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            followed.exchange.stream.corrupt = 1
            await until(lambda: followed.feed.state()["reconnects"])  # long before the next close
            await hours_pass(followed, NEXT, NEXT + 2)
            assert sorted(followed.slots()) == sorted(set(followed.slots()))
            assert followed.has_true_values()

    asyncio.run(play())


def test_a_bar_whose_closed_frame_is_late_does_not_go_out_as_it_was_before(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            followed.exchange.stream.close_delay_ms = 1_500
            await hours_pass(followed, NEXT, NEXT + 2)
            assert followed.has_true_values()

    asyncio.run(play())


def test_repeated_and_reordered_frames_change_nothing(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            followed.exchange.stream.duplicates = 3
            followed.exchange.stream.reordered = True
            await hours_pass(followed, NEXT, NEXT + 4)
            assert followed.slots() == [
                (symbol, slot) for slot in range(FIRST, NEXT + 5) for symbol in SYMBOLS
            ]
            assert followed.has_true_values()

    asyncio.run(play())


def test_the_others_go_out_at_the_deadline_and_who_waits_for_the_missing_one_is_told(
    followed: Followed,
) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            until_ms = open_ms(NEXT + 1) + 600_000
            followed.exchange.omit("ETH/USDT", open_ms(NEXT), until_ms)
            followed.go_to(NEXT + 1)
            await followed.delivered(NEXT, ["BTC/USDT"])
            await until(lambda: ("ETH/USDT", NEXT) in followed.overdue)
            assert followed.answered()["BTC/USDT", NEXT] is None
            assert ("ETH/USDT", NEXT) not in followed.slots()
            followed.clock.jump_to(until_ms + 1_000)
            await followed.delivered(NEXT, ["ETH/USDT"])
            assert followed.answered()["ETH/USDT", NEXT] == "gap"
            await hours_pass(followed, NEXT + 1, NEXT + 1)
            assert followed.answered()["ETH/USDT", NEXT + 1] is None
            assert followed.overdue == [("ETH/USDT", NEXT)]

    asyncio.run(play())


def test_a_bar_that_the_exchange_never_had_holds_up_no_other_symbol(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            followed.exchange.omit("ETH/USDT", open_ms(NEXT))
            followed.go_to(NEXT + 1)
            await until(lambda: ("ETH/USDT", NEXT) in followed.overdue)
            await followed.delivered(NEXT, ["BTC/USDT"])
            for slot in range(NEXT + 1, NEXT + 5):  # until then it may still come
                followed.go_to(slot + 1)
                await followed.delivered(slot, ["BTC/USDT"])
            await followed.delivered(NEXT + 4, ["ETH/USDT"])
            await hours_pass(followed, NEXT + 5, NEXT + 6)
            answered = followed.answered()
            assert ("ETH/USDT", NEXT) not in followed.slots()
            assert [answered["ETH/USDT", slot] for slot in (NEXT + 1, NEXT + 5)] == ["gap", None]
            assert {answered["BTC/USDT", slot] for slot in range(NEXT, NEXT + 6)} == {None}

    asyncio.run(play())


def test_after_an_outage_all_bars_come_in_order_and_none_twice(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            followed.exchange.standing_fault = maintenance()
            followed.exchange.stream.silent = True
            followed.exchange.disconnect_all()
            for slot in range(NEXT, NEXT + 5):
                followed.go_to(slot + 1, seconds=40)
                await asyncio.sleep(0.05)
            followed.exchange.standing_fault = None
            followed.exchange.stream.silent = False
            followed.go_to(NEXT + 5, seconds=120)
            await followed.delivered(NEXT + 4)
            for symbol in SYMBOLS:
                slots = [slot for name, slot in followed.slots() if name == symbol]
                assert slots == list(range(FIRST, NEXT + 5))
            assert followed.has_true_values()
            await hours_pass(followed, NEXT + 5, NEXT + 5)
            assert followed.answered()["BTC/USDT", NEXT + 5] is None

    asyncio.run(play())


def test_a_revised_bar_is_delivered_again_with_its_new_values(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            await hours_pass(followed, NEXT, NEXT)
            opening, high, low, close, volume = followed.bars()[-1].ohlcv
            revised = opening, high + 1, low, close, volume + 1
            followed.exchange.revise("ETH/USDT", open_ms(NEXT), revised, open_ms(NEXT + 1) + 60_000)
            followed.clock.jump_to(open_ms(NEXT + 1) + 61_000)
            await until(lambda: followed.slots().count(("ETH/USDT", NEXT)) == 2)
            assert followed.bars()[-1].ohlcv == revised
            assert followed.slots().count(("BTC/USDT", NEXT)) == 1

    asyncio.run(play())


def test_a_delisted_symbol_is_dropped_alone(followed: Followed) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            followed.exchange.delisted.add("ETH/USDT")
            followed.go_to(NEXT + 1)
            await followed.delivered(NEXT, ["BTC/USDT"])
            await until(lambda: followed.feed.state()["dropped"])
            assert list(followed.feed.state()["dropped"]) == ["ETH/USDT"]
            for slot in (NEXT + 1, NEXT + 2):
                followed.go_to(slot + 1)
                await followed.delivered(slot, ["BTC/USDT"])
                await until(lambda: ("ETH/USDT", slot) in followed.overdue)  # noqa: B023
            assert followed.answered()["BTC/USDT", NEXT + 2] is None

    asyncio.run(play())


@pytest.mark.parametrize("way", ["seconds", "text"])
def test_nothing_is_asked_before_the_exchange_wants_to_hear_of_us_again(
    followed: Followed, way: str
) -> None:
    async def play() -> None:
        feed = followed.open_feed()
        ends_ms = followed.exchange.now_ms() + 300_000
        refusal = rate_limited(300) if way == "seconds" else banned(ends_ms)
        followed.exchange.faults["klines"] = [refusal]
        asking = asyncio.create_task(feed.history("BTC/USDT", 30))
        await until(lambda: feed.state()["banned_until"])
        asked = len(followed.exchange.requests)
        followed.clock.jump_to(ends_ms - 20_000)
        await asyncio.sleep(0.3)
        assert len(followed.exchange.requests) == asked
        followed.clock.jump_to(ends_ms + 5_000)
        assert (await asking) is not None
        feed.stop()
        assert [batch async for batch in feed.batches()] == []

    asyncio.run(play())


@pytest.mark.parametrize(
    "fault", [maintenance(503), maintenance(200), truncated, body_of({}), body_of([])]
)
def test_what_is_no_answer_is_not_taken_for_one(followed: Followed, fault: object) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            followed.exchange.faults["klines"] = [fault] * 4  # type: ignore[list-item]
            followed.exchange.stream.silent = True
            followed.go_to(NEXT + 1)
            await followed.delivered(NEXT)
            assert followed.has_true_values()

    asyncio.run(play())


@pytest.mark.parametrize("by_ms", [-HOUR_MS, 2 * HOUR_MS])
def test_a_clock_that_is_set_makes_no_bar_overdue_or_twice(followed: Followed, by_ms: int) -> None:
    async def play() -> None:
        followed.open_feed()
        async with followed.running():
            await followed.streaming()
            await hours_pass(followed, NEXT, NEXT)
            # The date of an answer about bars would tell it, too: here there is none.
            followed.exchange.faults["klines"] = [maintenance()] * 20
            followed.clock.step(by_ms)
            await until(lambda: abs(followed.feed.state()["exchange_offset_ms"] + by_ms) < 60_000)
            followed.exchange.faults["klines"] = []
            assert followed.overdue == []
            for slot in (NEXT + 1, NEXT + 2):
                followed.go_to(slot + 1, seconds=2.0)
                await asyncio.sleep(0.1)
            followed.go_to(NEXT + 4)
            await followed.delivered(NEXT + 2)
            assert sorted(followed.slots()) == sorted(set(followed.slots()))
            assert None not in {followed.answered()[symbol, NEXT + 2] for symbol in SYMBOLS}

    asyncio.run(play())


def test_bars_are_not_decided_where_the_clocks_differ_by_more_than_a_tenth_of_a_bar(
    followed: Followed,
) -> None:
    async def play() -> None:
        followed.exchange.clock_offset_ms = -HOUR_MS // 8
        followed.open_feed()
        async with followed.running():
            await until(lambda: followed.feed.state()["exchange_offset_ms"] < -400_000)
            assert set(followed.answered().values()) == {"clock_skew"}

    asyncio.run(play())


def test_stopping_ends_it_at_once_even_while_it_waits_for_the_exchange(followed: Followed) -> None:
    async def play() -> None:
        feed = followed.open_feed()
        followed.exchange.standing_fault = rate_limited(100_000)
        asking = asyncio.create_task(feed.history("BTC/USDT", 30))
        await until(lambda: feed.state()["banned_until"])
        feed.stop()
        async with asyncio.timeout(20):
            assert await asking is None
            assert [batch async for batch in feed.batches()] == []

    asyncio.run(play())


def test_an_exchange_that_is_away_at_the_start_is_waited_for(followed: Followed) -> None:
    async def play() -> None:
        followed.exchange.standing_fault = maintenance()
        feed = followed.open_feed()
        asking = asyncio.create_task(feed.history("BTC/USDT", 30))
        await until(lambda: len(followed.exchange.requests) >= 3)
        followed.exchange.standing_fault = None
        history = await asking
        assert history is not None
        assert history.n_bars == 30
        feed.stop()
        assert [batch async for batch in feed.batches()] == []

    asyncio.run(play())


def test_an_unknown_symbol_is_refused_with_the_nearest_name(followed: Followed) -> None:
    with pytest.raises(WrongUse, match="did you mean BTC/USDT"):
        followed.open_feed(["BTC/USDZ", "ETH/USDT"])
