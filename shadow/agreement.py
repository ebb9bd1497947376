"""How often do the ensemble and the bot's own signal say the same?"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping

import msgspec

_LONG = frozenset({"long", "buy", "enter_long", "bull", "bullish", "up", "1", "+1"})
_SHORT = frozenset({"short", "sell", "enter_short", "bear", "bearish", "down", "-1"})
_NEITHER = frozenset(
    {"flat", "hold", "none", "exit", "exit_long", "exit_short", "neutral", "wait", "close", "0", ""}
)
_SIDE_OF_ACTION = {"long": 1, "short": -1, "flat": 0}


class Agreement(msgspec.Struct, frozen=True):
    """Bars on which the host told a signal and the ensemble decided (did not abstain).

    `n` such bars; on `n_same` both point the same way (or both to neither side), on `n_opposed` one
    is long and the other short; the rest is a side against none. `table` counts bars by the host's
    signal, as it was told, and the ensemble's action. `not_understood` counts signals of which it is
    not known where they point; they are in `table` and not in `n`.
    """

    n: int
    n_same: int
    n_opposed: int
    share_same: float
    table: dict[str, dict[str, int]]
    not_understood: dict[str, int]


def side_of_signal(text: str) -> int | None:
    """Where a bot's signal points: 1 long, -1 short, 0 to neither side, None where that is not known.

    Case does not matter, nor what follows a colon, a space or a bracket: bots tag their signals.

    >>> side_of_signal("enter_long:breakout"), side_of_signal("HOLD"), side_of_signal("rsi")
    (1, 0, None)
    """
    word = re.split(r"[\s:(\[]", text.strip().lower(), maxsplit=1)[0]
    if word in _LONG:
        return 1
    if word in _SHORT:
        return -1
    return 0 if word in _NEITHER else None


def agreement(counts: Mapping[tuple[str, str], int]) -> Agreement | None:
    """From the number of bars by signal and action (`long`, `short` or `flat`); None where none is."""
    if not counts:
        return None
    table: dict[str, dict[str, int]] = {}
    tally: Counter[str] = Counter()
    not_understood: Counter[str] = Counter()
    for (signal, action), n in counts.items():
        table.setdefault(signal, {})[action] = n
        host, own = side_of_signal(signal), _SIDE_OF_ACTION.get(action)
        if host is None or own is None:
            not_understood[signal] += n
            continue
        tally["n"] += n
        tally["same"] += n * (host == own)
        tally["opposed"] += n * (host * own == -1)
    share = tally["same"] / tally["n"] if tally["n"] else math.nan
    return Agreement(
        n=tally["n"],
        n_same=tally["same"],
        n_opposed=tally["opposed"],
        share_same=share,
        table=table,
        not_understood=dict(not_understood.most_common()),
    )
