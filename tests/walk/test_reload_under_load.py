"""While one bundle takes the place of another, again and again, is every bar answered, and by whom?"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shadow.record import AnyRecord
from tests.support.bundles import appoint, bundle_of
from tests.support.live import read_records, without_timings
from tests.support.replays import ROOT, environment
from tests.support.small_training import END_MS, SETTINGS, SmallTraining
from tests.support.twins import add_other
from training.candles import simulate
from training.settings import REFERENCE_ASSETS

LARGEST_GROWTH_MIB = 30
N_HISTORY = 600
_PATIENCE_S = 1_500


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: a disk syncs once a bar, in some milliseconds each."""
    mount = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  (the name of the mount)
    with tempfile.TemporaryDirectory(dir=mount) as folder:
        yield Path(folder)


def told(
    training: SmallTraining, models: Path, store: Path, shadow: Path, *arguments: float
) -> dict[str, Any]:
    """What a replay of `tests.support.reloading_replay` tells of itself."""
    flags = {"ML_MODELS_DIR": str(models), "ML_CANDLES_DIR": str(store)}
    ended = subprocess.run(
        [sys.executable, "-m", "tests.support.reloading_replay", *map(str, arguments)],
        cwd=ROOT,
        env=environment(training, shadow, **flags),
        capture_output=True,
        text=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


def by_bar(shadow: Path) -> dict[tuple[str, int], AnyRecord]:
    """The records of a log without what measures the machine; each bar must be there once."""
    records = [replace(without_timings(record), seq=0) for record in read_records(shadow)]
    found = {(record.symbol, record.open_time_ms): record for record in records}
    assert len(found) == len(records)
    return found


@pytest.mark.parametrize(
    ("n_reloads", "n_batches", "pause_s"),
    [(6, 300, 0.01), pytest.param(200, 5_000, 0.02, marks=pytest.mark.slow)],
)
def test_every_bar_is_answered_by_the_bundle_that_its_record_names(
    small_training, memory, n_reloads, n_batches, pause_s
):
    models, store = memory / "models", memory / "candles"
    shutil.copytree(small_training.models, models)
    simulate(store, REFERENCE_ASSETS, "1h", n_batches + N_HISTORY, seed=2, end_ms=END_MS)
    original, other = bundle_of(models), add_other(models)
    clean = {}
    for bundle in (other, original):
        appoint(models, bundle)
        told(small_training, models, store, memory / bundle.name, 0, n_batches, 0)
        clean[bundle.name] = by_bar(memory / bundle.name)

    said = told(small_training, models, store, memory / "shadow", n_reloads, n_batches, pause_s)
    print(json.dumps(said))
    n_bars = n_batches * len(SETTINGS.symbols)
    assert (said["n_answered"], said["errors"]) == (n_bars, 0)
    records = by_bar(memory / "shadow")
    assert len(records) == n_bars
    swaps = 0
    before = original.name
    for key, record in records.items():
        assert record == clean[record.champion][key]
        swaps, before = swaps + (record.champion != before), record.champion
    assert swaps >= n_reloads - 1, "the last bundle may come after the last bar"
    answered = [key for key in records if clean[original.name][key].ml_reason == "ok"]
    assert len(answered) > n_bars // 2
    assert all(clean[original.name][key].meta_p != clean[other.name][key].meta_p for key in answered)
    assert said["ended_mib"] - said["settled_mib"] < LARGEST_GROWTH_MIB
