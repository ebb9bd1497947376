"""A training that was cut off inside a network goes on with the epoch under way, to the same bundle."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor

from gates.limits import LIMITS
from plugin.bundle import verify_bundle
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from tests.support.small_training import END_MS
from training.candles import simulate
from training.models.network import WindowExamples
from training.models.torch_fit import FitSettings
from training.network_members import NETWORKS
from training.retrain import Outcome, n_steps, retrain
from training.settings import REFERENCE_ASSETS, TrainingSettings

ROOT = Path(__file__).parents[2]
SETTINGS = TrainingSettings(
    venue=SIMULATED_VENUE,
    until_ms=END_MS,
    horizons=(5,),
    n_folds=2,
    members=("lgb",),
    networks=("lstm",),
)
EPOCHS = 4
SMALL = FitSettings(epochs=EPOCHS, patience=EPOCHS, per_epoch=500, batch_size=64)


class Cut(BaseException):
    """In the place of a kill: nothing in the product catches it to go on."""


@dataclass
class Told:
    """What a person hears of a training."""

    steps: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    simulate(folder, REFERENCE_ASSETS, "1h", 2_400, seed=3, end_ms=END_MS)
    return folder


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """The LSTM learns in a second."""
    with pytest.MonkeyPatch.context() as patched:
        one = replace(NETWORKS["lstm"], n_steps=6, shape={"hidden": 4}, settings=SMALL)
        patched.setitem(NETWORKS, "lstm", one)
        yield


def train(store: Path, models: Path, told: Told, *, resume: bool = False) -> Outcome:
    return retrain(
        SETTINGS,
        CandleStore(store),
        models,
        LIMITS,
        told.steps.append,
        resume=resume,
        word=told.words.append,
    )


def cut_inside(
    which: str,
    epoch: int,
    store: Path,
    models: Path,
    patch: pytest.MonkeyPatch,
    *,
    resume: bool = False,
) -> Told:
    """Train until the third batch of that epoch of that fit."""
    told, batch, after = Told(), WindowExamples.batch, [0]

    def counted(examples: WindowExamples, numbers: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        if any(word.startswith(f"lstm, {which}: epoch {epoch - 1} ") for word in told.words):
            after[0] += 1
            if after[0] == 3:
                raise Cut
        return batch(examples, numbers)

    with patch.context() as patched:
        patched.setattr(WindowExamples, "batch", counted)
        with pytest.raises(Cut):
            train(store, models, told, resume=resume)
    return told


@pytest.fixture(scope="module")
def undisturbed(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, Told]:
    told = Told()
    return train(store, tmp_path_factory.mktemp("undisturbed"), told), told


def kept(models: Path) -> list[Path]:
    return sorted((models / "resume").glob("*/*.epochs"))


def content_hash(outcome: Outcome) -> str:
    return verify_bundle(outcome.bundle)[0].content_hash


def words_of(which: str, told: Told) -> list[str]:
    return [word for word in told.words if word.startswith(f"lstm, {which}: ")]


@pytest.mark.parametrize("which", ["fold 1", "final"])
def test_it_goes_on_with_the_epoch_that_was_cut_off(
    store: Path,
    tmp_path: Path,
    undisturbed: tuple[Outcome, Told],
    monkeypatch: pytest.MonkeyPatch,
    which: str,
) -> None:
    cut_inside(which, 3, store, tmp_path, monkeypatch)
    assert len(kept(tmp_path)) == 1
    told = Told()
    resumed = train(store, tmp_path, told, resume=True)
    then, told_then = undisturbed
    assert content_hash(resumed) == content_hash(then)
    assert words_of(which, told) == words_of(which, told_then)[2:], "the first two are not learnt again"
    assert resumed.record["networks"]["lstm"]["loss"] == then.record["networks"]["lstm"]["loss"]
    assert resumed.record["resumed"]["damaged"] == []
    assert list((tmp_path / "resume").iterdir()) == []


def test_it_may_be_cut_off_in_every_epoch(
    store: Path,
    tmp_path: Path,
    undisturbed: tuple[Outcome, Told],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[str] = []
    for epoch in range(2, EPOCHS + 1):
        told = cut_inside("fold 1", epoch, store, tmp_path, monkeypatch, resume=epoch > 2)
        heard += words_of("fold 1", told)
    told = Told()
    resumed = train(store, tmp_path, told, resume=True)
    assert heard + words_of("fold 1", told) == words_of("fold 1", undisturbed[1])
    assert content_hash(resumed) == content_hash(undisturbed[0])


def test_damaged_epochs_are_learnt_again_and_named(
    store: Path,
    tmp_path: Path,
    undisturbed: tuple[Outcome, Told],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut_inside("fold 1", 3, store, tmp_path, monkeypatch)
    [epochs] = kept(tmp_path)
    content = bytearray(epochs.read_bytes())
    content[len(content) // 2] ^= 1
    epochs.write_bytes(content)
    told = Told()
    resumed = train(store, tmp_path, told, resume=True)
    assert content_hash(resumed) == content_hash(undisturbed[0])
    assert len(words_of("fold 1", told)) == EPOCHS
    assert resumed.record["resumed"]["damaged"] == ["lstm_fold0.epochs"]


def test_without_resume_the_first_epoch_is_learnt_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_inside("fold 1", 3, store, tmp_path, monkeypatch)
    told = Told()
    train(store, tmp_path, told)
    assert len(words_of("fold 1", told)) == EPOCHS


def test_epochs_are_told_without_being_steps(undisturbed: tuple[Outcome, Told]) -> None:
    _, told = undisturbed
    assert len(told.steps) == n_steps(SETTINGS)
    assert len(told.words) == 2 * EPOCHS, "of the fit for both test blocks, and of the one that serves"
    assert told.words[0].startswith(f"lstm, fold 1: epoch 1 of {EPOCHS}, loss 0.")


@pytest.mark.slow
def test_a_process_that_is_killed_inside_a_network_goes_on(store: Path, tmp_path: Path) -> None:
    """By the command, with the networks of a quick test, which learn for two epochs."""

    def command(models: Path, *more: str) -> list[str]:
        where = ("--store", str(store), "--venue", SIMULATED_VENUE, "--models-dir", str(models))
        quick = ("--members", "lgb", "lstm", "--quick-test", "--json")
        return [sys.executable, "-m", "training", "run", *where, *quick, *more]

    def answer(arguments: list[str]) -> dict[str, object]:
        ended = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
        assert ended.stderr == ""
        found: dict[str, object] = json.loads(ended.stdout)
        return found

    models = tmp_path / "models"
    with subprocess.Popen(command(models), cwd=ROOT, stdout=subprocess.DEVNULL) as child:
        while not kept(models):
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.001)
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    undisturbed, resumed = answer(command(tmp_path / "other")), answer(command(models, "--resume"))
    assert resumed["content_hash"] == undisturbed["content_hash"]
    assert resumed["resumed"]["damaged"] == []  # type: ignore[index]
