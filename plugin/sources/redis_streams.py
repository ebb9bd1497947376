"""How do many workers share many symbols, each bar answered by one of them and by another if that dies?

Bars lie in one stream a symbol. A worker reads the streams of the symbols that it owns as a member of a
consumer group, so an entry goes to one worker only and stays pending until its record is out; what a
dead worker leaves pending is claimed by the next owner. The bars of all other symbols, which features
compare with, are fetched beside each batch and go straight into the buffers.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeAlias

import structlog
from msgspec.structs import replace
from redis.exceptions import RedisError

from plugin.bar import BarClosed, Timeframe
from plugin.candles import Candles
from plugin.clock import Clock
from plugin.sources.redis_bus import decode_bar, key_of, open_redis, open_time_ms
from plugin.sources.redis_history import History
from plugin.sources.redis_shards import LEASE_MS, RENEWAL_S, Shards

_log = structlog.get_logger()
Entries: TypeAlias = "Sequence[tuple[bytes, dict[bytes, bytes] | None]]"
GROUP = "shadowgate"
_BLOCK_MS = 500
_TOGETHER_S = 1.0
"""So long after the first bar of a close the batch waits for the others; a feed publishes in one go."""
_PAUSE_S = 1.0
_PAGE = 100


class RedisStreams:
    """A worker's share of the bars. `take_history` is where the bars of other symbols go to.

    `acknowledge` ends the life of an entry: until then it comes again, here or at another worker.
    """

    def __init__(
        self,
        url: str,
        served: Sequence[str],
        followed: Sequence[str],
        timeframe: Timeframe,
        clock: Clock,
        name: str | None = None,
    ) -> None:
        """`name` tells the workers apart; by default it is made of the host and the process."""
        self.redis = open_redis(url)
        self.take_history: Callable[[Candles], None] = lambda _: None
        self._served = tuple(served)
        self.timeframe = timeframe
        self._clock = clock
        name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._shards = Shards(self.redis, timeframe, name, self._served)
        self._history = History(self.redis, GROUP, (*served, *followed), timeframe)
        self._owned: frozenset[str] = frozenset()
        self._renewed_s = float("-inf")
        self._claimed_s = float("-inf")
        self._pending: dict[tuple[str, int], list[bytes]] = {}
        self._come: dict[int, dict[str, BarClosed]] = {}
        self._first_came_s: dict[int, float] = {}
        self._newest_ms: dict[str, int] = {}
        self._has_group = False
        self._stopped = False
        self._fault: str | None = None

    async def batches(self) -> AsyncIterator[list[BarClosed]]:
        try:
            while not self._stopped:
                try:
                    await self._read()
                    batch = await self._next_batch()
                except (RedisError, OSError) as error:
                    await self._wait_out(error)
                    self._has_group = False  # a Redis that came back may have forgotten everything
                    continue
                self._fault = None
                if batch:
                    yield batch
        finally:
            await self._leave()

    def stop(self) -> None:
        self._stopped = True

    def state(self) -> Mapping[str, object]:
        return {
            "connected": self._fault is None,
            "fault": self._fault,
            "worker": self._shards.name,
            "workers": list(self._shards.workers),
            "owned": sorted(self._owned),
            "pending": sum(map(len, self._pending.values())),
        }

    async def history(self, symbol: str, n_bars: int) -> Candles | None:
        """The bars before the first one that nobody has answered yet."""
        return await self._history.before_unanswered(symbol, n_bars, is_served=symbol in self._served)

    def entries_of(self, bar: BarClosed) -> list[bytes]:
        """The ids under which this bar is pending; it is pending no more for this process."""
        return self._pending.pop((bar.symbol, bar.open_time_ms), [])

    async def _read(self) -> None:
        now_s = time.monotonic()
        if not self._has_group:
            for symbol in self._served:
                await self._history.make_group(symbol)
            self._has_group = True
        if now_s - self._renewed_s >= RENEWAL_S:
            owned = await self._shards.renew()
            self._renewed_s = now_s
            if owned != self._owned:
                _log.info("symbols_owned", n=len(owned), workers=len(self._shards.workers))
                # At once, and before any newer bar: the former owner may be dead for less than a lease.
                await self._claim(owned - self._owned, idle_ms=0)
                self._owned = owned
        if now_s - self._claimed_s >= LEASE_MS / 1000:
            await self._claim(self._owned, idle_ms=LEASE_MS)
            self._claimed_s = now_s
        if not self._owned:
            await asyncio.sleep(_BLOCK_MS / 1000)
            return
        keys = {key_of("bars", self.timeframe, symbol): ">" for symbol in self._owned}
        come = await self.redis.xreadgroup(
            GROUP, self._shards.name, keys, count=_PAGE, block=None if self._come else _BLOCK_MS
        )
        by_symbol = {
            key.decode().partition(f":{self.timeframe.name}:")[2]: entries
            for key, entries in come or ()
        }
        # A worker that still took itself for the owner may have what lies before, and may be dead.
        holed = [one for one, entries in by_symbol.items() if self._is_hole_before(one, entries)]
        await self._claim(frozenset(holed), idle_ms=0)
        for symbol, entries in by_symbol.items():
            self._take(symbol, entries)

    def _is_hole_before(self, symbol: str, entries: Entries) -> bool:
        """Whether the first of `entries` may follow a bar that this worker was never given."""
        newest_ms = self._newest_ms.get(symbol)
        first_ms = open_time_ms(entries[0][0])
        return newest_ms is None or first_ms > newest_ms + self.timeframe.length_ms

    async def _claim(self, of: frozenset[str], idle_ms: int) -> None:
        """Take over what was delivered to another worker and not answered within so long."""
        symbols = sorted(of)
        if not symbols:
            return
        async with self.redis.pipeline(transaction=False) as pipe:
            for symbol in symbols:
                key = key_of("bars", self.timeframe, symbol)
                pipe.xautoclaim(key, GROUP, self._shards.name, idle_ms, count=_PAGE)
            claimed = await pipe.execute()
        for symbol, (_, entries, *_rest) in zip(symbols, claimed, strict=True):
            if entries:
                _log.info("entries_claimed", symbol=symbol, n=len(entries))
                self._take(symbol, entries)

    def _take(self, symbol: str, entries: Entries) -> None:
        now_ms = self._clock.now_ms()
        for entry_id, fields in entries:
            if fields is None:  # trimmed away while it was pending
                continue
            bar = decode_bar(fields, now_ms)
            open_ms = open_time_ms(entry_id)
            if bar is None or (bar.symbol, bar.open_time_ms) != (symbol, open_ms):
                bar = _unusable(symbol, self.timeframe.name, open_ms, now_ms)
            if now_ms >= open_ms + 2 * self.timeframe.length_ms:
                bar = replace(bar, already_answered="late")
            self._pending.setdefault((symbol, open_ms), []).append(entry_id)
            self._come.setdefault(open_ms, {})[symbol] = bar
            self._newest_ms[symbol] = max(open_ms, self._newest_ms.get(symbol, 0))
            self._first_came_s.setdefault(open_ms, time.monotonic())

    async def _next_batch(self) -> list[BarClosed]:
        """The oldest close, once all owned symbols have it or it has waited long enough."""
        if not self._come:
            return []
        open_ms = min(self._come)
        waited_s = time.monotonic() - self._first_came_s[open_ms]
        is_whole = await self._history.catch_up(open_ms, self._come[open_ms].keys(), self.take_history)
        owned_are_here = self._owned <= self._come[open_ms].keys()
        if not (is_whole and owned_are_here) and waited_s < _TOGETHER_S:
            await asyncio.sleep(0.02)
            return []
        bars = self._come.pop(open_ms)
        del self._first_came_s[open_ms]
        return list(bars.values())

    async def _wait_out(self, error: Exception) -> None:
        if self._fault is None:
            _log.warning("redis_unavailable", reason=str(error)[:200])
        self._fault = str(error)
        await asyncio.sleep(_PAUSE_S)

    async def _leave(self) -> None:
        try:
            await self._shards.leave()
        except (RedisError, OSError) as error:
            _log.warning("lease_not_given_back", reason=str(error)[:200])


def _unusable(symbol: str, timeframe: str, open_ms: int, now_ms: int) -> BarClosed:
    """Stands for an entry that holds no bar: judged and acknowledged like a bad one."""
    no = float("nan")
    return BarClosed(symbol, timeframe, open_ms, no, no, no, no, no, "redis", now_ms)
