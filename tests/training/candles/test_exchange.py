"""Patience with an exchange: real ccxt against a local server that fails in every way known."""

from collections.abc import Iterator
from email.utils import formatdate

import numpy as np
import pytest

from plugin.errors import WrongUse
from tests.support.exchange import (
    Fault,
    LocalExchange,
    banned,
    body_of,
    cut,
    maintenance,
    rate_limited,
    truncated,
)
from tests.support.raw_bars import HOUR_MS, START_MS, raw_bars
from training.candles.exchange import (
    MAX_ATTEMPTS,
    ExchangeUnavailable,
    PatientExchange,
    open_exchange,
)

N_BARS = 20


@pytest.fixture
def server() -> Iterator[LocalExchange]:
    now_ms = START_MS + 19 * HOUR_MS + HOUR_MS // 2
    with LocalExchange({"BTC/USDT": raw_bars(N_BARS), "ETH/USDT": raw_bars(N_BARS)}, now_ms) as server:
        yield server


class Nap:
    """A `sleep` that only counts; the exchange's clock goes on by as much."""

    def __init__(self, server: LocalExchange) -> None:
        self.server = server
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self.server.now_ms += round(seconds * 1000)


@pytest.fixture
def nap(server: LocalExchange) -> Nap:
    return Nap(server)


@pytest.fixture
def exchange(server: LocalExchange, nap: Nap) -> PatientExchange:
    opened = open_exchange("binance", server.url)
    opened.sleep, opened.jitter = nap, lambda: 0.5
    opened.market("BTC/USDT")
    return opened


def ask(exchange: PatientExchange) -> int:
    return exchange.bars("BTC/USDT", "1h", START_MS, 5).n_bars


def test_a_page_holds_the_bars_that_were_served(exchange: PatientExchange) -> None:
    page = exchange.bars("BTC/USDT", "1h", START_MS + 3 * HOUR_MS, 5)
    truth = raw_bars(N_BARS)[slice(3, 8)]
    np.testing.assert_array_equal(page.open_time_ms, truth.open_time_ms)
    np.testing.assert_array_equal(page.ohlcv, truth.ohlcv)


def test_the_time_is_the_exchanges(exchange: PatientExchange, server: LocalExchange) -> None:
    assert exchange.time_ms() == server.now_ms


def test_one_try_tells_whether_the_exchange_answers(
    exchange: PatientExchange, server: LocalExchange, nap: Nap
) -> None:
    server.faults["time"] = [maintenance(), cut, None]
    assert [exchange.answers() for _ in range(3)] == [False, False, True]
    assert nap.seconds == []


def test_retry_after_is_obeyed(exchange: PatientExchange, server: LocalExchange, nap: Nap) -> None:
    server.faults["klines"] = [rate_limited(retry_after=17)]
    assert ask(exchange) == 5
    assert 17 <= nap.seconds[0] < 18.5


def test_retry_after_may_be_a_date(exchange: PatientExchange, server: LocalExchange, nap: Nap) -> None:
    date = formatdate(server.now_ms / 1000 + 40, usegmt=True)
    server.faults["klines"] = [rate_limited(retry_after=date)]
    assert ask(exchange) == 5
    assert 39 <= nap.seconds[0] < 42


def test_no_request_leaves_before_retry_after(server: LocalExchange) -> None:
    server.faults["time"] = [rate_limited(retry_after=1)]
    open_exchange("binance", server.url).time_ms()
    first, second = server.asked("time")
    assert second.at_s - first.at_s >= 1.0


def test_a_ban_is_waited_out_by_the_exchanges_clock(
    exchange: PatientExchange, server: LocalExchange, nap: Nap
) -> None:
    until_ms = server.now_ms + 90_000
    server.faults["klines"] = [banned(until_ms)]
    exchange.clock_ms = lambda: until_ms + 10_000_000  # the local clock thinks that it is over
    assert ask(exchange) == 5
    assert 89 <= nap.seconds[0] < 92


def test_a_long_ban_ends_the_command_and_says_when_to_return(
    exchange: PatientExchange, server: LocalExchange, nap: Nap
) -> None:
    server.faults["klines"] = [banned(server.now_ms + 3 * 86_400_000)]
    with pytest.raises(ExchangeUnavailable, match="not before"):
        ask(exchange)
    assert nap.seconds == []
    assert len(server.asked("klines")) == 1


@pytest.mark.parametrize(
    "fault",
    [
        maintenance(503),
        maintenance(200),
        truncated,
        cut,
        body_of([[1, 2], [3, 4]]),
        body_of([["x", "1", "1", "1", "1", "1"]]),
        body_of([[START_MS // 1000, "1", "1", "1", "1", "1", 0]]),
    ],
    ids=["503", "html_200", "truncated", "cut", "short_rows", "no_time", "seconds"],
)
def test_a_bad_answer_never_becomes_bars(
    exchange: PatientExchange, server: LocalExchange, nap: Nap, fault: Fault
) -> None:
    server.faults["klines"] = [fault, fault]
    assert ask(exchange) == 5
    assert nap.seconds == sorted(nap.seconds)
    assert len(nap.seconds) == 2


def test_attempts_are_bounded_and_grow_apart(
    exchange: PatientExchange, server: LocalExchange, nap: Nap
) -> None:
    server.faults["klines"] = [maintenance()] * 99
    with pytest.raises(ExchangeUnavailable, match="maintenance"):
        ask(exchange)
    assert len(server.asked("klines")) == MAX_ATTEMPTS
    assert nap.seconds == [0.75, 1.5, 3.0, 6.0, 12.0]


def test_a_refusal_is_not_repeated(exchange: PatientExchange, server: LocalExchange) -> None:
    refusal = b'{"code":-1102,"msg":"Mandatory parameter was not sent."}'
    server.faults["klines"] = [lambda handler, _: handler.reply(400, refusal)]
    with pytest.raises(ExchangeUnavailable):
        ask(exchange)
    assert len(server.asked("klines")) == 1


def test_a_damaged_list_of_markets_is_asked_for_again(server: LocalExchange, nap: Nap) -> None:
    server.faults["exchangeInfo"] = [truncated, maintenance(200)]
    exchange = open_exchange("binance", server.url)
    exchange.sleep = nap
    assert exchange.market("BTC/USDT")["base"] == "BTC"


def test_an_unknown_symbol_is_answered_with_near_names(exchange: PatientExchange) -> None:
    with pytest.raises(WrongUse, match=r"did you mean BTC/USDT\?"):
        exchange.market("BTCUSDT")


def test_an_unknown_timeframe_and_exchange_are_wrong_use(exchange: PatientExchange) -> None:
    with pytest.raises(WrongUse, match="use one of"):
        exchange.check_timeframe("7h")
    with pytest.raises(WrongUse, match="did you mean binance"):
        open_exchange("binence")


@pytest.mark.parametrize("url", ["mirror.example", "ftp://mirror.example", "http://"])
def test_an_address_without_scheme_and_host_is_wrong_use(url: str) -> None:
    with pytest.raises(WrongUse, match="ML_EXCHANGE_URL"):
        open_exchange("binance", url)


def test_an_empty_address_means_the_exchange_s_own_hosts() -> None:
    own = open_exchange("binance").ccxt_exchange.urls["api"]
    assert open_exchange("binance", "").ccxt_exchange.urls["api"] == own
