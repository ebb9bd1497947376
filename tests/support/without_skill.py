"""A market that nobody can foresee, and a model that tries."""

import numpy as np
from scipy.signal import lfilter

HORIZONS = (1, 5, 12, 24)


def without_skill(rng, n, horizon, persistence=0.9):
    """AR(1) scores and the returns over the next `horizon` steps of a random walk, each (n,)."""
    scores = lfilter([1.0], [1.0, -persistence], rng.standard_normal(n))
    walk = np.concatenate(([0.0], np.cumsum(rng.standard_normal(n + horizon))))
    return scores, walk[horizon : horizon + n] - walk[:n]


def probabilities(scores):
    """Scores as plausible probabilities of the next bars, most of them within 0.4 to 0.6."""
    return np.clip(0.5 + 0.02 * scores, 0.01, 0.99)
