"""Every bar of a window as a line of a table that other programs read: CSV after RFC 4180."""

from __future__ import annotations

import csv
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from shadow.columns import SeriesRows
from shadow.errors import LogUnusable
from shadow.files import sync_folder, utc_text
from shadow.outcomes import Closes, outcomes
from shadow.texts import plain
from shadow.window import Window

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
STDOUT = Path("-")


def write_table(path: Path, window: Window) -> None:
    """Write a line for each bar of the window, whole or not at all; to stdout where `path` is `-`.

    For each horizon the probability, and what came of it, empty where that is not known. Raises
    LogUnusable where the file can not be written.
    """
    if path == STDOUT:
        _write(sys.stdout, window)
        return
    draft = path.with_name(f".{path.name}.tmp")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            _write(file, window)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise LogUnusable(f"to write {path}", reason, "name another file") from error


def _write(file: IO[str], window: Window) -> None:
    horizons = sorted(window.columns.probabilities, key=int)
    writer = csv.writer(file)
    of_horizons = [f"{what}_{horizon}" for horizon in horizons for what in ("p", "return", "up")]
    fixed = "symbol timeframe closed open_time_ms close mode reason action regime host_signal champion"
    writer.writerow([*fixed.split(), *of_horizons])
    for rows in window.rows:
        writer.writerows(_lines(rows, horizons, window))


def _lines(rows: SeriesRows, horizons: list[str], window: Window) -> Iterator[list[object]]:
    kinds, kind = window.columns.kinds, np.array(window.columns.kind)[rows.row]
    recorded = Closes(rows.open_time_ms, rows.close)
    columns: list[list[float]] = []
    for horizon in horizons:
        outcome = outcomes(recorded, rows.known, rows.length_ms, int(horizon), window.now_ms)
        up = np.where(np.isnan(outcome.forward_return), np.nan, outcome.up)
        said = np.array(window.columns.probabilities[horizon])[rows.row]
        columns += [said.tolist(), outcome.forward_return.tolist(), up.tolist()]
    symbol, timeframe = _text(rows.symbol), _text(rows.timeframe)
    for at in np.flatnonzero(rows.in_window).tolist():
        own, open_ms = kinds[kind[at]], int(rows.open_time_ms[at])
        texts = (own.mode, own.reason, own.action, own.regime, own.host_signal, own.bundle)
        yield [
            symbol,
            timeframe,
            utc_text(open_ms + rows.length_ms),
            open_ms,
            _number(float(rows.close[at])),
            *(_text(text or "") for text in texts),
            *(_number(column[at]) for column in columns),
        ]


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.10g}"


def _text(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    shown = plain(text)
    return f"'{shown}" if shown.startswith(_FORMULA) else shown
