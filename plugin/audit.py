"""Can every recorded decision be had again from stored bars and the bundles that the records name?

Rows are a pure function of the last 512 bars and the same compiled code everywhere, so a recomputed
probability is the recorded one to the last bit. Whatever differs is a finding.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.audit_bars import AuditBars, Revisions
from plugin.bar import Timeframe
from plugin.bundle import Bundle, load_bundle
from plugin.clock import utc_text
from plugin.decision import action_of, size_and_stop
from plugin.distance import distance
from plugin.ensemble import Ensemble
from plugin.errors import ShadowgateError
from plugin.features.joined import ROW_NAMES
from plugin.recalibrating import recalibrated_again
from plugin.regime import Regime, answered_regime
from plugin.windows import EarlierRows
from shadow.reader import LogReader
from shadow.record import BarRecord, ChallengerRecord, MemberRecord

_VOL_RANK = ROW_NAMES.index("vol_rank_24")
_MAX_SHOWN = 100
_ROWS_AT_ONCE = 4_096


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One number or word that came out otherwise. `what` is a member, `stack`, or a field's name."""

    open_time: str
    symbol: str
    role: str
    bundle: str
    what: str
    horizon: str | None
    recorded: float | str | None
    recomputed: float | str | None
    size: float


@dataclass
class Audited:
    """What was compared, `differences` the largest first and at most 100, and why the rest was not."""

    n_bars: int = 0
    n_numbers: int = 0
    n_differences: int = 0
    largest: float = 0.0
    differences: list[Difference] = field(default_factory=list)
    not_compared: Counter[str] = field(default_factory=Counter)

    def add(self, found: Iterable[Difference]) -> None:
        """Count differences, and keep the largest."""
        for one in found:
            self.n_differences += 1
            self.largest = max(self.largest, one.size)
            self.differences.append(one)
        self.differences.sort(key=lambda one: -one.size)
        del self.differences[_MAX_SHOWN:]


class Said(msgspec.Struct, frozen=True):
    """What one bundle said of one bar, as recorded. `decision` is of the champion only."""

    record: BarRecord
    role: str
    bundle: str
    members: dict[str, MemberRecord]
    probabilities: Mapping[str, float | None]
    meta_p: float | None
    regime: Mapping[str, float | None]


def audit(
    log: Path,
    models: Path,
    bars: AuditBars,
    since_ms: int,
    now_ms: int,
    *,
    symbols: frozenset[str] = frozenset(),
    tolerance: float = 0.0,
    step: Callable[[int, int], None] = lambda done, of: None,
) -> Audited:
    """Recompute what was recorded of the bars that opened in `[since_ms, now_ms)`.

    `step` is told how many answers are done, of how many. Never raises for a bundle or bars that are
    not there: they are counted.
    """
    audited = Audited()
    groups: defaultdict[tuple[str, str, str], list[Said]] = defaultdict(list)
    for record in LogReader(log, BarRecord):
        if since_ms <= record.open_time_ms < now_ms and (not symbols or record.symbol in symbols):
            for said in _said(record, audited):
                groups[said.bundle, said.record.symbol, said.record.timeframe].append(said)
    revisions = Revisions.read(log)
    n_all, n_done = sum(map(len, groups.values())), 0
    loaded: dict[str, Bundle | None] = {}
    for (bundle_id, symbol, timeframe), answers in sorted(groups.items()):
        if bundle_id not in loaded:
            loaded = {bundle_id: _load(models, bundle_id)}
        bundle = loaded[bundle_id]
        if bundle is None:
            audited.not_compared["bundle_not_there"] += len(answers)
        elif timeframe != bundle.manifest.timeframe or symbol not in bundle.manifest.companions:
            audited.not_compared["not_of_this_bundle"] += len(answers)
        else:
            _compare(bundle, answers, bars, revisions, audited, tolerance)
        n_done += len(answers)
        step(n_done, n_all)
    return audited


def _said(record: BarRecord, audited: Audited) -> Iterator[Said]:
    champion, told = record.champion, record.challenger
    if champion is None or not record.members:
        audited.not_compared[f"no_prediction:{record.ml_reason.partition(':')[0]}"] += 1
    else:
        yield _said_by(record, "champion", champion, record)
    if told is not None and told.members:
        yield _said_by(record, "challenger", told.bundle, told)


def _said_by(record: BarRecord, role: str, bundle: str, answer: BarRecord | ChallengerRecord) -> Said:
    numbers = answer.members, answer.probabilities, answer.meta_p, answer.regime_probabilities
    return Said(record, role, bundle, *numbers)


def _load(models: Path, bundle_id: str) -> Bundle | None:
    try:
        return load_bundle(models / "bundles" / Path(bundle_id).name)
    except ShadowgateError:
        return None


def _compare(
    bundle: Bundle,
    answers: Sequence[Said],
    bars: AuditBars,
    revisions: Revisions,
    audited: Audited,
    tolerance: float,
) -> None:
    symbol = answers[0].record.symbol
    names = (symbol, *bundle.manifest.companions[symbol])
    timeframe = Timeframe.parse(bundle.manifest.timeframe)
    for first in range(0, len(answers), _ROWS_AT_ONCE):
        part = answers[first : first + _ROWS_AT_ONCE]
        places = [(said.record.open_time_ms, said.record.seq) for said in part]
        rows, earlier, reasons = bars.rows(names, timeframe, places, revisions, bundle.manifest)
        known = [at for at, reason in enumerate(reasons) if reason is None]
        audited.not_compared.update(reason for reason in reasons if reason is not None)
        if known:
            asked = rows[known], [earlier[at] for at in known]
            _compare_rows(bundle, [part[at] for at in known], asked, bars, audited, tolerance)


def _compare_rows(
    bundle: Bundle,
    answers: Sequence[Said],
    asked: tuple[NDArray[np.float32], Sequence[EarlierRows]],
    bars: AuditBars,
    audited: Audited,
    tolerance: float,
) -> None:
    # A name for each row: what a member said of a symbol before is nothing to a recomputation.
    rows, earlier = asked
    predictions = Ensemble(bundle).predict([one.symbol for one in earlier], rows, earlier)
    primary = str(bundle.manifest.primary_horizon)
    for said, prediction, row in zip(answers, predictions, rows, strict=True):
        stacked = prediction.stacked_by(one.status for one in said.members.values())
        pairs = list(_numbers(said, prediction.members, stacked, stacked.get(primary)))
        pairs += [
            (f"regime_{question}", None, p, prediction.regime_probabilities.get(question))
            for question, p in said.regime.items()
        ]
        pairs += _prices(said, bars)
        regime = answered_regime(prediction.regime_probabilities, float(row[_VOL_RANK]))
        pairs += _words(said, regime, bundle)
        audited.n_bars += 1
        audited.n_numbers += len(pairs)
        audited.add(
            Difference(
                open_time=utc_text(said.record.open_time_ms),
                symbol=said.record.symbol,
                role=said.role,
                bundle=said.bundle,
                what=what,
                horizon=horizon,
                recorded=recorded,
                recomputed=again,
                size=size,
            )
            for what, horizon, recorded, again in pairs
            if (size := distance(recorded, again)) > tolerance
        )


_Pair = tuple[str, str | None, float | str | None, float | str | None]


def _numbers(
    said: Said,
    members: Mapping[str, MemberRecord],
    probabilities: Mapping[str, float],
    meta_p: float | None,
) -> Iterator[_Pair]:
    for name, recorded in said.members.items():
        again = members.get(name)
        for horizon, p in recorded.horizons.items():
            yield name, horizon, p, None if again is None else again.horizons.get(horizon)
    # A member that repeated itself keeps the stack silent, which only the live process can know.
    if said.probabilities:
        for horizon, p in said.probabilities.items():
            yield "stack", horizon, p, probabilities.get(horizon)
        yield "meta_p", None, said.meta_p, meta_p
    if said.role == "champion":
        for horizon, read in said.record.recalibrated.items():
            yield "recalibrated", horizon, read.p, recalibrated_again(probabilities.get(horizon), read)


def _prices(said: Said, bars: AuditBars) -> Iterator[_Pair]:
    """The bar itself, as it was recorded and as it is stored."""
    record = said.record
    if said.role == "champion":
        for name, recorded in (("high", record.high), ("low", record.low), ("close", record.close)):
            if recorded is not None:
                yield name, None, recorded, bars.price(record, name)


def _words(said: Said, regime: Regime, bundle: Bundle) -> Iterator[_Pair]:
    """What was decided on the numbers, where something was."""
    record = said.record
    if said.role != "champion":
        return
    if record.feature_hash is not None:
        yield "feature_hash", None, record.feature_hash, bundle.feature_hash
    primary = str(bundle.manifest.primary_horizon)
    p, read = said.probabilities.get(primary), record.recalibrated.get(primary)
    if read is not None and read.acts:
        p = read.p
    if record.decision.action == "abstain" or p is None:
        return
    size, stop = size_and_stop(regime)
    yield "regime", None, record.decision.regime, regime
    yield "action", None, record.decision.action, action_of(p)
    yield "size_multiplier", None, record.decision.size_multiplier, size
    yield "stop_atr", None, record.decision.stop_atr, stop
