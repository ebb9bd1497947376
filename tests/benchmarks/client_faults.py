"""By how much does a call of the bot's client outlast its deadline, whatever the service does?"""

from __future__ import annotations

import asyncio
import select
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from rich.table import Table

from plugin.hosts.client import AsyncClient, Client, Decision
from tests.benchmarks.setting import Setting
from tests.benchmarks.showing import duration_text, table_of
from tests.support.scripted_service import (
    Reply,
    flood,
    rightly,
    service_process,
    silent,
    slow_bytes,
    stopped,
)

DEADLINE_S = 0.02
_BAR = ("BTC/USDT", "1h", 1_735_689_600_000, 50.0, 52.0, 49.0, 51.0, 7.5)
_FAULTS: dict[str, Reply] = {"wedged": silent, "flooded": flood, "slow bytes": slow_bytes}


class Fault(msgspec.Struct, frozen=True):
    """`over_*` is the time beyond the deadline, 0 where there is none; `reasons` are of all calls.

    The first is no fault: a bare wait of that length, which shows how late the machine itself wakes.
    """

    fault: str
    way: str
    n: int
    median_us: float
    over_p999_us: float
    over_max_us: float
    reasons: dict[str, int]


def measure(setting: Setting) -> list[Fault]:
    """Every fault, for a bot with threads and for one in asyncio. None of the calls may raise."""
    n_calls = 2 * setting.scale.hot_bars[1]
    waits_s = [_bare_wait_s() for _ in range(n_calls)]
    faults = [_outcome("none: a bare wait", "threads", waits_s, [])]
    for name in ("killed", "paused", *_FAULTS):
        faults += _both_ways(name, n_calls)
    return faults


def _both_ways(fault: str, n_calls: int) -> Iterator[Fault]:
    for way, ask in (("threads", _ask), ("asyncio", _ask_in_asyncio)):
        with _faulty(fault) as path:
            answered = ask(path, n_calls)
        yield _outcome(fault, way, *zip(*answered, strict=True))


@contextmanager
def _faulty(fault: str) -> Iterator[Path]:
    with ExitStack() as stack:
        path = Path(stack.enter_context(TemporaryDirectory(prefix="sg"))) / "plugin.sock"
        process = stack.enter_context(service_process(path, _FAULTS.get(fault, rightly)))
        if fault == "killed":
            process.kill()
            process.wait()
        elif fault == "paused":
            stack.enter_context(stopped(process))
        yield path


# A client that spares its bot after some calls in vain would show nothing: each call has a new one.


def _ask(path: Path, n_calls: int) -> list[tuple[float, str]]:
    def once() -> Decision:
        return Client(path, DEADLINE_S).bar_closed(*_BAR)

    return [_timed(once) for _ in range(n_calls)]


def _ask_in_asyncio(path: Path, n_calls: int) -> list[tuple[float, str]]:
    async def ask() -> list[tuple[float, str]]:
        answered = []
        for _ in range(n_calls):
            started = time.perf_counter()
            decision = await AsyncClient(path, DEADLINE_S).bar_closed(*_BAR)
            answered.append((time.perf_counter() - started, decision.reason))
        return answered

    return asyncio.run(ask())


def _timed(call: Callable[[], Decision]) -> tuple[float, str]:
    started = time.perf_counter()
    decision = call()
    return time.perf_counter() - started, decision.reason


def _bare_wait_s() -> float:
    nothing_comes, _other_end = socket.socketpair()
    with nothing_comes, _other_end:
        poller = select.poll()
        poller.register(nothing_comes, select.POLLIN)
        started = time.perf_counter()
        poller.poll(DEADLINE_S * 1000)
        return time.perf_counter() - started


def _outcome(fault: str, way: str, took_s: Sequence[float], reasons: Sequence[str]) -> Fault:
    over_us = np.maximum(0.0, np.array(took_s) - DEADLINE_S) * 1e6
    return Fault(
        fault=fault,
        way=way,
        n=len(took_s),
        median_us=float(np.median(took_s) * 1e6),
        over_p999_us=float(np.percentile(over_us, 99.9)),
        over_max_us=float(over_us.max()),
        reasons={reason: reasons.count(reason) for reason in sorted(set(reasons))},
    )


def tables(faults: list[Fault]) -> Iterator[Table]:
    """One row a fault and way."""
    yield table_of(
        f"Bot's client, deadline {duration_text(DEADLINE_S * 1e6)}",
        ("service", "bot", "calls", "median call", "over, 99.9%", "over, most", "reasons"),
        [
            (
                one.fault,
                one.way,
                f"{one.n:,}",
                duration_text(one.median_us),
                duration_text(one.over_p999_us),
                duration_text(one.over_max_us),
                ", ".join(f"{reason} {n}" for reason, n in one.reasons.items()),
            )
            for one in faults
        ],
    )
