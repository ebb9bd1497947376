"""A training that was cut off goes on where it stopped, to the bundle that it would have been."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gates.limits import LIMITS
from plugin.bundle import verify_bundle
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.registry import Registry
from tests.support.small_training import END_MS
from training.attempts import attempts
from training.candles import simulate
from training.retrain import Outcome, n_steps, retrain
from training.settings import REFERENCE_ASSETS, TrainingSettings

ROOT = Path(__file__).parents[2]
N_BARS = 2_400
SETTINGS = TrainingSettings(venue=SIMULATED_VENUE, until_ms=END_MS, horizons=(5,), n_folds=2)
N_MODELS = n_steps(SETTINGS) - 1


class Cut(BaseException):
    """In the place of a kill: nothing in the product catches it to go on."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    simulate(folder, REFERENCE_ASSETS, "1h", N_BARS, seed=3, end_ms=END_MS)
    return folder


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return train(store, tmp_path_factory.mktemp("undisturbed"))


def train(
    store: Path,
    models: Path,
    *,
    resume: bool = False,
    cut_after: int | None = None,
    settings: TrainingSettings = SETTINGS,
) -> Outcome:
    """Train; `cut_after` is the number of steps told before the cut."""
    told: list[str] = []

    def step(what: str) -> None:
        told.append(what)
        if len(told) == cut_after:
            raise Cut

    return retrain(settings, CandleStore(store), models, LIMITS, step, resume=resume)


def cut_off(store: Path, models: Path, after: int, *, resume: bool = False) -> None:
    with pytest.raises(Cut):
        train(store, models, cut_after=after, resume=resume)


def pieces(models: Path) -> list[Path]:
    return sorted(piece for piece in (models / "resume").glob("*/*") if piece.suffix != ".tmp")


def check_same(resumed: Outcome, undisturbed: Outcome) -> None:
    now, then = verify_bundle(resumed.bundle)[0], verify_bundle(undisturbed.bundle)[0]
    assert now.files == then.files
    assert now.content_hash == then.content_hash
    assert resumed.record["importances"] == undisturbed.record["importances"]


@pytest.mark.parametrize("after", [1, 5, N_MODELS + 1])
def test_a_resumed_training_leads_to_the_same_bundle(
    store: Path, tmp_path: Path, undisturbed: Outcome, after: int
) -> None:
    cut_off(store, tmp_path, after)
    n_kept = len(pieces(tmp_path))
    assert after <= n_kept + 1
    assert not (tmp_path / "bundles").exists()
    resumed = train(store, tmp_path, resume=True)
    check_same(resumed, undisturbed)
    assert len(resumed.record["resumed"]["reused"]) == n_kept
    assert list((tmp_path / "resume").iterdir()) == []
    assert [one.ended and one.ended.outcome for one in attempts(tmp_path)] == ["failed", "champion"]


@pytest.mark.parametrize("point", ["run_gates", "publish_bundle", "enter", "write_run_record"])
def test_a_cut_on_the_way_from_the_draft_to_the_role_leaves_nothing_half_done(
    store: Path, tmp_path: Path, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    def cut(*_: object, **__: object) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(f"training.retrain.{point}", cut)
        with pytest.raises(Cut):
            train(store, tmp_path)
    for bundle in (tmp_path / "bundles").glob("*"):
        assert verify_bundle(bundle)[0].gate_report is not None
    registry = Registry(tmp_path)
    before = registry.champion()
    assert (before is not None) == (point == "write_run_record")
    resumed = train(store, tmp_path, resume=True)
    check_same(resumed, undisturbed)
    champion = registry.champion()
    assert champion is not None
    assert champion.bundle_id == (before.bundle_id if before else resumed.bundle.name)
    verify_bundle(registry.bundle_folder(champion))


def test_without_resume_nothing_is_reused(store: Path, tmp_path: Path, undisturbed: Outcome) -> None:
    cut_off(store, tmp_path, N_MODELS)
    again = train(store, tmp_path)
    check_same(again, undisturbed)
    assert again.record["resumed"] == {"reused": [], "damaged": []}


def test_a_damaged_model_is_trained_again(store: Path, tmp_path: Path, undisturbed: Outcome) -> None:
    """A LightGBM text cut in half ends the process that parses it: it must not be parsed."""
    cut_off(store, tmp_path, N_MODELS + 1)
    for name in ("lgb_h5_final", "xgb_h5_fold1"):
        [piece] = (one for one in pieces(tmp_path) if one.name == name)
        piece.write_bytes(piece.read_bytes()[: piece.stat().st_size // 2])
    resumed = train(store, tmp_path, resume=True)
    check_same(resumed, undisturbed)
    assert resumed.record["resumed"]["damaged"] == ["lgb_h5_final", "xgb_h5_fold1"]
    assert len(resumed.record["resumed"]["reused"]) == N_MODELS - 2


def test_what_is_kept_of_other_settings_is_not_touched(store: Path, tmp_path: Path) -> None:
    cut_off(store, tmp_path, 3)
    kept = [(piece, piece.read_bytes()) for piece in pieces(tmp_path)]
    other = train(store, tmp_path, resume=True, settings=msgspec.structs.replace(SETTINGS, seed=8))
    assert other.record["resumed"]["reused"] == []
    assert [(piece, piece.read_bytes()) for piece in pieces(tmp_path)] == kept


def command(store: Path, models: Path, *more: str) -> list[str]:
    where = ("--store", str(store), "--venue", SIMULATED_VENUE, "--models-dir", str(models))
    return [sys.executable, "-m", "training", "run", *where, "--folds", "2", "--json", *more]


def kill_when(reached: Callable[[], bool], arguments: list[str]) -> None:
    """Run until `reached`, then SIGKILL."""
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.DEVNULL) as child:
        while not reached():
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.001)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL


def answer_of(arguments: list[str]) -> dict[str, Any]:
    ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return json.loads(ended.stdout)


def test_a_process_that_is_killed_again_and_again_goes_on(store: Path, tmp_path: Path) -> None:
    """Killed before the first model, after some, and while the bundle is drafted and judged."""
    models = tmp_path / "models"
    undisturbed = answer_of(command(store, tmp_path / "undisturbed"))
    kill_when((models / "trainings.jsonl").exists, command(store, models))
    kill_when(lambda: len(pieces(models)) >= 10, command(store, models, "--resume"))
    kill_when(lambda: any(models.glob("drafts/*")), command(store, models, "--resume"))
    assert not (models / "champion").exists()
    assert not (models / "bundles").exists()

    resumed = answer_of(command(store, models, "--resume", "--trigger", "after the power cut"))
    assert resumed["content_hash"] == undisturbed["content_hash"]
    assert resumed["metrics"] == undisturbed["metrics"]
    assert len(resumed["resumed"]["reused"]) == 33, (
        "three horizons and members, and the regime's two, by two folds and all"
    )
    assert resumed["resumed"]["damaged"] == []
    assert [folder.name for folder in (models / "bundles").iterdir()] == [resumed["bundle_id"]]
    assert list((models / "drafts").iterdir()) == list((models / "resume").iterdir()) == []
    known = attempts(models)
    assert [one.ended and one.ended.reason for one in known] == [*["killed"] * 3, None]
    assert (resumed["candidate"], resumed["trigger"]) == (4, "after the power cut")
    assert known[-1].began.trigger == "after the power cut"
