"""What did bars close at that were never recorded, by a store of bars?

    <root>/<venue>/<timeframe>/<BASE-QUOTE>.parquet     columns ts, open, high, low, close, volume

A store fills holes only, and only where it is the same market: on bars that both have, it must say what
the records say.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from shadow.errors import LogUnusable
from shadow.outcomes import Closes

_EQUAL_SHARE = 0.95
"""So many of the common bars must have the same close: a few are revised by every exchange."""
_RELATIVE = 1e-9
_FOR_EVER_MS = 2**62
_SYMBOL = re.compile(r"[^/\s\0]+/[^/\s\0]+")


class StoredCloses:
    """The closes under one venue of a store. `refused` says of which series they were not believed."""

    def __init__(self, root: Path, venue: str) -> None:
        """Raises LogUnusable where there is no such venue."""
        self.refused: dict[str, str] = {}
        self._folder = root / venue
        if not re.fullmatch(r"\w+", venue) or not self._folder.is_dir():
            found = sorted(one.name for one in root.iterdir() if one.is_dir()) if root.is_dir() else []
            was = f"none; there are {', '.join(found[:5])}" if found else "none"
            raise LogUnusable(f"stored bars in {root / venue}", was, "correct --store or --venue")

    def closes(self, symbol: str, timeframe: str, until_ms: int = _FOR_EVER_MS) -> Closes | None:
        """All stored closes of bars that open at most at `until_ms`; None where there are none.

        Raises LogUnusable for a damaged file.
        """
        path = self._folder / timeframe / f"{symbol.replace('/', '-')}.parquet"
        return _read(path, until_ms) if _SYMBOL.fullmatch(symbol) and path.is_file() else None

    def complete(self, symbol: str, timeframe: str, recorded: Closes, until_ms: int) -> Closes:
        """`recorded` with stored closes where it has none, of bars that open at most at `until_ms`.

        Where the store has not the series, or another market, `recorded` as it is. Raises LogUnusable
        for a damaged file.
        """
        stored = self.closes(symbol, timeframe, until_ms) if recorded.open_time_ms.size else None
        if stored is None:
            return recorded
        said = recorded.at(stored.open_time_ms)
        common = np.isfinite(said)
        equal = np.isclose(said[common], stored.close[common], rtol=_RELATIVE, atol=0.0)
        if not common.any() or equal.mean() < _EQUAL_SHARE:
            share = f"{equal.mean():.0%}" if common.any() else "none"
            self.refused[f"{symbol} {timeframe}"] = f"{share} of {common.sum()} common bars are equal"
            return recorded
        open_time_ms = np.concatenate([recorded.open_time_ms, stored.open_time_ms[~common]])
        close = np.concatenate([recorded.close, stored.close[~common]])
        order = np.argsort(open_time_ms, kind="stable")
        return Closes(open_time_ms[order], close[order])


def _read(path: Path, until_ms: int) -> Closes:
    try:
        # One thread: the report runs beside a live process.
        table = pq.read_table(path, columns=["ts", "close"], use_threads=False)
        time_ms = np.asarray(np.from_dlpack(table["ts"].combine_chunks()), dtype=np.int64)
        close = np.from_dlpack(table["close"].cast(pa.float64()).fill_null(np.nan).combine_chunks())
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise LogUnusable(f"a whole parquet file at {path}", reason, "fetch it anew") from error
    usable = (time_ms <= until_ms) & np.isfinite(close) & (close > 0)
    time_ms, first = np.unique(time_ms[usable], return_index=True)
    return Closes(time_ms, close[usable][first])
