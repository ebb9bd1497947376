"""What an answer leaves in the log. The walk of a bar is tested in test_pipeline."""

from pathlib import Path

import pytest

from plugin.shadow_log import ShadowLog
from shadow.record import BarRecord, RevisionRecord
from shadow.writer import ShadowWriter
from tests.support.live import FIRST, SERVED, Live
from tests.support.small_training import SmallTraining


@pytest.fixture
def live(small_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(small_training, tmp_path)


def test_a_record_says_what_was_answered(live):
    answer, _ = live.close(FIRST)
    record, _ = live.bar_records()
    decision, prediction = answer.decision, answer.asked.prediction
    for name in ("symbol", "timeframe", "open_time_ms", "mode", "feature_hash", "latency_us"):
        assert getattr(record, name) == getattr(decision, name), name
    for name in ("action", "valid_until_ms", "size_multiplier", "stop_atr", "regime", "reason"):
        assert getattr(record.decision, name) == getattr(decision, name), name
    assert record.members == prediction.members
    assert record.meta_p == prediction.meta_p == record.probabilities["5"]
    assert record.champion == decision.bundle_id
    assert record.written_at == "2024-11-20T09:00:00.000Z", "the clock's time"


def test_a_record_names_the_flags_in_force_and_where_the_bar_came_from(live):
    live.close(FIRST)
    live.env.write_text("ML_ENABLE_STACKING=1\n")
    live.flags.refresh()
    live.flags.refresh()
    live.close(FIRST + 1)
    replayed = [live.bar(FIRST + 2, symbol, source="replay") for symbol in SERVED]
    live.close(FIRST + 2, replayed)
    told = [record.flags for record in live.bar_records()][::2]
    assert [flags["ML_ENABLE_STACKING"] for flags in told] == ["0", "1", "1"]
    assert [flags["ML_SOURCE"] for flags in told] == ["test", "test", "replay"]
    assert {flags["ML_EXCHANGE"] for flags in told} == {"simulated"}
    assert told[0].keys() == live.flags.current.live_as_text().keys() | {"ML_EXCHANGE", "ML_SOURCE"}


def test_only_new_bars_and_revisions_leave_a_line(live):
    answers = live.close(FIRST)
    kinds = [
        [live.bar(FIRST)],
        [live.bar(FIRST, volume=1.0)],
        [live.bar(FIRST, close=-1.0)],
    ]
    for batch in kinds:
        live.close(FIRST, batch)
    assert [type(record) for record in live.records()] == [BarRecord] * len(answers) + [RevisionRecord]
    assert [record.seq for record in live.records()] == [1, 2, 3]


def test_a_log_that_can_not_be_written_costs_the_record_and_not_the_answer(live):
    live.close(FIRST)
    live.writer.close()
    answers = live.close(FIRST + 1)
    assert {answer.decision.reason for answer in answers} == {"stacking_off"}
    assert live.writer.errors == 2
    assert len(live.records()) == 2


def test_what_was_recorded_before_a_restart_is_not_recorded_again(live):
    answers = live.close(FIRST)
    live.writer.close()
    with ShadowWriter(live.shadow, live.clock.now_ms) as writer:
        log = ShadowLog(writer, "simulated")
        for answer in answers:
            log.write(answer)
    assert len(live.records()) == 2
