"""What is a bar of nautilus_trader in shadowgate's words?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import BarAggregation, PriceType
from nautilus_trader.model.instruments import CryptoPerpetual, CurrencyPair, Instrument
from nautilus_trader.model.objects import Price, Quantity

Stamped = Literal["close", "open"]
_UNITS = {BarAggregation.MINUTE: "m", BarAggregation.HOUR: "h", BarAggregation.DAY: "d"}
_BESIDE_MS = 1_000
"""How far a stamp may lie beside the grid: some venues stamp the last millisecond of the bar."""


class Unfit(Exception):
    """A bar that shadowgate can not be asked about: `reason` is the word for it, the text helps."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(hint)
        self.reason = reason


class PlainBar(NamedTuple):
    """A closed bar; `length_ms` is that of its timeframe."""

    symbol: str
    timeframe: str
    length_ms: int
    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def ohlcv(self) -> tuple[float, float, float, float, float]:
        """Open, high, low, close, volume."""
        return self.open, self.high, self.low, self.close, self.volume

    @property
    def close_time_ms(self) -> int:
        """The open time of the next bar."""
        return self.open_time_ms + self.length_ms


class Grid(NamedTuple):
    """The bars of one timeframe; `stamped` says which end of a bar its `ts_event` is."""

    timeframe: str
    length_ms: int
    stamped: Stamped

    @classmethod
    def of(cls, bar_types: Iterable[BarType], stamped: Stamped) -> Grid:
        """Raises ValueError unless all are time bars of last prices, of one length."""
        specs = {bar_type.spec for bar_type in bar_types}
        if len(specs) == 1:
            spec = specs.pop()
            if spec.aggregation in _UNITS and spec.price_type == PriceType.LAST:
                length_ms = round(spec.timedelta.total_seconds() * 1000)
                return cls(f"{spec.step}{_UNITS[spec.aggregation]}", length_ms, stamped)
            specs.add(spec)
        was = ", ".join(sorted(map(str, specs))) or "none"
        raise ValueError(
            f"expected time bars of last prices, all of one length such as 1-HOUR-LAST, was {was}"
        )

    def plain(self, bar: Bar, symbol: str) -> PlainBar:
        """The bar by its open time. Raises Unfit where its stamp does not lie on the grid."""
        stamp_ms = bar.ts_event // 1_000_000
        on_grid_ms = (stamp_ms + self.length_ms // 2) // self.length_ms * self.length_ms
        if abs(stamp_ms - on_grid_ms) > _BESIDE_MS:
            raise Unfit("off_grid", f"its stamp lies beside the grid of {self.timeframe}")
        return PlainBar(
            symbol=symbol,
            timeframe=self.timeframe,
            length_ms=self.length_ms,
            open_time_ms=on_grid_ms - (self.length_ms if self.stamped == "close" else 0),
            open=_number(bar.open),
            high=_number(bar.high),
            low=_number(bar.low),
            close=_number(bar.close),
            volume=_number(bar.volume),
        )


def check_time(plain: PlainBar, now_ms: int) -> None:
    """Raise Unfit unless the bar closed just now, by the engine's clock.

    A bar whose stamp is taken for the wrong end of it shows here: it comes a whole bar too late, or
    before its close.
    """
    if now_ms + _BESIDE_MS < plain.close_time_ms:
        raise Unfit("not_closed", 'if its stamp is its close, set stamped="close"')
    if now_ms >= plain.close_time_ms + plain.length_ms:
        raise Unfit("late", 'if its stamp is its open, set stamped="open"')


def symbol_of(instrument: Instrument | None) -> str:
    """`BTC/USDT` of a pair, `BTC/USDT:USDT` of a perpetual. Raises Unfit on anything else."""
    if isinstance(instrument, CurrencyPair):
        return f"{instrument.base_currency}/{instrument.quote_currency}"
    if isinstance(instrument, CryptoPerpetual):
        pair = f"{instrument.base_currency}/{instrument.quote_currency}"
        return f"{pair}:{instrument.settlement_currency}"
    raise Unfit("symbol_unknown", "name the instrument in `symbols`")


def _number(fixed: Price | Quantity) -> float:
    # Their own conversion divides binary numbers and makes 77205.95999999999 of 77205.96: features and
    # records would differ in the last bits from those of every other source.
    return float(str(fixed))
