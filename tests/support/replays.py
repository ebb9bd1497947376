"""`python -m plugin replay` as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from plugin.candles import SIMULATED_VENUE
from tests.support.small_training import SmallTraining

ROOT = Path(__file__).parents[2]


def replay_command(shadow: Path, *arguments: str) -> list[str]:
    """The command line. Its .env lies beside the shadow log; there is none unless a test writes it."""
    fixed = ("--venue", SIMULATED_VENUE, "--env", str(shadow.parent / ".env"))
    return [sys.executable, "-m", "plugin", "replay", *fixed, *arguments]


def environment(training: SmallTraining, shadow: Path, **flags: str) -> dict[str, str]:
    """What the process sees: this environment less its own flags, the training's, and `flags`."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith("ML_")}
    return ours | training.environment(shadow) | flags


def replay(
    training: SmallTraining,
    shadow: Path,
    *arguments: str,
    before: tuple[str, ...] = (),
    flags: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Replay to the end, `before` in front of the command line."""
    return subprocess.run(
        [*before, *replay_command(shadow, *arguments)],
        cwd=ROOT,
        env=environment(training, shadow, **(flags or {})),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
