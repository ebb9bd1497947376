"""The tables of the terminal report, one function each."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from shadow.agreement import Agreement
from shadow.checklist import COUNTED, Check
from shadow.compare import Comparison
from shadow.contributions import Contribution
from shadow.counterfactual import Trading
from shadow.coverage import Coverage
from shadow.drift_file import FeatureDrift
from shadow.evidence import MemberFigures
from shadow.recalibration_figures import RecalibrationFigures
from shadow.skill import PRIMARY_HORIZON, HorizonFigures
from shadow.texts import count, figure, interval, percent, plain

_MAX_SYMBOLS = 8
_MAX_FEATURES = 5
_LEAST_STATUSES = ("constant", "nan")
_Words = Mapping[str, str]


def value_and_limit(check: Check) -> tuple[str, str]:
    """What a check has measured and what it was held against."""
    if check.name in COUNTED:
        value = "-" if math.isnan(check.value) else f"{check.value:g}"
        sign = ">=" if check.name in {"hours_in_shadow", "real_market"} else "<="
        return value, f"{sign} {check.limit:g}"
    return percent(check.value), f"> {check.limit:.0%}"


def coverage(symbols: list[Coverage], words: _Words) -> Table:
    """The worst series first."""
    table = _table(
        words["bars"], *(words[key] for key in ("expected", "recorded", "with_p", "coverage"))
    )
    worst_first = sorted(symbols, key=lambda series: series.coverage)
    for series in worst_first[:_MAX_SYMBOLS]:
        table.add_row(
            plain(f"{series.symbol} {series.timeframe}"),
            str(series.bars_expected),
            str(series.bars_recorded),
            str(series.bars_with_probability),
            percent(series.coverage),
        )
    if len(symbols) > _MAX_SYMBOLS:
        table.add_row(words["better_ones"].format(n=len(symbols) - _MAX_SYMBOLS))
    return table


def members(members: Mapping[str, MemberFigures], words: _Words) -> Table:
    """How each answers. A status that nobody had is not shown, but for the two that are looked for."""
    odd = dict.fromkeys(_LEAST_STATUSES)
    odd |= dict.fromkeys(name for one in members.values() for name in one.statuses if name != "ok")
    table = _table(words["members"], words["normal"], *odd, "p50 us", "p90", "p99")
    for name, member in members.items():
        latencies = (member.latency_us_p50, member.latency_us_p90, member.latency_us_p99)
        table.add_row(
            plain(name),
            percent(member.normal_rate),
            *(count(member.statuses.get(status, 0)) for status in odd),
            *(f"{latency:.0f}" for latency in latencies),
        )
    return table


def outcomes(outcomes: Mapping[str, HorizonFigures], words: _Words) -> list[RenderableType]:
    """What came of it, by horizon, and by fifths of the primary one."""
    keys = ("n_worth", "auc", "reversal", "rank_ic", "brier")
    table = _table(words["outcomes"], *(words[key] for key in keys))
    for horizon, figures in outcomes.items():
        area = f"{figure(figures.auc)} {interval(figures.auc_low, figures.auc_high)}"
        table.add_row(
            horizon,
            f"{count(figures.n)} ({count(figures.n_effective)})",
            area if figures.reason is None else Text(words["too_little"], "dim"),
            figure(figures.reversal_rule_auc),
            f"{figure(figures.rank_ic)} ({figure(figures.rank_ic_t, 1)})",
            figure(figures.brier, 4),
        )
    parts: list[RenderableType] = [table, Text(words["outcomes.aid"], "dim")]
    primary = outcomes.get(PRIMARY_HORIZON)
    if primary is not None and primary.reason is None and primary.quantiles:
        parts.append(_fifths(primary, words))
    return parts


def _fifths(primary: HorizonFigures, words: _Words) -> Table:
    heading = words["fifths"].format(horizon=PRIMARY_HORIZON)
    table = _table(heading, "n", words["mean_p"], words["up"], words["mean_return"])
    for number, fifth in enumerate(primary.quantiles, start=1):
        bounds = interval(100 * fifth.low, 100 * fifth.high)
        table.add_row(
            str(number),
            count(fifth.n),
            figure(fifth.mean_p),
            percent(fifth.up_share),
            f"{percent(fifth.mean_return, 3)} {bounds}",
        )
    return table


def contributions(contributions: Mapping[str, Contribution], words: _Words) -> list[RenderableType]:
    """Each member alone, and what leaving it out costs."""
    table = _table(words["contributions"], "n", words["auc"], words["gain"])
    for name, one in contributions.items():
        gain = f"{figure(1000 * one.gain, 2)} {interval(1000 * one.gain_low, 1000 * one.gain_high, 2)}"
        table.add_row(
            plain(name),
            count(one.n),
            f"{figure(one.auc)} {interval(one.auc_low, one.auc_high)}",
            gain,
        )
    return [table, Text(words["contributions.aid"], "dim")]


def agreement(agreement: Agreement, words: _Words) -> list[RenderableType]:
    """How often both say the same."""
    opposed = agreement.n_opposed / agreement.n if agreement.n else math.nan
    said = words["agreement.says"].format(
        n=agreement.n, share=percent(agreement.share_same), opposed=percent(opposed)
    )
    parts: list[RenderableType] = [Text(f"{words['agreement']}: {said}")]
    if agreement.not_understood:
        odd = ", ".join(f"{plain(name)} {n}" for name, n in list(agreement.not_understood.items())[:5])
        parts.append(Text(f"{words['agreement.odd']}: {odd}", "yellow"))
    return parts


def trading(trading: Trading, words: _Words) -> list[RenderableType]:
    """What each way of trading would have brought."""
    keys = ("return", "drawdown", "sharpe", "deflated", "costs", "trades")
    table = _table(words["trading"], *(words[key] for key in keys))
    for name, one in trading.strategies.items():
        bounds = interval(100 * one.low, 100 * one.high, 1)
        table.add_row(
            words[name],
            f"{percent(one.total_return)} {bounds}",
            percent(one.max_drawdown),
            figure(one.sharpe, 2),
            percent(one.deflated_sharpe, 0),
            percent(one.costs),
            count(one.n_trades),
        )
    aid = words["trading.aid"].format(
        fee=trading.fee_bps, slippage=trading.slippage_bps, trials=trading.n_trials
    )
    parts: list[RenderableType] = [table, Text(aid, "dim")]
    if "host" not in trading.strategies:
        parts.append(Text(words["trading.no_host"], "dim"))
    n_stops = trading.strategies["ensemble"].n_stops
    if n_stops:
        parts.append(Text(words["trading.stops"].format(n=n_stops), "dim"))
    if trading.n_unstopped:
        parts.append(Text(words["trading.unstopped"].format(n=trading.n_unstopped), "dim"))
    return parts


def comparison(comparison: Comparison, words: _Words) -> list[RenderableType]:
    """Champion and challenger on the same bars."""
    evidence = comparison.evidence
    pair = {"challenger": plain(comparison.challenger), "champion": plain(comparison.champion)}
    said = words["pair.says"].format(
        n=comparison.n_bars,
        own=figure(comparison.challenger_brier, 4),
        other=figure(comparison.champion_brier, 4),
        not_inferior=figure(evidence.not_inferior, 2),
        better=figure(evidence.better, 2),
        worse=figure(evidence.worse, 2),
        level=comparison.level,
    )
    more = words["pair.unknown"]
    if evidence.bars_needed is not None:
        more = words["pair.more"].format(n=evidence.bars_needed)
    return [Text(words["pair"].format(**pair), "bold"), Text(f"{said} {more}")]


def recalibration(
    recalibration: Mapping[str, RecalibrationFigures], words: _Words
) -> list[RenderableType]:
    """What was said beside how it is read, by horizon."""
    keys = ("brier", "recalibrated.brier", "recalibrated.better", "recalibrated.acts")
    table = _table(words["recalibrated"], "n", *(words[key] for key in keys))
    for horizon, one in recalibration.items():
        table.add_row(
            horizon,
            count(one.n_rows),
            figure(one.brier, 4),
            figure(one.recalibrated_brier, 4),
            figure(one.evidence.better, 2),
            words["yes" if one.acts else "no"],
        )
    level = next(iter(recalibration.values())).level
    return [table, Text(words["recalibrated.aid"].format(level=level), "dim")]


def drift(drift: FeatureDrift | None, words: _Words) -> Text:
    """How far the features have moved, as last measured."""
    if drift is None:
        return Text(f"{words['drift']}: {words['drift.none']}", "dim")
    said = words["drift.says"].format(
        share=percent(drift.share),
        since=plain(drift.since)[:10],
        until=plain(drift.until)[:10],
        limit=percent(drift.limit),
        names=", ".join(plain(one.name) for one in drift.features[:_MAX_FEATURES]),
    )
    style = "yellow" if drift.share > drift.limit else ""
    return Text(f"{words['drift']}: {said}", style)


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1), pad_edge=False)
    table.add_column(headings[0])
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
