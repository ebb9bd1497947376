"""What does the running bot ask the service about its candles, and when?"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from plugin.hosts.client import Client, Decision, Welcome
from plugin.hosts.records import length_ms_of

_log = logging.getLogger(__name__)
_GREET_EVERY_S = 30.0
_WANTS_HISTORY = ("warming_up", "gap", "companion_")
_COLUMNS = ["open", "high", "low", "close", "volume"]


class LiveAnswers:
    """One question per new candle and pair, and the newest answer of each pair.

    `provider` is freqtrade's DataProvider. A service without a feed of its own is sent the candle,
    those of its companions, and the history that it lacks.
    """

    def __init__(self, client: Client, provider: Any, timeframe: str) -> None:
        self._client = client
        self._provider = provider
        self._timeframe = timeframe
        self._length_ms = length_ms_of(timeframe)
        self._welcome: Welcome | None = None
        self._greet_at_s = 0.0
        self._asked_ms: dict[str, int] = {}
        self._told_ms: dict[str, int] = {}
        self._latest: dict[str, Decision] = {}
        self._trouble = ""

    def decision(self, pair: str, current_time: datetime) -> Decision | None:
        """The newest answer; whether it is still valid is for `follow_at` to say."""
        return self._latest.get(pair)

    def companions(self) -> list[str]:
        """Symbols whose candles the service wants beside those of the pairs that it decides on."""
        if self._welcome is None and time.monotonic() >= self._greet_at_s:
            self._greet()
        welcome = self._welcome
        if welcome is None or not welcome.takes_bars or welcome.timeframe != self._timeframe:
            return []
        wanted = (*welcome.served, *welcome.followed)
        return [symbol for symbol in wanted if self._provider.market(symbol) is not None]

    def ask(self, pairs: Sequence[str]) -> None:
        """Ask about each pair that has a new candle; call it when its signals are known."""
        for pair in pairs:
            candle = self._newest(pair)
            if candle is not None and candle[0] > self._asked_ms.get(pair, 0):
                self._asked_ms[pair] = candle[0]
                self._latest.pop(pair, None)
                decision = self._ask(pair, *candle)
                if decision is not None:
                    self._latest[pair] = decision
                self._tell(pair, candle[0], decision)

    def _ask(self, pair: str, open_ms: int, values: Sequence[float]) -> Decision | None:
        # A service that is new, or was started again, may follow other symbols.
        if (self._welcome is None or self._client.history_wanted(pair)) and not self._greet():
            return None
        welcome = self._welcome
        if welcome is None or welcome.timeframe != self._timeframe or pair not in welcome.served:
            return None
        beside: list[tuple[Any, ...]] = []
        if welcome.takes_bars:
            self._fill(pair, open_ms)
            beside = self._companions_of(pair, open_ms, welcome)
        opened, high, low, close, volume = values
        decision = self._client.bar_closed(
            pair,
            self._timeframe,
            open_ms,
            opened,
            high,
            low,
            close,
            volume,
            host_signal=self._signal(pair, open_ms),
            companions=beside,
        )
        if not self._client.trouble:
            self._told_ms.update(dict.fromkeys((pair, *(one[0] for one in beside)), open_ms))
        return decision

    def _companions_of(self, pair: str, open_ms: int, welcome: Welcome) -> list[tuple[Any, ...]]:
        """Bars of the same close that the service has not been told yet."""
        bars: list[tuple[Any, ...]] = []
        for symbol in dict.fromkeys((*welcome.served, *welcome.followed)):
            newest = self._newest(symbol) if symbol != pair else None
            if newest is not None and newest[0] == open_ms > self._told_ms.get(symbol, 0):
                self._fill(symbol, open_ms)
                bars.append((symbol, *newest[1]))
        return bars

    def _fill(self, symbol: str, open_ms: int) -> None:
        """Send the candles before the newest, where the service may lack some of them."""
        is_next = self._told_ms.get(symbol) == open_ms - self._length_ms
        last = self._latest.get(symbol)
        complains = last is not None and last.reason.startswith(_WANTS_HISTORY)
        if is_next and not complains and not self._client.history_wanted(symbol):
            return
        candles = self._provider.ohlcv(symbol, self._timeframe, copy=False)
        rows = zip(map(_ms, candles["date"]), *(candles[name].tolist() for name in _COLUMNS))  # noqa: B905
        # freqtrade fills the holes of an exchange with flat candles of no volume: those never were.
        known = [row for row in rows if row[0] < open_ms and not (row[5] == 0 and row[2] == row[3])]
        self._client.sync_history(symbol, self._timeframe, known)

    def _newest(self, symbol: str) -> tuple[int, list[float]] | None:
        """Open time and values of the newest closed candle, as the exchange told them."""
        candles = self._provider.ohlcv(symbol, self._timeframe, copy=False)
        if candles is None or candles.empty:
            return None
        newest = candles.iloc[-1]
        return _ms(newest["date"]), [float(newest[name]) for name in _COLUMNS]

    def _signal(self, pair: str, open_ms: int) -> str | None:
        """What the strategy makes of the candle by itself; None where it did not look at it."""
        analyzed, _ = self._provider.get_analyzed_dataframe(pair, self._timeframe)
        if analyzed.empty or _ms(analyzed.iloc[-1]["date"]) != open_ms:
            return None
        newest = analyzed.iloc[-1]
        names = ("enter_long", "enter_short", "exit_long", "exit_short")
        return next((name for name in names if newest.get(name) == 1), "none")

    def _greet(self) -> bool:
        """Ask what is followed; where nobody answers, what was followed stays the best guess."""
        self._greet_at_s = time.monotonic() + _GREET_EVERY_S
        known, welcome = self._welcome, self._client.welcome()
        if welcome is None:
            return False
        self._welcome = welcome
        if known is None or known.served != welcome.served:
            _log.info("shadowgate decides on %s, %s", ", ".join(welcome.served), welcome.timeframe)
            if welcome.timeframe != self._timeframe:
                _log.warning(
                    "shadowgate is not asked: this strategy has candles of %s", self._timeframe
                )
        return True

    def _tell(self, pair: str, open_ms: int, decision: Decision | None) -> None:
        """Say what was answered; that nothing was, only where it begins and ends."""
        trouble = self._client.trouble
        if trouble and trouble != self._trouble:
            _log.warning("shadowgate does not answer (%s): the strategy goes on by itself", trouble)
        elif self._trouble and not trouble:
            _log.warning("shadowgate answers again")
        self._trouble = trouble
        if decision is not None and not trouble:
            opened = f"{datetime.fromtimestamp(open_ms / 1000, UTC):%Y-%m-%d %H:%M}"
            said = f"{decision.mode} {decision.action} ({decision.reason})"
            _log.info("shadowgate %s %s: %s", pair, opened, said)


def _ms(date: Any) -> int:
    seconds: float = date.timestamp()
    return round(seconds * 1000)
