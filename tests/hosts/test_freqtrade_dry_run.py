"""Does the real freqtrade, in a dry run beside the real service, trade as promised?

A day passes in a minute: the local exchange, the bot and the service live by one fast clock.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.command_line import utc_ms
from plugin.manifest import GateReport
from plugin.registry import Registry
from shadow.reader import LogReader
from shadow.record import BarRecord
from tests.support.fast_clock import FastClock
from tests.support.freqtrade_bot import ROOT, environment, write_config, write_strategies
from tests.support.host_environment import host_python
from tests.support.hourly_training import HOUR_MS, LEARNT_UNTIL, VENUE, train_hourly
from tests.support.live_exchange import LiveExchange
from training.settings import REFERENCE_ASSETS

pytestmark = [pytest.mark.market, pytest.mark.slow]

PAIRS = ("BTC/USDT", "ETH/USDT")
SPEED = 600
START_MS = LEARNT_UNTIL + 900 * HOUR_MS
PATIENCE_S = 180.0
Entry = tuple[str, int]
"""A pair, and the open time of the candle whose signal it was."""


class Beside:
    """The exchange, the service and the bot, all in `folder`."""

    def __init__(self, folder: Path, preload: Path) -> None:
        self.folder = folder
        self._preload = preload
        self._made_ns = time.monotonic_ns()
        self.clock = FastClock(START_MS, SPEED)

    def _fast(self) -> dict[str, str]:
        """Variables that make a process live by the clock, less the time that it takes to start."""
        now = datetime.fromtimestamp(self.clock.now_ms() / 1000, UTC)
        return {
            "LD_PRELOAD": str(self._preload),
            "FAKETIME": f"@{now:%Y-%m-%d %H:%M:%S} x{SPEED}",
            "NO_FAKE_STAT": "1",
        }

    @contextmanager
    def service(self) -> Iterator[subprocess.Popen[bytes]]:
        start = (str(START_MS), str(self._made_ns), str(SPEED))
        env = str(self.folder / ".env")
        command = [sys.executable, "-m", "tests.support.fast_service", env, *start]
        ours = {key: value for key, value in os.environ.items() if not key.startswith("ML_")}
        with self._process(command, ROOT, ours, "service.log") as process:
            yield process

    @contextmanager
    def bot(self, strategy: str) -> Iterator[subprocess.Popen[bytes]]:
        database = f"sqlite:///{self.folder / 'trades.sqlite'}"
        command = [
            *(str(host_python("freqtrade")), "-m", "freqtrade", "trade", "--dry-run"),
            *("--config", str(self.folder / "config.json"), "--userdir", str(self.folder)),
            *("--strategy", strategy, "--db-url", database),
        ]
        with self._process(command, self.folder, environment(**self._fast()), "bot.log") as process:
            yield process

    @contextmanager
    def _process(
        self, command: list[str], folder: Path, environ: Mapping[str, str], log: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        with (
            (self.folder / log).open("ab") as output,
            subprocess.Popen(
                command, cwd=folder, env=environ, stdout=output, stderr=subprocess.STDOUT
            ) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    def records(self) -> list[BarRecord]:
        return list(LogReader(self.folder / "shadow", BarRecord))

    def wished(self) -> list[tuple[Entry, int]]:
        """What the strategy wanted by itself, and when; it asks again after a refusal."""
        wishes = map(json.loads, self.lines("wishes.jsonl"))
        return [((pair, opened_ms), at_ms) for pair, opened_ms, at_ms in wishes]

    def against(self, mode: str) -> set[tuple[Entry, int]]:
        """The wishes at a time when it was said in that `mode` not to go long."""
        said = {entry_of(record): record for record in self.records()}
        return {
            (entry, at_ms)
            for entry, at_ms in self.wished()
            if entry in said
            and said[entry].mode == mode
            and said[entry].decision.action in ("short", "flat")
            and at_ms < said[entry].decision.valid_until_ms
        }

    def entered(self) -> dict[Entry, int]:
        """When each entry was made."""
        with closing(sqlite3.connect(self.folder / "trades.sqlite")) as database:
            rows = database.execute("SELECT pair, enter_tag, open_date FROM trades").fetchall()
        return {(pair, int(opened_ms)): utc_ms(at) for pair, opened_ms, at in rows}

    def n_entered_after(self, opened_ms: int) -> int:
        """How many entries there are on candles that opened after that time."""
        return sum(candle_ms > opened_ms for _, candle_ms in self.entered())

    def is_quiet(self) -> bool:
        """The strategy enters on every second candle, and this is another one."""
        return self.records()[-1].open_time_ms // HOUR_MS % 2 == 1

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def until(self, come: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
        """Wait until it has come; every process must live until then."""
        ends_s = time.monotonic() + PATIENCE_S
        while not come():
            is_well = time.monotonic() < ends_s and all(one.poll() is None for one in processes)
            assert is_well, "\n".join(self.lines("bot.log")[-50:] + self.lines("service.log")[-20:])
            time.sleep(0.05)


@pytest.fixture
def preload() -> Path:
    for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return path
    pytest.skip("libfaketime is not installed")


@pytest.fixture
def beside(market: Path, tmp_path: Path, preload: Path) -> Iterator[Beside]:
    """With a bundle that may steer, in shadow as ML_ENABLE_STACKING is 0."""
    host_python("freqtrade")
    training = train_hourly(market, tmp_path / "models", PAIRS)
    allowed = GateReport(level="live", results=())
    Registry(training.models).store_verdict(training.outcome.bundle.name, allowed)
    flags = {
        "ML_SOURCE": "socket",
        "ML_SOCKET": str(tmp_path / "plugin.sock"),
        "ML_SYMBOLS": ",".join(PAIRS),
        "ML_STACKING_MIN_SAMPLES": "100",
        "ML_MODELS_DIR": str(training.models),
        "ML_SHADOW_DIR": str(tmp_path / "shadow"),
    }
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in flags.items()))
    write_strategies(tmp_path, Path(__file__).with_name("freqtrade_strategies.py"))
    store = CandleStore(market)
    candles = {name: store.read(VENUE, "1h", name) for name in REFERENCE_ASSETS}
    beside = Beside(tmp_path, preload)
    with LiveExchange(candles, beside.clock, Timeframe.parse("1h")) as exchange:
        write_config(tmp_path, exchange.url, "DryRun", list(PAIRS))
        yield beside


def test_a_service_that_dies_comes_back_and_goes_live(beside: Beside) -> None:
    with beside.service() as service:
        beside.until((beside.folder / "plugin.sock").exists, service)
        with beside.bot("DryRun") as bot:
            beside.until(lambda: bool(beside.against("shadow")), bot, service)
            service.kill()
            service.wait()
            n_recorded, newest_ms = len(beside.records()), beside.records()[-1].open_time_ms
            # Not any entries: what was decided on before the kill may be entered after it.
            beside.until(lambda: beside.n_entered_after(newest_ms) >= len(PAIRS), bot)
            assert len(beside.records()) == n_recorded
            with beside.service() as again:
                beside.until(lambda: len(beside.records()) > n_recorded, bot, again)
                switch_on(beside.folder / ".env")
                beside.until(lambda: bool(beside.against("live")), bot, again)
                # Between two entries: what is being done when the bot ends is not looked at.
                beside.until(beside.is_quiet, bot, again)
                bot.send_signal(signal.SIGINT)
                bot.wait(PATIENCE_S)

    entered, records = beside.entered(), beside.records()
    said = {entry_of(record) for record in records}
    assert len(said) == len(records), "one record for a candle"
    log = " ".join(" ".join(beside.lines("bot.log")).split())
    asked = Counter(re.findall(r"- shadowgate (\S+) (\S+ \S+): ", log))
    newest_ms = records[-1].open_time_ms
    at = {(pair, utc_ms(opened)): n for (pair, opened), n in asked.items()}
    assert at == {entry: 1 for entry in said if entry in at or entry[1] < newest_ms}, "asked once"

    refused = beside.against("live")
    assert refused
    assert entered.keys() == {
        entry for entry, at_ms in beside.wished() if (entry, at_ms) not in refused
    }
    for entry, made_ms in entered.items():  # an entry is made right after the strategy has said yes
        asked_ms = max(at_ms for one, at_ms in beside.wished() if one == entry and at_ms <= made_ms)
        assert (entry, asked_ms) not in refused
    assert {entry for entry, _ in beside.against("shadow")} <= entered.keys(), "shadow changes nothing"
    assert entered.keys() - said, "entries while the service was dead"
    assert log.count("shadowgate does not answer (no_service)") == 1
    assert log.count("shadowgate answers again") == 1


def switch_on(env: Path) -> None:
    env.write_text(env.read_text() + "ML_ENABLE_STACKING=1\n")


def entry_of(record: BarRecord) -> Entry:
    return record.symbol, record.open_time_ms
