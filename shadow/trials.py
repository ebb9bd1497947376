"""How many candidates were tried so far? The best of many looks good without being so."""

from __future__ import annotations

from pathlib import Path

_LINES = b'"event":"began"'


def candidates_tried(models: Path) -> int:
    """Trainings that were ever begun under `models`, at least 1: one candidate there must have been.

    Each begins with a line in `trainings.jsonl`; a file that can not be read tells of none.
    """
    try:
        with (models / "trainings.jsonl").open("rb") as file:
            return max(1, sum(_LINES in line for line in file))
    except OSError:
        return 1
