"""When does Python look for garbage? Never while a bar waits for its answer.

A thousand answers make so many objects that several collections fall into them, every fourth time one
over all objects there are, a quarter of the answer's time. They come a moment later instead, with the
records.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collection_put_off() -> Iterator[None]:
    """Let no collection begin inside; leave them as they were. For one thread at a time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
