"""How is an exchange asked for bars without angering it, and without believing every answer?

ccxt speaks the protocol and keeps the rate limit. What it leaves out is done here: waiting as long as
the exchange says, asking again at growing distances, and refusing an answer that is no JSON. ccxt turns
such an answer (a maintenance page with status 200, a cut body) into an empty list of bars, which would
become a hole in the store.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import ccxt
import numpy as np

from plugin.candle_store import RawBars, did_you_mean
from plugin.clock import utc_minute
from plugin.errors import WrongUse
from plugin.sources.exchange_answers import (
    AnswerDamaged,
    ExchangeUnavailable,
    check_not_emptied,
    checked_rows,
    growing_pause_s,
    moved,
    one_line,
    told_to_wait_s,
)

__all__ = ["MAX_ATTEMPTS", "ExchangeUnavailable", "PatientExchange", "open_exchange"]
_Answer = TypeVar("_Answer")

MAX_ATTEMPTS = 6
PATIENCE_S = 300.0  # a rate limit passes within a minute; a ban lasts minutes to days
# Binance's class covers futures too; their markets would cost two more requests to other hosts.
_OPTIONS = {"binance": {"fetchMarkets": {"types": ["spot"]}}}


def _ignore_waiting(_seconds: float, _reason: str) -> None:
    """Nobody wants to know."""


@dataclass
class PatientExchange:
    """A ccxt exchange (the synchronous class), asked with patience.

    `sleep`, `clock_ms` and `jitter` (a share in 0 to 1) are the outside world;
    `waiting` hears of pauses.
    """

    ccxt_exchange: Any
    sleep: Callable[[float], None] = time.sleep
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    jitter: Callable[[], float] = random.random
    waiting: Callable[[float, str], None] = _ignore_waiting

    def __post_init__(self) -> None:
        # The two facts that ccxt's exceptions do not carry.
        self.ccxt_exchange.enableLastJsonResponse = True
        self.ccxt_exchange.enableLastResponseHeaders = True

    @property
    def name(self) -> str:
        return str(self.ccxt_exchange.id)

    def answers(self) -> bool:
        """Whether the exchange can be reached at all: one try, no patience."""
        try:
            self._ask_once(self.ccxt_exchange.fetch_time)
        except (ccxt.BaseError, AnswerDamaged):
            return False
        return True

    def time_ms(self) -> int:
        """The exchange's own clock. Raises WrongUse for an exchange that does not tell its time."""
        if not self.ccxt_exchange.has["fetchTime"]:
            raise WrongUse("an exchange that tells its time", self.name, "use another exchange")
        return int(self._ask(self.ccxt_exchange.fetch_time))

    def market(self, symbol: str) -> Mapping[str, Any]:
        """What the exchange says of a symbol. Raises WrongUse with near names for an unknown one."""
        if not self.ccxt_exchange.markets:
            self._ask(lambda: self.ccxt_exchange.load_markets(True))
        markets: Mapping[str, Mapping[str, Any]] = self.ccxt_exchange.markets
        if symbol not in markets:
            was = f"{symbol}, unknown to {self.name}"
            raise WrongUse("a symbol that the exchange lists", was, did_you_mean(symbol, markets))
        return markets[symbol]

    def check_timeframe(self, timeframe: str) -> None:
        """Raise WrongUse unless the exchange has bars of this length."""
        known = self.ccxt_exchange.timeframes
        if timeframe not in known:
            raise WrongUse(f"a timeframe of {self.name}", timeframe, f"use one of {', '.join(known)}")

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> RawBars:
        """One page: at most `limit` bars from `since_ms` on, in time order, each once; maybe none.

        The newest may be unfinished. Values that the exchange leaves out are NaN.
        """
        rows = self._ask(lambda: self._rows(symbol, timeframe, since_ms, limit))
        time_ms = np.array([row[0] for row in rows], dtype=np.int64)
        ohlcv = np.array([row[1:6] for row in rows], dtype=np.float64).reshape(-1, 5).T
        order = np.unique(time_ms, return_index=True)[1]
        return RawBars(time_ms, ohlcv)[order]

    def pause(self, attempt: int, reason: str, told_s: float = 0.0) -> None:
        """Wait `told_s`, or else longer after every failed attempt; jitter keeps callers apart."""
        jitter = self.jitter()
        seconds = told_s + jitter if told_s else growing_pause_s(attempt, jitter)
        self.waiting(seconds, reason)
        self.sleep(seconds)

    def _rows(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> list[list[Any]]:
        rows = checked_rows(self.ccxt_exchange.fetch_ohlcv(symbol, timeframe, since_ms, limit))
        check_not_emptied(rows, self.ccxt_exchange.last_json_response, since_ms)
        return rows

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        attempt = 0
        while True:
            try:
                return self._ask_once(call)
            except (ccxt.NetworkError, ccxt.BadResponse, AnswerDamaged) as error:
                headers = self.ccxt_exchange.last_response_headers
                reason = one_line(error)
                told_s = told_to_wait_s(str(error), headers, self.clock_ms())
                attempt += 1
                if told_s > PATIENCE_S or attempt == MAX_ATTEMPTS:
                    raise self._unavailable(reason, told_s) from error
            except ccxt.BaseError as error:
                raise self._unavailable(one_line(error), 0.0) from error
            self.pause(attempt - 1, reason, told_s)

    def _ask_once(self, call: Callable[[], _Answer]) -> _Answer:
        self.ccxt_exchange.last_json_response = None
        self.ccxt_exchange.last_response_headers = None
        try:
            answer = call()
        except (LookupError, TypeError, AttributeError) as error:
            # This is how ccxt trips over JSON of a shape that it does not expect.
            raise AnswerDamaged(f"{self.name} answered with JSON of another shape") from error
        if self.ccxt_exchange.last_json_response is None or answer is None:
            raise AnswerDamaged(f"{self.name} answered with something that is not its JSON")
        return answer

    def _unavailable(self, reason: str, told_s: float) -> ExchangeUnavailable:
        remedy = "check the network or choose another exchange; what was downloaded is saved"
        if told_s > PATIENCE_S:
            again = utc_minute(self.clock_ms() + int(told_s * 1000) + 60_000)
            remedy = f"run it again after {again} UTC and not before; what was downloaded is saved"
        return ExchangeUnavailable(f"bars from {self.name}", reason, remedy)


def open_exchange(
    name: str, url: str | None = None, waiting: Callable[[float, str], None] = _ignore_waiting
) -> PatientExchange:
    """A real exchange by its ccxt name; `url` (scheme and host) replaces its hosts, as for a mirror."""
    if name not in ccxt.exchanges:
        raise WrongUse("an exchange that ccxt knows", name, did_you_mean(name, ccxt.exchanges))
    exchange = getattr(ccxt, name)({"timeout": 20_000, "options": _OPTIONS.get(name, {})})
    if url:  # empty is how the setting says none
        exchange.urls["api"] = moved(exchange.urls["api"], url)
    return PatientExchange(exchange, waiting=waiting)
