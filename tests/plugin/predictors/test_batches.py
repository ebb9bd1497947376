"""A row's answer has the same bits in any company, whatever the runtime does with batches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.features.joined import FEATURE_SETS, columns_of
from plugin.predictors.batches import NARROW, WIDE, BatchedSession, trial_rows
from plugin.predictors.onnxrt import Network, read_onnx
from tests.support import networks
from tests.support.networks import FEATURES, random_rows

COLUMNS = columns_of(FEATURES)
ROWS = random_rows(0, 30 * WIDE + 7)


@dataclass
class RoundsByWidth:
    """Stands in for a processor on which batches of another size have other bits: no host at hand has
    one. Doubles its rows; adds `wide_more` to the last one of a wide batch."""

    wide_more: float
    sizes: list[int] = field(default_factory=list)

    def run(
        self, said: Sequence[str], asked: Mapping[str, NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        answer = asked["rows"] * np.float32(2.0)
        self.sizes.append(len(answer))
        if len(answer) == WIDE:
            answer[-1] += np.float32(self.wide_more)
        return [answer]


def tried(wide_more: float) -> tuple[BatchedSession, RoundsByWidth]:
    runtime = RoundsByWidth(wide_more)
    session, _ = BatchedSession(runtime, ("up",)).tried({"rows": trial_rows(3)})
    runtime.sizes.clear()
    return session, runtime


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
    session, runtime = tried(0.0)
    rows = np.ones((n, 3), dtype=np.float32)
    (said,) = session.ask({"rows": rows}, n)
    assert runtime.sizes == sizes
    np.testing.assert_array_equal(said, 2.0 * rows)


def test_where_wide_batches_have_other_bits_all_stay_narrow() -> None:
    session, runtime = tried(1e-6)
    session.ask({"rows": np.ones((WIDE, 3), dtype=np.float32)}, WIDE)
    assert runtime.sizes == [NARROW] * (WIDE // NARROW)


@pytest.mark.parametrize("n_hidden", [5, 8, 13])
@pytest.mark.parametrize("activation", ["Elu", "Relu", "Sigmoid", "Tanh"])
def test_a_real_session_answers_a_row_alike_in_any_company(activation: str, n_hidden: int) -> None:
    network = _network(activation, n_hidden)
    together = network.probability(ROWS)
    narrow = replace(network, session=replace(network.session, goes_wide=False))
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
