"""Which bars was a bundle judged on, what was said of each, and what came?

Training writes these rows into the bundle, so that gates can look for themselves instead of believing
figures, and so that two bundles can be compared on the bars that both were judged on.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.bar import EARLIEST_MS, LATEST_MS, Timeframe
from plugin.manifest import Manifest

STACK = "stack"


@dataclass(frozen=True)
class OutOfFoldRows:
    """n judged rows, in time order; of several symbols that close together, in the order of `symbols`.

    `sources` (s,) names the members and, last, STACK; `symbol` (n,) indexes `symbols`; `known_from_ms`
    (n,) is the close time of the bar; `fold` (n,) the number of the test block; `up` (n, horizons) is 0
    or 1, NaN while not known; `probability` (n, horizons, s) is NaN where there is no answer.
    """

    symbols: NDArray[np.str_]
    sources: NDArray[np.str_]
    horizons: NDArray[np.int64]
    symbol: NDArray[np.int16]
    known_from_ms: NDArray[np.int64]
    fold: NDArray[np.int16]
    up: NDArray[np.float32]
    probability: NDArray[np.float32]

    def encode(self) -> bytes:
        """A numpy archive, the same bytes for the same arrays."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{name: getattr(self, name) for name in _TYPES})
        return buffer.getvalue()

    @classmethod
    def decode(cls, content: bytes) -> OutOfFoldRows:
        """Raises ValueError where arrays do not fit; numpy and zipfile raise what they like."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            rows = cls(**{name: archive[name] for name in _TYPES})
        n, shape = rows.known_from_ms.size, (rows.horizons.size, rows.sources.size)
        expected = {
            "symbols": (rows.symbols.size,),
            "sources": shape[1:],
            "horizons": shape[:1],
            "symbol": (n,),
            "known_from_ms": (n,),
            "fold": (n,),
            "up": (n, *shape[:1]),
            "probability": (n, *shape),
        }
        for name, kind in _TYPES.items():
            found = getattr(rows, name)
            if found.shape != expected[name] or found.dtype.kind != kind:
                was = f"{found.shape} and type {found.dtype}"
                raise ValueError(f"expected {name} of shape {expected[name]}, was {was}")
        return rows

    def check(self, manifest: Manifest) -> None:
        """Raises ValueError where these can not be the rows that the bundle was judged on.

        Answers may not be missing here and there: they could be missing where they were wrong.
        """
        length_ms = Timeframe.parse(manifest.timeframe).length_ms
        primary = manifest.horizons.index(manifest.primary_horizon)
        _expect("symbols", manifest.symbols, tuple(self.symbols.tolist()))
        _expect("horizons", manifest.horizons, tuple(self.horizons.tolist()))
        _expect("sources", (*manifest.member_names, STACK), tuple(self.sources.tolist()))
        labels = self.up[~np.isnan(self.up)]
        said = self.probability[~np.isnan(self.probability)]
        place = np.stack([self.known_from_ms // length_ms, self.symbol.astype(np.int64)])
        sound = {
            "rows": self.known_from_ms.size > 0,
            "symbols of every row": _within(self.symbol, 0, self.symbols.size - 1),
            "close times on the grid": not (self.known_from_ms % length_ms).any(),
            "close times of this century": _within(self.known_from_ms, EARLIEST_MS, LATEST_MS),
            "rows in time order, each once": _rises(place),
            "blocks that are numbered from 0": _is_numbered(self.fold),
            "labels 0 and 1": bool(((labels == 0.0) | (labels == 1.0)).all()),
            "probabilities": _within(said, 0.0, 1.0),
            "an answer of every member to every row": not np.isnan(self.probability[..., :-1]).any(),
            "an answer of the stack after the first block": not np.isnan(
                self.probability[self.fold > 0, :, -1]
            ).any(),
        }
        for what, holds in sound.items():
            if not holds:
                raise ValueError(f"expected {what}, was other")
        _expect("rows with a label", manifest.oof_rows, int((~np.isnan(self.up[:, primary])).sum()))


# What a file must hold, and the letter of numpy for its type.
_TYPES = {
    "symbols": "U",
    "sources": "U",
    "horizons": "i",
    "symbol": "i",
    "known_from_ms": "i",
    "fold": "i",
    "up": "f",
    "probability": "f",
}


def _expect(what: str, expected: object, was: object) -> None:
    if was != expected:
        raise ValueError(f"expected {what} {expected} as in the manifest, was {was}")


def _within(values: NDArray[np.generic], least: float, most: float) -> bool:
    return bool(((values >= least) & (values <= most)).all())  # type: ignore[operator]


def _rises(place: NDArray[np.int64]) -> bool:
    """`place` (2, n): time, then symbol."""
    later, same_bar = np.diff(place[0]) > 0, np.diff(place[0]) == 0
    return bool((later | (same_bar & (np.diff(place[1]) > 0))).all())


def _is_numbered(fold: NDArray[np.int16]) -> bool:
    """Blocks of time, one after the other, without a hole in their numbers."""
    return bool(fold.size and fold[0] == 0 and np.isin(np.diff(fold), (0, 1)).all())
