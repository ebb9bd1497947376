"""Which parameters of the member `lgb` do best inside the training block?

models/studies/<name>.db      an Optuna study in SQLite, with every trial as soon as it has ended
models/studies/<name>.json    what it found

A trial is judged by a walk-forward inside the first block, which every fold of a training learns from:
the test blocks stay unseen, and may judge what was found. The name is a hash of all that decides what a
trial is worth, so that a study that was cut off goes on, and is never mixed with another.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from plugin.candles import Candles
from plugin.errors import WrongUse
from plugin.features.joined import columns_of
from shadow.statistics import auc
from training.checkpoint import training_key
from training.dataset import Dataset
from training.material import first_block, split_rows
from training.models.base import Member
from training.oof import bin_members
from training.settings import TUNABLE, TrainingSettings
from training.splits import Fold
from training.tuning import TunedParameters, Tuning

# One number a parameter can have, and how: by factors where doubling matters, not adding.
SPACE: dict[str, BaseDistribution] = {
    "n_trees": IntDistribution(50, 400, log=True),
    "learning_rate": FloatDistribution(0.01, 0.2, log=True),
    "num_leaves": IntDistribution(4, 63, log=True),
    "min_data_in_leaf": IntDistribution(50, 2000, log=True),
    "feature_fraction": FloatDistribution(0.1, 1.0),
    "bagging_fraction": FloatDistribution(0.3, 1.0),
    "lambda_l2": FloatDistribution(0.1, 100.0, log=True),
}
DEFAULTS = {name: TUNABLE.parameters[name] for name in SPACE}
_FOLDS = "auc_by_fold"
_FEWEST_FOR_IMPORTANCE = 10

Told = Callable[[int, float], None]


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """A study as it stands. `folds` [{test_start_ms, test_end_ms, n_test, auc, default_auc}];
    `importance` {parameter: share}, of no meaning and empty after very few trials."""

    tuning: Tuning
    folds: list[dict[str, float]]
    importance: dict[str, float]


@dataclass(frozen=True)
class Block:
    """What trials learn from and are judged on: rows of the first block, and folds inside of it."""

    rows: Dataset
    horizon: int
    folds: Sequence[Fold]
    bins_from: np.ndarray[tuple[int], np.dtype[np.int64]]
    seed: int

    def tested(self, fold: Fold) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """The rows of a fold that are judged: of served symbols, with a label that is known."""
        known = self.rows.judged & ~np.isnan(self.rows.labels[self.horizon].up)
        return fold.test[known[fold.test]]


def open_block(settings: TrainingSettings, dataset: Dataset, horizon: int) -> Block:
    """Cut the first block of a training into `settings.n_folds` folds, as a training cuts the rest."""
    rows = first_block(settings, dataset)
    folds = split_rows(settings, rows)
    bins_from = folds[max(settings.horizons)][0].train
    return Block(rows, horizon, folds[horizon], bins_from, settings.seed)


def areas(member: Member, block: Block) -> list[float]:
    """The AUC of the member on the test rows of each fold. Raises WrongUse where one has none."""
    up, columns = block.rows.labels[block.horizon].up, columns_of(member.feature_set)
    binned = bin_members([member], block.rows, block.bins_from)[member.name]

    def judged(fold: Fold) -> float:
        model = binned.fit(fold.train[~np.isnan(up[fold.train])], up, block.seed)
        tested = block.tested(fold)
        return auc(model.predict(block.rows.rows[tested][:, columns]), up[tested])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = list(pool.map(judged, block.folds))
    if not np.isfinite(found).all():
        remedy = "use a longer history or fewer folds"
        raise WrongUse("bars that rise and bars that fall in every fold", "only one kind", remedy)
    return found


def study_name(settings: TrainingSettings, candles: Mapping[str, Candles], horizon: int) -> str:
    """A hash of what a training would rest on, the horizon, the space and the version of Optuna."""
    space = {
        name: [optuna.distributions.distribution_to_json(one), DEFAULTS[name]]
        for name, one in SPACE.items()
    }
    decisive = [
        training_key(settings, candles, settings.row_members),
        horizon,
        space,
        optuna.__version__,
    ]
    return hashlib.sha256(msgspec.json.encode(decisive, order="deterministic")).hexdigest()[:16]


def search(path: Path, name: str, block: Block, n_trials: int, told: Told) -> Searched:
    """Run the study `name` in the file `path` until it has had `n_trials`, and say what it found.

    The first trial is the default parameters. `told` is called with the number of trials and the best
    AUC after each, and before the first. Raises WrongUse where the file is another study's or no
    study's, or another process is at it.
    """
    with _alone(path):
        study = _open(path, name, block.seed)
        while len(ended := _ended(study)) < n_trials:
            told(len(ended), max((one.values[0] for one in ended), default=np.nan))
            trial = study.ask(SPACE)
            by_fold = areas(TUNABLE.with_parameters(trial.params), block)
            trial.set_user_attr(_FOLDS, by_fold)
            study.tell(trial, float(np.mean(by_fold)))
        searched = _searched(study, block)
        told(searched.tuning.trials, searched.tuning.auc)
    return searched


def _open(path: Path, name: str, seed: int) -> optuna.Study:
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
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(ended))
    if not ended and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
        study.enqueue_trial(DEFAULTS)
    return study


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _searched(study: optuna.Study, block: Block) -> Searched:
    trials = _ended(study)
    default, best = trials[0], max(trials, key=lambda one: (one.values[0], -one.number))
    tuning = Tuning(
        study=study.study_name,
        horizon=block.horizon,
        seen_until_ms=int(max(one.label_end_ms.max() for one in block.rows.labels.values())),
        parameters=TunedParameters(**best.params),
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
