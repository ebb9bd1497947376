"""Recorded decisions once more, to the last bit, and every kind of difference found."""

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from plugin.audit import Audited, audit
from plugin.audit_bars import AuditBars
from plugin.candle_store import CandleStore
from plugin.candles import SIMULATED_VENUE
from plugin.distance import distance
from shadow.files import day_files
from shadow.recalibration import Coefficients, recalibrated
from shadow.record import (
    AnyRecord,
    BarRecord,
    RecalibratedRecord,
    RevisionRecord,
    decode_line,
    encode_line,
)
from tests.support.small_training import END_MS, HELD_OUT_BARS, HOUR_MS, SETTINGS, SmallTraining
from tests.support.twins import add_other, appoint_challenger

SINCE_MS = END_MS - HELD_OUT_BARS * HOUR_MS
N_MEMBERS, N_HORIZONS = 3, 3


@pytest.fixture
def log(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of a replay of the bars that were held out."""
    shutil.copytree(undisturbed, tmp_path / "log")
    return tmp_path / "log"


def run(training: SmallTraining, log: Path, store: Path | None = None, **more) -> Audited:
    bars = AuditBars(CandleStore(store or training.store), SIMULATED_VENUE)
    return audit(log, training.models, bars, SINCE_MS, END_MS, **more)


def rewrite(log: Path, change: Callable[[AnyRecord], list[AnyRecord]]) -> None:
    """Every record as `change` makes it, each with a right crc."""
    for path in day_files(log):
        records = [decode_line(line) for line in path.read_bytes().splitlines()]
        path.write_bytes(b"".join(encode_line(new) for old in records for new in change(old)))


def first_bar(symbol: str = "BTC/USDT", at: int = 100) -> Callable[[AnyRecord], bool]:
    opened_ms = SINCE_MS + at * HOUR_MS
    return lambda one: (
        isinstance(one, BarRecord) and (one.symbol, one.open_time_ms) == (symbol, opened_ms)
    )


def test_a_replayed_log_is_had_again_to_the_last_bit(small_training, log):
    audited = run(small_training, log)
    n_bars = HELD_OUT_BARS * len(SETTINGS.symbols)
    assert (audited.n_bars, audited.n_differences, audited.largest) == (n_bars, 0, 0.0)
    assert audited.n_numbers > n_bars * (N_MEMBERS * N_HORIZONS + N_HORIZONS + 1 + 3)
    assert not audited.not_compared


def test_a_changed_probability_is_found_with_its_bar_and_member(small_training, log):
    is_chosen = first_bar()

    def change(one: AnyRecord) -> list[AnyRecord]:
        if not is_chosen(one):
            return [one]
        lgb = one.members["lgb"]
        horizons = {**lgb.horizons, "12": lgb.horizons["12"] + 1e-9}
        return [replace(one, members={**one.members, "lgb": replace(lgb, horizons=horizons)})]

    rewrite(log, change)
    audited = run(small_training, log)
    [found] = audited.differences
    assert (found.symbol, found.what, found.horizon, found.role) == (
        "BTC/USDT",
        "lgb",
        "12",
        "champion",
    )
    assert found.open_time.startswith("2024-12-22T04:00")
    assert found.size == pytest.approx(1e-9)
    assert run(small_training, log, tolerance=1e-8).n_differences == 0


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("meta_p", {"meta_p": 0.999}),
        ("stack", {"probabilities": {"5": 0.001, "12": 0.001, "24": 0.001}}),
        ("feature_hash", {"feature_hash": "0000000000000000"}),
        ("regime_high", {"regime_probabilities": {"mid_or_high": 0.5, "high": 0.001}}),
        ("close", {"close": 1.0}),
        ("high", {"high": 1e9}),
    ],
)
def test_every_field_of_a_record_is_held_against_its_recomputation(small_training, log, what, changes):
    is_chosen = first_bar("ETH/USDT")
    rewrite(log, lambda one: [replace(one, **changes) if is_chosen(one) else one])
    audited = run(small_training, log)
    assert what in {one.what for one in audited.differences}
    assert {one.symbol for one in audited.differences} == {"ETH/USDT"}


@pytest.mark.parametrize(("off_by", "found"), [(0.0, set()), (1e-12, {"recalibrated"})])
def test_p_prime_is_had_again_by_the_coefficients_of_its_record(small_training, log, off_by, found):
    def change(one: AnyRecord) -> list[AnyRecord]:
        if not first_bar()(one):
            return [one]
        p = recalibrated(one.probabilities["12"], Coefficients(0.01, 0.7))
        return [replace(one, recalibrated={"12": RecalibratedRecord(p + off_by, 0.01, 0.7, False)})]

    rewrite(log, change)
    assert {one.what for one in run(small_training, log).differences} == found


def test_where_p_prime_acted_the_decision_must_be_its_own(small_training, log):
    def change(one: AnyRecord) -> list[AnyRecord]:
        if not first_bar()(one):
            return [one]
        way = Coefficients(0.15 if one.decision.action != "long" else -0.15, 0.25)
        p = recalibrated(one.probabilities["5"], way)
        acting = RecalibratedRecord(p, way.shift, way.slope, True)
        return [replace(one, recalibrated={"5": acting})]

    rewrite(log, change)
    assert {one.what for one in run(small_training, log).differences} == {"action"}


def test_another_decision_is_found(small_training, log):
    def change(one: AnyRecord) -> list[AnyRecord]:
        if not first_bar()(one):
            return [one]
        other = "short" if one.decision.action != "short" else "long"
        return [replace(one, decision=replace(one.decision, action=other, stop_atr=9.0))]

    rewrite(log, change)
    assert {one.what for one in run(small_training, log).differences} == {"action", "stop_atr"}


def stored_otherwise(training: SmallTraining, folder: Path, opened_ms: int, close: float) -> Path:
    """The store with another close of one bar of BTC."""
    store = folder / "candles"
    shutil.copytree(training.store, store)
    path = store / SIMULATED_VENUE / "1h" / "BTC-USDT.parquet"
    table = pq.read_table(path)
    at = table["ts"].to_pylist().index(opened_ms)
    columns = {name: table[name].to_pylist() for name in table.column_names}
    columns["close"][at] = close
    columns["high"][at] = max(columns["high"][at], close)
    columns["low"][at] = min(columns["low"][at], close)
    pq.write_table(pa.table(columns, schema=table.schema), path)
    return store


def test_a_bar_that_is_stored_otherwise_is_found_and_so_is_all_that_rests_on_it(
    small_training, log, tmp_path
):
    opened_ms = SINCE_MS + 50 * HOUR_MS
    store = stored_otherwise(small_training, tmp_path, opened_ms, 123.0)
    audited = run(small_training, log, store)
    prices = [one for one in audited.differences if one.what == "close"]
    assert [one.open_time[:16] for one in prices] == ["2024-12-20T02:00"]
    assert audited.n_differences > 100


def test_what_was_revised_later_counts_as_it_was_seen(small_training, log, tmp_path):
    opened_ms = SINCE_MS + 50 * HOUR_MS
    truth = next(
        one
        for path in day_files(log)
        for one in map(decode_line, path.read_bytes().splitlines())
        if isinstance(one, BarRecord) and one.symbol == "BTC/USDT" and one.open_time_ms == opened_ms
    )
    store = stored_otherwise(small_training, tmp_path, opened_ms, 123.0)
    bars = CandleStore(small_training.store).read(SIMULATED_VENUE, "1h", "BTC/USDT")
    column = (opened_ms - bars.first_open_ms) // HOUR_MS
    seen = tuple(bars.bars[:5, column].tolist())
    # The exchange revised the bar long after; what was decided until then rests on what was seen.
    revision = RevisionRecord(
        seq=10**6,
        written_at=truth.written_at,
        symbol="BTC/USDT",
        timeframe="1h",
        open_time_ms=opened_ms,
        seen=seen,
        revised=(1.0, 1.0, 1.0, 1.0, 1.0),
    )
    last = day_files(log)[-1]
    last.write_bytes(last.read_bytes() + encode_line(revision))
    found = run(small_training, log, store, symbols=frozenset({"BTC/USDT"}))
    assert {one.what for one in found.differences} <= {"close", "high", "low"}
    assert found.n_differences <= 3


def test_a_bundle_that_is_not_there_is_counted(small_training, log):
    elsewhere = replace_models(small_training, log.parent / "none")
    audited = run(elsewhere, log)
    assert audited.n_bars == 0
    assert audited.not_compared == {"bundle_not_there": HELD_OUT_BARS * len(SETTINGS.symbols)}


def replace_models(training: SmallTraining, models: Path) -> SmallTraining:
    return SmallTraining(training.store, models, training.outcome)


def test_a_name_that_leads_elsewhere_is_no_bundle(small_training, log):
    rewrite(
        log, lambda one: [replace(one, champion="../../../etc") if isinstance(one, BarRecord) else one]
    )
    assert "bundle_not_there" in run(small_training, log).not_compared


def test_bars_that_are_not_stored_are_counted(small_training, log, tmp_path):
    store = tmp_path / "candles"
    shutil.copytree(small_training.store, store)
    (store / SIMULATED_VENUE / "1h" / "XRP-USDT.parquet").unlink()
    audited = run(small_training, log, store)
    assert audited.n_bars == 0
    assert set(audited.not_compared) == {"bars_not_stored"}


def test_the_challenger_is_audited_as_well(small_training, models, tmp_path):
    from tests.support.replays import replay

    appoint_challenger(models, add_other(models))
    training = replace_models(small_training, models)
    log = tmp_path / "beside"
    assert replay(training, log, "--days", "3", "--json").returncode == 0
    audited = run(training, log)
    assert (audited.n_bars, audited.n_differences) == (2 * 2 * 72, 0)

    def change(one: AnyRecord) -> list[AnyRecord]:
        if not isinstance(one, BarRecord) or one.challenger is None:
            return [one]
        return [replace(one, challenger=replace(one.challenger, meta_p=0.999))]

    rewrite(log, change)
    assert {(one.role, one.what) for one in run(training, log).differences} == {
        ("challenger", "meta_p")
    }


def test_bars_without_a_prediction_are_counted_by_their_reason(small_training, log):
    silence = {"members": {}, "probabilities": {}, "meta_p": None, "ml_reason": "companion_gap:x"}
    rewrite(log, lambda one: [replace(one, **silence) if first_bar()(one) else one])
    assert run(small_training, log).not_compared == {"no_prediction:companion_gap": 1}


@pytest.mark.parametrize(
    ("recorded", "again", "apart"),
    [
        (0.5, 0.5, 0.0),
        (0.5, 0.75, 0.25),
        (None, math.nan, 0.0),
        (None, 0.5, math.inf),
        (0.5, None, math.inf),
        (0.5, math.nan, math.inf),
        ("long", "short", math.inf),
        ("long", "long", 0.0),
    ],
)
def test_how_far_two_values_lie_apart(recorded, again, apart):
    assert distance(recorded, again) == apart


def test_the_figures_are_plain(small_training, log):
    import dataclasses

    audited = run(small_training, log)
    assert msgspec.json.encode(dataclasses.asdict(audited))
