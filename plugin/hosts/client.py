"""How does a bot ask the service for a decision without ever waiting for it, or failing with it?

This file is all a bot needs: standard library only, Python 3.9 and newer; copy it anywhere.

    client = Client("run/plugin.sock")
    decision = client.bar_closed("BTC/USDT", "1h", open_time_ms, 50.0, 52.0, 49.0, 51.0, 7.5)
    if decision.follow:
        ...  # decision.action is long, short or flat

No call takes longer than its deadline, and none raises: a service that is dead, slow, stopped or broken
means a decision that is not to be followed, whose `reason` says why. Beside the reasons of the service
itself, which stand in its documentation, these are given here:

    no_service          nobody listens; or the last calls were all in vain, and the bot is spared more
    timeout             no answer in time
    broken_answer       an answer that is none, or one to another question
    refused:<word>      the service could not understand or carry out the request
    symbol_not_served   the service decides on other symbols
    wrong_argument      what was asked makes no sense, such as a time without its zone
    not_finite          a price or the volume is not a finite number
    client_error        a fault of this file
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import operator
import os
import re
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

_T = TypeVar("_T")
_MAX_ANSWER_BYTES, _MAX_DECISION_BYTES = 262_144, 65_536
# Of the slowest answers there are, such as thousands of empty objects: that takes time, too.
_READING_S_PER_BYTE = 1.5e-7
_PAGE_ROWS = 1_000
_UNIT_MS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}
_MAX_DEADLINE_S = 3_600.0
_MANY_IN_VAIN, _REST_S = 3, 5.0
_NO_SIGNAL = getattr(socket, "MSG_NOSIGNAL", 0)  # a bot may have given SIGPIPE its default back: death


@dataclass(frozen=True)
class Decision:
    """What the service says of one bar; the fields are those of its documentation.

    `mode` is `off`, and `valid_until_ms` is 0, where it did not say anything.
    """

    symbol: str
    timeframe: str
    open_time_ms: int
    valid_until_ms: int
    mode: str
    action: str
    probabilities: Mapping[str, float]
    size_multiplier: float
    stop_atr: float
    regime: str
    bundle_id: str | None
    feature_hash: str | None
    reason: str
    latency_us: float

    @property
    def follow(self) -> bool:
        """Whether the bot may act on it now; where not, it does what it would do by itself."""
        return self.follow_at(time.time() * 1000)

    def follow_at(self, now_ms: float) -> bool:
        """As `follow`, at a time of the bot's own, such as that of a backtest."""
        return self.mode == "live" and self.action != "abstain" and now_ms < self.valid_until_ms


@dataclass(frozen=True)
class Held:
    """What the service holds of a symbol: `n_bars` slots up to the newest, `n_absent` of them empty."""

    newest_open_ms: int | None
    n_bars: int
    n_absent: int


@dataclass(frozen=True)
class Welcome:
    """What the service follows. It wants bars pushed where `takes_bars`; else it has a feed of its own.

    It decides on the `served` symbols and compares them with the `followed` ones. `lookback` bars fill
    a window.
    """

    takes_bars: bool
    timeframe: str
    served: tuple[str, ...]
    followed: tuple[str, ...]
    lookback: int
    held: Mapping[str, Held]


class _Fault(Exception):
    """Why there is no answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Wait(NamedTuple):
    """Until the connection is ready, or the time is over."""

    connection: socket.socket
    for_writing: bool
    timeout_s: float


_Steps = Generator[_Wait, None, _T]


class _Calls:
    """The calls, as steps between which one waits: how to wait is all that Client and AsyncClient add.

    A connection belongs to the one call that took it, and goes back when its answer has come whole.
    """

    def __init__(self, path: str | os.PathLike[str], deadline_s: float = 0.25) -> None:
        """`path` is the service's socket. Raises ValueError for a deadline that is not above 0."""
        self._path = os.fspath(path)
        self._deadline_s = _seconds(deadline_s)
        self._ids = itertools.count(1)
        self._idle: deque[socket.socket] = deque()
        self._process = os.getpid()
        self._n_connected = 0
        self._told_all: dict[str, int] = {}
        self._n_in_vain = 0
        self._rest_until = -math.inf
        self.trouble = ""
        """Why the call that ended last had no answer; empty where it had one."""

    def close(self) -> None:
        """Drop the kept connections; a later call makes new ones."""
        while self._idle:
            self._idle.pop().close()

    def history_wanted(self, symbol: str) -> bool:
        """Whether the service may lack the bars of `symbol`: it is new here, or was started again.

        Costs no wait. `sync_history` is what helps.
        """
        kept = self._take()
        if kept is None:
            return True
        self._idle.append(kept)
        return self._told_all.get(symbol) != self._n_connected

    def _bar_closed(
        self, row: Sequence[Any], host_signal: Any, companions: Iterable[Sequence[Any]], wait_s: Any
    ) -> _Steps[Decision]:
        symbol, timeframe, open_time = row[:3]

        def ask() -> _Steps[Decision]:
            deadline = self._deadline(wait_s)
            open_time_ms = _time_ms(open_time)
            bars = [_bar(symbol, timeframe, open_time_ms, row[3:], host_signal)]
            bars += [_bar(one[0], timeframe, open_time_ms, one[1:6], *one[6:]) for one in companions]
            return self._decide({"type": "bars", "bars": bars}, bars[0], deadline, in_a_hurry=True)

        return self._guarded(ask, lambda reason: abstention(symbol, timeframe, open_time, reason))

    def _decision(self, symbol: Any, timeframe: Any, open_time: Any, wait_s: Any) -> _Steps[Decision]:
        def ask() -> _Steps[Decision]:
            bar = {"symbol": symbol, "timeframe": timeframe, "open_time_ms": _time_ms(open_time)}
            return self._decide({"type": "ask", **bar}, bar, self._deadline(wait_s), in_a_hurry=False)

        return self._guarded(ask, lambda reason: abstention(symbol, timeframe, open_time, reason))

    def _decide(
        self, question: dict[str, Any], bar: Mapping[str, Any], deadline: float, *, in_a_hurry: bool
    ) -> _Steps[Decision]:
        if not isinstance(bar["symbol"], str):
            raise _Fault("wrong_argument")
        length_ms = _length_ms(bar["timeframe"])
        left_s = deadline - time.monotonic()
        # The service says that it has nothing yet a little before nobody listens any more.
        question["expires_ms"] = int((time.time() + left_s - min(0.02, left_s / 5)) * 1000)

        asked = {one["symbol"] for one in question.get("bars", [bar])}

        def read(answer: Mapping[str, Any]) -> Decision | None:
            told = {one["symbol"]: one for one in _typed(answer["decisions"], list)}
            if not told.keys() <= asked:
                raise ValueError("a decision that nobody asked for")
            return (
                _read_decision(told[bar["symbol"]], bar, length_ms) if bar["symbol"] in told else None
            )

        decision = yield from self._exchange(
            question, "decisions", read, deadline, _MAX_DECISION_BYTES, in_a_hurry=in_a_hurry
        )
        if decision is None:
            raise _Fault("symbol_not_served")
        return decision

    def _welcome(self, wait_s: Any) -> _Steps[Welcome | None]:
        return self._guarded(lambda: self._hello(self._deadline(wait_s)), lambda _: None)

    def _hello(self, deadline: float) -> _Steps[Welcome]:
        return self._exchange({"type": "hello"}, "welcome", _read_welcome, deadline)

    def _status(self, wait_s: Any) -> _Steps[dict[str, Any] | None]:
        def read(answer: Mapping[str, Any]) -> dict[str, Any]:
            return dict(_typed(answer["status"], dict))

        return self._guarded(
            lambda: self._exchange({"type": "status"}, "status", read, self._deadline(wait_s)),
            lambda _: None,
        )

    def _history(self, symbol: Any, timeframe: Any, rows: Any, wait_s: Any) -> _Steps[Held | None]:
        return self._guarded(
            lambda: self._tell(symbol, timeframe, _rows(rows), self._deadline(wait_s)), lambda _: None
        )

    def _sync_history(self, symbol: Any, timeframe: Any, rows: Any, wait_s: Any) -> _Steps[bool]:
        def sync() -> _Steps[bool]:
            deadline = self._deadline(wait_s)
            welcome = yield from self._hello(deadline)
            n_connected = self._n_connected
            if welcome.takes_bars and symbol in (*welcome.served, *welcome.followed):
                missing = _missing(_rows(rows), _length_ms(timeframe), welcome, symbol)
                yield from self._tell(symbol, timeframe, missing, deadline)
            # A connection lost on the way may mean another service, which has heard only the rest.
            self._told_all[symbol] = n_connected
            return n_connected == self._n_connected

        return self._guarded(sync, lambda _: False)

    def _tell(
        self, symbol: Any, timeframe: Any, rows: list[list[Any]], deadline: float
    ) -> _Steps[Held | None]:
        held = None
        for start in range(0, len(rows), _PAGE_ROWS):
            page = rows[start : start + _PAGE_ROWS]
            question = {"type": "history", "symbol": symbol, "timeframe": timeframe, "bars": page}
            held = yield from self._exchange(question, "held", lambda a: _held(a["held"]), deadline)
        return held

    def _deadline(self, wait_s: Any) -> float:
        """By the monotonic clock."""
        try:
            return time.monotonic() + (self._deadline_s if wait_s is None else _seconds(wait_s))
        except (TypeError, ValueError):
            raise _Fault("wrong_argument") from None

    def _guarded(self, steps: Callable[[], _Steps[_T]], otherwise: Callable[[str], _T]) -> _Steps[_T]:
        """Nothing is raised into the bot but what comes from outside, such as an interrupt."""
        try:
            answer = yield from steps()
        except _Fault as fault:
            reason = fault.reason
        except OSError:
            reason = "no_service"
        except Exception:
            reason = "client_error"
        else:
            self.trouble = ""
            return answer
        self.trouble = reason
        return otherwise(reason)

    def _exchange(
        self,
        question: dict[str, Any],
        kind: str,
        read: Callable[[Mapping[str, Any]], _T],
        deadline: float,
        limit: int = _MAX_ANSWER_BYTES,
        *,
        in_a_hurry: bool = False,
    ) -> _Steps[_T]:
        """One question and its answer, unless the last ones were in vain: a bot with 50 symbols would
        wait 50 times.
        """
        started = time.monotonic()
        if started < self._rest_until:
            raise _Fault("no_service")
        if self._n_in_vain >= _MANY_IN_VAIN:  # this call tries whether it is over; others need not
            self._rest_until = started + _REST_S
        question["id"] = next(self._ids)
        try:
            line = json.dumps(question, allow_nan=False).encode() + b"\n"
        except (TypeError, ValueError):
            raise _Fault("wrong_argument") from None

        def take_in(received: bytes) -> _T:
            try:
                return read(_answer(received, question["id"], kind))
            except _Fault:
                raise
            except Exception:
                raise _Fault("broken_answer") from None

        try:
            answer = yield from self._talk(line, take_in, deadline, limit)
        except _Fault as fault:
            if fault.reason == "timeout":
                self._was_in_vain()
            raise
        if in_a_hurry and time.monotonic() - started > (deadline - started) / 2:
            self._was_in_vain()
        else:
            self._n_in_vain, self._rest_until = 0, -math.inf
        return answer

    def _was_in_vain(self) -> None:
        self._n_in_vain += 1
        if self._n_in_vain >= _MANY_IN_VAIN:
            self._rest_until = time.monotonic() + _REST_S

    def _talk(
        self, line: bytes, take_in: Callable[[bytes], _T], deadline: float, limit: int
    ) -> _Steps[_T]:
        """On a kept connection, else on a new one. Every request may come twice without harm."""
        kept = self._take()
        if kept is not None:
            try:
                return (yield from self._round_trip(kept, line, take_in, deadline, limit))
            except ConnectionError:
                pass  # the service has been started again
        connection = self._connect()
        return (yield from self._round_trip(connection, line, take_in, deadline, limit))

    def _round_trip(
        self,
        connection: socket.socket,
        line: bytes,
        take_in: Callable[[bytes], _T],
        deadline: float,
        limit: int,
    ) -> _Steps[_T]:
        try:
            unsent = memoryview(line)
            while unsent:
                try:
                    unsent = unsent[connection.send(unsent, _NO_SIGNAL) :]
                except BlockingIOError:
                    yield _Wait(connection, True, _left_s(deadline))
            received, part = bytearray(), b""
            while b"\n" not in part:
                yield _Wait(connection, False, _left_s(deadline))
                try:
                    part = connection.recv(_MAX_DECISION_BYTES)
                except BlockingIOError:
                    continue
                if not part:
                    raise ConnectionResetError
                received += part
                if len(received) > limit:
                    raise _Fault("broken_answer")
            _left_s(deadline - len(received) * _READING_S_PER_BYTE)
            answer = take_in(bytes(received))
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    def _take(self) -> socket.socket | None:
        """A kept connection on which nothing has happened since."""
        if os.getpid() != self._process:  # forked: these are the parent's
            self._process = os.getpid()
            self.close()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            try:
                connection.recv(1, socket.MSG_PEEK)
            except BlockingIOError:
                return connection
            except OSError:
                pass
            connection.close()

    def _connect(self) -> socket.socket:
        """At once or not at all: a Unix socket with a full queue says so. Raises OSError."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.setblocking(False)
            connection.connect(self._path)
        except BaseException:
            connection.close()
            raise
        self._n_connected += 1
        return connection


class Client(_Calls):
    """Asks, and waits in the calling thread. Threads may share one; a forked child too.

    Every call takes `wait_s`, its deadline in seconds, in place of the client's own.
    """

    def bar_closed(
        self,
        symbol: str,
        timeframe: str,
        open_time_ms: int,
        open: float,  # noqa: A002 - the word that every exchange has for it
        high: float,
        low: float,
        close: float,
        volume: float,
        host_signal: str | None = None,
        companions: Iterable[Sequence[Any]] = (),
        wait_s: float | None = None,
    ) -> Decision:
        """The decision on a bar that has just closed. It may be told twice: the answer is the same.

        `host_signal` is what the bot means to do by itself, for the record. `companions` are bars of
        the same close that the decision needs: symbol, open, high, low, close, volume, and where that
        one gets decisions too, the bot's signal for it.
        """
        row = (symbol, timeframe, open_time_ms, open, high, low, close, volume)
        return _run(self._bar_closed(row, host_signal, companions, wait_s))

    def decision(
        self, symbol: str, timeframe: str, open_time_ms: int, wait_s: float | None = None
    ) -> Decision:
        """The decision on a bar that the service got elsewhere. Waits for it until the deadline."""
        return _run(self._decision(symbol, timeframe, open_time_ms, wait_s))

    def history(
        self,
        symbol: str,
        timeframe: str,
        rows: Iterable[Sequence[Any]],
        wait_s: float | None = None,
    ) -> Held | None:
        """Tell older bars: open time in ms, open, high, low, close, volume. None where it failed."""
        return _run(self._history(symbol, timeframe, rows, wait_s))

    def sync_history(
        self,
        symbol: str,
        timeframe: str,
        rows: Iterable[Sequence[Any]],
        wait_s: float | None = None,
    ) -> bool:
        """Tell those of `rows` that the service lacks; whether it has all it can use of them now."""
        return _run(self._sync_history(symbol, timeframe, rows, wait_s))

    def welcome(self, wait_s: float | None = None) -> Welcome | None:
        """What the service follows and holds; None where it does not answer."""
        return _run(self._welcome(wait_s))

    def status(self, wait_s: float | None = None) -> dict[str, Any] | None:
        """How the service is; None where it does not answer."""
        return _run(self._status(wait_s))


class AsyncClient(_Calls):
    """As Client, for a bot that runs in asyncio: nothing but the one call waits."""

    async def bar_closed(
        self,
        symbol: str,
        timeframe: str,
        open_time_ms: int,
        open: float,  # noqa: A002 - the word that every exchange has for it
        high: float,
        low: float,
        close: float,
        volume: float,
        host_signal: str | None = None,
        companions: Iterable[Sequence[Any]] = (),
        wait_s: float | None = None,
    ) -> Decision:
        """As of Client."""
        row = (symbol, timeframe, open_time_ms, open, high, low, close, volume)
        return await _run_async(self._bar_closed(row, host_signal, companions, wait_s))

    async def decision(
        self, symbol: str, timeframe: str, open_time_ms: int, wait_s: float | None = None
    ) -> Decision:
        """As of Client."""
        return await _run_async(self._decision(symbol, timeframe, open_time_ms, wait_s))

    async def history(
        self,
        symbol: str,
        timeframe: str,
        rows: Iterable[Sequence[Any]],
        wait_s: float | None = None,
    ) -> Held | None:
        """As of Client."""
        return await _run_async(self._history(symbol, timeframe, rows, wait_s))

    async def sync_history(
        self,
        symbol: str,
        timeframe: str,
        rows: Iterable[Sequence[Any]],
        wait_s: float | None = None,
    ) -> bool:
        """As of Client."""
        return await _run_async(self._sync_history(symbol, timeframe, rows, wait_s))

    async def welcome(self, wait_s: float | None = None) -> Welcome | None:
        """As of Client."""
        return await _run_async(self._welcome(wait_s))

    async def status(self, wait_s: float | None = None) -> dict[str, Any] | None:
        """As of Client."""
        return await _run_async(self._status(wait_s))


def _run(steps: _Steps[_T]) -> _T:
    try:
        while True:
            wait = next(steps)
            poller = select.poll()
            poller.register(wait.connection, select.POLLOUT if wait.for_writing else select.POLLIN)
            poller.poll(wait.timeout_s * 1000)
    except StopIteration as ended:
        answer: _T = ended.value
        return answer
    finally:
        steps.close()


async def _run_async(steps: _Steps[_T]) -> _T:
    loop = asyncio.get_running_loop()
    try:
        while True:
            await _ready(loop, next(steps))
    except StopIteration as ended:
        answer: _T = ended.value
        return answer
    finally:
        steps.close()


async def _ready(loop: asyncio.AbstractEventLoop, wait: _Wait) -> None:
    ready = loop.create_future()

    def is_ready() -> None:
        if not ready.done():
            ready.set_result(None)

    watch, unwatch = loop.add_reader, loop.remove_reader
    if wait.for_writing:
        watch, unwatch = loop.add_writer, loop.remove_writer
    watch(wait.connection, is_ready)
    timer = loop.call_later(wait.timeout_s, is_ready)
    try:
        await ready
    finally:
        timer.cancel()
        unwatch(wait.connection)


def _seconds(wait_s: Any) -> float:
    seconds = float(wait_s)
    if not seconds > 0:
        raise ValueError(f"expected a deadline above 0 seconds, was {wait_s!r}")
    return min(seconds, _MAX_DEADLINE_S)


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise _Fault("timeout")
    return left_s


# What the bot said.


def abstention(symbol: Any, timeframe: Any, open_time: Any, reason: str) -> Decision:
    """What stands in for a decision that nobody made. Takes anything, never raises."""
    try:
        open_time_ms = _time_ms(open_time)
    except Exception:
        open_time_ms = 0
    return Decision(
        symbol=symbol if isinstance(symbol, str) else "",
        timeframe=timeframe if isinstance(timeframe, str) else "",
        open_time_ms=open_time_ms,
        valid_until_ms=0,
        mode="off",
        action="abstain",
        probabilities={},
        size_multiplier=0.0,
        stop_atr=0.0,
        regime="unknown",
        bundle_id=None,
        feature_hash=None,
        reason=reason,
        latency_us=0.0,
    )


def _length_ms(timeframe: Any) -> int:
    spelt = re.fullmatch(r"([1-9][0-9]{0,2})([mhd])", timeframe) if isinstance(timeframe, str) else None
    if spelt is None:
        raise _Fault("wrong_argument")
    return int(spelt[1]) * _UNIT_MS[spelt[2]]


def _time_ms(moment: Any) -> int:
    """From a whole number of milliseconds of whatever type, or a date that knows its zone."""
    try:
        if hasattr(moment, "tzinfo") and moment.tzinfo is not None:
            seconds: float = moment.timestamp()
            return round(seconds * 1000)
        if isinstance(moment, float) and moment.is_integer():  # also numpy's own
            return int(moment)
        if not isinstance(moment, bool):
            return operator.index(moment)
    except (TypeError, ValueError, OverflowError):
        pass
    raise _Fault("wrong_argument")


def _bar(
    symbol: Any, timeframe: Any, open_time_ms: int, ohlcv: Sequence[Any], host_signal: Any = None
) -> dict[str, Any]:
    open_, high, low, close, volume = (_finite(value) for value in ohlcv)
    signal = {} if host_signal is None else {"host_signal": str(host_signal)[:32]}
    return {
        **signal,
        "symbol": symbol,
        "timeframe": timeframe,
        "open_time_ms": open_time_ms,
        "open": open_,
        "high": high,
        "low": low,
        "close": close,
        "volume": volume,
    }


def _finite(value: Any) -> float:
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        raise _Fault("wrong_argument") from None
    if not math.isfinite(number):
        raise _Fault("not_finite")
    return number


def _rows(rows: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """Oldest first, each once. A row with a hole in it is left out: its bar is absent."""
    by_time = {}
    for row in rows:
        time_ms = _time_ms(row[0])
        try:
            by_time[time_ms] = [time_ms, *(_finite(value) for value in row[1:6])]
        except _Fault:
            continue
    return [by_time[time_ms] for time_ms in sorted(by_time)]


def _missing(rows: list[list[Any]], length_ms: int, welcome: Welcome, symbol: str) -> list[list[Any]]:
    """Those that the service can use and lacks: all of them where it has gaps of its own."""
    rows = rows[-welcome.lookback :]
    held = welcome.held.get(symbol)
    if held is None or held.newest_open_ms is None or held.n_absent:
        return rows
    newest_ms = held.newest_open_ms
    oldest_ms = newest_ms - (held.n_bars - 1) * length_ms
    return [row for row in rows if not oldest_ms <= row[0] <= newest_ms]


# What the service said. Whatever these raise is a broken answer.


def _answer(received: bytes, request_id: int, kind: str) -> Mapping[str, Any]:
    answer: dict[str, Any] = _typed(
        json.loads(received.decode(), parse_constant=_no_number, object_pairs_hook=_each_once), dict
    )
    if answer["type"] == "refused":
        word = answer["reason"]
        raise _Fault("refused:" + (word if re.fullmatch("[a-z_]{1,32}", word) else "unknown"))
    if answer["type"] != kind or _typed(answer["id"], int) != request_id:
        raise ValueError("not the answer to this request")
    return answer


def _read_decision(raw: Any, bar: Mapping[str, Any], length_ms: int) -> Decision:
    decision = Decision(
        symbol=_typed(raw["symbol"], str),
        timeframe=_typed(raw["timeframe"], str),
        open_time_ms=_typed(raw["open_time_ms"], int),
        valid_until_ms=_typed(raw["valid_until_ms"], int),
        mode=_one_of(raw["mode"], ("off", "shadow", "live")),
        action=_one_of(raw["action"], ("long", "short", "flat", "abstain")),
        probabilities={
            horizon: _number(p, 1.0) for horizon, p in _typed(raw["probabilities"], dict).items()
        },
        size_multiplier=_number(raw["size_multiplier"], 1.0),
        stop_atr=_number(raw["stop_atr"], 100.0),
        regime=_one_of(raw["regime"], ("low", "mid", "high", "unknown")),
        bundle_id=None if raw["bundle_id"] is None else _typed(raw["bundle_id"], str),
        feature_hash=None if raw["feature_hash"] is None else _typed(raw["feature_hash"], str),
        reason=_typed(raw["reason"], str),
        latency_us=_number(raw["latency_us"], 1e12),
    )
    if any(getattr(decision, name) != bar[name] for name in ("symbol", "timeframe", "open_time_ms")):
        raise ValueError("a decision on another bar")
    if decision.action != "abstain":
        if not 0 < decision.valid_until_ms - decision.open_time_ms <= 2 * length_ms:
            raise ValueError("valid for longer than a decision can be")
        if 0 in (decision.size_multiplier, decision.stop_atr):
            raise ValueError("an action without a size or a stop")
    return decision


def _read_welcome(answer: Mapping[str, Any]) -> Welcome:
    return Welcome(
        takes_bars=_typed(answer["takes_bars"], bool),
        timeframe=_typed(answer["timeframe"], str),
        served=tuple(_typed(name, str) for name in _typed(answer["served"], list)),
        followed=tuple(_typed(name, str) for name in _typed(answer["followed"], list)),
        lookback=_count(answer["lookback"]),
        held={name: _held(held) for name, held in _typed(answer["held"], dict).items()},
    )


def _held(raw: Any) -> Held:
    newest_ms = raw["newest_open_ms"]
    return Held(
        newest_open_ms=None if newest_ms is None else _typed(newest_ms, int),
        n_bars=_count(raw["n_bars"]),
        n_absent=_count(raw["n_absent"]),
    )


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, was {value!r:.100}")
    return value


def _one_of(value: Any, words: tuple[str, ...]) -> str:
    if value not in words:
        raise ValueError(f"expected one of {words}, was {value!r:.100}")
    return str(value)


def _number(value: Any, most: float) -> float:
    """From 0 to `most`."""
    if type(value) not in (int, float) or not 0 <= value <= most:
        raise ValueError(f"expected a number from 0 to {most}, was {value!r:.100}")
    return float(value)


def _count(value: Any) -> int:
    return int(_number(_typed(value, int), 1e9))


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field stands there twice")
    return fields
