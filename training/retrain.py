"""How do candles become a judged bundle? The whole walk of a training, from top to bottom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from gates.limits import Limits
from gates.promotion import Standing, enter
from gates.runner import run_gates
from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.clock import SystemClock
from plugin.durable import locked
from plugin.manifest import GateReport
from plugin.meta_model import HorizonModel
from plugin.registry import Registry
from training.ablation import what_each_adds
from training.attempts import BY_COMMAND, counted
from training.bundle_writer import draft_bundle, publish_bundle
from training.checkpoint import open_checkpoint, training_key
from training.dataset import Dataset
from training.evaluate import evaluate, judged_rows
from training.learning import Learnt, learn, open_networks
from training.material import Folds, read_candles, rows_and_labels, split_rows
from training.models.base import Described
from training.oof import OutOfFold, Step, unheard
from training.regime import CLASSIFIERS
from training.run_record import Minutes, Walk, write_run_record
from training.settings import BLOCKS_PER_FIT, TrainingSettings
from training.stacking import fit_meta, stack_out_of_fold
from training.trained import Trained


@dataclass(frozen=True)
class Outcome:
    """What a training led to. `record` is what stands in `models/runs/<bundle id>.json`."""

    bundle: Path
    report: GateReport
    record: dict[str, Any]
    role: Standing


def n_steps(settings: TrainingSettings) -> int:
    """How often `retrain` calls its `step`."""
    n_asked = len(settings.horizons) * len(settings.row_members) + len(CLASSIFIERS)
    n_models = n_asked * (settings.n_folds + 1)
    n_fits = -(-settings.n_folds // BLOCKS_PER_FIT) + 1
    return n_models + len(settings.networks) * n_fits + 1


def retrain(
    settings: TrainingSettings,
    store: CandleStore,
    models_dir: Path,
    limits: Limits,
    step: Step,
    *,
    trigger: str = BY_COMMAND,
    resume: bool = False,
    word: Step = unheard,
) -> Outcome:
    """Train, judge and publish one bundle, and give it the role that its gates allow.

    The training is counted, with its `trigger`. Where it is to `resume`, it goes on where the same one
    was cut off. `step` is told of each model and of the gates, `word` of each epoch of a network.
    Raises WrongUse where bars are missing, unfit or too few, or where the same training is under way.
    """
    minutes = Minutes()
    # Fits run side by side, one thread each. Products of matrices in threads of their own would wait
    # for each other by spinning, and might have other bits on another number of cores.
    with counted(models_dir, trigger) as training, threadpool_limits(1, user_api="blas"):
        candles = read_candles(settings, store)
        minutes.took("candles")
        dataset = rows_and_labels(settings, candles)
        networks = open_networks(settings, dataset)
        dataset = networks.dataset if networks else dataset
        folds = split_rows(settings, dataset)
        minutes.took("features")
        members = settings.row_members
        networked = networks.members if networks else ()
        described: list[Described] = [*members, *CLASSIFIERS, *networked]
        with open_checkpoint(
            models_dir, training_key(settings, candles, described), resume=resume
        ) as kept:
            learnt = learn(settings, dataset, folds, networks, kept, step, minutes, word)
            stacked, meta, without = _stack(settings, dataset, folds, learnt.oof)
            metrics = _evaluate(settings, dataset, folds, learnt, stacked)
            oof = learnt.oof
            trained = Trained(
                settings=settings,
                candles=candles,
                dataset=dataset,
                members=members,
                models=learnt.models,
                networks=learnt.networks,
                regime=learnt.regime,
                meta=meta,
                meta_without_networks=without,
                metrics=metrics,
                adds=_adds(settings, dataset, folds, oof, stacked, metrics),
                evidence=judged_rows(dataset, oof, stacked),
                oof_rows=metrics[str(settings.primary_horizon)]["oof_rows"],
            )
            minutes.took("figures")
            with locked(models_dir):  # from the name of the draft to its role, nobody else writes here
                now_ms = SystemClock().now_ms()
                created = _free_second(models_dir, now_ms)
                draft = draft_bundle(models_dir, trained, created)
                step("gates")
                report = run_gates(draft, now_ms=now_ms, limits=limits)
                bundle = publish_bundle(models_dir, draft, report)
                role = enter(Registry(models_dir), bundle.name, report, at=created, who="training")
                minutes.took("gates")
                walk = Walk(training.number, trigger, role, kept.reused, kept.damaged, minutes)
                record = write_run_record(models_dir, bundle, trained, report, walk)
        training.end(role, bundle.name, _why_unfit(report))
    return Outcome(bundle, report, record, role)


def _stack(
    settings: TrainingSettings, dataset: Dataset, folds: Folds, oof: Mapping[int, OutOfFold]
) -> tuple[dict[int, NDArray[np.float64]], dict[int, HorizonModel], dict[int, HorizonModel]]:
    """By horizon: what the stack says out of fold, the meta-model that will serve, and, where there are
    networks, the one for when they can not answer."""
    how = settings.meta, settings.seed
    stacked = {
        horizon: stack_out_of_fold(said, dataset, horizon, folds[horizon], *how)
        for horizon, said in oof.items()
    }
    meta = {horizon: fit_meta(said, dataset, horizon, *how) for horizon, said in oof.items()}
    without = {
        horizon: fit_meta(said.without(settings.networks), dataset, horizon, *how)
        for horizon, said in oof.items()
        if settings.networks
    }
    return stacked, meta, without


def _evaluate(
    settings: TrainingSettings,
    dataset: Dataset,
    folds: Folds,
    learnt: Learnt,
    stacked: Mapping[int, NDArray[np.float64]],
) -> dict[str, Any]:
    """By horizon, as the manifest spells it: how good all of them are."""
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    return {
        str(horizon): evaluate(
            dataset, horizon, said, stacked[horizon], learnt.seen[horizon], folds[horizon], length_ms
        )
        for horizon, said in learnt.oof.items()
    }


def _adds(
    settings: TrainingSettings,
    dataset: Dataset,
    folds: Folds,
    oof: Mapping[int, OutOfFold],
    stacked: Mapping[int, NDArray[np.float64]],
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """What each member adds to the stack, at the primary horizon."""
    horizon = settings.primary_horizon
    return what_each_adds(
        dataset,
        horizon,
        oof[horizon],
        stacked[horizon],
        folds[horizon],
        settings,
        Timeframe.parse(settings.timeframe).length_ms,
        metrics[str(horizon)]["member_correlation"],
    )


def _free_second(models_dir: Path, now_ms: int) -> str:
    """The first second from now on at which no bundle was made: a bundle's name begins with it."""
    moment = datetime.fromtimestamp(now_ms // 1000, UTC)
    while any((models_dir / "bundles").glob(f"{moment:%Y%m%dT%H%M%SZ}-*")):
        moment += timedelta(seconds=1)
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _why_unfit(report: GateReport) -> str | None:
    missing = [one.name for one in report.results if one.level == "shadow" and one.verdict != "pass"]
    return f"not passed: {', '.join(missing)}" if missing else None
