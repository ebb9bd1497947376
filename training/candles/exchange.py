"""How is an exchange asked for bars without angering it, and without believing every answer?

    ShadowgateError (plugin.errors)
    └── ExchangeUnavailable     no usable answer after patient asking; exit code 1

ccxt speaks the protocol and keeps the rate limit. What it leaves out is done here: waiting as long as
the exchange says, asking again at growing distances, and refusing an answer that is no JSON. ccxt turns
such an answer (a maintenance page with status 200, a cut body) into an empty list of bars, which would
become a hole in the store.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import ccxt
import numpy as np

from plugin.bar import EARLIEST_MS, LATEST_MS
from plugin.candle_store import RawBars, did_you_mean
from plugin.clock import utc_minute
from plugin.errors import ShadowgateError, WrongUse

_Answer = TypeVar("_Answer")

MAX_ATTEMPTS = 6
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
PATIENCE_S = 300.0  # a rate limit passes within a minute; a ban lasts minutes to days
# Binance's class covers futures too; their markets would cost two more requests to other hosts.
_OPTIONS = {"binance": {"fetchMarkets": {"types": ["spot"]}}}
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")


class ExchangeUnavailable(ShadowgateError):
    """The exchange gave no usable answer; what was downloaded before is saved."""


class AnswerDamaged(ccxt.BadResponse):  # type: ignore[misc]  # ccxt has no types
    """The body of an answer is not what the exchange should say: HTML, cut JSON, rows without time."""


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
        except ccxt.BaseError:
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
        grown_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**attempt)
        seconds = told_s + self.jitter() if told_s else grown_s * (0.5 + 0.5 * self.jitter())
        self.waiting(seconds, reason)
        self.sleep(seconds)

    def _rows(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> list[list[Any]]:
        rows = _checked(self.ccxt_exchange.fetch_ohlcv(symbol, timeframe, since_ms, limit))
        answer = self.ccxt_exchange.last_json_response
        if not rows and isinstance(answer, list) and answer:
            # ccxt drops rows from before `since_ms`, so times in seconds look like an empty page.
            raise AnswerDamaged(f"no bar from {utc_minute(since_ms)} on, but others: {answer[0]}")
        return rows

    def _ask(self, call: Callable[[], _Answer]) -> _Answer:
        attempt = 0
        while True:
            try:
                return self._ask_once(call)
            except (ccxt.NetworkError, ccxt.BadResponse) as error:
                reason, told_s = _one_line(error), self._told_to_wait_s(str(error))
                attempt += 1
                if told_s > PATIENCE_S or attempt == MAX_ATTEMPTS:
                    raise self._unavailable(reason, told_s) from error
            except ccxt.BaseError as error:
                raise self._unavailable(_one_line(error), 0.0) from error
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

    def _told_to_wait_s(self, message: str) -> float:
        # The exchange's own clock decides when a ban ends; its answer carries the time in `Date`.
        headers = self.ccxt_exchange.last_response_headers or {}
        now_s = _date_s(headers.get("Date")) or self.clock_ms() / 1000
        told = [0.0]
        if banned := _BANNED_UNTIL.search(message):
            told.append(int(banned[1]) / 1000 - now_s)
        retry_after = headers.get("Retry-After") or ""
        if retry_after.isdigit():
            told.append(float(retry_after))
        elif until_s := _date_s(retry_after):
            told.append(until_s - now_s)
        return max(told)

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
        exchange.urls["api"] = _moved(exchange.urls["api"], url)
    return PatientExchange(exchange, waiting=waiting)


def _moved(addresses: Any, url: str) -> Any:
    if isinstance(addresses, dict):
        return {name: _moved(address, url) for name, address in addresses.items()}
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise WrongUse("an address such as https://mirror.example", url, "correct ML_EXCHANGE_URL")
    return url.rstrip("/") + urlsplit(addresses).path


def _checked(rows: Any) -> list[list[Any]]:
    """The rows of a page if each has a time in milliseconds and five numbers or nulls."""
    for row in rows:
        time_ms, *ohlcv = row
        if not isinstance(time_ms, int) or not EARLIEST_MS <= time_ms < LATEST_MS:
            raise AnswerDamaged(f"a bar came without a time in milliseconds: {row}")
        if len(ohlcv) < 5 or not all(isinstance(x, int | float | None) for x in ohlcv[:5]):
            raise AnswerDamaged(f"a bar came without its five numbers: {row}")
    return list(rows)


def _date_s(http_date: str | None) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp() if http_date else None
    except ValueError:
        return None


def _one_line(error: Exception) -> str:
    text = " ".join(re.sub(r"<[^>]*>", " ", str(error)).split())
    return f"{type(error).__name__}: {text[:160]}"
