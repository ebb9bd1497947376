"""Which decisions and prices of the log does the counterfactual trade on?"""

from __future__ import annotations

import numpy as np

from shadow.agreement import side_of_signal
from shadow.positions import TradedBars
from shadow.window import Window

_SIDES = {"long": 1, "short": -1}


def traded_bars(window: Window) -> list[TradedBars]:
    """The recorded bars of each series, oldest first, with what was decided on them in the window."""
    columns = window.columns
    kinds, kind = columns.kinds, np.array(columns.kind)
    high, low = np.array(columns.high), np.array(columns.low)
    # The last item is for CONTEXT, which is -1: nothing was decided there.
    side = np.array([*(_SIDES.get(one.action, 0) for one in kinds), 0], dtype=np.int8)
    size = np.array([*(one.size_multiplier for one in kinds), 0.0])
    stop = np.array([*(one.stop_atr for one in kinds), 0.0])
    named = [*(one.regime for one in kinds), "unknown"]
    regimes = tuple(sorted(set(named)))
    places = {name: at for at, name in enumerate(regimes)}
    regime = np.array([places[name] for name in named])
    told = [None if one.host_signal is None else side_of_signal(one.host_signal) for one in kinds]
    host = np.array([*(one or 0 for one in told), 0], dtype=np.int8)
    has_host = np.array([*(one is not None for one in told), False])
    all_bars = []
    for rows in window.rows:
        of_row = kind[rows.row]
        bars = TradedBars(
            symbol=rows.symbol,
            timeframe=rows.timeframe,
            length_ms=rows.length_ms,
            open_time_ms=rows.open_time_ms,
            high=high[rows.row],
            low=low[rows.row],
            close=rows.close,
            side=side[of_row],
            size_multiplier=size[of_row],
            stop_atr=stop[of_row],
            regime=regime[of_row],
            regimes=regimes,
            host_side=host[of_row],
            has_host_signal=has_host[of_row],
            in_window=rows.in_window,
        )
        all_bars.append(bars)
    return all_bars
