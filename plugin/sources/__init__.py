"""Where do closed bars come from? One module per origin; the contract stands in `base`."""

from plugin.sources.base import BarSource
from plugin.sources.paced import PacedSource
from plugin.sources.replay import ReplaySource

__all__ = ["BarSource", "PacedSource", "ReplaySource"]
