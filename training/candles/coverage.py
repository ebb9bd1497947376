"""Which stretches of time has an exchange been asked for already?

A stretch is half-open, `[since_ms, until_ms)`. Stretches are kept sorted and apart from each other.
They tell a gap of the exchange (asked for, no bar) from bars that were never asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

Stretch = tuple[int, int]


def joined(stretches: Iterable[Stretch]) -> tuple[Stretch, ...]:
    """The same times with stretches that touch or overlap made one; empty ones vanish."""
    whole: list[Stretch] = []
    for since_ms, until_ms in sorted(stretches):
        if since_ms >= until_ms:
            continue
        if whole and since_ms <= whole[-1][1]:
            whole[-1] = (whole[-1][0], max(whole[-1][1], until_ms))
        else:
            whole.append((since_ms, until_ms))
    return tuple(whole)


def missing(covered: Iterable[Stretch], since_ms: int, until_ms: int) -> tuple[Stretch, ...]:
    """The parts of `[since_ms, until_ms)` that `covered` leaves out, oldest first."""
    left: list[Stretch] = []
    for covered_since, covered_until in joined(covered):
        if covered_until <= since_ms:
            continue
        if covered_since >= until_ms:
            break
        left.append((since_ms, covered_since))
        since_ms = covered_until
    return joined([*left, (since_ms, until_ms)])
