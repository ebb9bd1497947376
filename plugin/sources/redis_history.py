"""Which older bars does a worker need from the streams, and which ones has it read already?"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
from redis.exceptions import ResponseError

from plugin.bar import BarClosed, Timeframe, check_bar
from plugin.candles import Candles, on_grid
from plugin.errors import BarRejected
from plugin.sources.redis_bus import Connection, decode_bar, key_of, last_id, open_time_ms

Entries = Sequence[tuple[bytes, dict[bytes, bytes]]]
_BEGINNING = "0-0"


class History:
    """Reads bars without taking them from the group, and remembers how far it has read."""

    def __init__(
        self, redis: Connection, group: str, symbols: Sequence[str], timeframe: Timeframe
    ) -> None:
        self._redis = redis
        self._group = group
        self._timeframe = timeframe
        self._read_until: dict[str, str] = dict.fromkeys(symbols, _BEGINNING)
        self._newest_ms: dict[str, int] = dict.fromkeys(symbols, 0)

    async def before_unanswered(self, symbol: str, n_bars: int, *, is_served: bool) -> Candles | None:
        """At most `n_bars` before the first bar that no worker has answered; None where there is none.

        Of a symbol that is not served, all bars are history. Where nobody has answered anything yet,
        the newest bar is the first to be answered.
        """
        key = key_of("bars", self._timeframe, symbol)
        end = "+"
        if is_served:
            await self.make_group(symbol)
            end = f"({await self._first_unanswered(key)}"
        entries = await self._redis.xrevrange(key, max=end, min="-", count=n_bars)
        return self._candles(symbol, list(reversed(entries)))

    async def catch_up(
        self, open_ms: int, besides: Collection[str], take: Callable[[Candles], None]
    ) -> bool:
        """Hand to `take` what is new up to the bar that opened at `open_ms`, of all symbols; of those
        `besides`, which have that bar already, only what lies before it.

        True when every symbol that had the bar before has this one, too.
        """
        symbols = list(self._read_until)
        async with self._redis.pipeline(transaction=False) as pipe:
            for symbol in symbols:
                end = f"({open_ms}-0" if symbol in besides else last_id(open_ms)
                key = key_of("bars", self._timeframe, symbol)
                pipe.xrange(key, min=f"({self._read_until[symbol]}", max=end)
            found = await pipe.execute()
        for symbol, entries in zip(symbols, found, strict=True):
            candles = self._candles(symbol, entries)
            if candles is not None:
                take(candles)
        for symbol in besides:
            self._newest_ms[symbol] = max(self._newest_ms[symbol], open_ms)
        before_ms = open_ms - self._timeframe.length_ms
        return before_ms not in self._newest_ms.values()

    async def make_group(self, symbol: str) -> None:
        """Let each bar of a symbol, from the newest on, go to one worker only, as it may do already."""
        key = key_of("bars", self._timeframe, symbol)
        try:
            await self._redis.xgroup_create(key, self._group, await self._before_newest(key), True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def _first_unanswered(self, key: str) -> str:
        """The id of the first entry that is pending, or was not delivered yet to anyone."""
        pending: Any = await self._redis.xpending(key, self._group)
        if pending["pending"]:
            return str(pending["min"].decode())
        groups = await self._redis.xinfo_groups(key)
        delivered = next(one for one in groups if one["name"] == self._group.encode())
        return _after(delivered["last-delivered-id"])

    async def _before_newest(self, key: str) -> str:
        """Where a new group begins: the newest bar is the first one to be answered."""
        newest = await self._redis.xrevrange(key, count=1)
        if not newest:
            return _BEGINNING
        return f"{open_time_ms(newest[0][0]) - 1}-0"

    def _candles(self, symbol: str, entries: Entries) -> Candles | None:
        """The bars of `entries`, the last version of each, which are read from now on."""
        bars: dict[int, BarClosed] = {}
        for entry_id, fields in entries:
            bar = decode_bar(fields, 0)
            if bar is not None and _is_sound(bar, symbol, self._timeframe, open_time_ms(entry_id)):
                bars[bar.open_time_ms] = bar
        if entries:
            self._read_until[symbol] = entries[-1][0].decode()
            self._newest_ms[symbol] = open_time_ms(entries[-1][0])
        if not bars:
            return None
        values = np.array([bar.ohlcv for bar in bars.values()]).T
        return on_grid(symbol, self._timeframe, np.array(list(bars), dtype=np.int64), values)


def _is_sound(bar: BarClosed, symbol: str, timeframe: Timeframe, open_ms: int) -> bool:
    """Judged as every bar is; whether it has closed is the business of who published it."""
    try:
        check_bar(bar, timeframe, open_ms + timeframe.length_ms)
    except BarRejected:
        return False
    return (bar.symbol, bar.open_time_ms) == (symbol, open_ms)


def _after(entry_id: bytes) -> str:
    first, _, second = entry_id.decode().partition("-")
    return f"{first}-{int(second) + 1}"
