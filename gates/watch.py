"""Does a new champion do its work, or should the one before it come back?

After a promotion the former champion goes on predicting for `watch_bars` bars. Meanwhile two things
take the new one back: answers that it fails to give, which shows within hours, and probabilities that
are worse by more than the margin, which takes as long as it does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from gates.against_champion import compare_pair
from gates.limits import Limits
from gates.view import Step, View, moved_ms
from plugin.registry import Pointer
from shadow.files import utc_text
from shadow.outcomes import bar_length_ms
from shadow.reader import BarKey, LogReader

OWN_FAULTS = ("error", "member_", "too_few_samples", "symbol_not_in_bundle", "timeframe_not_in_bundle")
"""How the reasons begin that lie with a bundle; others lie with the bars, or the switch is off."""


class _Beside(msgspec.Struct, gc=False):
    bundle: str
    reason: str


class _Line(BarKey, tag_field="type", tag="bar", gc=False):
    """What is needed of a bar's line."""

    champion: str | None
    ml_reason: str
    challenger: _Beside | None


class _Bar(NamedTuple):
    """A bar after the promotion: `ok`, or why each had no answer; None where it was not asked."""

    series: tuple[str, str]
    open_time_ms: int
    new: str | None
    former: str | None


@dataclass(frozen=True)
class Watched:
    """What was recorded since a promotion.

    `n_bars` closes were recorded, the new champion was asked at `n_served` of them. Of the newest
    `watch_error_bars` of those, `faults` counts the answers that it owed, by reason; `share` is their
    part of all that it could have given.
    """

    n_bars: int
    n_served: int
    faults: Counter[str]
    share: float


def is_watched(champion: Pointer, challenger: Pointer | None) -> bool:
    """Whether the champion was promoted and the one before it predicts beside it."""
    return (
        champion.kind == "promoted"
        and challenger is not None
        and challenger.bundle_id == champion.replaced
    )


def on_watch(view: View, champion: Pointer, former: Pointer) -> Step:
    """What is due for a new champion: `rolled back`, `watch ended` of the former one, or `nothing`.

    Raises as `watched`.
    """
    limits, since_ms = view.limits, moved_ms(champion)
    seen = watched(view.shadow_dir, champion, since_ms, view.now_ms, limits)
    why = _owes_answers(seen, limits) or _is_worse(view, champion, former)
    if why is not None:
        return Step(action="rolled back", bundle_id=champion.bundle_id, why=why)
    if seen.n_bars >= limits.watch_bars:
        why = f"{champion.bundle_id} has stood {seen.n_bars} bars since it was promoted"
        return Step(action="watch ended", bundle_id=former.bundle_id, why=why)
    why = f"watched: bar {seen.n_bars} of {limits.watch_bars} since it was promoted"
    return Step(action="nothing", bundle_id=champion.bundle_id, why=why)


def _owes_answers(seen: Watched, limits: Limits) -> str | None:
    if seen.share >= limits.watch_error_share:
        faults = ", ".join(f"{reason} {n}" for reason, n in seen.faults.items())
        share = f"expected less than {limits.watch_error_share:.0%}, was {seen.share:.0%}"
        return f"bars among the newest {limits.watch_error_bars} without its answer: {share} ({faults})"
    if not seen.n_served and seen.n_bars >= limits.watch_bars:
        return f"it has not been asked at any of the {seen.n_bars} bars since it was promoted"
    return None


def _is_worse(view: View, champion: Pointer, former: Pointer) -> str | None:
    new, old = view.manifest(champion), view.manifest(former)
    if new is None or old is None:
        return None  # what is damaged is not gone back to, and which is worse can not be told
    found = compare_pair(view.shadow_dir, old, new, view.limits, view.now_ms)
    if isinstance(found, str) or not found.watch.worse_by_margin >= view.limits.pair_evidence:
        return None
    margin, evidence = view.limits.pair_brier_margin, found.watch
    return (
        f"its Brier score is shown to be more than {margin:g} above that of the champion before:"
        f" {evidence.mean_difference:+.4f} on {evidence.n_bars} bars since it was promoted"
    )


def watched(shadow_dir: Path, champion: Pointer, since_ms: int, now_ms: int, limits: Limits) -> Watched:
    """Read what was recorded of bars that closed after `since_ms` and by `now_ms`.

    Raises OSError where a file can not be read, LogUnusable where a record holds no timeframe.
    """
    reader = LogReader(shadow_dir, _Line, since_day=utc_text(since_ms)[:10])
    bars = list(_bars(reader, champion, since_ms, now_ms))
    served = [bar for bar in bars if bar.new is not None]
    times = sorted({bar.open_time_ms for bar in served})
    newest = set(times[-limits.watch_error_bars :])
    faults = Counter(bar.new for bar in served if bar.open_time_ms in newest and _is_own_fault(bar))
    # Bars still to come count as answered: a fault at the first one is not yet a share of one.
    n_owed = limits.watch_error_bars * len({bar.series for bar in served})
    return Watched(
        n_bars=len({bar.open_time_ms for bar in bars}),
        n_served=len(times),
        faults=Counter({str(reason): n for reason, n in faults.most_common()}),
        share=faults.total() / n_owed if n_owed else 0.0,
    )


def _bars(lines: Iterable[_Line], champion: Pointer, since_ms: int, now_ms: int) -> Iterable[_Bar]:
    for line in lines:
        closed_ms = line.open_time_ms + bar_length_ms(line.timeframe)
        if since_ms < closed_ms <= now_ms:
            beside = line.challenger
            yield _Bar(
                (line.symbol, line.timeframe),
                line.open_time_ms,
                line.ml_reason if line.champion == champion.bundle_id else None,
                beside.reason if beside and beside.bundle == champion.replaced else None,
            )


def _is_own_fault(bar: _Bar) -> bool:
    """Where the former champion fails as well, it is nobody's fault: both share the features."""
    is_fault = bar.new is not None and bar.new.startswith(OWN_FAULTS)
    return is_fault and not (bar.former is not None and bar.former.startswith(OWN_FAULTS))
