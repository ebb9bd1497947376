"""What a download leaves in the store: real ccxt against a local server."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plugin.candle_store import RawBars
from plugin.errors import WrongUse
from tests.support.exchange import LocalExchange, body_of, maintenance
from tests.support.raw_bars import HOUR_MS, START_MS, raw_bars
from training.candles import (
    CandleWriter,
    ExchangeUnavailable,
    Fetched,
    PatientExchange,
    fetch,
    open_exchange,
)

N_BARS = 400
PAGE_BARS = 99
NOW_MS = START_MS + (N_BARS - 1) * HOUR_MS + HOUR_MS // 2  # the last bar is still open
BTC = ("binance_spot", "1h", "BTC/USDT")


@pytest.fixture
def server() -> Iterator[LocalExchange]:
    with LocalExchange({"BTC/USDT": raw_bars(N_BARS)}, NOW_MS) as server:
        yield server


@pytest.fixture
def exchange(server: LocalExchange) -> PatientExchange:
    opened = open_exchange("binance", server.url)
    opened.ccxt_exchange.rateLimit = 1  # ms; the server on this machine has no limit
    opened.sleep = lambda _: None
    return opened


@pytest.fixture
def store(tmp_path: Path) -> CandleWriter:
    return CandleWriter(tmp_path)


class Told:
    """A FetchProgress that adds up what it hears."""

    def __init__(self) -> None:
        self.n_slots = self.n_asked = self.n_bars = 0

    def started(self, symbol: str, n_slots: int) -> None:
        self.n_slots += n_slots

    def advanced(self, symbol: str, n_slots: int, n_bars: int) -> None:
        self.n_asked += n_slots
        self.n_bars += n_bars


def run(
    exchange: PatientExchange,
    store: CandleWriter,
    since_ms: int = START_MS,
    until_ms: int | None = None,
    told: Told | None = None,
) -> Fetched:
    return fetch(
        exchange, "BTC/USDT", "1h", since_ms, until_ms, store, told or Told(), page_bars=PAGE_BARS
    )


def assert_stored(store: CandleWriter, truth: RawBars) -> None:
    stored = store.read_raw(*BTC)
    np.testing.assert_array_equal(stored.open_time_ms, truth.open_time_ms)
    np.testing.assert_array_equal(stored.ohlcv, truth.ohlcv)


def test_a_full_download_equals_what_was_served(exchange: PatientExchange, store: CandleWriter) -> None:
    told = Told()
    fetched = run(exchange, store, told=told)
    assert_stored(store, raw_bars(N_BARS)[: N_BARS - 1])
    assert (fetched.n_new, fetched.n_revised, fetched.n_bars) == (N_BARS - 1, 0, N_BARS - 1)
    assert told.n_slots == told.n_asked == told.n_bars == N_BARS - 1


@pytest.mark.parametrize("skew_ms", [-7_200_000, 7_200_000])
def test_the_unfinished_bar_is_never_stored_however_wrong_the_local_clock(
    exchange: PatientExchange, store: CandleWriter, skew_ms: int
) -> None:
    exchange.clock_ms = lambda: NOW_MS + skew_ms
    run(exchange, store, until_ms=NOW_MS + 10 * HOUR_MS)
    assert store.read_raw(*BTC).open_time_ms[-1] + HOUR_MS <= NOW_MS


def test_only_what_is_new_is_asked_for(
    exchange: PatientExchange, store: CandleWriter, server: LocalExchange
) -> None:
    server.now_ms = START_MS + 300 * HOUR_MS
    run(exchange, store)
    n_before = len(server.asked("klines"))
    server.now_ms = NOW_MS
    fetched = run(exchange, store)
    assert_stored(store, raw_bars(N_BARS)[: N_BARS - 1])
    assert fetched.n_new == N_BARS - 1 - 300
    since = [int(request.query["startTime"]) for request in server.asked("klines")[n_before:]]
    assert min(since) == START_MS + 297 * HOUR_MS  # the newest three may have been revised


def test_an_earlier_start_fetches_the_front_and_nothing_twice(
    exchange: PatientExchange, store: CandleWriter, server: LocalExchange
) -> None:
    run(exchange, store, since_ms=START_MS + 300 * HOUR_MS)
    n_before = len(server.asked("klines"))
    run(exchange, store)
    assert_stored(store, raw_bars(N_BARS)[: N_BARS - 1])
    since = {int(request.query["startTime"]) for request in server.asked("klines")[n_before:]}
    between = range(START_MS + 300 * HOUR_MS, START_MS + 396 * HOUR_MS, HOUR_MS)
    assert since.isdisjoint(between)


def test_a_revised_bar_is_replaced_and_counted(
    exchange: PatientExchange, store: CandleWriter, server: LocalExchange
) -> None:
    run(exchange, store)
    revised = raw_bars(N_BARS)
    revised.ohlcv[4, N_BARS - 2] += 1.0
    server.bars["BTC/USDT"] = revised
    fetched = run(exchange, store)
    assert (fetched.n_new, fetched.n_revised) == (0, 1)
    assert_stored(store, revised[: N_BARS - 1])


def test_gaps_stay_gaps_even_when_longer_than_a_page(
    exchange: PatientExchange, store: CandleWriter, server: LocalExchange
) -> None:
    present = np.ones(N_BARS, dtype=np.bool_)
    present[5] = present[100:250] = False
    server.bars["BTC/USDT"] = raw_bars(N_BARS)[present]
    run(exchange, store)
    assert_stored(store, raw_bars(N_BARS)[present][:-1])
    assert store.covered(*BTC) == ((START_MS, START_MS + (N_BARS - 1) * HOUR_MS),)


def test_one_false_empty_page_makes_no_hole(
    exchange: PatientExchange, store: CandleWriter, server: LocalExchange
) -> None:
    server.faults["klines"] = [None, body_of([])]
    run(exchange, store)
    assert_stored(store, raw_bars(N_BARS)[: N_BARS - 1])


def test_emptiness_at_the_end_is_asked_again_next_time(
    exchange: PatientExchange, store: CandleWriter, server: LocalExchange
) -> None:
    server.faults["klines"] = [None, *[body_of([])] * 20]
    run(exchange, store)
    assert store.read_raw(*BTC).n_bars == PAGE_BARS
    server.faults["klines"] = []
    run(exchange, store)
    assert_stored(store, raw_bars(N_BARS)[: N_BARS - 1])


def test_values_that_the_exchange_leaves_out_stay_missing(
    exchange: PatientExchange, store: CandleWriter, server: LocalExchange
) -> None:
    holed = raw_bars(N_BARS)
    holed.ohlcv[3, 7] = np.nan
    server.bars["BTC/USDT"] = holed
    run(exchange, store)
    assert_stored(store, holed[: N_BARS - 1])


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, None])
def test_what_came_before_an_interruption_is_saved_and_gone_on_from(
    exchange: PatientExchange,
    store: CandleWriter,
    server: LocalExchange,
    interruption: type[BaseException] | None,
) -> None:
    def stop(_seconds: float) -> None:
        if interruption:
            raise interruption

    exchange.sleep = stop
    server.faults["klines"] = [None, None, *[maintenance()] * 9]
    with pytest.raises(interruption or ExchangeUnavailable):
        run(exchange, store)
    assert_stored(store, raw_bars(N_BARS)[: 2 * PAGE_BARS])
    server.faults["klines"] = []
    run(exchange, store)
    assert_stored(store, raw_bars(N_BARS)[: N_BARS - 1])


def test_a_start_after_the_newest_closed_bar_is_wrong_use(
    exchange: PatientExchange, store: CandleWriter
) -> None:
    with pytest.raises(WrongUse, match="correct the dates"):
        run(exchange, store, since_ms=NOW_MS)
