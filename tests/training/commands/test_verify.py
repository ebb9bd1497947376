"""`python -m training verify` as a person types it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.raw_bars import raw_bars, write_raw
from training.__main__ import main


@pytest.fixture
def store(tmp_path: Path) -> Path:
    bars = raw_bars(100)
    write_raw(tmp_path / "binance_spot/1h/BTC-USDT.parquet", bars[np.arange(100) != 50])
    write_raw(tmp_path / "binance_spot/1h/ETH-USDT.parquet", bars)
    write_raw(tmp_path / "simulated/1h/BTC-USDT.parquet", bars)
    return tmp_path


@pytest.fixture
def broken(store: Path) -> Path:
    bars = raw_bars(100)
    bars.ohlcv[4, -30:] = 0.0
    write_raw(store / "binance_spot/1h/ETH-USDT.parquet", bars)
    return store


def run(store: Path, *more: str) -> int:
    return main(["verify", "--store", str(store), *more])


def test_a_sound_store_is_exit_code_0(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(store) == 0
    printed = capsys.readouterr().out
    assert printed.count(" usable") == 3
    assert "SIMULATED" in printed


def test_an_unusable_file_is_exit_code_1_with_the_reason(
    broken: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(broken, "--venue", "binance_spot") == 1
    printed = capsys.readouterr().out
    assert "ETH/USDT  must not be used: dead_at_end, too_much_unusable" in printed
    assert "30 rows dead: 24 bars or more without volume" in printed


def test_json_says_the_same(broken: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(broken, "--venue", "binance_spot", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    btc, eth = answer["symbols"]
    assert answer["ok"] is False
    assert (btc["ok"], btc["n_missing"], btc["gaps"]) == (
        True,
        1,
        [{"first_ms": 1704247200000, "n_bars": 1}],
    )
    assert (eth["reasons"], eth["usable_share"]) == ({"dead": 30}, 0.7)


def test_details_list_every_stretch_and_spike(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars = raw_bars(100)
    bars.ohlcv[:4, 50] *= 1.5
    bars.open_time_ms[70] *= 1000
    write_raw(store / "binance_spot/1h/ETH-USDT.parquet", bars)
    assert run(store, "--symbol", "ETH/USDT", "--details") == 0
    printed = capsys.readouterr().out
    assert "spike at 2024-01-03 02:00" in printed
    assert f"1 rows timestamp_unit, {bars.open_time_ms[70]} to" in " ".join(printed.split())


def test_details_list_every_gap(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(store, "--venue", "binance_spot", "--details") == 0
    assert "gap from 2024-01-03 02:00 on, missing bars: 1" in capsys.readouterr().out


def test_a_symbol_is_found_in_every_venue_that_has_it(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, "--symbol", "BTC/USDT", "--json") == 0
    found = [(one["venue"], one["symbol"]) for one in json.loads(capsys.readouterr().out)["symbols"]]
    assert found == [("binance_spot", "BTC/USDT"), ("simulated", "BTC/USDT")]


def test_the_newest_bar_is_judged_by_now(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(store, "--symbol", "ETH/USDT", "--now", "2024-01-05T03:59", "--json")
    [eth] = json.loads(capsys.readouterr().out)["symbols"]
    assert eth["reasons"] == {"not_closed": 1}


def test_a_damaged_file_is_exit_code_2_and_hides_no_other(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / "binance_spot/1h/ETH-USDT.parquet").write_bytes(b"PAR1")
    assert run(store) == 2
    printed = capsys.readouterr().out
    assert "BTC/USDT" in printed
    assert "ETH/USDT  must not be used: expected a whole parquet file" in " ".join(printed.split(" "))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--symbol", "BTCUSDT"], "did you mean BTC/USDT?"),
        (["--venue", "kraken_spot"], "none"),
        (["--timeframe", "1hour"], "a timeframe such as"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(
    store: Path, more: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(store, *more) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    [line] = printed.err.splitlines()
    assert told in line


def test_a_missing_folder_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "none") == 2
    assert str(tmp_path / "none") in capsys.readouterr().err
