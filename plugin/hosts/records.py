"""What did the ensemble say of the bars of a backtest? Read from the records that a replay wrote.

Standard library only, Python 3.9 and newer, like the client: it runs inside the bot. A decision counts
for the candle with its open time and for no other. A bar that the bundle learnt from, or that is older,
shows no skill: its decision becomes an abstention, unless the caller insists.
"""

from __future__ import annotations

import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plugin.hosts.client import Decision

SCHEMA = 1
_DAY_FILE = re.compile(r"\d{4}-\d{2}-\d{2}\.jsonl")
_ARCHIVE = re.compile(rf"{_DAY_FILE.pattern}\.zst")
_TAIL_BYTES = len(b',"crc32":"01234567"}\n')
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BUNDLE_ID = re.compile(r"[0-9A-Za-z-]+")


@dataclass
class RecordedDecisions:
    """`decisions` by symbol and open time in milliseconds, and what had to be left out.

    `learnt_until_ms` maps a bundle to the close of the last bar that it learnt from, None where its
    manifest could not be read: then nobody knows, and all its bars count as learnt.
    """

    decisions: dict[tuple[str, int], Decision] = field(default_factory=dict)
    learnt_until_ms: dict[str, int | None] = field(default_factory=dict)
    n_in_sample: int = 0
    n_damaged: int = 0
    n_archives: int = 0
    """Days that were compressed, which plain Python can not read."""

    def modes(self) -> dict[str, int]:
        """How many bars were answered in each mode."""
        return dict(Counter(decision.mode for decision in self.decisions.values()))


def read_records(
    folder: Path, models: Path, timeframe: str, *, in_sample: bool = False, as_live: bool = False
) -> RecordedDecisions:
    """The decisions recorded in `folder` on bars of `timeframe`. Raises OSError.

    `models` is the folder in which the bundles lie. With `in_sample` their bars of training keep their
    decisions; with `as_live` decisions made in shadow count as live ones.
    """
    names = [path.name for path in folder.iterdir()]
    found = RecordedDecisions(n_archives=sum(map(bool, map(_ARCHIVE.fullmatch, names))))
    # The names of the files sort by day, so the lines come in the order in which they were written.
    for name in sorted(filter(_DAY_FILE.fullmatch, names)):
        for record in _bars(folder / name, found):
            if record["timeframe"] == timeframe:
                _take(record, models, found, in_sample=in_sample, as_live=as_live)
    return found


def length_ms_of(timeframe: str) -> int:
    """Of `15m`, `1h`, `1d`. Raises KeyError or ValueError for anything else."""
    return int(timeframe[:-1]) * _UNIT_MS[timeframe[-1]]


def _bars(path: Path, found: RecordedDecisions) -> Iterator[dict[str, Any]]:
    """The records of bars in a file; lines that are not whole are counted and left out."""
    with path.open("rb") as file:
        for line in file:
            body = line[:-_TAIL_BYTES] + b"}"
            if line[-_TAIL_BYTES:] != b',"crc32":"%08x"}\n' % zlib.crc32(body):
                found.n_damaged += 1
                continue
            record = json.loads(body)
            if record["schema"] > SCHEMA:
                found.n_damaged += 1
            elif record["type"] == "bar":
                yield record


def _take(
    record: dict[str, Any], models: Path, found: RecordedDecisions, *, in_sample: bool, as_live: bool
) -> None:
    key = record["symbol"], record["open_time_ms"]
    if key in found.decisions:  # the first answer was the one that counted
        return
    bundle_id = record["champion"]
    is_seen = False
    if bundle_id is not None:
        if bundle_id not in found.learnt_until_ms:
            found.learnt_until_ms[bundle_id] = learnt_until_ms(models, bundle_id)
        until_ms = found.learnt_until_ms[bundle_id]
        is_seen = until_ms is None or key[1] < until_ms
    found.n_in_sample += is_seen
    found.decisions[key] = _decision(record, is_hidden=is_seen and not in_sample, as_live=as_live)


def _acting(record: dict[str, Any]) -> dict[str, float]:
    """The probabilities that were recalibrated before the bot was told."""
    read = record.get("recalibrated", {})
    return {horizon: one["p"] for horizon, one in read.items() if one["acts"]}


def _decision(record: dict[str, Any], *, is_hidden: bool, as_live: bool) -> Decision:
    said = dict(record["decision"])
    if is_hidden:
        said.update(action="abstain", reason="in_sample", size_multiplier=0.0, stop_atr=0.0)
    mode = "live" if as_live and record["mode"] == "shadow" else record["mode"]
    probabilities = {} if is_hidden else record["probabilities"] | _acting(record)
    return Decision(
        symbol=record["symbol"],
        timeframe=record["timeframe"],
        open_time_ms=record["open_time_ms"],
        mode=mode,
        probabilities={name: p for name, p in probabilities.items() if p is not None},
        bundle_id=record["champion"],
        feature_hash=record["feature_hash"],
        latency_us=record["latency_us"],
        **said,
    )


def learnt_until_ms(models: Path, bundle_id: str) -> int | None:
    """The close of the last bar that a bundle learnt from; None where its manifest does not say."""
    if not _BUNDLE_ID.fullmatch(bundle_id):
        return None
    try:
        manifest = json.loads((models / "bundles" / bundle_id / "manifest.json").read_bytes())
        length_ms = length_ms_of(manifest["timeframe"])
        ends_ms = [
            bars["first_open_ms"] + bars["n_bars"] * length_ms for bars in manifest["bars"].values()
        ]
        return int(max(ends_ms))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
