"""When does Python look for garbage? Never while a bar waits for its answer.

A thousand answers make so many objects that several collections fall into them, every fourth time one
over all objects there are, a quarter of the answer's time. They come a moment later instead, with the
records.
"""

from __future__ import annotations

import gc
import threading


class _PutOff:
    """Keeps collections off as long as anybody is inside; leaves them off where they were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._was_on = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._n_inside:
                self._was_on = gc.isenabled()
                gc.disable()
            self._n_inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside and self._was_on:
                gc.enable()


COLLECTION_PUT_OFF = _PutOff()
"""A context in which no collection begins."""
