"""Which of several workers answers for which symbol?

Every worker says every few seconds that it lives; who has not said so for a lease is taken for dead.
Of the living, the one with the highest hash of its name and the symbol owns the symbol (rendezvous
hashing, Thaler and Ravishankar 1998): all compute the same without talking, and when a worker comes or
goes, only its own symbols move. For a moment two may think they own one: the group gives each bar to
one of them, and the ids of the bus take each answer once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from plugin.bar import Timeframe
from plugin.sources.redis_bus import PREFIX, Connection

RENEWAL_S = 2.0
LEASE_MS = 6_000
"""Three missed renewals; a worker that was only slow comes back within it and has lost nothing."""


class Shards:
    """One worker's view of who owns what; times are those of the Redis server."""

    def __init__(
        self, redis: Connection, timeframe: Timeframe, name: str, symbols: Sequence[str]
    ) -> None:
        self.name = name
        self.workers: tuple[str, ...] = ()
        self._redis = redis
        self._symbols = symbols
        self._key = f"{PREFIX}:workers:{timeframe.name}"

    async def renew(self) -> frozenset[str]:
        """Say that this worker lives, and return what it owns now. Raises RedisError."""
        seconds, microseconds = await self._redis.time()
        now_ms = seconds * 1000 + microseconds // 1000
        async with self._redis.pipeline() as pipe:
            pipe.zadd(self._key, {self.name: now_ms + LEASE_MS})
            pipe.zremrangebyscore(self._key, "-inf", f"({now_ms}")
            pipe.zrange(self._key, 0, -1)
            *_, alive = await pipe.execute()
        self.workers = tuple(sorted(name.decode() for name in alive))
        return frozenset(one for one in self._symbols if owner(one, self.workers) == self.name)

    async def leave(self) -> None:
        """Hand over at once instead of after a lease. Raises RedisError."""
        await self._redis.zrem(self._key, self.name)


def owner(symbol: str, workers: Iterable[str]) -> str:
    """The one of `workers`, of which there is at least one, that answers for `symbol`.

    >>> owner("BTC/USDT", ["a", "b"]) == owner("BTC/USDT", ["b", "a"])
    True
    """
    return max(workers, key=lambda name: (_weight(name, symbol), name))


def _weight(worker: str, symbol: str) -> bytes:
    return hashlib.blake2b(f"{worker}\n{symbol}".encode(), digest_size=8).digest()
