"""Damaged texts whose hashes are right, 300 of each library: none crashes, hangs or serves wrongly.

LightGBM's own parser, tried on texts like these, ended its process for two out of three of them.
"""

import dataclasses
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest

from plugin.bundle import Bundle, load_bundle
from plugin.canary import TOLERANCE, Golden, answer_golden, check_in_child, largest_difference
from plugin.errors import BundleRefused
from plugin.features.joined import FEATURE_SETS, ROW_NAMES, columns_of
from plugin.manifest import MemberFile
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.predictors.trees import Trees
from plugin.predictors.xgboost_json import read_xgboost
from tests.support.bundles import bundle_of, reseal
from tests.support.damage import damaged
from tests.support.small_training import SmallTraining

N_CASES = 300
N_IN_CHILD = 10
LIMIT_S = 5
HORIZON = 5
READERS = {"lightgbm": read_lightgbm, "xgboost": read_xgboost}

_load = lru_cache(load_bundle)


@dataclass(frozen=True)
class Target:
    """One model file of an intact bundle, to be damaged."""

    bundle: Bundle
    golden: Golden
    model: MemberFile
    text: bytes

    @classmethod
    def of(cls, folder: Path, kind: str) -> "Target":
        bundle = _load(folder)
        model = next(m for m in bundle.manifest.members if (m.kind, m.horizon) == (kind, HORIZON))
        return cls(bundle, Golden.decode(bundle.golden), model, (folder / model.file).read_bytes())

    def read(self, text: bytes) -> Trees:
        features = self.model.feature_set
        names, columns = FEATURE_SETS[features].names, columns_of(features)
        return READERS[self.model.kind](self.model.file, text, names, columns)

    def serves(self, trees: Trees) -> bool:
        """Whether the canary would let the bundle pass with these trees."""
        member, golden = self.model.member, self.golden
        models = {**self.bundle.models, member: {**self.bundle.models[member], HORIZON: trees}}
        changed = dataclasses.replace(self.bundle, models=models)
        try:
            answered = answer_golden(changed, golden.bars, golden.open_time_ms)
        except BundleRefused:
            return False
        return largest_difference(golden, answered) <= TOLERANCE

    def difference(self, trees: Trees) -> float:
        """From what the library said, on the golden rows; not the canary's own way to find it."""
        place = self.bundle.manifest.member_names.index(self.model.member)
        expected = self.golden.members[:, place, self.bundle.manifest.horizons.index(HORIZON)]
        return float(np.abs(trees.probability(self.golden.rows) - expected).max())


@contextmanager
def time_limit() -> Iterator[None]:
    """Ends what takes longer than any parser may."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", READERS)
def test_damaged_texts_are_refused_or_walk_to_an_end_and_serve_only_the_same_answers(
    small_training: SmallTraining, kind: str
) -> None:
    target = Target.of(small_training.outcome.bundle, kind)
    rows = np.random.default_rng(0).standard_normal((50, len(ROW_NAMES))).astype(np.float32)
    counts = Counter[str]()
    assert target.serves(target.read(target.text))
    for seed in range(N_CASES):
        with time_limit():
            try:
                trees = target.read(damaged(target.text, seed))
            except BundleRefused as error:
                assert error.file == target.model.file, seed
                counts["refused"] += 1
                continue
            trees.probability(rows)  # comes to an end
            serves = target.serves(trees)
        assert serves == (target.difference(trees) <= TOLERANCE), seed
        counts["serves" if serves else "stopped by the canary"] += 1
    print(kind, dict(counts))
    assert counts["refused"] > N_CASES / 4
    assert counts["stopped by the canary"] > 0


@pytest.mark.parametrize("kind", READERS)
def test_the_child_stops_what_this_process_would_stop(models: Path, kind: str) -> None:
    bundle = bundle_of(models)
    target = Target.of(bundle, kind)
    verdicts = []
    for seed in range(N_IN_CHILD):
        content = damaged(target.text, seed)
        (bundle / target.model.file).write_bytes(content)
        reseal(bundle)
        try:
            serves = target.serves(target.read(content))
        except BundleRefused:
            serves = False
        verdicts.append(serves)
        assert (check_in_child(bundle).refusal is None) == serves, seed
    assert False in verdicts
