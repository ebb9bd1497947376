"""In sample against out of sample, for a bot's symbols and for panels."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy.stats import spearmanr

from shadow.ic import main
from shadow.ic_figures import SplitRows, measure_split
from shadow.ic_sources import LEARNT, OUT_OF_FOLD, SINCE
from tests.support.evidence_log import evidence_log
from tests.support.live_service import wait_until
from tests.support.records import CHAMPION, HOUR_MS, START_MS
from tests.support.replays import ROOT


def told(capsys, *arguments) -> tuple[int, list[dict]]:
    code = main([*map(str, arguments), "--json"])
    return code, json.loads(capsys.readouterr().out)["figures"]


def split(n=400, seed=1, **changes) -> SplitRows:
    rng = np.random.default_rng(seed)
    prediction = rng.uniform(0.4, 0.6, n)
    target = prediction - 0.5 + rng.normal(0, 0.1, n)
    fields = {
        "split": "out",
        "horizon_bars": 1,
        "target_name": "target",
        "bar_number": np.arange(n),
        "prediction": prediction,
        "target": target,
        "expected": target,
    }
    return SplitRows(**{**fields, **changes})


def test_the_figures_are_those_of_scipy_and_numpy():
    rows = split()
    found = measure_split(rows)
    p, target = rows.prediction, rows.target
    top = p >= np.quantile(p, 0.8)
    assert found.rank_ic == pytest.approx(spearmanr(p, target).statistic)
    assert found.ic == pytest.approx(np.corrcoef(p, target)[0, 1])
    assert found.top_ic == pytest.approx(spearmanr(p[top], target[top]).statistic)
    assert found.mse == pytest.approx(np.mean((p - target) ** 2))
    assert found.mae == pytest.approx(np.mean(np.abs(p - target)))
    assert (found.n, found.n_broken, found.across) == (400, 0, False)


def test_broken_rows_are_counted_and_left_out():
    rows = split()
    rows.prediction[3], rows.target[7], rows.expected[9] = np.nan, np.inf, -np.inf
    found = measure_split(rows)
    assert found.n_broken == len({3, 7, 9})
    assert np.isfinite([found.ic, found.mse]).all()


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_rows_have_a_reason(n):
    found = measure_split(split(n))
    assert np.isnan(found.rank_ic)
    assert found.reason


def test_many_symbols_are_compared_across_each_other():
    rng = np.random.default_rng(2)
    market = np.repeat(rng.normal(0, 1, 80), 10)
    prediction = rng.standard_normal(800)
    target = market + 0.2 * prediction + 0.1 * rng.standard_normal(800)
    rows = split(800, bar_number=np.repeat(np.arange(80), 10), prediction=prediction, target=target)
    found = measure_split(rows)
    assert found.across
    assert found.rank_ic > 0.8, "the market's own move cancels"
    assert found.ic < 0.4


def bundle(models, until_bar: int) -> None:
    """What a bundle leaves of its training, for bars up to that one."""
    folder = models / "bundles" / CHAMPION
    folder.mkdir(parents=True)
    bars = {"first_open_ms": START_MS - 100 * HOUR_MS, "n_bars": 100 + until_bar}
    manifest = {"timeframe": "1h", "symbols": ["BTC/USDT"], "bars": {"BTC/USDT": bars}}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rng = np.random.default_rng(3)
    p = rng.uniform(0.4, 0.6, (300, 3, 2))
    np.savez(
        folder / "out_of_fold.npz",
        symbols=np.array(["BTC/USDT"]),
        sources=np.array(["lgb", "stack"]),
        horizons=np.array([5, 12, 24]),
        symbol=np.zeros(300, dtype=np.int16),
        known_from_ms=START_MS + np.arange(-300, 0) * HOUR_MS,
        fold=np.zeros(300, dtype=np.int16),
        up=(rng.random((300, 3)) < p[:, :, 1]).astype(np.float32),
        probability=p.astype(np.float32),
    )


def test_a_log_is_split_where_its_bundle_stopped_to_learn(tmp_path, capsys):
    end_ms = evidence_log(tmp_path / "log")
    bundle(tmp_path / "models", 200)
    code, figures = told(
        capsys, "--dir", tmp_path / "log", "--models", tmp_path / "models", "--now", end_ms
    )
    assert code == 0
    by_split = {one["split"]: one for one in figures if one["horizon_bars"] == 5}
    assert set(by_split) == {LEARNT, SINCE, OUT_OF_FOLD}
    assert by_split[LEARNT]["n"] == pytest.approx(2 * 195, abs=12), "labels that end later were purged"
    assert by_split[SINCE]["n"] > 600
    assert by_split[OUT_OF_FOLD]["target"] == "up"
    assert by_split[SINCE]["target"] == "return"


def test_returns_out_of_fold_come_from_a_store(tmp_path, capsys):
    end_ms = evidence_log(tmp_path / "log")
    bundle(tmp_path / "models", 200)
    folder = tmp_path / "store" / "binance_spot" / "1h"
    folder.mkdir(parents=True)
    times = START_MS + np.arange(-310, 0) * HOUR_MS
    close = 100 + np.sin(np.arange(310.0))
    pq.write_table(pa.table({"ts": times, "close": close}), folder / "BTC-USDT.parquet")
    places = ("--dir", tmp_path / "log", "--models", tmp_path / "models", "--now", end_ms)
    _, figures = told(capsys, *places, "--store", tmp_path / "store")
    [found] = [one for one in figures if (one["split"], one["horizon_bars"]) == (OUT_OF_FOLD, 5)]
    assert found["target"] == "return"


@pytest.mark.parametrize("spoilt", ["manifest.json", "out_of_fold.npz"])
def test_a_bundle_that_can_not_be_read_leaves_what_the_log_says(tmp_path, capsys, spoilt):
    end_ms = evidence_log(tmp_path / "log", n_bars=200)
    bundle(tmp_path / "models", 100)
    (tmp_path / "models" / "bundles" / CHAMPION / spoilt).write_bytes(b"PK\x03\x04nothing")
    code, figures = told(
        capsys, "--dir", tmp_path / "log", "--models", tmp_path / "models", "--now", end_ms
    )
    assert code == 0
    assert OUT_OF_FOLD not in {one["split"] for one in figures}


def panel(path, n_days=60, n_symbols=20, **columns):
    rng = np.random.default_rng(4)
    n = n_days * n_symbols
    prediction = rng.standard_normal(n)
    table = {
        "time_ms": np.repeat(np.arange(n_days) * 86_400_000, n_symbols),
        "symbol": np.tile([f"S{at}" for at in range(n_symbols)], n_days),
        "prediction": prediction,
        "target": 0.1 * prediction + rng.standard_normal(n),
        "split": np.repeat(["in", "out"], n // 2),
    }
    pq.write_table(pa.table({**table, **columns}), path)
    return path


def test_a_panel_is_measured_by_split(tmp_path, capsys):
    code, figures = told(capsys, "--panel", panel(tmp_path / "panel.parquet"))
    assert code == 0
    assert [one["split"] for one in figures] == ["in", "out"]
    assert all(one["across"] and one["n"] == 600 for one in figures)
    assert figures[0]["rank_ic"] > 0


def test_a_panel_with_holes_is_measured_without_them(tmp_path, capsys):
    target = pa.array([None if at % 7 == 0 else float(at % 5) for at in range(1200)])
    _, figures = told(capsys, "--panel", panel(tmp_path / "panel.parquet", target=target))
    assert sum(one["n_broken"] for one in figures) == len(range(0, 1200, 7))


def test_what_is_no_panel_is_one_line_and_exit_code_2(tmp_path, capsys):
    pq.write_table(pa.table({"time_ms": [1]}), tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("no parquet")
    for name, says in (("other", "without symbol"), ("text", "docs/ic.md"), ("none", "docs/ic.md")):
        assert main(["--panel", str(tmp_path / f"{name}.parquet")]) == 2
        assert says in capsys.readouterr().err


def test_each_run_leaves_lines_that_a_program_reads(tmp_path, capsys):
    out = tmp_path / "deep" / "ic.jsonl"
    path = panel(tmp_path / "panel.parquet")
    for _ in range(2):
        assert main(["--panel", str(path), "--out", str(out)]) == 0
    assert "rank IC" in capsys.readouterr().out
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["split"] for line in lines] == ["in", "out"] * 2
    assert out.stat().st_mode & 0o777 == 0o600


def test_an_empty_log_is_not_enough_evidence(tmp_path, capsys):
    assert main(["--dir", str(tmp_path)]) == 3
    assert "nothing has come" in capsys.readouterr().out


def test_it_goes_on_until_it_is_told_to_stop(tmp_path):
    out = tmp_path / "ic.jsonl"
    path = panel(tmp_path / "panel.parquet")
    command = [sys.executable, "-m", "shadow.ic", "--panel", path, "--every", "1440", "--out", out]
    child = subprocess.Popen(
        [str(word) for word in command], cwd=ROOT, env=dict(os.environ), stdout=subprocess.DEVNULL
    )
    wait_until(out.exists)
    time.sleep(0.3)
    child.send_signal(signal.SIGTERM)
    assert child.wait(30) == 0


@pytest.mark.market
def test_on_real_shares_yesterdays_losers_gain_a_little(market, tmp_path, capsys):
    """Minus the return of the past five days, against the next day: 600 A-shares, by year."""
    tables = [pq.read_table(path) for path in sorted((market / "cn_ashare" / "1d").glob("*.parquet"))]
    rows = pa.concat_tables(tables).sort_by([("symbol", "ascending"), ("ts", "ascending")])
    symbol = np.array(rows["symbol"].to_pylist())
    close = np.asarray(rows["close"].to_pylist(), dtype=float)
    ts = np.asarray(rows["ts"].to_pylist())
    same = lambda shift: symbol == np.roll(symbol, shift)  # noqa: E731
    past = np.where(same(5), close / np.roll(close, 5) - 1, np.nan)
    later = np.where(same(-1), np.roll(close, -1) / close - 1, np.nan)
    year = (1970 + ts // int(365.2425 * 86_400_000)).astype(str)
    table = {"time_ms": ts, "symbol": symbol, "prediction": -past, "target": later, "split": year}
    pq.write_table(pa.table(table), tmp_path / "panel.parquet")
    code, figures = told(capsys, "--panel", tmp_path / "panel.parquet")
    assert code == 0
    assert len(figures) >= 4
    mean = np.mean([one["rank_ic"] for one in figures if one["n"] > 10_000])
    assert 0.0 < mean < 0.1, "a known and small effect; more would be a leak"
