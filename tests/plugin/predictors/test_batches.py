"""A row's answer has the same bits in any company, whatever the runtime does with batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.features.joined import FEATURE_SETS, columns_of
from plugin.predictors.batches import ALONE, ALONE_KEY, NARROW, WIDE, BatchedSession, trial_rows
from plugin.predictors.onnxrt import Network, read_onnx
from tests.support import networks
from tests.support.networks import FEATURES, random_rows

COLUMNS = columns_of(FEATURES)
ROWS = random_rows(0, 30 * WIDE + 7)


@dataclass
class Rounds:
    """Stands in for a processor on which other batches have other bits: no host at hand has one.

    Doubles its rows; adds `more` to the last one of a batch of `size`. Its file `allows` a row alone.
    """

    more: float = 0.0
    size: int = WIDE
    allows: str = "no"
    sizes: list[int] = field(default_factory=list)

    def run(
        self, said: Sequence[str], asked: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        answer = asked["rows"] * np.float32(2.0)
        self.sizes.append(len(answer))
        if len(answer) == self.size:
            answer[-1] += np.float32(self.more)
        return [answer]

    def get_modelmeta(self) -> SimpleNamespace:
        return SimpleNamespace(custom_metadata_map={ALONE_KEY: self.allows})


def sizes_asked(runtime: Rounds, n: int) -> list[int]:
    """By which batches `n` rows are asked, after a trial."""
    session, answers = BatchedSession(runtime, ("up",)).tried({"rows": trial_rows(3)})
    np.testing.assert_allclose(answers[0], 2.0 * trial_rows(3), rtol=1e-5)
    runtime.sizes.clear()
    (said,) = session.ask({"rows": np.ones((n, 3), dtype=np.float32)}, n)
    np.testing.assert_allclose(said, np.full((n, 3), 2.0), rtol=1e-5)
    return runtime.sizes


@pytest.mark.parametrize(
    ("n", "sizes"),
    [
        (0, [NARROW]),
        (1, [NARROW]),
        (16, [NARROW] * 4),
        (17, [WIDE]),
        (WIDE + 5, [WIDE, NARROW, NARROW]),
        (WIDE + 40, [WIDE, WIDE]),
    ],
)
def test_many_rows_go_wide(n: int, sizes: list[int]) -> None:
    assert sizes_asked(Rounds(), n) == sizes


@pytest.mark.parametrize(
    ("n", "sizes"), [(1, [ALONE]), (4, [NARROW]), (5, [NARROW, ALONE]), (6, [NARROW] * 2)]
)
def test_one_row_goes_alone_where_its_file_allows_it(n: int, sizes: list[int]) -> None:
    assert sizes_asked(Rounds(allows="yes"), n) == sizes


def test_where_a_row_alone_has_other_bits_it_is_not() -> None:
    assert sizes_asked(Rounds(1e-6, ALONE, allows="yes"), 1) == [NARROW]


def test_where_wide_batches_have_other_bits_all_stay_narrow() -> None:
    assert sizes_asked(Rounds(1e-6, WIDE), WIDE) == [NARROW] * (WIDE // NARROW)


def test_where_the_place_in_a_batch_changes_bits_every_row_is_alone() -> None:
    assert sizes_asked(Rounds(1e-6, NARROW), 6) == [ALONE] * 6


@pytest.mark.parametrize("n_hidden", [5, 8, 13])
@pytest.mark.parametrize("activation", ["Elu", "Relu", "Sigmoid", "Tanh"])
def test_a_real_session_answers_a_row_alike_in_any_company(activation: str, n_hidden: int) -> None:
    network = _network(activation, n_hidden)
    together = network.probability(ROWS)
    assert network.session.sizes >= {NARROW}
    narrow = replace(network, session=replace(network.session, sizes=frozenset({NARROW})))
    for some in (1, 3, 20, WIDE):
        apart = [narrow.probability(ROWS[first : first + some]) for first in range(0, len(ROWS), some)]
        assert np.concatenate(apart).tobytes() == together.tobytes()


def _network(activation: str, n_hidden: int) -> Network:
    made = networks.network(1, np.ascontiguousarray(ROWS[:, COLUMNS]), n_hidden=n_hidden)
    content = replace(made, activation=activation).content()
    return read_onnx("net_h5.onnx", content, FEATURE_SETS[FEATURES].names, COLUMNS)


def test_the_rows_of_a_trial_differ_by_magnitudes() -> None:
    sizes = np.abs(trial_rows(47, 80)).mean(axis=(1, 2))
    assert sizes.max() / sizes.min() > 1_000.0
