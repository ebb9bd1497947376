"""What was said of a backtest's candles, and can it be believed?"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from plugin.hosts.client import Decision
from plugin.hosts.records import RecordedDecisions, length_ms_of, read_records

_log = logging.getLogger(__name__)
_TEXTS = ("mode", "action", "reason", "regime")
_NUMBERS = ("size_multiplier", "stop_atr")


class RecordedAnswers:
    """The decisions of a replay, joined to the candles of a backtest by their open time.

    freqtrade enters at the open of the candle after the signal: the decision that counts then is the
    one on the candle before, which had closed.
    """

    def __init__(
        self, folder: str, models: Path, timeframe: str, *, in_sample: bool, as_if_live: bool
    ) -> None:
        self._length_ms = length_ms_of(timeframe)
        self._recorded = RecordedDecisions()
        if not folder:
            _log.warning(
                "shadowgate: no shadowgate_records: this backtest shows the strategy by itself"
            )
            return
        try:
            self._recorded = read_records(
                Path(folder), models, timeframe, in_sample=in_sample, as_live=as_if_live
            )
        except OSError as error:
            _log.warning("shadowgate: no records, the strategy trades by itself: %s", error)
            return
        self._say(folder, in_sample=in_sample, as_if_live=as_if_live)

    def decision(self, pair: str, current_time: datetime) -> Decision | None:
        """The decision on the candle that had closed last at `current_time`."""
        now_ms = int(current_time.timestamp() * 1000)
        open_ms = now_ms - now_ms % self._length_ms - self._length_ms
        return self._recorded.decisions.get((pair, open_ms))

    def add_columns(self, dataframe: Any, pair: str) -> None:
        """Put what was recorded of each candle into columns `shadowgate_...` of `dataframe`.

        Texts are empty, and numbers NaN, where there is no record.
        """
        opened = [int(date.timestamp() * 1000) for date in dataframe["date"]]
        said = [self._recorded.decisions.get((pair, open_ms)) for open_ms in opened]
        for name in _TEXTS:
            dataframe[f"shadowgate_{name}"] = [getattr(one, name) if one else "" for one in said]
        for name in _NUMBERS:
            values = [getattr(one, name) if one else float("nan") for one in said]
            dataframe[f"shadowgate_{name}"] = values
        for horizon in sorted({name for one in said if one for name in one.probabilities}, key=int):
            values = [
                one.probabilities.get(horizon, float("nan")) if one else float("nan") for one in said
            ]
            dataframe[f"shadowgate_p_{horizon}"] = values
        if missing := said.count(None):
            _log.warning("shadowgate: %d of %d candles of %s have no record", missing, len(said), pair)

    def _say(self, folder: str, *, in_sample: bool, as_if_live: bool) -> None:
        found = self._recorded
        _log.info("shadowgate: %d decisions from %s: %s", len(found.decisions), folder, found.modes())
        if found.n_archives:
            _log.warning(
                "shadowgate: %d compressed days of %s are not read: unpack them with zstd -d",
                found.n_archives,
                folder,
            )
        if found.n_damaged:
            _log.warning("shadowgate: %d damaged lines left out of %s", found.n_damaged, folder)
        if as_if_live:
            _log.warning(
                "shadowgate: decisions made in SHADOW count as live here: no gate allowed that"
            )
        if found.n_in_sample:
            done = "FOLLOWED, and show no skill" if in_sample else "ignored"
            _log.warning(
                "shadowgate: %d of %d decisions are on bars that their bundle learnt from (%s): %s",
                found.n_in_sample,
                len(found.decisions),
                ", ".join(map(_learnt, found.learnt_until_ms.items())),
                done,
            )


def _learnt(entry: tuple[str, int | None]) -> str:
    bundle_id, until_ms = entry
    if until_ms is None:
        return f"{bundle_id}: its manifest was not found, see shadowgate_models"
    until = datetime.fromtimestamp(until_ms / 1000, UTC)
    return f"{bundle_id}: up to {until:%Y-%m-%d %H:%M}"
