"""What verification finds in rows of every kind."""

from pathlib import Path

import numpy as np
import pytest

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore, RawBars
from plugin.errors import WrongUse
from tests.support.raw_bars import HOUR_MS, START_MS, raw_bars, write_raw
from training.candles import Verification, verify
from training.candles.verification import DEAD_BARS, MEANING, REASONS, Gap, Unusable

HOUR = Timeframe.parse("1h")
NEVER_OPEN_MS = START_MS + 10_000 * HOUR_MS
LOW, CLOSE, VOLUME = 2, 3, 4


def found_in(bars: RawBars, now_ms: int = NEVER_OPEN_MS) -> Verification:
    return verify(bars, HOUR, now_ms)


def at(row: int) -> int:
    return START_MS + row * HOUR_MS


def test_sound_bars_are_all_usable() -> None:
    found = found_in(raw_bars(200))
    assert (found.n_rows, found.n_unusable, found.usable_share) == (200, 0, 1.0)
    assert (found.gaps, found.spikes_ms, found.failures()) == ((), (), ())


def test_every_reason_is_explained() -> None:
    assert set(MEANING) == set(REASONS) - {""}


def test_a_gap_is_told_with_its_first_missing_bar_and_makes_no_row_unusable() -> None:
    present = np.ones(50, dtype=np.bool_)
    present[[10, 11, 12, 30]] = False
    found = found_in(raw_bars(50)[present])
    assert found.gaps == (Gap(at(10), 3), Gap(at(30), 1))
    assert (found.n_missing, found.n_unusable) == (4, 0)


@pytest.mark.parametrize(
    ("row", "value", "reason"),
    [
        (CLOSE, np.nan, "not_finite"),
        (VOLUME, np.inf, "not_finite"),
        (LOW, 0.0, "not_positive"),
        (VOLUME, -1.0, "not_positive"),
        (LOW, 1e6, "ohlc_inconsistent"),
    ],
)
def test_impossible_bars_are_unusable_and_no_gap(row: int, value: float, reason: str) -> None:
    bars = raw_bars(50)
    bars.ohlcv[row, 20:22] = value
    found = found_in(bars)
    assert found.unusable == (Unusable(reason, at(20), at(21), 2),)
    assert found.gaps == ()


def test_times_off_the_grid_or_in_another_unit_are_unusable() -> None:
    bars = raw_bars(50)
    bars.open_time_ms[3] += 1
    bars.open_time_ms[5] //= 1000
    bars.open_time_ms[7] *= 1000
    assert found_in(bars).reasons == {"off_grid": 1, "timestamp_unit": 2}


def test_repeated_and_unordered_rows_fail_the_file_as_the_reader_does(tmp_path: Path) -> None:
    for order, reason in (([0, 1, 1, 2], "repeated"), ([0, 2, 1, 3], "unordered")):
        bars = raw_bars(50)[np.array([*order, *range(4, 50)])]
        found = found_in(bars)
        assert found.reasons == {reason: 1}
        assert found.failures() == ("unordered",)
        write_raw(tmp_path / f"venue/1h/{reason}-USDT.parquet", bars)
        with pytest.raises(WrongUse):
            CandleStore(tmp_path).read("venue", "1h", f"{reason}/USDT")


def test_the_last_bar_is_unusable_until_it_closes() -> None:
    bars = raw_bars(50)
    assert found_in(bars, now_ms=at(50) - 1).reasons == {"not_closed": 1}
    assert found_in(bars, now_ms=at(50)).reasons == {}


@pytest.mark.parametrize("row", [CLOSE, VOLUME])
@pytest.mark.parametrize("n_flat", [DEAD_BARS - 1, DEAD_BARS])
def test_a_stretch_is_dead_from_its_limit_on(row: int, n_flat: int) -> None:
    bars = raw_bars(100)
    bars.ohlcv[row, 40 : 40 + n_flat] = 0.0 if row == VOLUME else 100.0
    bars.ohlcv[1], bars.ohlcv[2] = 200.0, 50.0
    found = found_in(bars)
    dead = Unusable("dead", at(40), at(40 + n_flat - 1), n_flat)
    assert found.unusable == ((dead,) if n_flat == DEAD_BARS else ())
    assert "dead_at_end" not in found.failures()


def test_a_file_that_ends_dead_fails_even_if_little_of_it_is() -> None:
    bars = raw_bars(1000)
    bars.ohlcv[VOLUME, -DEAD_BARS - 1 :] = 0.0
    assert found_in(bars).failures() == ("dead_at_end",)
    assert found_in(bars, now_ms=at(1000) - 1).failures() == ("dead_at_end",)


@pytest.mark.parametrize(("n_bad", "failures"), [(5, ()), (6, ("too_much_unusable",))])
def test_the_limit_of_unusable_rows_holds_from_both_sides(
    n_bad: int, failures: tuple[str, ...]
) -> None:
    bars = raw_bars(100)
    bars.ohlcv[CLOSE, 10 : 10 + n_bad] = np.nan
    assert found_in(bars).failures(max_unusable_share=0.05) == failures


def test_an_empty_file_fails() -> None:
    assert found_in(raw_bars(1)[:0]).failures() == ("empty",)


@pytest.mark.parametrize(("back", "spikes"), [(1.0, (at(50),)), (0.3, ())])
def test_a_spike_is_a_jump_that_the_next_bar_undoes(back: float, spikes: tuple[int, ...]) -> None:
    bars = raw_bars(100)
    bars.ohlcv[:4, 50:] *= 1.5
    bars.ohlcv[:4, 51:] /= 1.5**back
    found = found_in(bars)
    assert found.spikes_ms == spikes
    assert found.n_unusable == 0


@pytest.mark.market
@pytest.mark.parametrize("symbol", ["FTT/USDT", "RAY/USDT", "WAVES/USDT"])
def test_dead_contracts_are_found_dead(market: Path, symbol: str) -> None:
    found = found_in(CandleStore(market).read_raw("degenerate", "1h", symbol), now_ms=2**50)
    assert found.ends_dead
    assert found.reasons == {"dead": found.n_rows}


@pytest.mark.market
def test_btc_has_its_known_gaps_and_no_unusable_row(market: Path) -> None:
    found = found_in(CandleStore(market).read_raw("binance_spot", "1h", "BTC/USDT"), now_ms=2**50)
    assert (found.n_rows, len(found.gaps), found.n_missing) == (65_590, 27, 122)
    assert sum(gap.n_bars for gap in found.gaps if gap.first_ms >= 1_633_046_400_000) == 1
    assert (found.n_unusable, found.failures()) == (0, ())
