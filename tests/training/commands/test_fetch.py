"""`python -m training fetch` as a person types it, with real ccxt against a local server."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from plugin.candle_store import CandleStore
from tests.support.exchange import LocalExchange, held_until
from tests.support.raw_bars import HOUR_MS, START_MS, raw_bars
from training.__main__ import main

N_BARS = 5001
BTC = ("binance_spot", "1h", "BTC/USDT")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalExchange]:
    now_ms = START_MS + (N_BARS - 1) * HOUR_MS + 1
    with LocalExchange({"BTC/USDT": raw_bars(N_BARS)}, now_ms) as server:
        monkeypatch.setenv("ML_EXCHANGE_URL", server.url)
        yield server


def arguments(store: Path, *more: str) -> list[str]:
    return ["fetch", "--symbols", "BTC/USDT", "--since", "2024-01-01", "--store", str(store), *more]


def interrupted(server: LocalExchange, store: Path, by: signal.Signals) -> subprocess.Popen[str]:
    """A download in a process of its own that got `by` while the third page was in flight."""
    released = threading.Event()
    server.faults["klines"] = [None, None, held_until(released)]
    process = subprocess.Popen(
        [sys.executable, "-m", "training", *arguments(store)], stderr=subprocess.PIPE, text=True
    )
    until_s = time.monotonic() + 30
    while len(server.asked("klines")) < 3 and process.poll() is None and time.monotonic() < until_s:
        time.sleep(0.02)
    os.kill(process.pid, by)
    process.wait(timeout=20)
    released.set()
    return process


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGINT])
def test_only_the_page_in_flight_is_lost_and_the_same_command_goes_on(
    server: LocalExchange, tmp_path: Path, by: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    process = interrupted(server, tmp_path, by)
    assert process.stderr is not None
    told = process.stderr.read()
    if by == signal.SIGINT:
        assert process.returncode == 130
        assert told.rstrip().endswith("the same command goes on from there")
    assert "Traceback" not in told
    assert CandleStore(tmp_path).read_raw(*BTC).n_bars == 2000
    n_before = len(server.asked("klines"))

    assert main(arguments(tmp_path, "--json")) == 0

    [fetched] = json.loads(capsys.readouterr().out)["symbols"]
    assert (fetched["n_new"], fetched["n_revised"]) == (N_BARS - 1 - 2000, 0)
    since = [int(request.query["startTime"]) for request in server.asked("klines")[n_before:]]
    assert min(since) == START_MS + 1997 * HOUR_MS
    stored, truth = CandleStore(tmp_path).read_raw(*BTC), raw_bars(N_BARS)
    np.testing.assert_array_equal(stored.open_time_ms, truth.open_time_ms[:-1])
    np.testing.assert_array_equal(stored.ohlcv, truth.ohlcv[:, :-1])


def test_a_person_sees_what_is_stored(
    server: LocalExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path, "--until", "2024-01-05")) == 0
    printed = capsys.readouterr()
    assert "binance_spot" in printed.out
    assert "96" in printed.out
    assert "SIMULATED" not in printed.out


def test_an_unknown_symbol_is_one_line_and_exit_code_2(
    server: LocalExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["fetch", "--symbols", "BTCUSDT", "--since", "2024-01-01", "--store", str(tmp_path)]) == 2
    )
    [line] = capsys.readouterr().err.splitlines()[-1:]
    assert "did you mean BTC/USDT?" in line
    assert server.asked("klines") == []


def test_an_exchange_that_refuses_is_exit_code_1(
    server: LocalExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = b'{"code":-1102,"msg":"Mandatory parameter was not sent."}'
    server.faults["klines"] = [lambda handler, _: handler.reply(400, refusal)]
    assert main(arguments(tmp_path)) == 1
    assert "Mandatory parameter" in capsys.readouterr().err


def test_a_simulated_market_says_so_and_asks_no_exchange(
    server: LocalExchange, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path, "--until", "2024-02-01", "--simulate")) == 0
    assert "SIMULATED" in capsys.readouterr().out
    assert CandleStore(tmp_path).read_raw("simulated", "1h", "BTC/USDT").n_bars == 31 * 24
    assert server.requests == []


@pytest.mark.parametrize("date", ["yesterday", "1704067200"])
def test_a_date_that_is_none_is_exit_code_2(
    tmp_path: Path, date: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fetch", "--symbols", "BTC/USDT", "--since", date, "--store", str(tmp_path)])
    assert caught.value.code == 2
    assert "expected a date" in capsys.readouterr().err


def test_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fetch", "--help"])
    assert "python -m training fetch --symbols BTC/USDT" in capsys.readouterr().out
