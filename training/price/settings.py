"""Which prices are forecast, from what, how far ahead?"""

from __future__ import annotations

import msgspec

SHARES = (0.7, 0.15, 0.15)
"""Of the rows: to learn from, to stop by, to be judged on."""
QUICK_BARS = 3_000
QUICK_EPOCHS = 2


class PriceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One comparison. Times are milliseconds UTC; window and horizon are bars.

    The close `horizon` bars later is forecast from the last `window` bars. `newest_bars` keeps only so
    many of the bars in `[since_ms, until_ms)`; `epochs` is how often networks look back at most.
    """

    venue: str
    timeframe: str = "1h"
    symbols: tuple[str, ...] = ("BTC/USDT", "ETH/USDT")
    since_ms: int = 0
    until_ms: int | None = None
    newest_bars: int | None = None
    window: int = 60
    horizon: int = 1
    epochs: int = 10
    bidirectional: bool = False
    seed: int = 7
