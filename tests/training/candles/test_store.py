"""Writing into the store: whole or not at all, and nothing lost."""

import multiprocessing
import os
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.errors import WrongUse
from tests.support.raw_bars import HOUR_MS, START_MS, raw_bars, write_raw
from training.candles import CandleWriter
from training.candles.coverage import joined, missing

BTC = ("binance_spot", "1h", "BTC/USDT")


def span(first: int, end: int) -> tuple[int, int]:
    return START_MS + first * HOUR_MS, START_MS + end * HOUR_MS


def test_a_later_bar_wins_and_is_counted(tmp_path: Path) -> None:
    store = CandleWriter(tmp_path)
    served = raw_bars(12)
    store.merge(*BTC, served[:10], [span(0, 10)])
    served.ohlcv[4, 9] += 1.0
    merged = store.merge(*BTC, served[8:], [span(8, 12)])
    assert (merged.n_new, merged.n_revised, merged.n_bars) == (2, 1, 12)
    np.testing.assert_array_equal(store.read_raw(*BTC).ohlcv, served.ohlcv)


def test_bars_that_come_again_change_nothing(tmp_path: Path) -> None:
    store = CandleWriter(tmp_path)
    store.merge(*BTC, raw_bars(10), [span(0, 10)])
    before = store.path(*BTC).read_bytes()
    merged = store.merge(*BTC, raw_bars(10)[3:6], [span(3, 6)])
    assert (merged.n_new, merged.n_revised) == (0, 0)
    assert store.path(*BTC).read_bytes() == before


def test_a_file_from_elsewhere_covers_its_bars(tmp_path: Path) -> None:
    store = CandleWriter(tmp_path)
    write_raw(store.path(*BTC), raw_bars(10))
    assert store.covered(*BTC) == (span(0, 10),)


def test_a_file_out_of_order_is_not_merged_into(tmp_path: Path) -> None:
    store = CandleWriter(tmp_path)
    write_raw(store.path(*BTC), raw_bars(4)[np.array([1, 0, 2])])
    with pytest.raises(WrongUse, match="time order"):
        store.merge(*BTC, raw_bars(10), [span(0, 10)])


def test_a_folder_that_can_not_be_written_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "binance_spot").write_text("a file in the place of a folder")
    with pytest.raises(WrongUse, match="to write into"):
        CandleWriter(tmp_path).merge(*BTC, raw_bars(10), [span(0, 10)])


def test_a_failed_write_leaves_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    store = CandleWriter(tmp_path)
    store.merge(*BTC, raw_bars(10), [span(0, 10)])
    (store.path(*BTC).parent / ".BTC-USDT.parquet.tmp").mkdir()
    with pytest.raises(WrongUse, match="free the space"):
        store.merge(*BTC, raw_bars(20), [span(0, 20)])
    assert store.read_raw(*BTC).n_bars == 10


def _grow_for_ever(root: Path) -> None:
    store = CandleWriter(root)
    for end in range(100, 100_000):
        store.merge(*BTC, raw_bars(end), [span(0, end)])


def test_a_file_is_whole_after_kill_at_any_moment(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_grow_for_ever, args=(tmp_path,))
    process.start()
    store = CandleWriter(tmp_path)
    while not (path := store.path(*BTC)).exists():
        process.join(0.01)
    for _ in range(50):
        assert store.read_raw(*BTC).n_bars >= 100
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    n_bars = store.read_raw(*BTC).n_bars
    assert store.covered(*BTC) == (span(0, n_bars),)
    store.merge(*BTC, raw_bars(5), [span(0, 5)])
    assert [file.name for file in path.parent.iterdir()] == ["BTC-USDT.parquet"]


stretches = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=6)


@given(stretches, st.integers(0, 30), st.integers(0, 30))
def test_missing_is_what_no_stretch_covers(
    covered: list[tuple[int, int]], since: int, until: int
) -> None:
    times = {time for start, end in covered for time in range(start, end)}
    left = missing(covered, since, until)
    assert [time for start, end in left for time in range(start, end)] == [
        time for time in range(since, until) if time not in times
    ]


@given(stretches)
def test_joined_stretches_lie_apart(given_stretches: list[tuple[int, int]]) -> None:
    whole = joined(given_stretches)
    assert all(start < end for start, end in whole)
    assert all(left[1] < right[0] for left, right in pairwise(whole))
