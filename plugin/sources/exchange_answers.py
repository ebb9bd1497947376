"""What does an exchange's answer say beside the bars: is it whole, and how long are we to wait?

    ShadowgateError (plugin.errors)
    └── ExchangeUnavailable     no usable answer after patient asking; exit code 1

What ccxt leaves out, for its synchronous and its asynchronous classes alike, without importing it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from plugin.bar import EARLIEST_MS, LATEST_MS
from plugin.clock import utc_minute
from plugin.errors import ShadowgateError, WrongUse

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")


class ExchangeUnavailable(ShadowgateError):
    """The exchange gave no usable answer; what was downloaded before is saved."""


class AnswerDamaged(Exception):
    """The body of an answer is not what the exchange should say: HTML, cut JSON, rows without time."""


def checked_rows(rows: Any) -> list[list[Any]]:
    """The rows of a page if each has a time in milliseconds and five numbers or nulls."""
    for row in rows:
        time_ms, *ohlcv = row
        if not isinstance(time_ms, int) or not EARLIEST_MS <= time_ms < LATEST_MS:
            raise AnswerDamaged(f"a bar came without a time in milliseconds: {row}")
        if len(ohlcv) < 5 or not all(isinstance(x, int | float | None) for x in ohlcv[:5]):
            raise AnswerDamaged(f"a bar came without its five numbers: {row}")
    return list(rows)


def check_not_emptied(rows: Sequence[object], answer: object, since_ms: int) -> None:
    """Raise AnswerDamaged where ccxt made an empty page of an `answer` that has rows.

    It drops rows from before `since_ms`, so times in seconds look like an empty page.
    """
    if not rows and isinstance(answer, list) and answer:
        raise AnswerDamaged(f"no bar from {utc_minute(since_ms)} on, but others: {answer[0]}")


def told_to_wait_s(message: str, headers: Mapping[str, str] | None, clock_ms: int) -> float:
    """How long the exchange wants to hear nothing; 0 where it does not say.

    Its own clock decides when a ban ends, and its answer carries the time in `Date`; `clock_ms` stands
    in where it does not.

    >>> told_to_wait_s("Way too many; IP banned until 1735689660000.", {}, 1_735_689_600_000)
    60.0
    >>> told_to_wait_s("", {"retry-after": "2"}, 0)
    2.0
    """
    told_in = {name.lower(): text for name, text in (headers or {}).items()}
    now_s = date_s(told_in.get("date")) or clock_ms / 1000
    told = [0.0]
    if banned := _BANNED_UNTIL.search(message):
        told.append(int(banned[1]) / 1000 - now_s)
    retry_after = told_in.get("retry-after") or ""
    if retry_after.isdigit():
        told.append(float(retry_after))
    elif until_s := date_s(retry_after):
        told.append(until_s - now_s)
    return max(told)


def growing_pause_s(attempt: int, jitter: float) -> float:
    """The wait after failed attempt number `attempt` (from 0), longer each time.

    `jitter`, a share in 0 to 1, keeps callers apart.
    """
    grown_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(attempt, 16))
    return grown_s * (0.5 + 0.5 * jitter)


def moved(addresses: Any, url: str) -> Any:
    """The addresses of an exchange with scheme and host of `url`, as for a mirror.

    A websocket stays one: `http` becomes `ws`, `https` becomes `wss`. Raises WrongUse for a `url` that
    is none of the web.

    >>> moved({"ws": {"spot": "wss://stream.example:9443/ws"}}, "http://127.0.0.1:8000")
    {'ws': {'spot': 'ws://127.0.0.1:8000/ws'}}
    """
    if isinstance(addresses, dict):
        return {name: moved(address, url) for name, address in addresses.items()}
    if not isinstance(addresses, str):
        return addresses
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        raise WrongUse("an address such as https://mirror.example", url, "correct ML_EXCHANGE_URL")
    address = urlsplit(addresses)
    base = url.rstrip("/")
    if address.scheme in {"ws", "wss"}:
        base = "ws" + base.removeprefix("http")
    return base + address.path


def date_s(http_date: str | None) -> float | None:
    """Seconds since the epoch of a date as HTTP writes it; None for anything else."""
    try:
        return parsedate_to_datetime(http_date).timestamp() if http_date else None
    except ValueError:
        return None


def one_line(error: BaseException) -> str:
    """An error for a log: its kind and the beginning of what it says, without the tags of a page."""
    text = " ".join(re.sub(r"<[^>]*>", " ", str(error)).split())
    return f"{type(error).__name__}: {text[:160]}"
