"""An exchange asked over REST: at what pace, what time it is there, and what counts as an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from plugin.bar import Timeframe
from plugin.errors import WrongUse
from plugin.sources.exchange_client import ExchangeClient, NoAnswer, NotListed
from tests.support.exchange import body_of, maintenance, rate_limited
from tests.support.followed_feed import HOURLY, NOW_SLOT, SYMBOLS, Followed, open_ms
from tests.support.raw_bars import HOUR_MS


@pytest.fixture
def followed() -> Iterator[Followed]:
    scene = Followed()
    with scene.exchange:
        yield scene


def client_of(scene: Followed) -> ExchangeClient:
    return ExchangeClient("binance", scene.exchange.url, SYMBOLS, HOURLY, scene.clock)


def test_the_exchanges_time_is_measured_and_a_difference_is_known_within_its_uncertainty(
    followed: Followed,
) -> None:
    async def play() -> None:
        client = client_of(followed)
        for ahead_ms in (0, 90_000, -400_000):
            followed.exchange.clock_offset_ms = ahead_ms
            await client.measure()
            assert abs(client.offset_ms - ahead_ms) <= client.uncertainty_ms + 50
            assert not client.is_unsure
        assert client.is_skewed(HOUR_MS // 10)
        followed.exchange.clock_offset_ms = 0
        await client.load()
        assert client.is_unsure, "the date of an answer contradicts what was measured"
        await client.close()

    asyncio.run(play())


def test_questions_keep_their_distance_though_many_are_put_at_once(followed: Followed) -> None:
    async def play() -> None:
        client = client_of(followed)
        await client.load()
        since_ms = open_ms(NOW_SLOT - 2)
        await asyncio.gather(*(client.bars("BTC/USDT", since_ms, 3) for _ in range(6)))
        await client.close()
        asked_s = [request.at_s for request in followed.exchange.asked("klines")]
        assert len(asked_s) == 6
        assert min(after - before for before, after in pairwise(asked_s)) > 0.8 * 0.1 / 20

    asyncio.run(play())


def test_a_refusal_at_the_very_start_is_obeyed_by_what_follows(followed: Followed) -> None:
    async def play() -> None:
        followed.exchange.faults["exchangeInfo"] = [rate_limited(600)]
        feed = followed.open_feed()
        asking = asyncio.create_task(feed.history("BTC/USDT", 5))
        await asyncio.sleep(0.5)
        assert len(followed.exchange.requests) == 1
        assert feed.state()["banned_until"]
        followed.clock.jump_to(followed.clock.true_ms() + 602_000)
        assert await asking is not None
        feed.stop()
        assert [batch async for batch in feed.batches()] == []

    asyncio.run(play())


def test_a_delisted_symbol_is_not_listed(followed: Followed) -> None:
    async def play() -> None:
        client = client_of(followed)
        await client.load()
        assert await client.lists("ETH/USDT")
        followed.exchange.delisted.add("ETH/USDT")
        assert not await client.lists("ETH/USDT")
        assert await client.lists("BTC/USDT")
        with pytest.raises(NotListed):
            await client.bars("ETH/USDT", open_ms(NOW_SLOT - 2), 3)
        assert client.fault is None, "the exchange is well"
        await client.close()

    asyncio.run(play())


@pytest.mark.parametrize(
    "fault", [maintenance(), maintenance(200), body_of([["x", 1]]), body_of([[1735689600, 1, 1]])]
)
def test_what_can_not_be_understood_is_no_answer_and_is_told_in_one_line(
    followed: Followed, fault: object
) -> None:
    async def play() -> None:
        client = client_of(followed)
        await client.load()
        followed.exchange.faults["klines"] = [fault]  # type: ignore[list-item]
        with pytest.raises(NoAnswer):
            await client.bars("BTC/USDT", open_ms(NOW_SLOT - 2), 3)
        assert client.fault is not None
        assert "\n" not in client.fault
        assert "<" not in client.fault
        page = await client.bars("BTC/USDT", open_ms(NOW_SLOT - 2), 3)
        assert [row[0] for row in page.rows] == [open_ms(NOW_SLOT - 2 + i) for i in range(3)]
        assert client.fault is None
        await client.close()

    asyncio.run(play())


def test_after_many_failures_a_new_object_asks_with_the_same_markets(followed: Followed) -> None:
    async def play() -> None:
        client = client_of(followed)
        await client.load()
        followed.exchange.faults["klines"] = [maintenance()] * 6
        for _ in range(6):
            with pytest.raises(NoAnswer):
                await client.bars("BTC/USDT", open_ms(NOW_SLOT - 2), 3)
            followed.clock.jump_to(followed.clock.true_ms() + 40_000)
        assert (await client.bars("BTC/USDT", open_ms(NOW_SLOT - 2), 3)).rows
        assert len(followed.exchange.asked("exchangeInfo")) == 1
        await client.close()

    asyncio.run(play())


def test_a_timeframe_that_the_exchange_lacks_is_refused(followed: Followed) -> None:
    with pytest.raises(WrongUse, match="use one of 1s, 1m"):
        ExchangeClient("binance", "", SYMBOLS, Timeframe.parse("10m"), followed.clock)


def test_an_address_that_is_none_is_refused(followed: Followed) -> None:
    with pytest.raises(WrongUse, match=r"mirror\.example"):
        ExchangeClient("binance", "mirror", SYMBOLS, HOURLY, followed.clock)
