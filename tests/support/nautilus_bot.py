"""The real nautilus_trader, in its own environment, beside a real service or none."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.support.host_environment import host_python
from tests.support.replays import ROOT, environment
from tests.support.small_training import SmallTraining

PAGE = ROOT / "docs" / "hosts" / "nautilus.md"
_START_SECONDS = 120
_SECONDS = 600


@dataclass(frozen=True)
class Backtest:
    """`strategy` is the example: `asks` by itself, `listens` to the actor, or trades `alone`.

    `store` is the folder of the bars. A stamp lies `stamp_ns` after the close. `absent` are open times
    of bars to leave out, by asset. After so many decisions a process gets a signal: its id and which.
    """

    store: Path
    socket: Path
    strategy: str = "asks"
    assets: Sequence[str] = ("BTC",)
    companions: Sequence[str] = ("ETH", "XRP", "LTC")
    deadline_s: float = 30.0
    stamped: str = "close"
    stamp_ns: int = 0
    absent: Mapping[str, Sequence[int]] = field(default_factory=dict)
    signal_after: int = 0
    signal: tuple[int, int] = (0, 0)


def examples() -> list[str]:
    """The Python of the documentation."""
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run_backtests(folder: Path, *backtests: Backtest) -> list[dict[str, Any]]:
    """Of each one the trades and the decisions that the strategy saw: one after the other."""
    example = folder / "example.py"
    example.write_text(examples()[0])
    asked = [{**asdict(one), "example": example} for one in backtests]
    return list(run_in_engine("nautilus_backtest.py", folder, asked))


def run_in_engine(script: str, folder: Path, asked: object) -> Any:
    """What a script beside the tests prints; fails where the engine has complained."""
    ended = subprocess.run(
        [host_python("nautilus"), ROOT / "tests" / "hosts" / script],
        cwd=folder,
        env=bot_environment(),
        input=json.dumps(asked, default=str),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    log = ended.stdout + ended.stderr
    assert ended.returncode == 0, log[-5_000:]
    assert "Traceback" not in log and "ERROR" not in log, log[-5_000:]
    return json.loads(ended.stdout.splitlines()[-1])


def bot_environment() -> dict[str, str]:
    """What the bot sees: the checkout to import from, and no settings of shadowgate."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("ML_", "PYTHON"))}
    return {**ours, "PYTHONPATH": str(ROOT), "TZ": "UTC"}


@contextmanager
def push_service(
    training: SmallTraining, folder: Path, **flags: str
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`python -m plugin run` fed by the bot, and its socket; its records go to `folder`/shadow."""
    socket = folder / "run" / "plugin.sock"
    ours = {
        "ML_SOURCE": "socket",
        "ML_SOCKET": str(socket),
        "ML_SYMBOLS": "BTC/USDT",
        "ML_DECISION_TIMEOUT_MS": "60000",  # a loaded machine must not change what is decided
        **flags,
    }
    command = [sys.executable, "-m", "plugin", "run", "--env", str(folder / ".env")]
    with (folder / "service.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(training, folder / "shadow", **ours), stderr=log
        )
    try:
        until = time.monotonic() + _START_SECONDS
        while not socket.exists():
            said = (folder / "service.log").read_text()
            assert process.poll() is None, said
            assert time.monotonic() < until, said
            time.sleep(0.05)
        yield process, socket
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(60)
