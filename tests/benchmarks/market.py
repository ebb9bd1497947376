"""Which bars do the benchmarks run on?

Real ones where a folder is named, else a simulated market. Both are a candle store on disk, so that a
child process reads the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path

from plugin.bar import Timeframe
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE, Candles
from plugin.errors import WrongUse
from plugin.features.joined import N_COMPANIONS

HOURLY = Timeframe.parse("1h")
REFERENCE = ("BTC/USDT", "ETH/USDT", "LINK/USDT", "LTC/USDT", "XRP/USDT")
_N_SIMULATED = 30
# The venue with the most symbols first.
_VENUES = ("binance_spot_wide", "binance_spot", SIMULATED_VENUE)


@dataclass(frozen=True)
class Market:
    """Hourly bars: `venue` has many symbols, `long_venue` has REFERENCE over many years."""

    root: Path
    venue: str
    long_venue: str

    @classmethod
    def at(cls, root: Path) -> Market:
        """The market in a candle store. Raises WrongUse where it has none of the known venues."""
        store = CandleStore(root)
        venues = [venue for venue in _VENUES if store.symbols(venue, HOURLY.name)]
        if not venues:
            raise WrongUse(
                f"hourly bars of one of {', '.join(_VENUES)}", str(root), "name another folder"
            )
        return cls(root, venues[0], next((venue for venue in venues[1:]), venues[0]))

    @classmethod
    def simulated(cls, root: Path, n_bars: int) -> Market:
        """Write a simulated market into `root`."""
        from training.candles import simulate  # the child processes stay light

        others = (f"SIM{number}/USDT" for number in count())
        symbols = (*REFERENCE, *islice(others, _N_SIMULATED - len(REFERENCE)))
        simulate(root, symbols, HOURLY.name, n_bars, seed=1, end_ms=1_735_689_600_000)
        return cls.at(root)

    @property
    def is_simulated(self) -> bool:
        return self.venue == SIMULATED_VENUE

    def many(self, n_symbols: int, n_bars: int) -> Iterator[Candles]:
        """The last `n_bars` of `n_symbols` different symbols, REFERENCE first.

        Where the store has fewer symbols, they come again under other names.
        """
        store = CandleStore(self.root)
        stored = store.symbols(self.venue, HOURLY.name)
        others = [name for name in stored if name not in REFERENCE]
        names = [*(name for name in REFERENCE if name in stored), *others][:n_symbols]
        bars = [store.read(self.venue, HOURLY.name, name) for name in names]
        end_ms = bars[0].first_open_ms + bars[0].n_bars * HOURLY.length_ms
        stretches = [one.between(end_ms - n_bars * HOURLY.length_ms, end_ms) for one in bars]
        whole = [one for one in stretches if one.n_bars == n_bars]
        for number in range(n_symbols):
            again, place = divmod(number, len(whole))
            name = whole[place].symbol
            yield replace(whole[place], symbol=name.replace("/", f"{again}/") if again else name)

    @property
    def reference(self) -> tuple[str, ...]:
        """A symbol with a long history, and its companions."""
        stored = CandleStore(self.root).symbols(self.long_venue, HOURLY.name)
        return tuple(name for name in REFERENCE if name in stored)[: 1 + N_COMPANIONS]

    def long(self, symbol: str) -> Candles:
        """All bars of one of REFERENCE."""
        return CandleStore(self.root).read(self.long_venue, HOURLY.name, symbol)
