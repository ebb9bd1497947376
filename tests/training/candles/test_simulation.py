"""The simulated market looks like a market, and is the same for the same seed."""

from pathlib import Path

import numpy as np
import pytest

from plugin.bar import Timeframe
from plugin.errors import WrongUse
from tests.support.raw_bars import HOUR_MS, START_MS
from training.candles import SIMULATED_VENUE, simulate, verify

SYMBOLS = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
N_BARS = 6000


@pytest.fixture(scope="module")
def closes(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    root = tmp_path_factory.mktemp("simulated")
    store = simulate(root, SYMBOLS, "1h", N_BARS, seed=3, end_ms=START_MS)
    return np.stack([store.read_raw(SIMULATED_VENUE, "1h", symbol).ohlcv[3] for symbol in SYMBOLS])


def returns_of(closes: np.ndarray) -> np.ndarray:
    return np.diff(np.log(closes), axis=1)


def test_the_same_seed_gives_the_same_files(tmp_path: Path) -> None:
    files = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        store = simulate(tmp_path / folder, SYMBOLS[:1], "1h", 300, seed, START_MS)
        files.append(store.path(SIMULATED_VENUE, "1h", SYMBOLS[0]).read_bytes())
    assert files[0] == files[1] != files[2]


def test_every_bar_is_sound_and_the_last_has_just_closed(tmp_path: Path) -> None:
    store = simulate(tmp_path, SYMBOLS, "1h", 2000, seed=5, end_ms=START_MS + 1234)
    for symbol in SYMBOLS:
        rows = store.read_raw(SIMULATED_VENUE, "1h", symbol)
        found = verify(rows, Timeframe.parse("1h"), now_ms=START_MS + 1234)
        assert (found.n_rows, found.n_unusable, found.n_missing) == (2000, 0, 0)
        assert found.last_ms == START_MS - HOUR_MS


def test_a_second_simulation_takes_the_place_of_the_first(tmp_path: Path) -> None:
    simulate(tmp_path, SYMBOLS[:1], "1h", 500, seed=1, end_ms=START_MS)
    store = simulate(tmp_path, SYMBOLS[:1], "1h", 100, seed=2, end_ms=START_MS)
    assert store.read_raw(SIMULATED_VENUE, "1h", SYMBOLS[0]).n_bars == 100


def test_tails_are_fat_and_volatility_clusters(closes: np.ndarray) -> None:
    for returns in returns_of(closes):
        kurtosis = np.mean((returns - returns.mean()) ** 4) / returns.var() ** 2
        size = np.abs(returns)
        assert kurtosis > 4.0
        assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.05


def test_symbols_move_together(closes: np.ndarray) -> None:
    correlation = np.corrcoef(returns_of(closes))
    assert 0.4 < correlation[np.triu_indices(len(SYMBOLS), 1)].min() < 0.8


def test_a_price_below_its_average_tends_to_rise(closes: np.ndarray) -> None:
    log_close = np.log(closes)
    average = np.stack([np.convolve(row, np.ones(12) / 12, "valid") for row in log_close])
    distance = (log_close[:, 11:] - average)[:, :-5]
    move = log_close[:, 16:] - log_close[:, 11:-5]
    assert np.corrcoef(distance.ravel(), move.ravel())[0, 1] < -0.08


def test_no_bars_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse):
        simulate(tmp_path, SYMBOLS, "1h", 0, seed=1, end_ms=START_MS)
