"""Where do the predictions that the IC report is about come from, and what came of them?"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shadow.errors import NOT_JSON, LogUnusable
from shadow.ic_figures import SplitRows
from shadow.outcomes import bar_length_ms
from shadow.skill import pool_horizon
from shadow.stored_closes import StoredCloses
from shadow.window import Window

LEARNT, SINCE, OUT_OF_FOLD = "in sample", "out of sample", "out of fold"
_STACK = "stack"
_PANEL = {"time_ms": pa.int64(), "symbol": None, "prediction": None, "target": None, "split": None}


class Learnt(msgspec.Struct, frozen=True):
    """What a bundle says of its own training: `until_ms`, the close of the last bar learnt from."""

    bundle: str
    timeframe: str
    until_ms: int


def read_learnt(models: Path, bundle: str) -> Learnt | None:
    """From the manifest of a bundle; None where it is not there, or can not be understood."""
    try:
        content = (models / "bundles" / bundle / "manifest.json").read_bytes()
        manifest = msgspec.json.decode(content, type=dict[str, Any])
        length_ms = bar_length_ms(manifest["timeframe"])
        ends = [
            manifest["bars"][symbol]["first_open_ms"] + manifest["bars"][symbol]["n_bars"] * length_ms
            for symbol in manifest["symbols"]
        ]
        return Learnt(bundle, manifest["timeframe"], int(max(ends)))
    except (OSError, KeyError, TypeError, ValueError, LogUnusable, *NOT_JSON):
        return None


def rows_of_log(window: Window, horizon: str, learnt: Learnt | None) -> list[SplitRows]:
    """What the champions said in the window, split where the bundle stopped to learn.

    Without `learnt` all counts as out of sample, as nothing says otherwise.
    """
    pool = pool_horizon(
        window.rows, np.array(window.columns.probabilities[horizon]), int(horizon), window.now_ms
    )
    step_ms = min(rows.length_ms for rows in window.rows)
    # The label of a bar that closed before the end reaches beyond it; it was purged, and counts as new.
    close_ms = (pool.bar_number + 1) * step_ms
    label_end_ms = close_ms + int(horizon) * step_ms
    seen = label_end_ms <= (learnt.until_ms if learnt is not None else -1)
    return [
        SplitRows(
            split=name,
            horizon_bars=pool.overlap_bars,
            target_name="return",
            bar_number=pool.bar_number[own],
            prediction=pool.p[own],
            target=pool.forward_return[own],
            expected=pool.up[own].astype(np.float64),
        )
        for name, own in ((LEARNT, seen), (SINCE, ~seen))
    ]


def rows_out_of_fold(
    models: Path, learnt: Learnt, horizon: str, store: StoredCloses | None
) -> SplitRows | None:
    """What the bundle said of bars that its models had not seen; None where it does not tell.

    The target is the return where a `store` has the closes, else up or down.
    """
    try:
        path = models / "bundles" / learnt.bundle / "out_of_fold.npz"
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
        at = found["horizons"].tolist().index(int(horizon))
        said = found["probability"][:, at, found["sources"].tolist().index(_STACK)].astype(np.float64)
        up = found["up"][:, at].astype(np.float64)
        known = np.isfinite(said) & np.isfinite(up)
        length_ms = bar_length_ms(learnt.timeframe)
        open_ms = found["known_from_ms"].astype(np.int64) - length_ms
    except (OSError, KeyError, ValueError, IndexError, zipfile.BadZipFile, LogUnusable):
        return None
    target, name = up, "up"
    if store is not None:
        returns = np.full(up.size, np.nan)
        for number, symbol in enumerate(found["symbols"].tolist()):
            own = found["symbol"] == number
            closes = store.closes(symbol, learnt.timeframe)
            if closes is not None:
                later = closes.at(open_ms[own] + int(horizon) * length_ms)
                returns[own] = later / closes.at(open_ms[own]) - 1.0
        if np.isfinite(returns[known]).any():
            target, name = returns, "return"
    return SplitRows(
        split=OUT_OF_FOLD,
        horizon_bars=int(horizon),
        target_name=name,
        bar_number=(open_ms // length_ms)[known],
        prediction=said[known],
        target=target[known],
        expected=up[known],
    )


def rows_of_panel(path: Path) -> list[SplitRows]:
    """The splits of a parquet file with the columns of docs/ic.md: `split` names them.

    A horizon counts the distinct times of the file; without the column it is 1. Raises LogUnusable for
    what is not such a file.
    """
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        missing = [name for name in _PANEL if name not in names]
        if missing:
            was = f"{', '.join(names[:10])}; without {', '.join(missing)}"
            raise LogUnusable(f"the columns {', '.join(_PANEL)} in {path}", was, "add them")
        wanted = [name for name in ("time_ms", "prediction", "target", "split") if name in names]
        has_horizon = "horizon_bars" in names
        table = file.read(
            columns=[*wanted, *(["horizon_bars"] if has_horizon else [])], use_threads=False
        )
        time_ms = _column(table, "time_ms", np.dtype(np.int64))
        prediction = _column(table, "prediction", np.dtype(np.float64))
        target = _column(table, "target", np.dtype(np.float64))
        split = table["split"].cast(pa.string()).combine_chunks().dictionary_encode()
    except (pa.ArrowException, OSError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise LogUnusable(f"a panel in parquet at {path}", reason, "see docs/ic.md") from error
    horizons = (
        _column(table, "horizon_bars", np.dtype(np.int64)) if has_horizon else np.ones_like(time_ms)
    )
    _, bar_number = np.unique(time_ms, return_inverse=True)
    code = _encoded(split)
    return [
        SplitRows(
            split=str(name),
            horizon_bars=int(horizon),
            target_name="target",
            bar_number=bar_number[own],
            prediction=prediction[own],
            target=target[own],
            expected=target[own],
        )
        for number, name in enumerate(split.dictionary.to_pylist())
        for horizon in np.unique(horizons[code == number]).tolist()
        if (own := (code == number) & (horizons == horizon)).any()
    ]


def _column(table: Any, name: str, kind: np.dtype[Any]) -> NDArray[Any]:
    # Not `to_numpy`: where pandas is installed it imports that.
    chunk = table[name].cast(pa.from_numpy_dtype(kind)).combine_chunks()
    filled = chunk.fill_null(float("nan")) if kind.kind == "f" else chunk
    return np.asarray(np.from_dlpack(filled), dtype=kind)


def _encoded(split: Any) -> NDArray[np.int64]:
    return np.asarray(np.from_dlpack(split.indices.fill_null(-1)), dtype=np.int64)
