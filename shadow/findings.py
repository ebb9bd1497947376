"""What does a window of the shadow log amount to, whoever reads it and in whatever form?

One object, made once; the terminal, JSON, CSV and HTML are views of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from shadow import checklist
from shadow.agreement import Agreement, agreement
from shadow.checklist import Check, Luck
from shadow.compare import PAIR_LIMITS, Comparison, PairLimits, compare
from shadow.contributions import Contribution, contributions
from shadow.counterfactual import Costs, Trading, trade
from shadow.drift_file import FeatureDrift, read_drift
from shadow.evidence import Evidence, kinds_of, pools_of, weigh_pools
from shadow.recalibration_figures import RecalibrationFigures, recalibration_figures
from shadow.skill import PRIMARY_HORIZON, Pool
from shadow.traded import traded_bars
from shadow.trials import candidates_tried
from shadow.window import Window

_MOST_ROWS = 200_000


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one window.

    `folder` is the log. `ready` is True, False, or None where the evidence does not suffice.
    `contributions` has one entry per member, at the primary horizon. `agreement` is None where the host
    told no signal, `comparison` where no challenger was asked, `drift` where nobody has measured it.
    `recalibration`, by horizon, is empty where no record has a p'.
    """

    folder: str
    evidence: Evidence
    checklist: list[Check]
    ready: bool | None
    luck: Luck
    changed_limits: dict[str, str]
    contributions: dict[str, Contribution]
    agreement: Agreement | None
    trading: Trading
    comparison: Comparison | None
    recalibration: dict[str, RecalibrationFigures]
    drift: FeatureDrift | None


class Terms(NamedTuple):
    """What the records are held against. `models` is the folder of bundles, which need not exist."""

    models: Path
    min_bars: int = 24
    limits: checklist.Limits = checklist.LIMITS
    pair_limits: PairLimits = PAIR_LIMITS
    changed_limits: dict[str, str] = {}  # noqa: RUF012  (never changed, as the tuple itself)
    costs: Costs = Costs()


def find(folder: Path, window: Window, terms: Terms) -> Findings:
    """Weigh the `window` that was read from `folder`, from all sides. Raises as `compare`."""
    added: dict[str, Contribution] = {}

    def passing() -> Iterator[tuple[str, Pool]]:
        for horizon, pool in pools_of(window):
            if horizon == PRIMARY_HORIZON:
                added.update(_contributions(window, pool))
            yield horizon, pool

    evidence = weigh_pools(window, passing())
    checks = checklist.checklist(evidence, terms.min_bars, terms.limits)
    n_trials = candidates_tried(terms.models)
    return Findings(
        folder=str(folder),
        evidence=evidence,
        checklist=checks,
        ready=checklist.is_ready(checks),
        luck=checklist.luck(evidence),
        changed_limits=terms.changed_limits,
        contributions=added,
        agreement=_agreement(window),
        trading=trade(traded_bars(window), terms.costs, n_trials),
        comparison=compare_newest(folder, window, terms.pair_limits),
        recalibration=recalibration_figures(folder, window, terms.models, terms.pair_limits),
        drift=read_drift(terms.models),
    )


def _contributions(window: Window, pool: Pool) -> dict[str, Contribution]:
    """Of the newest rows, where there are very many: a hundredth of a Brier score shows in fewer."""
    columns = window.columns
    if not columns.members:
        return {}
    rows = np.arange(pool.row.size)
    if rows.size > _MOST_ROWS:
        since = np.partition(pool.bar_number, -_MOST_ROWS)[-_MOST_ROWS]
        rows = np.flatnonzero(pool.bar_number >= since)
    members = {
        name: np.array(member.p)[pool.row[rows]].astype(np.float64)
        for name, member in sorted(columns.members.items())
    }
    return contributions(members, pool.up[rows], pool.overlap_bars, pool.bar_number[rows])


def _agreement(window: Window) -> Agreement | None:
    counts: Counter[tuple[str, str]] = Counter()
    for kind, n in kinds_of(window.columns).items():
        if kind.host_signal is not None and kind.action != "abstain":
            counts[kind.host_signal, kind.action] += n
    return agreement(counts)


def compare_newest(folder: Path, window: Window, limits: PairLimits = PAIR_LIMITS) -> Comparison | None:
    """The pair that `newest_pair` finds; None where there is none.

    All their common bars count, those before the window too. Raises as `compare`.
    """
    pair = newest_pair(window)
    return None if pair is None else compare_pair(folder, pair, window.now_ms, limits)


class Pair(NamedTuple):
    """Two bundles that were asked about the same bars."""

    challenger: str
    champion: str


def newest_pair(window: Window) -> Pair | None:
    """The two that stood in the newest record with a challenger."""
    columns = window.columns
    paired = [kind.challenger is not None and kind.bundle is not None for kind in columns.kinds]
    newest = np.flatnonzero(np.array([*paired, False])[np.array(columns.kind)])
    if not newest.size:
        return None
    kind = columns.kinds[columns.kind[newest[-1]]]
    assert kind.challenger is not None and kind.bundle is not None  # noqa: S101  (chosen so)
    return Pair(kind.challenger, kind.bundle)


def compare_pair(
    folder: Path, pair: Pair, until_ms: int, limits: PairLimits = PAIR_LIMITS
) -> Comparison:
    """Compare them at the primary horizon, as was known at `until_ms`. Raises as `compare`."""
    return compare(
        folder,
        challenger=pair.challenger,
        champion=pair.champion,
        horizon_bars=int(PRIMARY_HORIZON),
        margin=limits.pair_brier_margin,
        level=limits.pair_evidence,
        until_ms=until_ms,
    )
