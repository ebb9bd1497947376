"""Which faults befall an exchange and the way to it, and when? The same ones for the same seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from plugin.bar import Timeframe
from plugin.buffer import Ohlcv
from plugin.clock import Clock
from tests.support.chaos_proxy import PASS, ChaosProxy, Mode
from tests.support.exchange import banned, cut, maintenance, rate_limited, truncated
from tests.support.live_exchange import LiveExchange

_QUIET_BARS = (3.0, 7.0)
_TROUBLED_BARS = (0.5, 2.5)


@dataclass
class Chaos:
    """Lets faults begin and end. `applied` names them with the exchange time of their beginning;
    `revised` has what every bar was revised to, by symbol and open time."""

    exchange: LiveExchange
    proxy: ChaosProxy
    random: Random
    served: tuple[str, ...]
    applied: list[tuple[int, str]] = field(default_factory=list)
    revised: dict[tuple[str, int], Ohlcv] = field(default_factory=dict)

    async def reign(self, clock: Clock, timeframe: Timeframe, until_ms: int) -> None:
        """One fault after the other, each kind once before any comes again; calm from `until_ms` on."""
        deck: list[str] = []
        bar_s = timeframe.length_ms / 1000
        while True:
            await clock.sleep(bar_s * self.random.uniform(*_QUIET_BARS))
            if clock.now_ms() >= until_ms:
                return
            if not deck:
                deck = sorted(FAULTS)
                self.random.shuffle(deck)
            name = deck.pop()
            self.applied.append((self.exchange.now_ms(), name))
            FAULTS[name](self)
            await clock.sleep(bar_s * self.random.uniform(*_TROUBLED_BARS))
            self.calm()

    def calm(self) -> None:
        """End every fault that lasts."""
        stream = self.exchange.stream
        self.proxy.mode = PASS
        self.exchange.standing_fault = None
        self.exchange.faults.clear()
        stream.silent = stream.frozen = stream.deaf = stream.reordered = False
        stream.close_delay_ms = stream.duplicates = stream.corrupt = 0


def _network(mode: Mode) -> Callable[[Chaos], None]:
    def begin(chaos: Chaos) -> None:
        chaos.proxy.mode = mode

    return begin


def _klines(*faults: Callable[..., None]) -> Callable[[Chaos], None]:
    """REST answers go wrong, and the stream breaks off, so that REST is needed."""

    def begin(chaos: Chaos) -> None:
        chaos.exchange.faults["klines"] = [*faults]
        chaos.exchange.disconnect_all()

    return begin


def _stream(**switches: float) -> Callable[[Chaos], None]:
    def begin(chaos: Chaos) -> None:
        for name, value in switches.items():
            setattr(chaos.exchange.stream, name, value)

    return begin


def _ban(chaos: Chaos) -> None:
    chaos.exchange.standing_fault = banned(chaos.exchange.now_ms() + 90_000)
    chaos.exchange.disconnect_all()


def _maintain(status: int) -> Callable[[Chaos], None]:
    def begin(chaos: Chaos) -> None:
        chaos.exchange.standing_fault = maintenance(status)
        chaos.exchange.disconnect_all()

    return begin


def _disconnect(chaos: Chaos) -> None:
    chaos.exchange.disconnect_all()


def _forget_subscriptions(chaos: Chaos) -> None:
    chaos.exchange.stream.deaf = True
    chaos.exchange.disconnect_all()


def _omit(*, is_served: bool) -> Callable[[Chaos], None]:
    """The bar that opens next is not known until one to three bars after its close."""

    def begin(chaos: Chaos) -> None:
        exchange, length_ms = chaos.exchange, chaos.exchange.timeframe.length_ms
        opens_ms = exchange.timeframe.floor(exchange.now_ms()) + length_ms
        symbols = [name for name in exchange.markets if (name in chaos.served) == is_served]
        until_ms = opens_ms + int(length_ms * chaos.random.uniform(2.0, 4.0))
        exchange.omit(chaos.random.choice(symbols), opens_ms, until_ms)

    return begin


def _revise(chaos: Chaos) -> None:
    """The newest closed bar of a served symbol closes a little higher after all."""
    exchange = chaos.exchange
    now_ms = exchange.now_ms()
    opened_ms = exchange.timeframe.floor(now_ms) - exchange.timeframe.length_ms
    symbol = chaos.random.choice(chaos.served)
    known = exchange.markets[symbol].at(opened_ms, now_ms)
    if known is None:
        return
    opening, high, low, close, volume = known.ohlcv
    revised = opening, max(high, close * 1.0001), low, close * 1.0001, volume
    chaos.revised[symbol, opened_ms] = revised
    exchange.revise(symbol, opened_ms, revised, now_ms)


FAULTS: dict[str, Callable[[Chaos], None]] = {
    "latency": _network(Mode("latency", 0.2)),
    "rate": _network(Mode("rate", 4_000)),
    "slice": _network(Mode("slice")),
    "duplicate_bytes": _network(Mode("duplicate")),
    "corrupt_bytes": _network(Mode("corrupt")),
    "cut": _network(Mode("cut")),
    "drop": _network(Mode("drop")),
    "stall": _network(Mode("stall")),
    "blackhole": _network(Mode("blackhole")),
    "refuse": _network(Mode("refuse")),
    "too_many_requests": _klines(*[rate_limited(20)] * 3),
    "partial_answers": _klines(truncated, cut, truncated, cut),
    "banned": _ban,
    "maintenance": _maintain(503),
    "maintenance_as_200": _maintain(200),
    "disconnected": _disconnect,
    "not_resubscribed": _forget_subscriptions,
    "silent": _stream(silent=True),
    "frozen": _stream(frozen=True),
    "late_close": _stream(close_delay_ms=15_000),
    "duplicate_frames": _stream(duplicates=2),
    "reordered_frames": _stream(reordered=True),
    "corrupt_frames": _stream(corrupt=2),
    "omitted": _omit(is_served=True),
    "companion_omitted": _omit(is_served=False),
    "revised": _revise,
}
