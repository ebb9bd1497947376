"""`python -m plugin feed`: closed bars from the exchange into Redis, where the workers read them."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import structlog
from redis.exceptions import RedisError

from plugin.bar import BarClosed, Timeframe
from plugin.buffer import HELD_BARS
from plugin.bundle import verify_bundle
from plugin.candles import closed_bars
from plugin.clock import SystemClock
from plugin.command_line import YES, add_command
from plugin.logs import configure_logs
from plugin.looking_back import lookback
from plugin.manifest import Manifest
from plugin.registry import Registry
from plugin.settings import Settings, load_settings
from plugin.sources.base import BarSource
from plugin.sources.redis_bus import KEPT, Connection, open_redis, publish_bars

_log = structlog.get_logger()
_PAUSE_S = 1.0
_EPILOG = """\
example:
  python -m plugin feed

Follows ML_SYMBOLS, and what the champion and the challenger compare them with, at ML_EXCHANGE, and
publishes each closed bar once at ML_REDIS_URL. One feed is enough for any number of workers; a second
one does no harm.
exit codes: 0 stopped, 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `feed`."""
    parser = add_command(subparsers, "feed", "publish closed bars in Redis for workers", _EPILOG)
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Publish until stopped."""
    settings = load_settings(args.env, os.environ)
    clock = SystemClock()
    configure_logs(clock, as_json=args.json)
    from plugin.sources.ccxt_feed import CcxtFeed

    manifests = _manifests(settings)
    symbols = _followed(settings, manifests)
    n_bars = max([HELD_BARS, *map(lookback, manifests)])
    source = CcxtFeed(
        settings.exchange,
        settings.exchange_url,
        symbols,
        settings.timeframe,
        clock,
        overdue=lambda symbol, open_ms: _log.warning("bar_overdue", symbol=symbol, bar=open_ms),
    )
    asyncio.run(_publish(source, settings.redis_url, symbols, settings.timeframe, n_bars))
    return YES


def _manifests(settings: Settings) -> list[Manifest]:
    """Of every bundle that has a role."""
    registry = Registry(settings.models_dir)
    pointers = (registry.champion(), registry.challenger())
    return [verify_bundle(registry.bundle_folder(one))[0] for one in pointers if one is not None]


def _followed(settings: Settings, manifests: Sequence[Manifest]) -> tuple[str, ...]:
    """The served symbols, and what any bundle with a role compares them with."""
    companions = (one.companions.get(symbol, ()) for one in manifests for symbol in settings.symbols)
    return tuple(dict.fromkeys((*settings.symbols, *chain.from_iterable(companions))))


async def _publish(
    source: BarSource, url: str, symbols: Sequence[str], timeframe: Timeframe, n_bars: int
) -> None:
    """A history of `n_bars` first, then every batch. What Redis does not take is offered again until it
    does."""
    redis = open_redis(url)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, source.stop)
    for symbol in symbols:
        history = await source.history(symbol, n_bars)
        if history is not None:
            await _offer(redis, timeframe, list(closed_bars(history, "redis")), n_bars)
    async for batch in source.batches():
        n_new = await _offer(redis, timeframe, batch, n_bars)
        _log.info("bars_published", bar=batch[0].open_time_ms, n=len(batch), n_new=n_new)
    await redis.aclose()


async def _offer(
    redis: Connection, timeframe: Timeframe, bars: Sequence[BarClosed], n_bars: int
) -> int:
    while True:
        try:
            return await publish_bars(redis, timeframe, bars, max(KEPT, n_bars))
        except (RedisError, OSError) as error:
            _log.warning("redis_unavailable", reason=str(error)[:200])
            await asyncio.sleep(_PAUSE_S)
