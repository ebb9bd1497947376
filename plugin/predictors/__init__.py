"""Model files in, probabilities out."""

import plugin.runtimes  # noqa: F401  (before any of them is imported)
