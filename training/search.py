"""Which parameters of a member do best inside the training block?

models/studies/<name>.db      an Optuna study in SQLite, with every trial as soon as it has ended
models/studies/<name>.json    what it found

The name is a hash of all that decides what a trial is worth, so that a study that was cut off goes on,
and is never mixed with another.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from plugin.candles import Candles
from plugin.errors import WrongUse
from training.checkpoint import training_key
from training.settings import TrainingSettings
from training.trials import Subject
from training.tuning import Tuning

_FOLDS = "auc_by_fold"
_FEWEST_FOR_IMPORTANCE = 10

Told = Callable[[int, float], None]


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """A study as it stands. `folds` [{test_start_ms, test_end_ms, n_test, auc, default_auc}];
    `importance` {parameter: share}, of no meaning and empty after very few trials."""

    tuning: Tuning
    folds: list[dict[str, float]]
    importance: dict[str, float]


def study_name(settings: TrainingSettings, candles: Mapping[str, Candles], subject: Subject) -> str:
    """A hash of what a training would rest on, the horizon, the space and the version of Optuna."""
    space = {
        name: [distribution_to_json(one), subject.defaults[name]] for name, one in subject.space.items()
    }
    decisive = [
        training_key(settings, candles, settings.row_members),
        subject.member,
        subject.block.horizon,
        space,
        optuna.__version__,
    ]
    return hashlib.sha256(msgspec.json.encode(decisive, order="deterministic")).hexdigest()[:16]


def search(path: Path, name: str, subject: Subject, n_trials: int, told: Told) -> Searched:
    """Run the study `name` in the file `path` until it has had `n_trials`, and say what it found.

    The first trial is the default parameters. `told` is called with the number of trials and the best
    AUC after each, and before the first. Raises WrongUse where the file is another study's or no
    study's, or another process is at it.
    """
    with _alone(path):
        study = _open(path, name, subject)
        while len(ended := _ended(study)) < n_trials:
            told(len(ended), max((one.values[0] for one in ended), default=np.nan))
            trial = study.ask(dict(subject.space))
            by_fold = subject.areas(trial.params)
            trial.set_user_attr(_FOLDS, by_fold)
            study.tell(trial, float(np.mean(by_fold)))
        searched = _searched(study, subject)
        told(searched.tuning.trials, searched.tuning.auc)
    return searched


def _open(path: Path, name: str, subject: Subject) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = URL.create("sqlite", database=str(path.absolute())).render_as_string()
    try:
        storage = optuna.storages.RDBStorage(url)
        others = {one.study_name for one in storage.get_all_studies()} - {name}
    except (SQLAlchemyError, RuntimeError) as error:  # the latter for a schema of another version
        was = str(error).splitlines()[0]
        raise WrongUse(f"a study of Optuna in {path}", was, "name another file with --study") from error
    if others:
        was = f"study {sorted(others)[0]}, of other bars, settings, libraries or code"
        raise WrongUse(f"study {name} in {path}", was, "name another file with --study, or none")
    study = optuna.create_study(
        storage=storage, study_name=name, direction="maximize", load_if_exists=True
    )
    for cut_off in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(cut_off.number, state=TrialState.FAIL)
    ended = _ended(study)
    # A sampler begins its random numbers anew: with the same seed it would repeat its first trials.
    study.sampler = optuna.samplers.TPESampler(seed=subject.block.seed + len(ended))
    if not ended and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(dict(subject.defaults))
    return study


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _searched(study: optuna.Study, subject: Subject) -> Searched:
    trials, block = _ended(study), subject.block
    default, best = trials[0], max(trials, key=lambda one: (one.values[0], -one.number))
    tuning = Tuning(
        study=study.study_name,
        member=subject.member,
        horizon=block.horizon,
        seen_until_ms=int(max(one.label_end_ms.max() for one in block.rows.labels.values())),
        parameters=best.params,
        trials=len(trials),
        auc=best.values[0],
        default_auc=default.values[0],
    )
    folds = [
        {
            "test_start_ms": fold.test_start_ms,
            "test_end_ms": fold.test_end_ms,
            "n_test": block.tested(fold).size,
            "auc": best.user_attrs[_FOLDS][number],
            "default_auc": default.user_attrs[_FOLDS][number],
        }
        for number, fold in enumerate(block.folds)
    ]
    return Searched(tuning=tuning, folds=folds, importance=_importance(study, trials, block.seed))


def _importance(study: optuna.Study, trials: Sequence[FrozenTrial], seed: int) -> dict[str, float]:
    if len({one.values[0] for one in trials}) < _FEWEST_FOR_IMPORTANCE:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep other processes from the same study until the end of the block, or until this one dies."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        remedy = "correct the path or its permissions"
        raise WrongUse(f"to write {path}", error.strerror or str(error), remedy) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        was = f"a process that works on {path}"
        raise WrongUse("nobody else at this very study", was, "wait for it or stop it") from error
    finally:
        os.close(descriptor)
