"""How is an exchange asked over REST beside a bot that shares its limits, and what time is it there?

One question at a time, at half the pace that the exchange allows, and none while it wants to hear
nothing: `Retry-After` and "banned until" hold up everything, websocket handshakes too. What is no
answer is never taken for one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog

from plugin.bar import Timeframe
from plugin.candle_store import did_you_mean
from plugin.clock import Clock
from plugin.errors import WrongUse
from plugin.sources.exchange_answers import (
    AnswerDamaged,
    check_not_emptied,
    checked_rows,
    date_s,
    growing_pause_s,
    one_line,
    told_to_wait_s,
)
from plugin.sources.exchange_class import TIMEOUT_S, close_exchange, exchange_class, make_exchange

_log = structlog.get_logger()
_SHORTEST_SPACING_S = 0.1
_RATE_LIMITED_S = 60.0  # where the exchange does not say for how long
_DIFFERS_MS = 2_000
_REBUILT_AFTER = 5
_TELL_OF_FEW = ("binance", "binanceus")
_MEASUREMENTS, _SHARP_MS = 3, 500  # the first answer pays for the connection


class NoAnswer(Exception):
    """The exchange can not be reached, is under maintenance, or said something that is no answer."""


class NotListed(Exception):
    """The exchange knows no such symbol."""


class Page(NamedTuple):
    """Rows of open time in ms and five numbers or None; `at_ms` is when the exchange had them so."""

    rows: list[list[Any]]
    at_ms: int


class ExchangeClient:
    """`offset_ms` is how far the exchange's clock is ahead of ours, give or take `uncertainty_ms`.

    `is_unsure` says that this may have changed. Everything but the pauses of `clock` is real time.
    """

    def __init__(
        self, name: str, url: str, symbols: Sequence[str], timeframe: Timeframe, clock: Clock
    ) -> None:
        """Raises WrongUse for an unknown exchange or timeframe, or a `url` that is no address."""
        self.kind = exchange_class(name)
        self._url = url
        self._symbols = tuple(symbols)
        self._timeframe = timeframe
        self._clock = clock
        self._exchange = make_exchange(self.kind, url, symbols)
        known = self._exchange.timeframes or {}
        if timeframe.name not in known:
            raise WrongUse(f"a timeframe of {name}", timeframe.name, f"use one of {', '.join(known)}")
        self._turn = asyncio.Lock()
        self._holds: set[asyncio.Task[None]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._n_failures = 0
        self._owed_s = 0.0
        self._is_measured = False
        self.markets: list[Mapping[str, Any]] = []
        self.offset_ms = 0
        self.uncertainty_ms = 0
        self.is_unsure = True
        self.n_requests = 0
        self.held_until_ms = 0
        self.fault: str | None = None

    @property
    def has_stream(self) -> bool:
        """Whether ccxt can follow the bars of this exchange over a websocket."""
        return bool(self._exchange.has.get("watchOHLCV"))

    def now_ms(self) -> int:
        """The exchange's time."""
        return self._clock.now_ms() + self.offset_ms

    def is_skewed(self, tolerance_ms: int) -> bool:
        """Whether the clocks surely differ by more."""
        return abs(self.offset_ms) - self.uncertainty_ms > tolerance_ms

    async def load(self) -> None:
        """Read what the exchange trades and keep what is followed.

        Raises NoAnswer, or WrongUse with near names for a symbol that it does not list.
        """
        try:
            markets = await self._ask(partial(self._fetch_markets, self._symbols))
        except NotListed:
            markets = await self._ask(self._exchange.fetch_markets)  # all, to name the nearest one
        by_name = {market["symbol"]: market for market in markets}
        for symbol in self._symbols:
            if symbol not in by_name:
                was = f"{symbol}, unknown to {self._exchange.id}"
                raise WrongUse("a symbol that the exchange lists", was, did_you_mean(symbol, by_name))
        self.adopt([by_name[symbol] for symbol in self._symbols])

    def adopt(self, markets: Sequence[Mapping[str, Any]]) -> None:
        """Go on with markets that were read before."""
        self.markets = list(markets)
        self._exchange.set_markets(self.markets)

    def take_over(self, scout: ExchangeClient) -> None:
        """Go on with what another client of the same exchange was told: markets, or to be silent."""
        if scout.markets:
            self.adopt(scout.markets)
        self.held_until_ms, self.n_requests = scout.held_until_ms, scout.n_requests
        self._owed_s = max(0, scout.held_until_ms - self._clock.now_ms()) / 1000

    async def lists(self, symbol: str) -> bool:
        """Whether the exchange still trades a symbol. Raises NoAnswer."""
        try:
            markets = await self._ask(partial(self._fetch_markets, (symbol,)))
        except NotListed:
            return False
        found = [market for market in markets if market["symbol"] == symbol]
        return bool(found) and found[0].get("active") is not False

    async def measure(self) -> None:
        """Find out what time it is at the exchange: half of the way there and back is subtracted.

        Raises NoAnswer.
        """
        if not self._exchange.has.get("fetchTime"):
            since_ms = self._timeframe.floor(self.now_ms())
            await self.bars(self._symbols[0], since_ms, 1)  # the date of any answer has to do
            return

        async def timed() -> tuple[int, int, int]:
            asked_ms = self._clock.now_ms()
            told_ms = int(await self._exchange.fetch_time())
            return told_ms, asked_ms, self._clock.now_ms()

        tries: list[tuple[int, int]] = []
        while len(tries) < _MEASUREMENTS:
            told_ms, asked_ms, come_ms = await self._ask(timed)
            tries.append((abs(come_ms - asked_ms) // 2, told_ms - (asked_ms + come_ms) // 2))
            if tries[-1][0] <= _SHARP_MS:
                break
        uncertainty_ms, offset_ms = min(tries)
        self._set_offset(offset_ms, uncertainty_ms)

    async def bars(self, symbol: str, since_ms: int, limit: int) -> Page:
        """At most `limit` bars from `since_ms` on in one question, oldest first, the last maybe open.

        Raises NoAnswer, or NotListed where the exchange does not know the symbol.
        """

        async def page() -> Page:
            asked_ms = self.now_ms()
            rows = checked_rows(
                await self._exchange.fetch_ohlcv(symbol, self._timeframe.name, since_ms, limit)
            )
            check_not_emptied(rows, self._exchange.last_json_response, since_ms)
            dated_s = self._dated_s()
            at_ms = asked_ms if dated_s is None else min(asked_ms, int(dated_s * 1000))
            return Page(sorted(rows, key=lambda row: int(row[0])), at_ms)

        answer: Page = await self._ask(page)
        return answer

    def another(self, kind: Any) -> Any:
        """Another object for the same exchange and markets, of a class made of `self.kind`."""
        exchange = make_exchange(kind, self._url, self._symbols)
        exchange.set_markets(self.markets)
        exchange.ssl_context = self._exchange.ssl_context  # tens of milliseconds and a megabyte to make
        return exchange

    def obey(self, error: BaseException, headers: Mapping[str, str] | None) -> None:
        """Ask nothing for as long as a refusal says."""
        told_s = told_to_wait_s(str(error), headers, self.now_ms())
        if not told_s and type(error).__name__ in ("DDoSProtection", "RateLimitExceeded"):
            told_s = _RATE_LIMITED_S
        if told_s > 0:
            self.held_until_ms = self.now_ms() + int(told_s * 1000)
            _log.warning("exchange_wants_silence", seconds=round(told_s, 1), reason=one_line(error))
            self._hold(told_s + random.random())

    async def let_in(self) -> None:
        """Wait until the exchange may be asked."""
        if self._owed_s:
            self._hold(self._owed_s)
            self._owed_s = 0.0
        while pending := {hold for hold in self._holds if not hold.done()}:
            await asyncio.wait(pending)
        self._holds.clear()

    async def close(self) -> None:
        """Let go of every connection and timer."""
        for hold in self._holds:
            hold.cancel()
        await asyncio.gather(close_exchange(self._exchange), *self._closing)

    async def _ask(self, call: Callable[[], Awaitable[Any]]) -> Any:
        async with self._turn:
            await self.let_in()
            await self._clock.sleep(max(_SHORTEST_SPACING_S, 2 * self._exchange.rateLimit / 1000))
            exchange = self._exchange
            exchange.last_json_response = exchange.last_response_headers = None
            self.n_requests += 1
            try:
                async with asyncio.timeout(TIMEOUT_S):
                    answer = await call()
                if exchange.last_json_response is None or answer is None:
                    raise AnswerDamaged(f"{exchange.id} answered with something that is not its JSON")
            except (
                Exception
            ) as error:  # ccxt trips in many ways over JSON of a shape it does not expect
                self._failed(error)
                raise (NotListed if _says_unknown(error) else NoAnswer)(one_line(error)) from error
            self._answered()
            return answer

    async def _fetch_markets(self, symbols: Sequence[str]) -> Any:
        """Binance tells of a few markets alone; all of its 3,000 take 140 MB and seconds to read."""
        params = {}
        if self._exchange.id in _TELL_OF_FEW and not any(":" in symbol for symbol in symbols):
            ids = ",".join(f'"{symbol.replace("/", "")}"' for symbol in symbols)
            params = {"symbols": f"[{ids}]"}
        return await self._exchange.fetch_markets(params)

    def _answered(self) -> None:
        if self.fault is not None:
            _log.info("exchange_answers_again")
        self.fault, self._n_failures = None, 0
        dated_s = self._dated_s()
        if dated_s is None:
            return
        differs_ms = int(dated_s * 1000) + 500 - self.now_ms()  # a date has whole seconds
        if not self._exchange.has.get("fetchTime"):
            self._set_offset(self.offset_ms + differs_ms, 500)
        elif abs(differs_ms) > _DIFFERS_MS + self.uncertainty_ms:
            self.is_unsure = True

    def _failed(self, error: Exception) -> None:
        self.obey(error, self._exchange.last_response_headers)
        if _says_unknown(error):
            return
        if self.fault is None:
            _log.warning("exchange_unavailable", reason=one_line(error))
        self.fault = one_line(error)
        self._hold(growing_pause_s(self._n_failures, random.random()))
        self._n_failures += 1
        if self._n_failures % _REBUILT_AFTER == 0:
            self._rebuild()

    def _rebuild(self) -> None:
        """Connections that hang may hang in the object: a new one has none."""
        closing = asyncio.create_task(close_exchange(self._exchange))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self._exchange = self.another(self.kind)

    def _hold(self, seconds: float) -> None:
        self._holds.add(asyncio.create_task(self._clock.sleep(seconds)))

    def _dated_s(self) -> float | None:
        headers = self._exchange.last_response_headers or {}
        return date_s(next((text for name, text in headers.items() if name.lower() == "date"), None))

    def _set_offset(self, offset_ms: int, uncertainty_ms: int) -> None:
        moved_ms = offset_ms - self.offset_ms
        if self._is_measured and abs(moved_ms) > _DIFFERS_MS + self.uncertainty_ms + uncertainty_ms:
            _log.warning("clock_was_set", by_ms=-moved_ms)
        self._is_measured = True
        self.offset_ms, self.uncertainty_ms, self.is_unsure = offset_ms, uncertainty_ms, False
        if self.is_skewed(_DIFFERS_MS):
            _log.warning("clocks_differ", exchange_is_ahead_ms=offset_ms)


def _says_unknown(error: BaseException) -> bool:
    return type(error).__name__ == "BadSymbol"
