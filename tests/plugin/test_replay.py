import asyncio
import time

import pytest

from plugin.bar import Timeframe
from plugin.candles import ABSENT, Candles
from plugin.clock import ReplayClock
from plugin.errors import WrongUse
from plugin.sources import BarSource, PacedSource, ReplaySource
from tests.support.bar_source_contract import check_source
from tests.support.bars import HOURLY, bar_at, candles_of, open_ms
from tests.support.market_candles import load_candles

BTC = candles_of(map(bar_at, (0, 1, 2, 4, 5)))
ETH = candles_of(bar_at(slot, symbol="ETH/USDT") for slot in (2, 3, 4, 6))


def replay(*candles: Candles, since: int = 0, until: int = 99) -> tuple[ReplaySource, ReplayClock]:
    clock = ReplayClock(open_ms(since))
    return ReplaySource(candles, open_ms(since), open_ms(until), clock), clock


def drained(source: BarSource, clock: ReplayClock) -> list[list[tuple[str, int]]]:
    batches = asyncio.run(check_source(source, HOURLY, clock))
    return [[(bar.symbol[:3], int(bar.volume)) for bar in batch] for batch in batches]


def test_bars_that_close_together_come_as_one_batch_and_absent_ones_stay_away():
    assert drained(*replay(BTC, ETH)) == [
        [("BTC", 0)],
        [("BTC", 1)],
        [("BTC", 2), ("ETH", 2)],
        [("ETH", 3)],
        [("BTC", 4), ("ETH", 4)],
        [("BTC", 5)],
        [("ETH", 6)],
    ]


def test_a_batch_stands_in_the_order_of_the_candles():
    assert drained(*replay(ETH, BTC, since=2, until=3)) == [[("ETH", 2), ("BTC", 2)]]


def test_the_bars_that_open_in_the_half_open_interval_are_replayed():
    assert drained(*replay(BTC, since=1, until=4)) == [[("BTC", 1)], [("BTC", 2)]]


def test_a_replay_of_no_bars_ends_at_once():
    assert drained(*replay(BTC, since=50, until=60)) == []
    assert drained(*replay()) == []


def test_a_bar_comes_back_as_it_was_stored_but_for_its_source():
    source, _ = replay(BTC, since=1, until=2)
    ((bar,),) = asyncio.run(check_source(source, HOURLY, ReplayClock(open_ms(2))))
    assert (bar.source, bar.received_ms) == ("replay", open_ms(2))
    assert (bar.open_time_ms, bar.ohlcv) == (open_ms(1), bar_at(1).ohlcv)
    assert type(bar.close) is float


def test_two_replays_of_the_same_bars_are_the_same():
    assert drained(*replay(BTC, ETH)) == drained(*replay(BTC, ETH))


def test_a_clock_that_is_ahead_of_the_bars_is_refused():
    source = ReplaySource([BTC], open_ms(0), open_ms(9), ReplayClock(open_ms(5)))
    with pytest.raises(WrongUse, match="replay in time order"):
        asyncio.run(check_source(source, HOURLY, ReplayClock(0)))


def test_other_tasks_have_their_turn_between_two_batches():
    async def turns() -> list[str]:
        source, _ = replay(BTC)
        seen: list[str] = []

        async def other() -> None:
            while len(seen) < 8:
                seen.append("other")
                await asyncio.sleep(0)

        task = asyncio.create_task(other())
        async for _batch in source.batches():
            seen.append("batch")
        await task
        return seen

    seen = asyncio.run(turns())
    assert seen[:4] == ["batch", "other", "batch", "other"]


@pytest.mark.parametrize(
    ("n_bars", "slots"), [(1, [4]), (3, [2, 0, 4]), (5, [0, 1, 2, 0, 4]), (99, [0, 1, 2, 0, 4])]
)
def test_history_is_the_newest_bars_before_the_replay(n_bars, slots):
    source, _ = replay(BTC, since=5)
    history = asyncio.run(source.history("BTC/USDT", n_bars))
    assert history.bars[4].tolist() == slots
    assert history.open_time_ms[-1] == open_ms(4)


def test_history_keeps_the_marks_of_absent_bars():
    source, _ = replay(BTC, since=5)
    history = asyncio.run(source.history("BTC/USDT", 3))
    assert history.bars[ABSENT].tolist() == [0, 1, 0]


def test_there_is_no_history_before_the_first_bar_or_of_a_symbol_that_is_not_replayed():
    source, _ = replay(BTC, ETH, since=1)
    assert asyncio.run(source.history("ETH/USDT", 10)) is None
    assert asyncio.run(source.history("SOL/USDT", 10)) is None


def test_a_symbol_given_twice_and_mixed_timeframes_are_refused():
    four_hourly = Candles("SOL/USDT", Timeframe.parse("4h"), open_ms(0), BTC.bars)
    for candles in ((BTC, BTC), (BTC, four_hourly)):
        with pytest.raises(WrongUse, match="one timeframe"):
            replay(*candles)


def test_a_paced_replay_has_the_same_bars_and_history_after_a_pause_for_each():
    paces = []
    for bars_per_second in (10_000.0, 70.0):
        source, clock = replay(BTC, ETH, since=1)
        paced = PacedSource(source, bars_per_second)
        began = time.monotonic()
        paces.append((drained(paced, clock), time.monotonic() - began))
        history = asyncio.run(paced.history("BTC/USDT", 10))
        assert history.bars[4].tolist() == [0]
    (fast, _), (slow, took_s) = paces
    assert fast == slow == drained(*replay(BTC, ETH, since=1))
    assert took_s > len(slow) / 70 * 0.9  # a timer may be a little early, and a pause is none at all


@pytest.mark.market
def test_real_bars_keep_the_contract_of_a_source(market):
    since, until = open_ms(-1000), open_ms(-900)
    candles = [load_candles(market, pair) for pair in ("BTC-USDT", "ETH-USDT")]
    clock = ReplayClock(since)
    source = ReplaySource(candles, since, until, clock)
    batches = asyncio.run(check_source(source, HOURLY, clock))
    assert [len(batch) for batch in batches] == [2] * 100
