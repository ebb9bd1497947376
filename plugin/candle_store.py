"""Where do stored bars lie, and which of them can be used?

    <root>/<venue>/<timeframe>/<BASE-QUOTE>.parquet     columns ts, open, high, low, close, volume

`ts` is the open time in milliseconds UTC. The live side only reads; `training.candles` writes.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from plugin.bar import EARLIEST_MS, LATEST_MS, Timeframe
from plugin.candles import Candles, on_grid
from plugin.clock import utc_minute
from plugin.errors import WrongUse

COLUMNS = ("ts", "open", "high", "low", "close", "volume")
DAMAGE = ("", "timestamp_unit", "off_grid", "not_finite", "not_positive", "ohlc_inconsistent")


@dataclass(frozen=True)
class RawBars:
    """Rows as they stand in a file: `open_time_ms` int64 (n,), `ohlcv` float64 (5, n)."""

    open_time_ms: NDArray[np.int64]
    ohlcv: NDArray[np.float64]

    @property
    def n_bars(self) -> int:
        return int(self.open_time_ms.size)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> RawBars:
        return RawBars(self.open_time_ms[rows], self.ohlcv[:, rows])


def damage_of(bars: RawBars, timeframe: Timeframe) -> NDArray[np.uint8]:
    """What breaks each row, as an index into DAMAGE (n,): 0 is a sound bar.

    The invariants of `plugin.bar.check_bar` in the same order; whether a bar had closed is not asked.
    """
    time_ms = bars.open_time_ms
    open_, high, low, close, volume = bars.ohlcv
    broken = (
        (time_ms < EARLIEST_MS) | (time_ms >= LATEST_MS),
        time_ms % timeframe.length_ms != 0,
        ~np.isfinite(bars.ohlcv).all(axis=0),
        (bars.ohlcv[:4] <= 0).any(axis=0) | (volume < 0),
        (low > np.minimum(open_, close)) | (high < np.maximum(open_, close)),
    )
    return np.select(broken, np.arange(1, len(DAMAGE)), default=0).astype(np.uint8)


@dataclass(frozen=True)
class CandleStore:
    """Reads the bars under `root`. Every method raises WrongUse for what is not there."""

    root: Path

    def venues(self, timeframe: str) -> tuple[str, ...]:
        """The venues that have bars of this timeframe, in alphabetical order."""
        if not self.root.is_dir():
            raise WrongUse("a folder of stored bars", str(self.root), "correct the path or fetch first")
        found = (
            folder.parent.name for folder in self.root.glob(f"*/{Timeframe.parse(timeframe).name}")
        )
        return tuple(sorted(venue for venue in found if self.symbols(venue, timeframe)))

    def symbols(self, venue: str, timeframe: str) -> tuple[str, ...]:
        """The symbols stored for a venue, in alphabetical order; empty if there are none."""
        stems = (file.stem for file in self._folder(venue, timeframe).glob("*.parquet"))
        return tuple(sorted("/".join(stem.rsplit("-", 1)) for stem in stems if "-" in stem))

    def path(self, venue: str, timeframe: str, symbol: str) -> Path:
        """The file of a symbol, which need not exist."""
        if not re.fullmatch(r"[^/\s\0]+/[^/\s\0-]+", symbol):
            raise WrongUse("a symbol such as BTC/USDT", repr(symbol), "correct its spelling")
        return self._folder(venue, timeframe) / f"{symbol.replace('/', '-')}.parquet"

    def read_raw(self, venue: str, timeframe: str, symbol: str) -> RawBars:
        """All rows of a file in the order of the file, sound or not."""
        if symbol not in self.symbols(venue, timeframe):
            raise self._not_there(venue, timeframe, symbol)
        return read_file(self.path(venue, timeframe, symbol))

    def read(
        self,
        venue: str,
        timeframe: str,
        symbol: str,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> Candles:
        """The sound bars that open in `[since_ms, until_ms)`; a damaged bar becomes an absent one.

        Rows that repeat a time or go back in time make a file unreadable: see `training verify`.
        """
        grid = Timeframe.parse(timeframe)
        rows = self.read_raw(venue, timeframe, symbol)
        sound = rows[damage_of(rows, grid) == 0]
        time_ms = sound.open_time_ms
        since_ms = EARLIEST_MS if since_ms is None else since_ms
        until_ms = LATEST_MS if until_ms is None else until_ms
        chosen = sound[(time_ms >= since_ms) & (time_ms < until_ms)]
        if not chosen.n_bars:
            raise WrongUse(
                f"bars of {symbol} in [{utc_minute(since_ms)}, {utc_minute(until_ms)})",
                f"{sound.n_bars} sound bars{_span(sound)}, none of them there",
                "choose other dates or fetch them",
            )
        return on_grid(symbol, grid, chosen.open_time_ms, chosen.ohlcv)

    def _folder(self, venue: str, timeframe: str) -> Path:
        if not re.fullmatch(r"\w+", venue):
            raise WrongUse("a venue such as binance_spot", repr(venue), "correct its spelling")
        return self.root / venue / Timeframe.parse(timeframe).name

    def _not_there(self, venue: str, timeframe: str, symbol: str) -> WrongUse:
        venues = self.venues(timeframe)
        known = self.symbols(venue, timeframe)
        elsewhere = [other for other in venues if symbol in self.symbols(other, timeframe)]
        if not known:
            was = f"{venue!r}, which has none in {self.root}"
            return WrongUse(
                f"a venue with {timeframe} bars", was, _choose(elsewhere or venues, "fetch")
            )
        remedy = _choose(elsewhere, "") if elsewhere else did_you_mean(symbol, known)
        return WrongUse(f"one of the {len(known)} symbols of {venue} {timeframe}", symbol, remedy)


def read_file(path: Path) -> RawBars:
    """All rows of one parquet file. Raises WrongUse if it is damaged or has other columns."""
    try:
        # Page checksums catch a flipped bit; one thread, because the live process shares its cores.
        file = pq.ParquetFile(path, page_checksum_verification=True)
        _check_columns(path, file.schema_arrow)
        table = file.read(columns=list(COLUMNS), use_threads=False)
        if table["ts"].null_count:
            raise WrongUse(
                f"a time in every row of {path}", "rows without", "move it away and fetch again"
            )
        return RawBars(_array(table["ts"]), np.stack([_array(table[name]) for name in COLUMNS[1:]]))
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise WrongUse(
            f"a whole parquet file at {path}", reason, "move it away and fetch again"
        ) from error


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    # Not `to_numpy`: where pandas is installed it imports that, 55 MB without a use here.
    whole = column.combine_chunks()
    return np.from_dlpack(whole.fill_null(math.nan) if whole.null_count else whole)


def _check_columns(path: Path, schema: pa.Schema) -> None:
    types = {name: pa.int64() if name == "ts" else pa.float64() for name in COLUMNS}
    found = {name: schema.field(name).type for name in COLUMNS if name in schema.names}
    if found != types:
        expected = ", ".join(f"{name} {kind}" for name, kind in types.items())
        was = ", ".join(f"{field.name} {field.type}" for field in schema)
        raise WrongUse(f"the columns {expected} in {path}", was, "rewrite the file in this form")


def did_you_mean(symbol: str, known: Iterable[str]) -> str:
    """The remedy for an unknown symbol: the names nearest to it, however they are written."""
    plain = {re.sub(r"[\W_]", "", name).upper(): name for name in known}
    asked = re.sub(r"[\W_]", "", symbol).upper()
    close = [asked] if asked in plain else difflib.get_close_matches(asked, plain, n=3, cutoff=0.7)
    near = [plain[name] for name in close]
    return f"did you mean {' or '.join(near)}?" if near else "correct its spelling"


def _choose(venues: Iterable[str], otherwise: str) -> str:
    names = " or ".join(venues)
    return f"choose the venue {names}" if names else f"{otherwise} candles first"


def _span(bars: RawBars) -> str:
    if not bars.n_bars:
        return ""
    first_ms, last_ms = int(bars.open_time_ms.min()), int(bars.open_time_ms.max())
    return f" from {utc_minute(first_ms)} to {utc_minute(last_ms)}"
