"""`python -m plugin run` as a process of its own, bars of a small training pushed to it as of now."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from plugin.candles import ABSENT
from plugin.features import LOOKBACK_BARS
from plugin.serving.live_status import NoLiveProcess, ask_status
from shadow.record import BarRecord
from tests.support.bars import HOURLY
from tests.support.live import FOLLOWED, SERVED, read_records, stored
from tests.support.replays import ROOT, environment
from tests.support.small_training import SmallTraining

SYMBOLS = (*SERVED, *FOLLOWED)
_PATIENCE_S = 60.0
_FIELDS = ("open", "high", "low", "close", "volume")


class LiveService:
    """The process, a bot's connection to it, its log and its records."""

    def __init__(self, training: SmallTraining, models: Path, folder: Path, **flags: str) -> None:
        self.store = training.store
        self.folder = folder
        self.env = folder / ".env"
        self.shadow = folder / "shadow"
        self.run_folder = Path(tempfile.mkdtemp(prefix="sg"))  # the path of a socket is short
        self.address = self.run_folder / "plugin.sock"
        own = {
            "ML_MODELS_DIR": str(models),
            "ML_SOURCE": "socket",
            "ML_SOCKET": str(self.address),
        }
        self.environment = environment(training, self.shadow, **(own | flags))
        self.child: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._lines: Any = None

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command of the same settings, to its end."""
        return subprocess.run(
            [sys.executable, "-m", "plugin", *arguments, "--env", str(self.env)],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )

    def begin(self, module: str = "plugin", **more: str) -> subprocess.Popen[bytes]:
        """Start the process; its log goes to the file `log`."""
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [sys.executable, "-m", module, "run", "--env", str(self.env)],
                cwd=ROOT,
                env=self.environment | more,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        return self.child

    def start(self, module: str = "plugin", **more: str) -> None:
        """Start it and wait until it answers."""
        child = self.begin(module, **more)

        def answers() -> bool:
            assert child.poll() is None, self.log_text()
            try:
                return ask_status(self.address, 1.0)["pid"] == child.pid
            except NoLiveProcess:
                return False

        wait_until(answers)

    @property
    def pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    def status(self) -> dict[str, Any]:
        return ask_status(self.address)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait; its exit code."""
        assert self.child is not None
        self.child.send_signal(number)
        return self.child.wait(_PATIENCE_S)

    def clean_up(self) -> None:
        self.hang_up()
        if self.child is not None:
            self.child.kill()
            self.child.wait()
        shutil.rmtree(self.run_folder, ignore_errors=True)

    def log_text(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of the log with that event; the last one may be half written."""
        lines = [line for line in self.log_text().splitlines() if line.startswith("{")]
        found = []
        for line in lines:
            try:
                one = json.loads(line)
            except ValueError:
                continue
            if one["event"] == event:
                found.append(one)
        return found

    def wait_for(self, event: str, n: int = 1) -> dict[str, Any]:
        wait_until(lambda: len(self.logged(event)) >= n)
        return self.logged(event)[-1]

    def bar_records(self) -> list[BarRecord]:
        return [one for one in read_records(self.shadow) if isinstance(one, BarRecord)]

    def say(self, kind: str, **fields: object) -> dict[str, Any]:
        """One request of a bot, and the reply."""
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX)
            self._connection.settimeout(_PATIENCE_S)
            self._connection.connect(str(self.address))
            self._lines = self._connection.makefile("rwb")
        self._lines.write(json.dumps({"type": kind, "id": 1, **fields}).encode() + b"\n")
        self._lines.flush()
        return dict(json.loads(self._lines.readline()))

    def hang_up(self) -> None:
        if self._connection is not None:
            self._lines.close()
            self._connection.close()
            self._connection = None

    def give_history(self, n_coming: int) -> None:
        """Fill the windows up to `n_coming` bars before the newest one that has closed."""
        for symbol in SYMBOLS:
            rows = self.rows(symbol, n_coming + LOOKBACK_BARS)[:-n_coming]
            reply = self.say("history", symbol=symbol, timeframe="1h", bars=rows)
            assert reply["type"] == "held", reply

    def push(self, n_before_newest: int, wait_s: float = _PATIENCE_S) -> list[dict[str, Any]]:
        """Push the bars of one close, of all symbols; the decisions on the served ones."""
        reply = self.say("bars", **self._close(n_before_newest, wait_s))
        assert reply["type"] == "decisions", reply
        return list(reply["decisions"])

    def push_at_once(
        self, before_newest: Iterable[int], after_the_first: signal.Signals
    ) -> list[dict[str, Any]]:
        """As `push`, without waiting for one answer before the next request, and a signal once the
        first is there; the decisions that come until the connection is closed, perhaps with a word."""
        requests = [
            {"type": "bars", "id": 2, **self._close(number, _PATIENCE_S)} for number in before_newest
        ]
        self._lines.write(b"".join(json.dumps(one).encode() + b"\n" for one in requests))
        self._lines.flush()
        replies = [json.loads(self._lines.readline())]
        self.send(after_the_first)
        replies += map(json.loads, self._lines)
        return [one for reply in replies for one in reply.get("decisions", ())]

    def _close(self, n_before_newest: int, wait_s: float) -> dict[str, object]:
        bars = [
            {
                "symbol": symbol,
                "timeframe": "1h",
                **dict(
                    zip(
                        ("open_time_ms", *_FIELDS),
                        self.rows(symbol, n_before_newest + 1)[0],
                        strict=True,
                    )
                ),
            }
            for symbol in SYMBOLS
        ]
        return {"expires_ms": int((time.time() + wait_s) * 1000), "bars": bars}

    def rows(self, symbol: str, n_bars: int) -> list[list[float]]:
        """The last `n_bars` stored bars, the newest of which has just closed by the clock."""
        candles = stored(self.store, symbol)
        newest_ms = HOURLY.floor(int(time.time() * 1000)) - HOURLY.length_ms
        bars = candles.bars[:ABSENT, -n_bars:].T.tolist()
        first_ms = newest_ms - (n_bars - 1) * HOURLY.length_ms
        return [[first_ms + number * HOURLY.length_ms, *bar] for number, bar in enumerate(bars)]


def wait_until(holds: Callable[[], object], patience_s: float = _PATIENCE_S) -> None:
    """Wait until something holds; fail when it takes too long."""
    give_up_at = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)


def json_of(text: str) -> Mapping[str, Any]:
    """The one JSON object that a command printed."""
    return dict(msgspec.json.decode(text))
