"""How do figures and foreign texts read, wherever they are shown?"""

from __future__ import annotations

import math

_MAX_TEXT = 200


def plain(text: str) -> str:
    """A text from the log without what moves the cursor, and not too long."""
    shown = "".join(letter if letter.isprintable() else "·" for letter in text[: _MAX_TEXT + 1])
    return shown if len(shown) <= _MAX_TEXT else f"{shown[:_MAX_TEXT]}…"


def percent(share: float, digits: int = 1) -> str:
    """A share of one, `-` where it is not known."""
    return "-" if math.isnan(share) else f"{share:.{digits}%}"


def figure(value: float, digits: int = 3) -> str:
    """A number, `-` where it is not known."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def interval(low: float, high: float, digits: int = 3) -> str:
    """Two bounds, nothing where they are not known."""
    return "" if math.isnan(low + high) else f"[{low:.{digits}f}, {high:.{digits}f}]"


def count(n: float) -> str:
    """How many, in thousands where they are many."""
    if math.isnan(n):
        return "-"
    return f"{n:.0f}" if n < 100_000 else f"{n / 1000:.0f}k"


def minute(utc: str) -> str:
    """A time as `shadow.files.utc_text` writes it, to the minute."""
    return f"{utc[:10]} {utc[11:16]} UTC"
