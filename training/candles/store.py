"""How do bars get into the store without ever leaving a broken file behind?

A file is replaced whole: written beside the old one, synced, renamed, the folder synced. What the
exchange has been asked for stands in the metadata of the same file, so that the two can not disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from plugin.bar import Timeframe
from plugin.candle_store import COLUMNS, CandleStore, RawBars, read_file
from plugin.durable import locked, replace_file
from plugin.errors import WrongUse
from training.candles.coverage import Stretch, joined

_COVERED_KEY = b"shadowgate.covered"


@dataclass(frozen=True)
class Merged:
    """What a merge changed: bars not seen before, bars that came again with other values, all bars."""

    n_new: int
    n_revised: int
    n_bars: int


class CandleWriter(CandleStore):
    """A store that can be written to."""

    def covered(self, venue: str, timeframe: str, symbol: str) -> tuple[Stretch, ...]:
        """The stretches that were asked for: as recorded, or else from the first bar to the last."""
        path = self.path(venue, timeframe, symbol)
        return _covered(path, Timeframe.parse(timeframe)) if path.exists() else ()

    def write(
        self, venue: str, timeframe: str, symbol: str, bars: RawBars, asked: Iterable[Stretch]
    ) -> None:
        """Put `bars`, in time order, in the place of all that is stored for a symbol."""
        path = self.path(venue, timeframe, symbol)
        with locked(path.parent):
            _check_order(path, bars)
            _replace(path, bars, joined(asked))

    def merge(
        self, venue: str, timeframe: str, symbol: str, bars: RawBars, asked: Iterable[Stretch]
    ) -> Merged:
        """Add bars that came for the stretches `asked`; where a time repeats, the later bar wins.

        A lock on the folder makes two downloads at once lose nothing of each other.
        """
        path = self.path(venue, timeframe, symbol)
        with locked(path.parent):
            old = read_file(path) if path.exists() else bars[:0]
            covered = _covered(path, Timeframe.parse(timeframe)) if path.exists() else ()
            _check_order(path, old)
            merged, counts = _merge(old, bars)
            _replace(path, merged, joined([*covered, *asked]))
        return counts


def _merge(old: RawBars, new: RawBars) -> tuple[RawBars, Merged]:
    time_ms = np.concatenate([old.open_time_ms, new.open_time_ms])
    ohlcv = np.concatenate([old.ohlcv, new.ohlcv], axis=1)
    # np.unique names the first of equal times, so the newest rows stand first.
    unique_ms, from_end = np.unique(time_ms[::-1], return_index=True)
    merged = RawBars(unique_ms, ohlcv[:, time_ms.size - 1 - from_end])
    kept = np.searchsorted(unique_ms, old.open_time_ms)
    same = np.isclose(merged.ohlcv[:, kept], old.ohlcv, rtol=0.0, atol=0.0, equal_nan=True)
    n_revised = int((~same.all(axis=0)).sum())
    return merged, Merged(merged.n_bars - old.n_bars, n_revised, merged.n_bars)


def _covered(path: Path, timeframe: Timeframe) -> tuple[Stretch, ...]:
    recorded = (pq.read_schema(path).metadata or {}).get(_COVERED_KEY)
    if recorded is not None:
        return joined((int(since), int(until)) for since, until in json.loads(recorded))
    time_ms = read_file(path).open_time_ms
    return joined([(int(time_ms[0]), int(time_ms[-1]) + timeframe.length_ms)]) if time_ms.size else ()


def _check_order(path: Path, bars: RawBars) -> None:
    if (np.diff(bars.open_time_ms) <= 0).any():
        was = "rows that repeat a time or go back"
        raise WrongUse(f"bars in time order, each once, in {path}", was, "move it away and fetch again")


def _replace(path: Path, bars: RawBars, covered: tuple[Stretch, ...]) -> None:
    columns = [pa.array(bars.open_time_ms), *(pa.array(row) for row in bars.ohlcv)]
    table = pa.table(dict(zip(COLUMNS, columns, strict=True)))
    table = table.replace_schema_metadata({_COVERED_KEY: json.dumps(covered).encode()})
    content = pa.BufferOutputStream()
    # A dictionary of prices that hardly repeat only costs time and bytes.
    pq.write_table(table, content, compression="zstd", use_dictionary=False, write_page_checksum=True)
    try:
        replace_file(path, content.getvalue().to_pybytes(), mode=0o644)
    except OSError as error:
        remedy = "free the space or correct the path, then run it again"
        raise WrongUse(f"to write {path}", error.strerror or str(error), remedy) from error
