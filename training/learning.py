"""What have all members learnt, and what do they say of bars that they never saw?"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from plugin.errors import WrongUse
from training.checkpoint import Checkpoint
from training.dataset import Dataset
from training.material import Folds
from training.models.base import Model
from training.oof import OutOfFold, Step, bin_members, fit_final, out_of_fold, predict_seen, unheard
from training.regime import LearntRegime, learn_regime
from training.run_record import Minutes
from training.settings import TrainingSettings

if TYPE_CHECKING:  # torch takes seconds to import, and trees alone go without it
    from training.networks import Networks
    from training.serving_networks import ServingNetworks


@dataclass(frozen=True)
class Learnt:
    """By horizon: what all members say out of fold, the row members' models that will serve, and what
    all of those that will serve say of the out-of-fold rows, (members, rows). `networks` will serve,
    too, at all horizons; None where the training has none. So will `regime`."""

    oof: Mapping[int, OutOfFold]
    models: Mapping[int, Mapping[str, Model]]
    seen: Mapping[int, NDArray[np.float64]]
    networks: ServingNetworks | None
    regime: LearntRegime


def open_networks(settings: TrainingSettings, dataset: Dataset) -> Networks | None:
    """The networks of the training, which may leave out some rows; None where it has none."""
    if not settings.networks:
        return None
    check_installed()
    from training.network_members import chosen
    from training.networks import networks_of

    return networks_of(settings, chosen(settings), dataset)


def check_installed() -> None:
    """Raises WrongUse where networks can not be trained."""
    if not (find_spec("torch") and find_spec("onnx")):
        remedy = "pip install 'shadowgate[networks]'"
        raise WrongUse("torch and onnx, to train networks", "not installed", remedy)


def learn(
    settings: TrainingSettings,
    dataset: Dataset,
    folds: Folds,
    networks: Networks | None,
    kept: Checkpoint,
    step: Step,
    minutes: Minutes,
    word: Step = unheard,
) -> Learnt:
    """Let every member learn, fold by fold and for serving. Finished pieces stand in `kept`; `step` is
    told of each, `word` of each epoch of a network."""
    longest = max(settings.horizons)
    members, seed, keep = settings.row_members, settings.seed, kept.piece
    binned = bin_members(members, dataset, folds[longest][0].train)
    oof, models, seen = {}, {}, {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # the libraries let go of the interpreter lock
        for horizon in settings.horizons:
            said = out_of_fold(
                members, binned, dataset, horizon, folds[horizon], seed, pool, step, keep
            )
            models[horizon] = fit_final(members, binned, dataset, horizon, seed, pool, step, keep)
            seen[horizon] = predict_seen(members, models[horizon], dataset, said)
            oof[horizon] = said
        regime = learn_regime(settings, dataset, folds[longest], pool, keep, step)
        minutes.took("models")
        if networks is None:
            return Learnt(oof, models, seen, None, regime)
        said_by_networks = networks.out_of_fold(folds[longest], binned, pool, step, kept, word)
        serving = networks.fit_final(binned, pool, step, kept, word)
        minutes.took("networks")
    names = settings.networks
    fold = oof[longest].fold
    for horizon, of_networks in zip(oof, networks.seen(serving, fold), strict=True):
        oof[horizon] = oof[horizon].and_networks(names, said_by_networks[horizon])
        seen[horizon] = np.vstack([seen[horizon], of_networks])
    return Learnt(oof, models, seen, serving, regime)
