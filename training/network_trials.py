"""What is a trial of a network's parameters worth?

It learns and answers as in a training, but for fewer epochs: anew for every second block of the
walk-forward inside the first block, taught by a LightGBM with default parameters.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from training.dataset import Dataset
from training.material import first_block
from training.network_members import DEFAULTS, chosen, with_parameters
from training.networks import networks_of
from training.oof import Step, bin_members, unheard
from training.settings import TUNABLE, TrainingSettings
from training.trials import Subject, cut_block

SPACE: dict[str, BaseDistribution] = {
    "width": IntDistribution(16, 96, step=16),  # heads of attention share it evenly
    "dropout": FloatDistribution(0.1, 0.6),
    "learning_rate": FloatDistribution(0.0002, 0.005, log=True),
    "weight_decay": FloatDistribution(0.0001, 0.1, log=True),
}
EPOCHS, PATIENCE = 8, 2


def network_subject(
    settings: TrainingSettings, dataset: Dataset, horizon: int, word: Step = unheard
) -> Subject:
    """The one network of the `settings`. `word` is told of each epoch."""
    [member] = chosen(settings)
    member = replace(member, settings=replace(member.settings, epochs=EPOCHS, patience=PATIENCE))
    networks = networks_of(settings, [member], first_block(settings, dataset))
    block = cut_block(settings, networks.dataset, horizon)
    binned = bin_members([TUNABLE], block.rows, block.longest[0].train)

    def areas(parameters: Mapping[str, float]) -> list[float]:
        tried = replace(networks, members=[with_parameters(member, parameters)])
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            said = tried.out_of_fold(block.longest, binned, pool, unheard, word=word)
        return block.areas(said[horizon][0])

    return Subject(member.name, SPACE, DEFAULTS[member.name], block, areas)
