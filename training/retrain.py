"""How do candles become a judged bundle? The whole walk of a training, from top to bottom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gates.limits import Limits
from gates.promotion import Standing, enter
from gates.runner import run_gates
from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.clock import SystemClock
from plugin.durable import locked
from plugin.manifest import GateReport
from plugin.meta_model import LogisticModel
from plugin.registry import Registry
from training.attempts import BY_COMMAND, counted
from training.bundle_writer import Trained, draft_bundle, publish_bundle
from training.checkpoint import Keep, open_checkpoint, training_key
from training.dataset import Dataset
from training.evaluate import evaluate, judged_rows
from training.material import Folds, read_candles, rows_and_labels, split_rows
from training.models.base import Model
from training.oof import OutOfFold, Step, bin_members, fit_final, out_of_fold, predict_seen
from training.run_record import Minutes, Walk, write_run_record
from training.settings import TrainingSettings
from training.stacking import fit_meta, stack_out_of_fold


@dataclass(frozen=True)
class Outcome:
    """What a training led to. `record` is what stands in `models/runs/<bundle id>.json`."""

    bundle: Path
    report: GateReport
    record: dict[str, Any]
    role: Standing


def n_steps(settings: TrainingSettings) -> int:
    """How often `retrain` calls its `step`."""
    n_models = len(settings.horizons) * len(settings.row_members) * (settings.n_folds + 1)
    return n_models + 1


def retrain(
    settings: TrainingSettings,
    store: CandleStore,
    models_dir: Path,
    limits: Limits,
    step: Step,
    *,
    trigger: str = BY_COMMAND,
    resume: bool = False,
) -> Outcome:
    """Train, judge and publish one bundle, and give it the role that its gates allow.

    The training is counted, with its `trigger`. Where it is to `resume`, it goes on where the same one
    was cut off. `step` is told of each model and of the gates. Raises WrongUse where bars are missing,
    unfit or too few, or where the same training is under way.
    """
    minutes = Minutes()
    with counted(models_dir, trigger) as training:
        candles = read_candles(settings, store)
        minutes.took("candles")
        dataset = rows_and_labels(settings, candles)
        folds = split_rows(settings, dataset)
        minutes.took("features")
        key = training_key(settings, candles)
        with open_checkpoint(models_dir, key, resume=resume) as kept:
            oof, models = _learn(settings, dataset, folds, kept.piece, step)
            stacked, meta = _stack(dataset, folds, oof)
            metrics = _evaluate(settings, dataset, folds, oof, stacked, models)
            trained = Trained(
                settings=settings,
                candles=candles,
                dataset=dataset,
                members=settings.row_members,
                models=models,
                meta=meta,
                metrics=metrics,
                evidence=judged_rows(dataset, oof, stacked),
                oof_rows=metrics[str(settings.primary_horizon)]["oof_rows"],
            )
            minutes.took("models")
            with locked(models_dir):  # from the name of the draft to its role, nobody else writes here
                now_ms = SystemClock().now_ms()
                created = _free_second(models_dir, now_ms)
                draft = draft_bundle(models_dir, trained, created)
                step("gates")
                report = run_gates(draft, now_ms=now_ms, limits=limits)
                bundle = publish_bundle(models_dir, draft, report)
                role = enter(Registry(models_dir), bundle.name, report, at=created, who="training")
                minutes.took("bundle and gates")
                walk = Walk(training.number, trigger, role, kept.reused, kept.damaged, minutes)
                record = write_run_record(models_dir, bundle, trained, report, walk)
        training.end(role, bundle.name, _why_unfit(report))
    return Outcome(bundle, report, record, role)


def _learn(
    settings: TrainingSettings, dataset: Dataset, folds: Folds, keep: Keep, step: Step
) -> tuple[dict[int, OutOfFold], dict[int, dict[str, Model]]]:
    """By horizon: what every member says out of fold, and every member's model that will serve."""
    every_fold_learns_from = folds[max(settings.horizons)][0].train
    members = settings.row_members
    binned = bin_members(members, dataset, every_fold_learns_from)
    oof, models = {}, {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the libraries let go of the interpreter lock
        for horizon in settings.horizons:
            seed, of_horizon = settings.seed, folds[horizon]
            oof[horizon] = out_of_fold(
                members, binned, dataset, horizon, of_horizon, seed, pool, step, keep
            )
            models[horizon] = fit_final(members, binned, dataset, horizon, seed, pool, step, keep)
    return oof, models


def _stack(
    dataset: Dataset, folds: Folds, oof: Mapping[int, OutOfFold]
) -> tuple[dict[int, NDArray[np.float64]], dict[int, LogisticModel]]:
    """By horizon: what the stack says out of fold, and the meta-model that will serve."""
    stacked = {
        horizon: stack_out_of_fold(said, dataset, horizon, folds[horizon])
        for horizon, said in oof.items()
    }
    return stacked, {horizon: fit_meta(said, dataset, horizon) for horizon, said in oof.items()}


def _evaluate(
    settings: TrainingSettings,
    dataset: Dataset,
    folds: Folds,
    oof: Mapping[int, OutOfFold],
    stacked: Mapping[int, NDArray[np.float64]],
    models: Mapping[int, Mapping[str, Model]],
) -> dict[str, Any]:
    """By horizon, as the manifest spells it: how good all of them are."""
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    metrics = {}
    for horizon, said in oof.items():
        seen = predict_seen(settings.row_members, models[horizon], dataset, said)
        metrics[str(horizon)] = evaluate(
            dataset, horizon, said, stacked[horizon], seen, folds[horizon], length_ms
        )
    return metrics


def _free_second(models_dir: Path, now_ms: int) -> str:
    """The first second from now on at which no bundle was made: a bundle's name begins with it."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    while any((models_dir / "bundles").glob(f"{moment:%Y%m%dT%H%M%SZ}-*")):
        moment += timedelta(seconds=1)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _why_unfit(report: GateReport) -> str | None:
    missing = [one.name for one in report.results if one.level == "shadow" and one.verdict != "pass"]
    return f"not passed: {', '.join(missing)}" if missing else None
