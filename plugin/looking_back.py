"""How wide is a row of a bundle, and how far back does it look?"""

from __future__ import annotations

from plugin.features import LOOKBACK_BARS
from plugin.features.joined import lookback_of, n_columns_of
from plugin.manifest import Manifest


def n_columns(manifest: Manifest) -> int:
    """The columns of the rows that its members are asked with."""
    return n_columns_of(manifest.used_feature_sets)


def lookback(manifest: Manifest) -> int:
    """The bars of a symbol that its members look at, up to the newest."""
    return max(lookback_of(n_columns(manifest)), LOOKBACK_BARS + manifest.n_earlier_rows)
