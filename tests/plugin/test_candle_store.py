"""The store of bars: what is read, what is dropped, and what a person is told."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.bar import BarClosed, Timeframe, check_bar
from plugin.candle_store import DAMAGE, CandleStore, RawBars, damage_of
from plugin.candles import ABSENT, CLOSE
from plugin.errors import BarRejected, WrongUse
from tests.support.raw_bars import START_MS, raw_bars, write_raw

HOUR = Timeframe.parse("1h")


@pytest.fixture
def store(tmp_path: Path) -> CandleStore:
    write_raw(tmp_path / "binance_spot/1h/BTC-USDT.parquet", raw_bars(48))
    write_raw(tmp_path / "binance_spot/1h/ETH-USDT.parquet", raw_bars(48, seed=2))
    return CandleStore(tmp_path)


def test_reads_the_bars_that_open_in_a_half_open_span(store: CandleStore) -> None:
    rows = store.read_raw("binance_spot", "1h", "BTC/USDT")
    since_ms, until_ms = START_MS + 5 * HOUR.length_ms, START_MS + 9 * HOUR.length_ms
    candles = store.read("binance_spot", "1h", "BTC/USDT", since_ms, until_ms)
    assert candles.open_time_ms.tolist() == rows.open_time_ms[5:9].tolist()
    np.testing.assert_array_equal(candles.bars[:5], rows.ohlcv[:, 5:9])


def test_lists_symbols_and_venues(store: CandleStore) -> None:
    assert store.symbols("binance_spot", "1h") == ("BTC/USDT", "ETH/USDT")
    assert store.venues("1h") == ("binance_spot",)
    assert store.venues("15m") == ()


def test_a_damaged_bar_is_read_as_an_absent_one(tmp_path: Path) -> None:
    bars = raw_bars(10)
    bars.ohlcv[CLOSE, 4] = np.nan
    write_raw(tmp_path / "venue/1h/BTC-USDT.parquet", bars)
    candles = CandleStore(tmp_path).read("venue", "1h", "BTC/USDT")
    assert candles.bars[ABSENT].tolist() == [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert candles.bars[CLOSE, 4] == bars.ohlcv[CLOSE, 3]


@given(
    st.lists(
        st.sampled_from([1.0, 2.0, 3.0, 0.0, -1.0, float("nan"), float("inf")]), min_size=5, max_size=5
    ),
    st.sampled_from([START_MS, START_MS + 1, START_MS // 1000, START_MS * 1000]),
)
def test_a_row_is_damaged_exactly_when_check_bar_rejects_it(ohlcv: list[float], time_ms: int) -> None:
    open_, high, low, close, volume = ohlcv
    bar = BarClosed("BTC/USDT", "1h", time_ms, open_, high, low, close, volume, "test", 0)
    try:
        check_bar(bar, HOUR, now_ms=2**62)
        reason = ""
    except BarRejected as rejected:
        reason = rejected.reason
    rows = RawBars(np.array([time_ms]), np.array(ohlcv)[:, None])
    assert DAMAGE[damage_of(rows, HOUR)[0]] == reason


def told(store: CandleStore, venue: str, symbol: str, since_ms: int | None = None) -> str:
    with pytest.raises(WrongUse) as caught:
        store.read(venue, "1h", symbol, since_ms)
    return str(caught.value)


def test_an_unknown_symbol_is_answered_with_near_names(store: CandleStore) -> None:
    assert "did you mean BTC/USDT?" in told(store, "binance_spot", "BTCUSDT")
    assert "did you mean BTC/USDT?" in told(store, "binance_spot", "btc-usdt")


def test_a_wrong_venue_is_answered_with_one_that_has_the_symbol(store: CandleStore) -> None:
    assert "choose the venue binance_spot" in told(store, "kraken_spot", "BTC/USDT")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none") in told(CandleStore(tmp_path / "none"), "binance_spot", "BTC/USDT")


def test_a_span_without_bars_is_answered_with_the_stored_span(store: CandleStore) -> None:
    assert "from 2024-01-01 00:00 to 2024-01-02 23:00" in told(
        store, "binance_spot", "BTC/USDT", START_MS + 99 * HOUR.length_ms
    )


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_cut_file_is_refused_by_name(store: CandleStore, keep: float) -> None:
    path = store.path("binance_spot", "1h", "BTC/USDT")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    assert "BTC-USDT.parquet" in told(store, "binance_spot", "BTC/USDT")


def test_wrong_columns_are_listed(store: CandleStore) -> None:
    path = store.path("binance_spot", "1h", "BTC/USDT")
    pq.write_table(pa.table({"time": [1], "open": [1.0]}), path)
    assert "was time int64, open double" in told(store, "binance_spot", "BTC/USDT")


def test_a_row_without_a_time_is_refused(store: CandleStore) -> None:
    columns = {name: pa.array([1.0]) for name in ("open", "high", "low", "close", "volume")}
    table = pa.table({"ts": pa.array([None], pa.int64()), **columns})
    pq.write_table(table, store.path("binance_spot", "1h", "BTC/USDT"))
    assert "a time in every row" in told(store, "binance_spot", "BTC/USDT")


def test_a_row_without_a_price_is_read_as_an_absent_bar(store: CandleStore) -> None:
    path = store.path("binance_spot", "1h", "BTC/USDT")
    table = pq.read_table(path)
    closes = table["close"].to_pylist()
    closes[5] = None
    at = table.schema.get_field_index("close")
    pq.write_table(table.set_column(at, "close", pa.array(closes)), path)
    candles = store.read("binance_spot", "1h", "BTC/USDT")
    assert candles.bars[ABSENT].nonzero()[0].tolist() == [5]


@pytest.mark.parametrize("symbol", ["../../etc/passwd", "", "BTC", "BTC/../x"])
def test_a_symbol_never_leads_out_of_the_store(store: CandleStore, symbol: str) -> None:
    with pytest.raises(WrongUse):
        store.path("binance_spot", "1h", symbol)


def test_unordered_rows_are_never_sorted_in_silence(tmp_path: Path) -> None:
    write_raw(tmp_path / "venue/1h/BTC-USDT.parquet", raw_bars(10)[np.array([0, 2, 1, 3])])
    assert "training verify" in told(CandleStore(tmp_path), "venue", "BTC/USDT")


@pytest.mark.market
def test_btc_has_its_known_extremes(market: Path) -> None:
    candles = CandleStore(market).read("binance_spot", "1h", "BTC/USDT")
    day = candles.open_time_ms // 86_400_000 * 86_400_000
    for row, price, date in (
        (1, 69_000.0, "2021-11-10"),
        (2, 15_476.0, "2022-11-21"),
        (1, 73_777.0, "2024-03-14"),
    ):
        that_day = day.astype("datetime64[ms]") == np.datetime64(date)
        extreme = candles.bars[row, that_day].max() if row == 1 else candles.bars[row, that_day].min()
        assert extreme == price
