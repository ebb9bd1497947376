"""Do stored bars fill holes of the records, and nothing else?"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow.errors import LogUnusable
from shadow.outcomes import Closes
from shadow.stored_closes import StoredCloses
from tests.support.records import HOUR_MS, START_MS

N = 50
TIMES = START_MS + np.arange(N, dtype=np.int64) * HOUR_MS
CLOSES = 100.0 + np.arange(N) / 7
END_MS = int(TIMES[-1])
LOST = np.isin(np.arange(N), (3, 20, 21))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return write(tmp_path / "store", TIMES, CLOSES)


def write(root: Path, times, closes, symbol: str = "BTC-USDT") -> Path:
    folder = root / "venue" / "1h"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"ts": times, "close": closes}), folder / f"{symbol}.parquet")
    return root


def recorded(kept=~LOST) -> Closes:
    return Closes(TIMES[kept], CLOSES[kept])


def test_holes_are_filled_in_order_of_time(store):
    known = StoredCloses(store, "venue").complete("BTC/USDT", "1h", recorded(), END_MS)
    assert np.array_equal(known.open_time_ms, TIMES)
    assert np.array_equal(known.close, CLOSES)


def test_a_record_stands_where_the_store_says_otherwise(store):
    revised = CLOSES.copy()
    revised[5] = 7.0
    own = Closes(TIMES[~LOST], revised[~LOST])
    known = StoredCloses(store, "venue").complete("BTC/USDT", "1h", own, END_MS)
    assert known.close[5] == 7.0
    assert known.close[20] == CLOSES[20]


def test_bars_that_had_not_closed_are_not_looked_at(store):
    known = StoredCloses(store, "venue").complete("BTC/USDT", "1h", recorded(), int(TIMES[20]))
    assert int(TIMES[20]) in known.open_time_ms
    assert int(TIMES[21]) not in known.open_time_ms


@pytest.mark.parametrize("other", [CLOSES * 1.001, CLOSES[::-1]])
def test_another_market_fills_nothing_and_is_named(tmp_path, other):
    closes = StoredCloses(write(tmp_path, TIMES, other), "venue")
    own = recorded()
    assert closes.complete("BTC/USDT", "1h", own, END_MS) is own
    assert list(closes.refused) == ["BTC/USDT 1h"]


def test_a_store_without_a_common_bar_can_not_be_believed(tmp_path):
    closes = StoredCloses(write(tmp_path, TIMES + 1000 * HOUR_MS, CLOSES), "venue")
    own = recorded()
    assert closes.complete("BTC/USDT", "1h", own, END_MS + 2000 * HOUR_MS) is own
    assert closes.refused


@pytest.mark.parametrize("symbol", ["ETH/USDT", "../../BTC/USDT", "BTC", ""])
def test_a_series_that_is_not_there_stays_as_it_was_recorded(store, symbol):
    own = recorded()
    assert StoredCloses(store, "venue").complete(symbol, "1h", own, END_MS) is own


def test_broken_stored_values_are_left_out(tmp_path):
    closes = CLOSES.copy()
    closes[20], closes[21] = np.nan, -1.0
    root = write(tmp_path, np.concatenate([TIMES, TIMES[3:4]]), np.concatenate([closes, [999.0]]))
    known = StoredCloses(root, "venue").complete("BTC/USDT", "1h", recorded(), END_MS)
    assert np.array_equal(known.open_time_ms, np.delete(TIMES, [20, 21]))
    assert known.close[3] == CLOSES[3]


def test_a_damaged_file_is_an_error_that_names_it(store):
    file = store / "venue" / "1h" / "BTC-USDT.parquet"
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(LogUnusable, match="BTC-USDT"):
        StoredCloses(store, "venue").complete("BTC/USDT", "1h", recorded(), END_MS)


@pytest.mark.parametrize("venue", ["venu", "..", "venue/1h"])
def test_a_venue_that_is_not_there_is_refused_with_those_that_are(store, venue):
    with pytest.raises(LogUnusable, match=r"there are venue"):
        StoredCloses(store, venue)
