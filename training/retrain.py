"""How do candles become a judged bundle? The whole walk of a training, from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gates.limits import Limits
from gates.runner import run_gates
from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.candles import Candles
from plugin.clock import SystemClock
from plugin.durable import locked
from plugin.errors import WrongUse
from plugin.features import LOOKBACK_BARS
from plugin.manifest import GateReport
from plugin.meta_model import LogisticModel
from plugin.registry import Registry
from training.bundle_writer import Trained, draft_bundle, publish_bundle
from training.candles import verify
from training.candles.verification import MAX_UNUSABLE_SHARE
from training.dataset import Dataset, build_dataset
from training.evaluate import evaluate
from training.models.base import Binned, Model
from training.oof import Step, bin_members, fit_final, out_of_fold
from training.run_record import Minutes, write_run_record
from training.settings import MEMBERS, TrainingSettings, companions_of
from training.splits import Fold, fold_boundaries, walk_forward
from training.stacking import fit_meta, stack_out_of_fold

# The next fold's meta-model learns from what embargo and labels leave of a test block: most of it.
_BLOCKS_PER_PURGE = 5


@dataclass(frozen=True)
class Outcome:
    """What a training led to. `record` is what stands in `models/runs/<bundle id>.json`."""

    bundle: Path
    report: GateReport
    record: dict[str, Any]
    is_champion: bool


@dataclass(frozen=True)
class _Horizon:
    """All that is learnt and measured at one horizon."""

    models: Mapping[str, Model]
    meta: LogisticModel
    metrics: dict[str, Any]


def n_steps(settings: TrainingSettings) -> int:
    """How often `retrain` calls its `step`."""
    n_models = len(settings.horizons) * len(MEMBERS) * (settings.n_folds + 1)
    return n_models + 1


def retrain(
    settings: TrainingSettings, store: CandleStore, models_dir: Path, limits: Limits, step: Step
) -> Outcome:
    """Train, judge and publish one bundle; it becomes champion where there is none and it is fit.

    `step` is told of each model trained and of the gates. Raises WrongUse where bars are missing, unfit
    or too few.
    """
    minutes = Minutes()
    trained = _train(settings, store, minutes, step)
    models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with locked(models_dir):  # a draft that another training is making must not be swept away
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        draft = draft_bundle(models_dir, trained, created)
        step("gates")
        report = run_gates(draft, now_ms=SystemClock().now_ms(), limits=limits)
        bundle = publish_bundle(models_dir, draft, report)
        minutes.took("bundle and gates")
        is_champion = _appoint_first(Registry(models_dir), bundle, report, created)
        record = write_run_record(models_dir, bundle, trained, report, minutes)
    return Outcome(bundle, report, record, is_champion)


def _train(settings: TrainingSettings, store: CandleStore, minutes: Minutes, step: Step) -> Trained:
    candles = _read_candles(settings, store)
    minutes.took("candles")
    dataset = build_dataset(
        candles,
        settings.learnt_symbols,
        {symbol: companions_of(symbol) for symbol in settings.learnt_symbols},
        settings.horizons,
        settings.since_ms,
        len(settings.symbols),
    )
    _require_rows(dataset)
    minutes.took("features")
    boundaries_ms = _boundaries(dataset, settings)
    binned = bin_members(MEMBERS, dataset, _first_block(dataset, settings, boundaries_ms[0]))
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the libraries let go of the interpreter lock
        by_horizon = {
            horizon: _learn(dataset, settings, binned, horizon, boundaries_ms, pool, step)
            for horizon in settings.horizons
        }
    minutes.took("models")
    return Trained(
        settings=settings,
        candles=candles,
        dataset=dataset,
        members=MEMBERS,
        models={horizon: one.models for horizon, one in by_horizon.items()},
        meta={horizon: one.meta for horizon, one in by_horizon.items()},
        metrics={str(horizon): one.metrics for horizon, one in by_horizon.items()},
        oof_rows=by_horizon[settings.primary_horizon].metrics["oof_rows"],
    )


def _read_candles(settings: TrainingSettings, store: CandleStore) -> dict[str, Candles]:
    """The bars of all symbols and companions, each file verified first."""
    timeframe = Timeframe.parse(settings.timeframe)
    names = dict.fromkeys(
        name for symbol in settings.learnt_symbols for name in (symbol, *companions_of(symbol))
    )
    candles = {}
    for name in names:
        raw = store.read_raw(settings.venue, settings.timeframe, name)
        failures = verify(raw, timeframe, SystemClock().now_ms()).failures(MAX_UNUSABLE_SHARE)
        if failures:
            remedy = "see `python -m training verify --details`"
            raise WrongUse(f"usable bars of {name}", "; ".join(failures), remedy)
        candles[name] = store.read(settings.venue, settings.timeframe, name, until_ms=settings.until_ms)
    return candles


def _require_rows(dataset: Dataset) -> None:
    for number, symbol in enumerate(dataset.symbols):
        if not (dataset.symbol == number).any():
            raise WrongUse(
                f"bars of {symbol} and its companions with {LOOKBACK_BARS} bars before them",
                "none",
                "choose an earlier start or fetch a longer history",
            )


def _boundaries(dataset: Dataset, settings: TrainingSettings) -> list[int]:
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    start_ms, end_ms = int(dataset.known_from_ms[0]), int(dataset.known_from_ms[-1]) + length_ms
    n_first = int((end_ms - start_ms) // length_ms * settings.first_train_share)
    boundaries_ms = fold_boundaries(
        first_test_ms=start_ms + n_first * length_ms,
        end_ms=end_ms,
        n_folds=settings.n_folds,
        length_ms=length_ms,
    )
    shortest = (boundaries_ms[1] - boundaries_ms[0]) // length_ms
    needed = _BLOCKS_PER_PURGE * (settings.embargo_bars + max(settings.horizons))
    if shortest < needed:
        was = f"{settings.n_folds} blocks of about {shortest}"
        remedy = "use a longer history or fewer folds"
        raise WrongUse(f"test blocks of at least {needed} bars", was, remedy)
    return boundaries_ms


def _first_block(
    dataset: Dataset, settings: TrainingSettings, first_test_ms: int
) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The rows that every fold at every horizon trains on."""
    return _folds(dataset, settings, max(settings.horizons), [first_test_ms, 2**62])[0].train


def _folds(
    dataset: Dataset, settings: TrainingSettings, horizon: int, boundaries_ms: list[int]
) -> list[Fold]:
    return walk_forward(
        dataset.known_from_ms,
        dataset.labels[horizon].label_end_ms,
        boundaries_ms,
        settings.embargo_bars * Timeframe.parse(settings.timeframe).length_ms,
    )


def _learn(
    dataset: Dataset,
    settings: TrainingSettings,
    binned: Mapping[str, Binned],
    horizon: int,
    boundaries_ms: list[int],
    pool: Executor,
    step: Step,
) -> _Horizon:
    folds = _folds(dataset, settings, horizon, boundaries_ms)
    oof = out_of_fold(MEMBERS, binned, dataset, horizon, folds, settings.seed, pool, step)
    stacked = stack_out_of_fold(oof, dataset, horizon, folds)
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    return _Horizon(
        models=fit_final(MEMBERS, binned, dataset, horizon, settings.seed, pool, step),
        meta=fit_meta(oof, dataset, horizon),
        metrics=evaluate(dataset, horizon, oof, stacked, folds, length_ms),
    )


def _appoint_first(registry: Registry, bundle: Path, report: GateReport, created: str) -> bool:
    """The first bundle that is fit for shadow has nobody to prove itself against."""
    if report.level == "none" or registry.champion() is not None:
        return False
    registry.appoint(
        bundle.name, at=created, who="training", why="the first bundle that is fit for shadow"
    )
    return True
