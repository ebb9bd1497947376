"""Who else works for this folder of models? At most one schedule may."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plugin.errors import WrongUse


@contextmanager
def only_schedule(models_dir: Path) -> Iterator[None]:
    """Keep every other schedule away from the models folder; raises WrongUse where one is there."""
    models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    place = models_dir / ".schedule"
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        expected = f"no other schedule for {models_dir}"
        raise WrongUse(expected, "one that runs", "stop it, or name another folder") from error
    finally:
        os.close(descriptor)
