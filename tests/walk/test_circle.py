"""The full circle on real bars, with the commands that a person or a unit would run.

A champion serves; the schedule fires and trains a candidate, which becomes challenger, shows in shadow
what it can do and is promoted; the running process takes it without a missed bar, and gives it back.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow.compute
import pyarrow.parquet
import pytest

from plugin.command_line import utc_ms
from plugin.registry import Registry
from shadow.record import BarRecord
from tests.support.live import read_records
from tests.support.schedules import make_due, run_once
from training.settings import REFERENCE_ASSETS

VENUE = "binance_spot"
CHAMPION_UNTIL, CANDIDATE_UNTIL = "2024-06-01", "2024-11-01"
LIVE_FROM, LIVE_UNTIL = "2025-05-15", "2025-07-01"
BARS_PER_SECOND = 25
TRAINING = ("--since", "2022-01-01", "--folds", "2")


@pytest.fixture(scope="module")
def environment(market: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """ML_ variables for a models folder whose champion learnt until CHAMPION_UNTIL."""
    folder = tmp_path_factory.mktemp("circle")
    known = {
        **os.environ,
        "ML_MODELS_DIR": str(folder / "models"),
        "ML_SHADOW_DIR": str(folder / "shadow"),
        "ML_CANDLES_DIR": str(market),
        "ML_SOCKET": str(folder / "run/plugin.sock"),
    }
    command(known, "training", "run", "--store", str(market), *TRAINING, "--until", CHAMPION_UNTIL)
    return known


def command(environment: Mapping[str, str], module: str, *arguments: str) -> dict[str, Any]:
    """What a command says with --json; it must succeed."""
    ended = subprocess.run(
        [sys.executable, "-m", module, *arguments, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said: dict[str, Any] = json.loads(ended.stdout)
    return said


def known_until(market: Path, store: Path, end: str) -> Path:
    """A store that holds what was known at `end`."""
    for asset in REFERENCE_ASSETS:
        name = f"{VENUE}/1h/{asset.replace('/', '-')}.parquet"
        bars = pyarrow.parquet.read_table(market / name)
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        earlier = bars.filter(pyarrow.compute.less(bars["ts"], utc_ms(end)))
        pyarrow.parquet.write_table(earlier, store / name)
    return store


def train_by_schedule(environment: Mapping[str, str], store: Path) -> None:
    """The calendar says that it is time; nobody else does anything."""
    of_schedule = {**environment, "ML_CANDLES_DIR": str(store)}
    more = ("--no-fetch", "--", *TRAINING)
    assert run_once(of_schedule, *more).returncode == 0  # plans
    make_due(Path(environment["ML_MODELS_DIR"]), "retrain by calendar")
    ended = run_once(of_schedule, *more)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def live(environment: Mapping[str, str], market: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """A process into which bars come one by one."""
    bars = ("--since", LIVE_FROM, "--until", LIVE_UNTIL, "--bars-per-second", str(BARS_PER_SECOND))
    replay = ("plugin", "replay", "--store", str(market), *bars, "--json")
    state = Path(environment["ML_SOCKET"]).with_name("serving.json")
    with subprocess.Popen([sys.executable, "-m", *replay], env=environment) as process:
        while not state.exists():
            assert process.poll() is None
            time.sleep(0.1)
        yield process
        process.kill()


@pytest.mark.market
@pytest.mark.slow
def test_from_the_schedule_to_the_seat_of_the_champion_and_back(
    environment: dict[str, str], market: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    registry = Registry(Path(environment["ML_MODELS_DIR"]))
    former = registry.champion()
    train_by_schedule(environment, known_until(market, tmp_path, CANDIDATE_UNTIL))
    challenger = registry.challenger()
    assert former is not None
    assert challenger is not None, (registry.folder / "trainings.jsonl").read_text()

    bars = ("--since", CANDIDATE_UNTIL, "--until", LIVE_FROM)
    command(environment, "plugin", "replay", "--store", str(market), *bars)

    live = request.getfixturevalue("live")
    review = command(environment, "gates", "review", "--auto-promote")
    assert review["step"]["action"] == "promoted", review
    serving = command(environment, "plugin", "reload")
    assert serving["champion"] == challenger.bundle_id
    time.sleep(2)  # some bars for it to answer
    command(environment, "gates", "rollback", "--why", "to see it come back")
    assert command(environment, "plugin", "reload")["champion"] == former.bundle_id
    assert live.wait(120) == 0

    shadow = Path(environment["ML_SHADOW_DIR"])
    records = [one for one in read_records(shadow) if isinstance(one, BarRecord)]
    hours = range(utc_ms(CANDIDATE_UNTIL), utc_ms(LIVE_UNTIL), 3_600_000)
    assert [one.open_time_ms for one in records] == [*hours]
    assert {one.ml_reason for one in records} == {"ok"}
    turns = [bundle for bundle, _ in groupby(one.champion for one in records)]
    assert turns == [former.bundle_id, challenger.bundle_id, former.bundle_id]
    assert [move.kind for move in registry.history()[-4:]] == [
        "promoted",
        "appointed",  # the former champion, beside it
        "rolled back",
        "dismissed",
    ]
