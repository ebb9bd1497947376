"""How did the networks of a training learn, to look at?"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

_INCHES_EACH = (4.0, 3.0)


def loss_curves(networks: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A picture (PNG) of the losses that a run record has of its networks: of what they learnt from, of
    what they were stopped by, and where they were best. The same bytes for the same losses."""
    width, height = _INCHES_EACH
    figure = Figure(figsize=(width * len(networks), height), layout="constrained")
    for number, (name, learning) in enumerate(networks.items(), start=1):
        axes = figure.add_subplot(1, len(networks), number)
        epochs = range(1, len(learning["loss"]) + 1)
        axes.plot(epochs, learning["loss"], label="learnt from")
        axes.plot(epochs, learning["loss_stopped_by"], label="stopped by")
        axes.axvline(learning["best_epoch"], color="grey", linestyle=":", label="kept")
        axes.set(title=name, xlabel="epoch", ylabel="loss" if number == 1 else None)
        axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    return picture.getvalue()
