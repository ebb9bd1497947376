"""Are the decisions of a backtest those that were recorded, and only those that may be believed?"""

import json
from pathlib import Path

import pytest

from plugin.hosts.records import learnt_until_ms, length_ms_of, read_records
from shadow.record import RecalibratedRecord, RevisionRecord, encode_line
from tests.support.records import CHAMPION, HOUR_MS, START_MS, bar


def write(folder: Path, *lines: bytes, day: str = "2025-01-01") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{day}.jsonl").write_bytes(b"".join(lines))
    return folder


def with_manifest(models: Path, *, n_bars: int) -> Path:
    """A bundle that learnt from `n_bars` hours, the last of which closes at START_MS."""
    bundle = models / "bundles" / CHAMPION
    bundle.mkdir(parents=True)
    bars = {"BTC/USDT": {"first_open_ms": START_MS - n_bars * HOUR_MS, "n_bars": n_bars, "sha256": ""}}
    (bundle / "manifest.json").write_text(json.dumps({"timeframe": "1h", "bars": bars}))
    return models


def test_a_record_becomes_the_decision_it_holds(tmp_path):
    record = bar(0)
    models = with_manifest(tmp_path / "models", n_bars=9)
    found = read_records(write(tmp_path / "log", encode_line(record)), models, "1h")
    decision = found.decisions[record.symbol, record.open_time_ms]
    assert (decision.mode, decision.bundle_id) == (record.mode, record.champion)
    assert (decision.action, decision.reason) == (record.decision.action, record.decision.reason)
    assert decision.probabilities == record.probabilities
    assert decision.valid_until_ms == record.decision.valid_until_ms
    assert (found.n_in_sample, found.n_damaged) == (0, 0)


@pytest.mark.parametrize("acts", [True, False])
def test_what_the_bot_was_told_is_p_prime_where_it_acted(tmp_path, acts):
    record = bar(0, recalibrated={"5": RecalibratedRecord(0.51, 0.0, 0.5, acts)})
    models = with_manifest(tmp_path / "models", n_bars=9)
    found = read_records(write(tmp_path / "log", encode_line(record)), models, "1h")
    told = found.decisions[record.symbol, record.open_time_ms].probabilities
    assert told == {"5": 0.51 if acts else record.probabilities["5"]}


def test_a_bar_that_was_learnt_from_is_not_believed_unless_asked_for(tmp_path):
    record = bar(-1)
    models = with_manifest(tmp_path / "models", n_bars=9)
    log = write(tmp_path / "log", encode_line(record))
    key = record.symbol, record.open_time_ms
    hidden = read_records(log, models, "1h")
    assert (hidden.decisions[key].action, hidden.decisions[key].reason) == ("abstain", "in_sample")
    assert (hidden.decisions[key].probabilities, hidden.n_in_sample) == ({}, 1)
    shown = read_records(log, models, "1h", in_sample=True)
    assert (shown.decisions[key].action, shown.n_in_sample) == (record.decision.action, 1)


def test_without_its_manifest_nothing_of_a_bundle_is_believed(tmp_path):
    record = bar(5)
    found = read_records(write(tmp_path / "log", encode_line(record)), tmp_path / "nowhere", "1h")
    assert found.learnt_until_ms == {CHAMPION: None}
    assert found.decisions[record.symbol, record.open_time_ms].reason == "in_sample"


@pytest.mark.parametrize("name", ["../secrets", "a/b", ""])
def test_the_name_of_a_bundle_leads_nowhere_else(tmp_path, name):
    assert learnt_until_ms(tmp_path, name) is None


def test_damage_is_counted_and_left_out(tmp_path):
    whole, flipped = encode_line(bar(0)), bytearray(encode_line(bar(1)))
    flipped[40] ^= 1
    torn = encode_line(bar(2))[:-9]
    found = read_records(write(tmp_path / "log", whole, bytes(flipped), torn), tmp_path, "1h")
    assert len(found.decisions) == 1
    assert found.n_damaged == 2


def test_other_timeframes_other_lines_and_other_files_are_passed_over(tmp_path):
    revision = RevisionRecord(
        seq=1,
        written_at="",
        symbol="BTC/USDT",
        timeframe="1h",
        open_time_ms=START_MS,
        seen=(1.0, 1.0, 1.0, 1.0, 1.0),
        revised=(2.0, 2.0, 2.0, 2.0, 2.0),
    )
    log = write(tmp_path / "log", encode_line(revision), encode_line(bar(0)))
    (log / "notes.jsonl").write_bytes(b"not a record\n")
    assert read_records(log, tmp_path, "4h").decisions == {}
    found = read_records(log, tmp_path, "1h")
    assert (len(found.decisions), found.n_damaged) == (1, 0)


def test_shadow_counts_as_live_only_where_asked_for(tmp_path):
    record = bar(0)
    models = with_manifest(tmp_path / "models", n_bars=9)
    log = write(tmp_path / "log", encode_line(record))
    assert read_records(log, models, "1h").modes() == {"shadow": 1}
    assert read_records(log, models, "1h", as_live=True).modes() == {"live": 1}


def test_a_folder_that_is_missing_is_said(tmp_path):
    with pytest.raises(OSError, match="nowhere"):
        read_records(tmp_path / "nowhere", tmp_path, "1h")


@pytest.mark.parametrize(("name", "ms"), [("1m", 60_000), ("15m", 900_000), ("4h", 4 * HOUR_MS)])
def test_the_length_of_a_timeframe(name, ms):
    assert length_ms_of(name) == ms


def test_days_that_were_compressed_are_counted_and_not_read(tmp_path):
    log = write(tmp_path / "log", encode_line(bar(0)))
    (log / "2025-01-02.jsonl.zst").write_bytes(b"packed")
    found = read_records(log, tmp_path, "1h")
    assert (len(found.decisions), found.n_archives, found.n_damaged) == (1, 1, 0)
