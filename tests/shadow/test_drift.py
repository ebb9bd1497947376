"""Does a block look like its reference, and how often is that denied by chance?"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from shadow.drift import N_BINS, drifting, ks, limits_of, psi, reference_of


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(5)


def slow_walk(random: np.random.Generator, n: int, n_features: int) -> NDArray[np.float32]:
    """Features that remember some hundred rows: no block of them looks like the long run."""
    shocks = random.standard_normal((n, n_features))
    rows = np.empty_like(shocks)
    rows[0] = shocks[0]
    for row in range(1, n):
        rows[row] = 0.995 * rows[row - 1] + 0.1 * shocks[row]
    return rows.astype(np.float32)


def blocks_of(rows: NDArray[np.float32], length: int = 500) -> list[NDArray[np.float32]]:
    return [rows[first : first + length] for first in range(0, len(rows) - length + 1, 250)]


def test_ks_is_scipys_with_and_without_ties(random: np.random.Generator) -> None:
    reference = random.standard_normal((3_000, 3)).astype(np.float32)
    reference[:, 1] = random.integers(0, 5, 3_000)
    block = (0.3 + 1.2 * random.standard_normal((400, 3))).astype(np.float32)
    block[:, 1] = random.integers(1, 7, 400)
    expected = [ks_2samp(reference[:, one], block[:, one]).statistic for one in range(3)]
    np.testing.assert_allclose(ks(reference_of(reference), block), expected, atol=1e-12)


def test_psi_is_the_sum_over_the_deciles(random: np.random.Generator) -> None:
    reference = random.standard_normal((1_000, 1)).astype(np.float32)
    block = (0.5 + random.standard_normal((200, 1))).astype(np.float32)
    edges = np.sort(reference[:, 0])[np.arange(1, N_BINS) * 100]
    shares = [
        np.bincount(np.searchsorted(edges, rows[:, 0], side="right"), minlength=N_BINS) / len(rows)
        for rows in (reference, block)
    ]
    r, b = shares[0], np.maximum(shares[1], 0.5 / 200)
    assert np.abs(r - 0.1).max() == 0.0
    np.testing.assert_allclose(psi(reference_of(reference), block), ((b - r) * np.log(b / r)).sum())


def test_the_reference_itself_lies_nowhere_else(random: np.random.Generator) -> None:
    rows = random.standard_normal((800, 4)).astype(np.float32)
    rows[:, 2] = 1.0  # a constant has all its deciles in one place
    reference = reference_of(rows)
    assert psi(reference, rows).max() == 0.0
    assert ks(reference, rows).max() == 0.0
    moved = rows + np.float32(10.0)
    np.testing.assert_allclose(ks(reference, moved), 1.0)
    assert psi(reference, moved)[[0, 1, 3]].min() > 1.0


def test_slow_features_do_not_drift_always_and_a_shift_is_seen(random: np.random.Generator) -> None:
    rows = slow_walk(random, 40_000, 20)
    past, later = rows[:30_000], rows[30_000:]
    reference = reference_of(past)
    limits = limits_of(reference, blocks_of(past))
    shares = [drifting(reference, limits, block).mean() for block in blocks_of(later)]
    assert np.mean([share > limits.share for share in shares]) <= 0.2
    assert min(float(ks(reference, block).max()) for block in blocks_of(later)) > 0.1, (
        "tables for independent rows would call every block drift"
    )
    shifted = later[:500] + np.float32(4.0)
    assert drifting(reference, limits, shifted).mean() > limits.share


def test_limits_leave_a_twentieth_of_the_blocks_beyond_them(random: np.random.Generator) -> None:
    rows = slow_walk(random, 30_000, 5)
    reference, blocks = reference_of(rows), blocks_of(rows)
    limits = limits_of(reference, blocks)
    beyond = np.mean([psi(reference, block) > limits.psi for block in blocks], axis=0)
    assert beyond.min() >= 0.03
    assert beyond.max() <= 0.05
    shares = [drifting(reference, limits, block).mean() for block in blocks]
    assert np.mean([share > limits.share for share in shares]) <= 0.05


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused_and_not_counted(value: float) -> None:
    sound = np.arange(20, dtype=np.float32).reshape(10, 2)
    broken = sound.copy()
    broken[3, 1] = value
    reference = reference_of(sound)
    for call in (reference_of, lambda rows: psi(reference, rows), lambda rows: ks(reference, rows)):
        for rows in (broken, sound[:0]):
            with pytest.raises(ValueError, match="finite"):
                call(rows)


def test_one_block_gives_no_limits() -> None:
    rows = np.arange(20, dtype=np.float32).reshape(10, 2)
    with pytest.raises(ValueError, match="two blocks"):
        limits_of(reference_of(rows), [rows])
