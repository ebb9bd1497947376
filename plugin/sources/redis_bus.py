"""How do bars, decisions and records lie in Redis, and how is each of them there only once?

One stream for each symbol and kind. The id of an entry is the open time of its bar, and Redis refuses
an id that is not above the last one: what two workers publish, or one twice, stands there once.

    shadowgate:bars:1h:BTC/USDT         field `bar`: the JSON of a `plugin.protocol.PushedBar`
    shadowgate:decisions:1h:BTC/USDT    field `decision`: of a `plugin.decision.Decision`
    shadowgate:records:1h:BTC/USDT      field `record`: of a `shadow.record.BarRecord`
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import msgspec
import redis.asyncio
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ResponseError

from plugin.bar import BarClosed, Timeframe
from plugin.errors import NOT_JSON
from plugin.protocol import PushedBar, bar_closed

_log = structlog.get_logger()
Kind = Literal["bars", "decisions", "records"]
Connection: TypeAlias = Any
"""An asyncio client. Its own types join what both of its protocols answer, and so help nobody."""
PREFIX = "shadowgate"
KEPT = 2_000
"""About so many newest entries of a stream are kept: four windows of features, 83 days of hours."""
_ANSWER_S = 5.0
_RETRIES = 3
_LATER_REVISIONS = 2**64 - 1  # the highest second part of an id
_decoder = msgspec.json.Decoder(PushedBar)


def open_redis(url: str) -> Connection:
    """A client that has connected to nothing yet. A broken connection is tried again a few times."""
    return redis.asyncio.Redis.from_url(
        url,
        protocol=2,  # the other one shapes the same answers differently
        socket_timeout=_ANSWER_S,
        socket_connect_timeout=_ANSWER_S,
        retry=Retry(ExponentialWithJitterBackoff(cap=2.0, base=0.1), _RETRIES),
        health_check_interval=30,
    )


def key_of(kind: Kind, timeframe: Timeframe, symbol: str) -> str:
    """The name of a stream."""
    return f"{PREFIX}:{kind}:{timeframe.name}:{symbol}"


def open_time_ms(entry_id: bytes) -> int:
    """The open time that an id says."""
    return int(entry_id.partition(b"-")[0])


def last_id(open_ms: int) -> str:
    """The id after which no entry about that bar can come, for the end of a range."""
    return f"{open_ms}-{_LATER_REVISIONS}"


def is_repeat(error: Exception) -> bool:
    """Whether Redis refused an entry because one with that id, or a later one, is there."""
    return isinstance(error, ResponseError) and "equal or smaller" in str(error)


def decode_bar(fields: dict[bytes, bytes], received_ms: int) -> BarClosed | None:
    """The bar of an entry; None for one that is no bar, which is logged."""
    try:
        bar = _decoder.decode(fields.get(b"bar", b""))
    except NOT_JSON as error:
        _log.warning("entry_is_no_bar", reason=str(error)[:200])
        return None
    return bar_closed(bar, "redis", received_ms)


async def publish_bars(
    connection: Connection, timeframe: Timeframe, bars: Sequence[BarClosed], kept: int = KEPT
) -> int:
    """Append closed bars, each once; how many were new. A newest bar with other values is a revision.

    Raises RedisError where Redis can not be reached.
    """
    answers = await _append(connection, timeframe, bars, "-0", kept)
    repeated = [bar for bar, answer in zip(bars, answers, strict=True) if isinstance(answer, Exception)]
    for answer in answers:
        if isinstance(answer, Exception) and not is_repeat(answer):
            raise answer
    revised = [bar for bar in repeated if await _is_revised_newest(connection, timeframe, bar)]
    await _append(connection, timeframe, revised, "-*", kept)
    return len(bars) - len(repeated)


async def _append(
    connection: Connection, timeframe: Timeframe, bars: Sequence[BarClosed], sequence: str, kept: int
) -> list[Any]:
    async with connection.pipeline(transaction=False) as pipe:
        for bar in bars:
            pipe.xadd(
                key_of("bars", timeframe, bar.symbol),
                {"bar": encode_bar(bar)},
                id=f"{bar.open_time_ms}{sequence}",
                maxlen=kept,
                approximate=True,
            )
        return list(await pipe.execute(raise_on_error=False))


async def _is_revised_newest(connection: Connection, timeframe: Timeframe, bar: BarClosed) -> bool:
    newest = await connection.xrevrange(key_of("bars", timeframe, bar.symbol), count=1)
    if not newest or open_time_ms(newest[0][0]) != bar.open_time_ms:
        return False
    held = decode_bar(newest[0][1], 0)
    return held is None or held.ohlcv != bar.ohlcv


def encode_bar(bar: BarClosed) -> bytes:
    """The JSON of a bar as it lies in its stream."""
    opening, high, low, close, volume = bar.ohlcv
    return msgspec.json.encode(
        PushedBar(
            symbol=bar.symbol,
            timeframe=bar.timeframe,
            open_time_ms=bar.open_time_ms,
            open=opening,
            high=high,
            low=low,
            close=close,
            volume=volume,
            host_signal=bar.host_signal,
        )
    )
