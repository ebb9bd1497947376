"""The ccxt bot of docs/hosts.md, as it stands there, trades by the rule of that page."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ccxt
import pytest

from plugin.candles import Candles
from plugin.clock import SystemClock
from plugin.hosts import client
from tests.support.bars import HOURLY
from tests.support.live import stored
from tests.support.live_exchange import LiveExchange
from tests.support.live_service import SYMBOLS, LiveService
from tests.support.scripted_service import ScriptedService, changed, hang_up, silent
from tests.support.small_training import SmallTraining

PAGE = Path(__file__).parents[3] / "docs" / "hosts.md"


class Enough(Exception):
    """The bot has gone round."""


def as_of_now(training: SmallTraining, symbol: str) -> Candles:
    """The stored bars, the last of which is forming now."""
    candles = stored(training.store, symbol)
    first_ms = HOURLY.floor(SystemClock().now_ms()) - (candles.n_bars - 1) * HOURLY.length_ms
    return Candles(symbol, HOURLY, first_ms, candles.bars)


@pytest.fixture
def market(small_training: SmallTraining) -> Iterator[LiveExchange]:
    bars = {symbol: as_of_now(small_training, symbol) for symbol in SYMBOLS}
    with LiveExchange(bars, SystemClock(), HOURLY) as exchange:
        yield exchange


@pytest.fixture
def run_bot(
    market: LiveExchange, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Path], list[str]]:
    """Runs the bot for two rounds in a folder in which `run/plugin.sock` may be; what it prints."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    really_sleep, n_rounds = time.sleep, 0

    def sleep(seconds: float) -> None:
        nonlocal n_rounds
        if sys._getframe(1).f_code.co_filename != str(PAGE):
            return really_sleep(seconds)
        assert 2 <= seconds <= 3_602
        n_rounds += 1
        if n_rounds == 2:
            raise Enough
        return None

    class LocalBinance(ccxt.binance):
        def __init__(self) -> None:
            super().__init__({"options": {"fetchMarkets": {"types": ["spot"]}}})
            self.urls["api"]["public"] = f"{market.url}/api/v3"

    def run(folder: Path) -> list[str]:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(ccxt, "binance", LocalBinance)
        monkeypatch.setattr(time, "sleep", sleep)
        monkeypatch.setitem(sys.modules, "client", client)
        with pytest.raises(Enough):
            exec(compile(code, str(PAGE), "exec"), {"__name__": "bot"})  # noqa: S102 - is tested
        return capsys.readouterr().out.splitlines()

    return run


def test_it_is_short() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 30


def test_in_shadow_the_bot_trades_by_itself_and_both_are_recorded(
    small_training: SmallTraining, models: Path, tmp_path: Path, run_bot: Callable[[Path], list[str]]
) -> None:
    service = LiveService(small_training, models, tmp_path)
    try:
        service.start()
        (service.run_folder / "run").symlink_to(".")
        said = run_bot(service.run_folder)
    finally:
        service.clean_up()

    (record,) = [record for record in service.bar_records() if record.symbol == "BTC/USDT"]
    assert record.host_signal in {"long", "short"}
    assert record.decision.action in {"long", "short", "flat"}
    assert said == [f"{record.host_signal} 1.0 shadow {record.decision.reason}"] * 2


def test_live_the_bot_follows(tmp_path: Path, run_bot: Callable[[Path], list[str]]) -> None:
    (tmp_path / "run").mkdir()
    with ScriptedService(tmp_path / "run" / "plugin.sock", changed(action="flat")) as service:
        assert run_bot(tmp_path) == ["flat 0.5 live ok"] * 2
        first, second = service.asked("bars")
        assert [bar["symbol"] for bar in first["bars"]] == list(SYMBOLS)
        assert first["bars"] == second["bars"]


@pytest.mark.parametrize(
    ("reply", "said"), [(None, "no_service"), (hang_up, "no_service"), (silent, "no_service")]
)
def test_with_a_dead_service_the_bot_trades_by_itself(
    tmp_path: Path, run_bot: Callable[[Path], list[str]], reply: Any, said: str
) -> None:
    (tmp_path / "run").mkdir()
    if reply is None:
        lines = run_bot(tmp_path)
    else:
        with ScriptedService(tmp_path / "run" / "plugin.sock", reply):
            lines = run_bot(tmp_path)

    assert {line.split()[0] for line in lines} <= {"long", "short"}
    assert {line.split(maxsplit=1)[1] for line in lines} == {f"1.0 off {said}"}
