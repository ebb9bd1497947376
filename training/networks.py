"""What do the networks of a training say of bars that they never saw, and which will serve?

A network takes minutes where a tree takes a second, so it learns anew only every second test block and
answers for the blocks up to the next time. Of what lies before its first block the last part is held
back to stop by. All horizons are learnt at once, so rows are purged by the longest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from plugin.bar import Timeframe
from plugin.errors import WrongUse
from plugin.features.joined import columns_of
from training.checkpoint import Checkpoint, Epochs, make_anew
from training.dataset import Dataset
from training.models.base import Binned
from training.models.network import NetworkMember, NetworkModel
from training.models.torch_fit import EpochDone
from training.oof import Step, unheard
from training.serving_networks import ServingNetworks
from training.settings import BLOCKS_PER_FIT, TrainingSettings
from training.splits import Fold, held_back
from training.windows import Windows, windows_over

STOPPED_BY = 0.15
"""The share of the rows to learn from that is held back to stop by."""
_TEACHER = "lgb"


@dataclass(frozen=True)
class Networks:
    """The networks of a training and the windows that each looks at; all rows of `dataset` have one.

    `length_ms` is that of a bar, `embargo_ms` and `seed` are those of the training.
    """

    members: Sequence[NetworkMember]
    dataset: Dataset
    windows: Mapping[str, Windows]
    embargo_ms: int
    seed: int

    @property
    def horizons(self) -> list[int]:
        return list(self.dataset.labels)

    def out_of_fold(
        self,
        folds: Sequence[Fold],
        binned: Mapping[str, Binned],
        pool: Executor,
        step: Step,
        kept: Checkpoint | None = None,
        word: Step = unheard,
    ) -> dict[int, NDArray[np.float64]]:
        """By horizon the probabilities (networks, rows); NaN for rows of no test block.

        `folds` are those of the longest horizon, `binned` the rows as a teacher wants them. Fits that
        have ended, and the epochs of those under way, stand in `kept`; `step` is told of each fit,
        `word` of each epoch.
        """
        fits = [folds[first : first + BLOCKS_PER_FIT] for first in range(0, len(folds), BLOCKS_PER_FIT)]
        jobs = [(blocks, member) for blocks in fits for member in self.members]

        keep = kept.piece if kept else make_anew

        def tested(job: tuple[Sequence[Fold], NetworkMember]) -> bytes:
            blocks, member = job
            name = f"{member.name}_fold{blocks[0].number}"
            rows = np.concatenate([block.test for block in blocks])
            told = _after(f"{member.name}, fold {blocks[0].number + 1}: ", word)

            def predicted() -> bytes:
                epochs = kept.epochs(name) if kept else None
                model = self._fit(member, blocks[0].train, binned, epochs, told)
                return model.predict(self.windows[member.name], rows).tobytes()

            return keep(name, predicted)

        answers = pool.map(tested, jobs)
        n_horizons = len(self.horizons)
        said = np.full((n_horizons, len(self.members), self.dataset.n_rows), np.nan)
        for (blocks, member), content in zip(jobs, answers, strict=True):
            answer = np.frombuffer(content).reshape(-1, n_horizons)
            for horizon, of_horizon in zip(self.horizons, answer.T, strict=True):
                _check_alive(member.name, horizon, of_horizon)
            rows = np.concatenate([block.test for block in blocks])
            said[:, self.members.index(member), rows] = answer.T
            step(f"{member.name}, from fold {blocks[0].number + 1} of {len(folds)}")
        return dict(zip(self.horizons, said, strict=True))

    def fit_final(
        self,
        binned: Mapping[str, Binned],
        pool: Executor,
        step: Step,
        kept: Checkpoint | None = None,
        word: Step = unheard,
    ) -> ServingNetworks:
        """Every network, learnt from all rows but those that it is stopped by: they will serve.

        `kept` and `word` as in `out_of_fold`.
        """
        rows = np.arange(self.dataset.n_rows)
        keep = kept.piece if kept else make_anew

        def fitted(member: NetworkMember) -> bytes:
            name, told = f"{member.name}_final", _after(f"{member.name}, final: ", word)
            epochs = kept.epochs(name) if kept else None
            return keep(name, lambda: self._fit(member, rows, binned, epochs, told).content())

        models = {}
        for member, content in zip(self.members, pool.map(fitted, self.members), strict=True):
            n_features = self.windows[member.name].values.shape[1]
            models[member.name] = member.load(content, n_features, len(self.horizons))
            step(f"{member.name}, final")
        return ServingNetworks(self, models)

    def seen(self, serving: ServingNetworks, fold: NDArray[np.int64]) -> NDArray[np.float64]:
        """What the networks that serve say of the out-of-fold rows: (horizons, networks, rows)."""
        rows = np.flatnonzero(fold >= 0)
        seen = np.full((len(self.horizons), len(self.members), fold.size), np.nan)
        for number, member in enumerate(self.members):
            seen[:, number, rows] = serving.predict(member, rows).T
        return seen

    def _fit(
        self,
        member: NetworkMember,
        rows: NDArray[np.int64],
        binned: Mapping[str, Binned],
        epochs: Epochs | None,
        told: EpochDone,
    ) -> NetworkModel:
        dataset = self.dataset
        label_end_ms = np.max([labels.label_end_ms for labels in dataset.labels.values()], axis=0)
        learnt_from, stopped_by = held_back(
            dataset.known_from_ms, label_end_ms, rows, STOPPED_BY, self.embargo_ms
        )
        labels = [labels.up for labels in dataset.labels.values()]
        taught = self._taught(learnt_from, binned) if member.distilled else []
        targets = np.stack([*labels, *taught], axis=1).astype(np.float32)
        return member.learn(
            self.windows[member.name],
            learnt_from,
            stopped_by,
            targets,
            len(labels),
            self.seed,
            epochs=epochs,
            epoch_done=told,
        )

    def _taught(
        self, learnt_from: NDArray[np.int64], binned: Mapping[str, Binned]
    ) -> list[NDArray[np.float64]]:
        """What the teacher says of the rows that both have learnt from, by horizon; NaN elsewhere."""
        if _TEACHER not in binned:
            raise WrongUse(f"the member {_TEACHER}, from whom a network learns", "none", "add it")
        teacher = binned[_TEACHER]
        columns = columns_of("base")
        rows = np.ascontiguousarray(self.dataset.rows[learnt_from][:, columns])
        taught = []
        for labels in self.dataset.labels.values():
            known = learnt_from[~np.isnan(labels.up[learnt_from])]
            said = np.full(self.dataset.n_rows, np.nan)
            said[learnt_from] = teacher.fit(known, labels.up, self.seed).predict(rows)
            taught.append(said)
        return taught


def networks_of(
    settings: TrainingSettings, members: Sequence[NetworkMember], dataset: Dataset
) -> Networks:
    """The networks over `dataset` without the rows that lack a window.

    All members are then judged on the same rows, and an answer is missing nowhere.
    """
    length_ms = Timeframe.parse(settings.timeframe).length_ms
    window = partial(windows_over, dataset, length_ms=length_ms)
    windows = {
        member.name: window(columns=columns_of(member.feature_set), n_steps=member.n_steps)
        for member in members
    }
    whole = np.all([one.whole for one in windows.values()], axis=0)
    if not whole.any():
        longest = max(member.n_steps for member in members)
        raise WrongUse(f"{longest} bars in a row", "none without a hole", "use a longer history")
    rows = np.flatnonzero(whole)
    return Networks(
        members,
        dataset.only(rows),
        {name: one.only(rows) for name, one in windows.items()},
        settings.embargo_bars * length_ms,
        settings.seed,
    )


def _after(which: str, word: Step) -> EpochDone:
    """Tells `word` of the epochs of that fit."""
    return lambda epoch: word(which + epoch)


def _check_alive(name: str, horizon: int, said: NDArray[np.float64]) -> None:
    if not np.isfinite(said).all() or not np.ptp(said) > 0.0:
        raise WrongUse(
            f"a network {name} that tells bars apart",
            f"one that says the same, or nothing, of every bar at {horizon} bars",
            "use a longer history or a lower learning rate",
        )
