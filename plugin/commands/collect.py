"""`python -m plugin collect`: the records of all workers, from Redis into one shadow log."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
from redis.exceptions import RedisError

from plugin.bar import Timeframe
from plugin.clock import SystemClock
from plugin.command_line import NO, YES, add_command, print_json
from plugin.errors import NOT_JSON
from plugin.logs import configure_logs
from plugin.settings import load_settings
from plugin.sources.redis_bus import Connection, key_of, last_id, open_redis
from shadow.record import BarRecord
from shadow.writer import ShadowWriter

_log = structlog.get_logger()
_BLOCK_MS = 500
_PAUSE_S = 1.0
_PAGE = 200
_EPILOG = """\
example:
  python -m plugin collect

Runs beside workers with ML_SOURCE=redis, on the host where the report and the gates are run, and writes
what they publish into ML_SHADOW_DIR: each bar once, however often it is started.
exit codes: 0 stopped, or all collected with --once; 1 records could not be written; 2 wrong use
"""


def add_arguments(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register `collect`."""
    parser = add_command(subparsers, "collect", "gather the workers' records into one log", _EPILOG)
    parser.add_argument("--once", action="store_true", help="end when all that is there is written")
    parser.add_argument("--env", type=Path, default=Path(".env"), help="(default: .env)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Collect until stopped."""
    settings = load_settings(args.env, os.environ)
    clock = SystemClock()
    configure_logs(clock, as_json=args.json)
    with ShadowWriter(settings.shadow_dir, clock.now_ms) as writer:
        collector = Collector(settings.redis_url, settings.symbols, settings.timeframe, writer)
        asyncio.run(collector.run(once=args.once))
    answer = {
        "collected": collector.collected,
        "not_readable": collector.not_readable,
        "record_errors": writer.errors,
        "shadow_dir": str(settings.shadow_dir),
    }
    if args.json:
        print_json(answer)
    else:
        _log.info("collected", **answer)
    return NO if writer.errors else YES


class Collector:
    """Follows the streams of records. The log itself says how far it has come."""

    def __init__(
        self, url: str, symbols: Sequence[str], timeframe: Timeframe, writer: ShadowWriter
    ) -> None:
        self.collected = 0
        self.not_readable = 0
        self._redis = open_redis(url)
        self._writer = writer
        self._stopped = False
        self._after = {
            key_of("records", timeframe, symbol): last_id(
                writer.last_recorded(symbol, timeframe.name) or 0
            )
            for symbol in symbols
        }

    async def run(self, *, once: bool) -> None:
        """Write what comes; with `once`, until nothing more is there."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.stop)
        while not self._stopped:
            try:
                n_come = await self._take(self._redis)
            except (RedisError, OSError) as error:
                if once:
                    raise
                _log.warning("redis_unavailable", reason=str(error)[:200])
                await asyncio.sleep(_PAUSE_S)
                continue
            if once and not n_come:
                break
        await self._redis.aclose()

    def stop(self) -> None:
        self._stopped = True

    async def _take(self, redis: Connection) -> int:
        streams = await redis.xread(dict(self._after), count=_PAGE, block=_BLOCK_MS)
        n_come = 0
        for key, entries in streams or ():
            for entry_id, fields in entries:
                self._write(fields.get(b"record", b""))
                self._after[key.decode()] = entry_id.decode()
                n_come += 1
        if n_come:
            self._writer.sync()
        return n_come

    def _write(self, content: bytes) -> None:
        try:
            record = msgspec.json.decode(content, type=BarRecord)
        except NOT_JSON as error:
            self.not_readable += 1
            _log.warning("entry_is_no_record", reason=str(error)[:200])
            return
        self.collected += self._writer.write_bar(record)
