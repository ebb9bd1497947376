"""A training on a terminal of 80 columns: everything is there and nothing is cut."""

import io
import re
from dataclasses import replace

import msgspec
import pytest
from rich.console import Console

from gates.promotion import Standing
from tests.support.small_training import SETTINGS, SmallTraining
from training.regime import CLASSIFIER, SOURCES
from training.rendering import show_outcome
from training.retrain import Outcome
from training.settings import MEMBERS

WIDTH = 80
NAMES = [member.name for member in MEMBERS]


def shown(outcome: Outcome, width: int = WIDTH) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    show_outcome(console, outcome)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def screen(small_training: SmallTraining) -> str:
    return shown(small_training.outcome)


def table_after(screen: str, title: str) -> list[list[str]]:
    """The cells of each line of the table under the title, its heading first."""
    lines = screen.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    body = lines[start + 1 :]
    end = next(number for number, line in enumerate([*body, ""]) if not line.strip())
    return [re.split(r"\s{2,}", line.strip()) for line in body[:end]]


def test_nothing_is_cut_and_no_line_is_longer_than_the_screen(screen: str) -> None:
    assert "…" not in screen
    too_long = [line for line in screen.splitlines() if len(line.rstrip()) > WIDTH]
    assert [line for line in too_long if not line.startswith("bundle:")] == []


@pytest.mark.parametrize("horizon", SETTINGS.horizons)
@pytest.mark.parametrize("symbol", SETTINGS.symbols)
def test_every_symbol_and_horizon_has_its_figures(
    screen: str, small_training: SmallTraining, symbol: str, horizon: int
) -> None:
    metrics = small_training.outcome.record["metrics"][str(horizon)]
    figures = metrics["symbols"][symbol]
    title = f"{symbol}, {horizon} bars ahead: {figures['stack']['n']:,} rows"
    heading, *lines = table_after(screen, title)
    assert heading == ["AUC", "95 % interval", "mean of folds", "Brier", "rank IC", "(t)"]
    rows = {line[0]: line[1:] for line in lines[: len(NAMES) + 4]}
    assert list(rows) == [*NAMES, "stack", "reversal", "class prior", "constant"]
    for name in (*NAMES, "stack"):
        one = figures[name]
        assert rows[name] == [
            f"{one['auc']:.4f}",
            f"{one['auc_low']:.3f} to {one['auc_high']:.3f}",
            f"{metrics['mean_fold_auc'][name]:.4f}",
            f"{one['brier']:.4f}",
            f"{one['rank_ic']:.3f}",
            f"({one['rank_ic_t']:.1f})",
        ]
    assert rows["constant"] == ["0.5000", "0.2500"]


@pytest.mark.parametrize("symbol", SETTINGS.symbols)
def test_every_year_of_the_primary_horizon_is_told(
    screen: str, small_training: SmallTraining, symbol: str
) -> None:
    years = small_training.outcome.record["metrics"]["5"]["years"][symbol]
    heading, *lines = table_after(screen, f"{symbol}, 5 bars ahead: AUC by year")
    assert heading == ["year", *NAMES, "stack", "reversal"]
    assert [line[0] for line in lines] == sorted(years)
    for year, *areas in lines:
        assert areas == [f"{years[year][name]:.3f}" for name in heading[1:]]


def test_every_fold_of_the_primary_horizon_is_told(screen: str, small_training: SmallTraining) -> None:
    folds = small_training.outcome.record["metrics"]["5"]["folds"]
    heading, first, second = table_after(screen, "All served symbols, 5 bars ahead: AUC by fold")
    assert heading == ["tested from", "rows", *NAMES, "stack", "reversal"]
    assert first[:2] == [folds[0]["test_start"], f"{folds[0]['n_test']:,}"]
    assert len(first) == len(heading) - 1, "the stack has no answer in the first fold"
    assert second[2:] == [f"{folds[1]['auc'][name]:.3f}" for name in heading[2:]]


def test_the_regime_is_told_for_every_symbol_beside_what_needs_no_model(
    screen: str, small_training: SmallTraining
) -> None:
    figures = small_training.outcome.record["regime"]
    heading, *lines = table_after(screen, "Volatility of the next 24 bars")
    assert heading == ["accuracy", "balanced", "RPS", "over now, 95 %"]
    expected = [(symbol, name) for symbol in SETTINGS.symbols for name in SOURCES]
    assert [tuple(line[:2]) for line in lines] == expected
    for symbol, name, *told in lines:
        one = figures["symbols"][symbol][name]
        assert told[0] == f"{one['accuracy']:.1%}"
        assert told[2] == f"{one['rps']:.4f}"
        assert (len(told) == 4) == (name == CLASSIFIER)


def test_the_ten_most_important_features_of_each_member_are_told(
    screen: str, small_training: SmallTraining
) -> None:
    importances = small_training.outcome.record["importances"]["5"]
    told = screen[screen.index("What the members look at most, 5 bars ahead") :]
    for name in NAMES:
        assert re.search(rf"(^|\s){name}(\s|$)", told)
        for feature, share in list(importances[name].items())[:10]:
            assert re.search(rf"{feature}\s+{share:.1%}", told), feature


def test_the_verdict_and_the_bundle_come_last(screen: str, small_training: SmallTraining) -> None:
    *_, minutes, bundle = screen.splitlines()
    assert re.match(
        r"minutes: candles [\d.]+, features [\d.]+, models [\d.]+, figures [\d.]+, gates", minutes
    )
    assert bundle == f"bundle:  {small_training.outcome.bundle} (champion)"
    assert "verdict: fit for" in screen


def test_a_simulated_market_says_so_first_and_last(screen: str) -> None:
    said = [number for number, line in enumerate(screen.splitlines()) if "SIMULATED MARKET" in line]
    assert said == [0, len(screen.splitlines()) - 3]


def test_a_real_market_is_not_called_simulated(small_training: SmallTraining) -> None:
    record = small_training.outcome.record
    real = {**record, "settings": {**record["settings"], "venue": "binance_spot"}}
    report = small_training.outcome.report
    others = tuple(result for result in report.results if result.name != "real_market")
    report = msgspec.structs.replace(report, results=others)
    assert "SIMULATED" not in shown(replace(small_training.outcome, record=real, report=report))


@pytest.mark.parametrize("role", ["champion", "challenger", "waiting", "unfit"])
def test_a_bundle_has_its_role_behind_its_name(small_training: SmallTraining, role: Standing) -> None:
    *_, last = shown(replace(small_training.outcome, role=role)).splitlines()
    assert last.endswith(f"{small_training.outcome.bundle.name} ({role})")


def test_figures_that_are_not_known_are_left_empty(small_training: SmallTraining) -> None:
    record = small_training.outcome.record
    metrics = record["metrics"]["5"]
    unknown = dict.fromkeys(metrics["symbols"]["BTC/USDT"]["stack"])
    symbols = {**metrics["symbols"]}
    symbols["BTC/USDT"] = {**symbols["BTC/USDT"], "stack": {**unknown, "n": 0}}
    silent = {
        **metrics,
        "symbols": symbols,
        "mean_fold_auc": {**metrics["mean_fold_auc"], "stack": None},
    }
    altered = {**record, "metrics": {**record["metrics"], "5": silent}}
    screen = shown(replace(small_training.outcome, record=altered))
    table = table_after(screen, "BTC/USDT, 5 bars ahead: 0 rows")
    assert ["stack"] in table
    assert "nan" not in screen.lower()
