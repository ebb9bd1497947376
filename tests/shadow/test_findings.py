"""Everything that the report knows, from one log."""

import json

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow.checklist import LIMITS
from shadow.counterfactual import Costs
from shadow.evidence import weigh
from shadow.report import as_json
from shadow.stored_closes import StoredCloses
from shadow.window import read_window
from tests.support.evidence_log import MEMBERS, evidence_log, found
from tests.support.records import CHALLENGER, CHAMPION, HOUR_MS, START_MS, bar, challenger, write_log


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    return folder, evidence_log(folder)


@pytest.fixture(scope="module")
def findings(log):
    return found(*log)[0]


def test_every_part_has_figures(findings):
    assert set(findings.contributions) == set(MEMBERS)
    assert findings.agreement.n > 500
    assert findings.agreement.not_understood == {}
    assert set(findings.trading.strategies) == {"ensemble", "host", "both", "neither", "buy_and_hold"}
    assert {"low", "mid", "high"} <= set(findings.trading.by_regime)
    assert (findings.comparison.challenger, findings.comparison.champion) == (CHALLENGER, CHAMPION)
    assert findings.comparison.evidence.n_bars > 500
    assert findings.drift is None
    assert findings.ready is True


def test_members_that_know_something_are_seen_to(findings):
    primary = findings.evidence.outcomes["5"]
    assert primary.auc_low > 0.6
    assert primary.ic > 0.2
    assert primary.quantiles[0].mean_return < 0 < primary.quantiles[-1].mean_return
    assert sum(one.n for one in primary.reliability_curve) == primary.n
    assert findings.luck.probability < 0.001
    parts = primary.brier_reliability - primary.brier_resolution + primary.brier_uncertainty
    assert parts == pytest.approx(primary.brier, abs=0.01)


def test_as_json_is_plain_and_says_what_was_agreed(findings):
    report = json.loads(msgspec.json.encode(as_json(findings)))
    agreed = "ready reasons checklist luck outcomes members trading contributions agreement comparison"
    assert set(agreed.split()) <= report.keys()
    assert report["bars_expected"] == findings.evidence.bars_expected
    assert report["trading"]["strategies"]["neither"]["total_return"] == 0.0


def test_the_window_of_yesterday_does_not_change_with_what_came_today(log):
    folder, end_ms = log
    until_ms = end_ms - 100 * HOUR_MS
    early, _ = found(folder, until_ms, 20)
    again, _ = found(folder, until_ms, 20)
    assert msgspec.json.encode(as_json(early)) == msgspec.json.encode(as_json(again))
    assert early.evidence.outcomes["5"].n_waiting == 10, "five bars of each of two symbols"
    assert early.comparison.last_open_ms < until_ms


def test_an_empty_log_finds_nothing_and_raises_nothing(tmp_path):
    findings, _ = found(tmp_path, START_MS)
    assert findings.ready is None
    assert findings.contributions == {}
    assert findings.comparison is findings.agreement is None
    assert findings.trading.n_bars == 0


def test_many_different_signals_do_not_fill_the_memory(tmp_path):
    write_log(tmp_path, [bar(n, host_signal=f"rsi={n}") for n in range(300)])
    findings, window = found(tmp_path, START_MS + 300 * HOUR_MS)
    assert len(window.columns.kinds) < 60
    assert sum(findings.agreement.not_understood.values()) == 300


def test_candidates_that_were_tried_count_in_the_sharpe_ratio(log, tmp_path):
    (tmp_path / "trainings.jsonl").write_text('{"event":"began","id":"1"}\n' * 40)
    folder, end_ms = log
    many, one = found(folder, end_ms, models=tmp_path)[0], found(folder, end_ms)[0]
    assert (many.trading.n_trials, one.trading.n_trials) == (40, 1)
    first, second = (each.trading.strategies["ensemble"] for each in (many, one))
    assert first.deflated_sharpe < second.deflated_sharpe
    assert first.sharpe == second.sharpe


def test_the_challenger_of_the_newest_record_is_the_one_that_is_compared(tmp_path):
    told = [bar(n, challenger=challenger(0.5 + 0.01 * (n % 3), bundle="old")) for n in range(30)]
    told += [bar(n, challenger=challenger(0.5 + 0.01 * (n % 3))) for n in range(30, 90)]
    told += [bar(n) for n in range(90, 96)]
    write_log(tmp_path, told)
    findings, _ = found(tmp_path, START_MS + 96 * HOUR_MS)
    assert findings.comparison.challenger == CHALLENGER
    assert findings.comparison.n_rows == 60


def test_costs_and_limits_are_those_that_were_named(log):
    strict = msgspec.structs.replace(LIMITS, hours_in_shadow=10_000.0)
    findings, _ = found(*log, limits=strict, costs=Costs(fee_bps=0.0, slippage_bps=0.0))
    assert findings.ready is None
    assert findings.trading.strategies["ensemble"].costs == 0.0


def test_stored_closes_complete_the_outcomes(tmp_path):
    n = 120
    close = 100 + np.sin(np.arange(n) / 3)
    kept = [at for at in range(n) if at != 60]
    rng = np.random.default_rng(0)
    p = rng.uniform(0.4, 0.6, n)
    write_log(
        tmp_path / "log",
        [bar(at, close=float(close[at]), probabilities={"5": float(p[at])}) for at in kept],
    )
    folder = tmp_path / "store" / "binance_spot" / "1h"
    folder.mkdir(parents=True)
    times = START_MS + np.arange(n) * HOUR_MS
    pq.write_table(pa.table({"ts": times, "close": close}), folder / "BTC-USDT.parquet")
    store = StoredCloses(tmp_path / "store", "binance_spot")
    now_ms = START_MS + n * HOUR_MS
    bare = weigh(read_window(tmp_path / "log", now_ms, 30)).outcomes["5"]
    full = weigh(read_window(tmp_path / "log", now_ms, 30, store=store)).outcomes["5"]
    assert (bare.n_missing, bare.n_stored) == (1, 0)
    assert (full.n_missing, full.n_stored) == (0, 1)
    assert full.n == bare.n + 1
