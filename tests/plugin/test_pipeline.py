"""What do bars in any state lead to, from their arrival to the record?"""

import dataclasses
import math
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from plugin.answer import Answer
from plugin.deadlines import LIVE, REPLAY
from plugin.ensemble import Ensemble
from plugin.features import LOOKBACK_BARS
from shadow.record import RevisionRecord
from tests.support.bars import HOURLY
from tests.support.live import (
    FIRST,
    FOLLOWED,
    SERVED,
    Live,
    Stubborn,
    champion_of,
    stored,
    with_models,
    without_timings,
)
from tests.support.small_training import SmallTraining

BTC, ETH = SERVED


class Slow:
    """A model that takes its time."""

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        time.sleep(0.005)
        return rows[:, 0].astype(np.float64) % 0.4 + 0.3


BESIDE, *_ = FOLLOWED
NEWEST_BARS = 24
"""An absent bar among so many newest ones refuses a window."""


@pytest.fixture
def live(small_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(small_training, tmp_path)


def reasons(answers: Sequence[Answer]) -> dict[str, str]:
    return {answer.bar.symbol: answer.decision.reason for answer in answers}


def same_decision(one: Answer, other: Answer) -> bool:
    return replace(one.decision, latency_us=0) == replace(other.decision, latency_us=0)


def test_bars_that_close_together_are_answered_and_recorded_once_each(live):
    answers = live.close(FIRST)
    assert [answer.bar.symbol for answer in answers] == [BTC, ETH], "companions are only looked at"
    for answer, record in zip(answers, live.bar_records(), strict=True):
        decision = answer.decision
        assert (decision.mode, decision.reason) == ("shadow", "stacking_off")
        assert decision.action != "abstain"
        assert decision.probabilities.keys() == {"5", "12", "24"}
        assert decision.valid_until_ms == live.open_ms(FIRST + 2)
        assert (record.ml_stacking_mode, record.ml_reason, record.ml_error) == ("active", "ok", None)
        assert (record.symbol, record.close) == (answer.bar.symbol, answer.bar.close)
        assert record.probabilities == decision.probabilities
        assert record.decision.action == decision.action
        assert record.champion == live.bundle.bundle_id


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("not_finite", {"close": None}),
        ("not_finite", {"volume": math.nan}),
        ("not_finite", {"high": math.inf}),
        ("not_positive", {"low": 0.0}),
        ("not_positive", {"open": -1.0}),
        ("not_positive", {"volume": -1.0}),
        ("ohlc_inconsistent", {"low": 1e9, "high": 1e9}),
        ("ohlc_inconsistent", {"high": 1e-9}),
        ("other_timeframe", {"timeframe": "4h"}),
    ],
)
def test_a_bar_with_impossible_values_abstains_until_the_right_one_comes(live, reason, changes):
    wrong = [live.bar(FIRST, **changes), *live.bars(FIRST, without=[BTC])]
    assert reasons(live.close(FIRST, wrong)) == {BTC: reason, ETH: "companion_missing:BTC/USDT"}
    (corrected,) = live.close(FIRST, [live.bar(FIRST)])
    assert corrected.decision.reason == "stacking_off"
    assert [(record.symbol, record.ml_reason) for record in live.bar_records()] == [
        (ETH, "companion_missing:BTC/USDT"),
        (BTC, "ok"),
    ]


@pytest.mark.parametrize(
    ("reason", "time_of"),
    [
        ("timestamp_unit", lambda opened_ms: opened_ms // 1000),
        ("timestamp_unit", lambda opened_ms: opened_ms * 1000),
        ("off_grid", lambda opened_ms: opened_ms + 28 * 60_000),
        ("off_grid", lambda opened_ms: opened_ms + 1),
        ("not_closed", lambda opened_ms: opened_ms + HOURLY.length_ms),
        ("not_closed", lambda opened_ms: opened_ms + 48 * HOURLY.length_ms),
    ],
)
def test_a_bar_with_a_wrong_time_abstains_and_moves_nothing(live, reason, time_of):
    live.close(FIRST)
    n_records = len(live.records())
    if reason == "off_grid":
        live.clock.advance_to(live.open_ms(FIRST + 3))
    (answer,) = live.close(FIRST, [live.bar(FIRST, open_time_ms=time_of(live.open_ms(FIRST)))])
    assert (answer.decision.action, answer.decision.reason) == ("abstain", reason)
    assert len(live.records()) == n_records
    assert set(reasons(live.close(FIRST + 1)).values()) == {"stacking_off"}


def test_an_open_bar_delivered_as_closed_is_decided_on_when_it_has_closed(live):
    early = live.pipeline.answer(live.bars(FIRST))
    assert reasons(early) == dict.fromkeys(SERVED, "not_closed")
    live.record(early)
    assert live.records() == []
    assert set(reasons(live.close(FIRST)).values()) == {"stacking_off"}
    assert len(live.bar_records()) == 2


def test_the_same_bar_again_gets_the_same_answer_and_no_second_record(live):
    first = live.close(FIRST)
    again = live.close(FIRST)
    assert [answer.decision for answer in again] == [answer.decision for answer in first]
    assert len(live.records()) == 2


def test_a_bar_twice_in_one_batch_is_recorded_once(live):
    first, again = live.close(FIRST, [live.bar(FIRST), *live.bars(FIRST, without=[ETH])])
    assert again.decision == first.decision
    assert [record.symbol for record in live.bar_records()] == [BTC]


def test_a_repeat_of_an_older_bar_has_no_answer_to_repeat(live):
    live.close(FIRST)
    live.close(FIRST + 1)
    (again,) = live.close(FIRST + 1, [live.bar(FIRST)])
    assert (again.decision.action, again.decision.reason) == ("abstain", "repeat")
    assert len(live.records()) == 4


def test_a_bar_that_a_history_brought_first_is_decided_on_when_it_closes(
    live, small_training, tmp_path
):
    undisturbed = Live(small_training, tmp_path / "undisturbed")
    (expected, _) = undisturbed.close(FIRST)
    for symbol in live.pipeline.buffers:
        history = stored(live.store, symbol)
        live.pipeline.take_history(history.between(live.open_ms(FIRST - 3), live.open_ms(FIRST + 1)))
    (answer, _) = live.close(FIRST)
    assert answer.is_decided
    assert same_decision(answer, expected)
    (again, _) = live.close(FIRST)
    assert not again.is_new, "and only once"
    assert len(live.bar_records()) == len(SERVED)


def test_bars_that_a_history_brought_are_recorded_in_their_order_and_the_newest_is_decided_on(live):
    for symbol in live.pipeline.buffers:
        history = stored(live.store, symbol)
        live.pipeline.take_history(history.between(live.open_ms(FIRST - 3), live.open_ms(FIRST + 3)))
    live.clock.advance_to(live.open_ms(FIRST + 3))
    for column in (FIRST, FIRST + 1, FIRST + 2, FIRST + 1):
        live.close(column)
    records = [record for record in live.bar_records() if record.symbol == BTC]
    assert [record.ml_reason for record in records] == ["late", "late", "ok"]
    assert [record.open_time_ms for record in records] == [live.open_ms(FIRST + i) for i in range(3)]


def test_a_bar_that_was_answered_before_it_came_is_recorded_with_that_reason(live):
    bars = [replace(bar, already_answered="gap") for bar in live.bars(FIRST)]
    answers = live.close(FIRST, bars)
    assert reasons(answers) == dict.fromkeys(SERVED, "gap")
    assert [record.ml_reason for record in live.bar_records()] == ["gap", "gap"]
    assert all(record.meta_p is None and record.challenger is None for record in live.bar_records())
    (answer, _) = live.close(FIRST + 1)
    assert answer.decision.action != "abstain", "the window holds it"


def test_what_the_bot_means_to_do_stands_in_the_record(live):
    live.close(FIRST, [replace(bar, host_signal="enter_long") for bar in live.bars(FIRST)])
    assert {record.host_signal for record in live.bar_records()} == {"enter_long"}


def test_an_answer_that_took_too_long_abstains_live_and_not_in_a_replay(small_training, tmp_path):
    flags = {"ML_STACKING_MIN_SAMPLES": "100", "ML_DECISION_TIMEOUT_MS": "1"}
    for deadlines, reason in ((LIVE, "timeout"), (REPLAY, "stacking_off")):
        live = Live(small_training, tmp_path / reason, environ=flags, deadlines=deadlines)
        champion = live.reloader.champion
        assert champion is not None
        slow = with_models(live.bundle, lgb={horizon: Slow() for horizon in (5, 12, 24)})
        live.reloader.champion = dataclasses.replace(champion, ensemble=Ensemble(slow))
        (answer, _) = live.close(FIRST)
        assert answer.decision.reason == reason
        assert (answer.decision.action == "abstain") == (reason == "timeout")
        assert live.bar_records()[0].meta_p is not None, "what it said late is kept"


def test_a_revision_keeps_the_decision_and_records_both_versions(live):
    first, _ = live.close(FIRST)
    revised = live.bar(FIRST, volume=first.bar.volume * 3)
    (answer,) = live.close(FIRST, [revised])
    assert answer.decision == first.decision
    last = live.records()[-1]
    assert isinstance(last, RevisionRecord)
    assert (last.seen, last.revised) == (first.bar.ohlcv, revised.ohlcv)
    assert len(live.bar_records()) == 2
    live.close(FIRST, [revised])
    assert len(live.records()) == 3, "the later version again is a repeat"


def test_features_after_a_revision_use_the_later_version(small_training, tmp_path):
    revised, always, never = (Live(small_training, tmp_path / name) for name in "ran")
    other = {"close": never.bar(FIRST).low, "volume": 1.0}
    never.close(FIRST)
    revised.close(FIRST)
    revised.close(FIRST, [revised.bar(FIRST, **other)])
    always.close(FIRST, [always.bar(FIRST, **other), *always.bars(FIRST, without=[BTC])])
    after = [live.close(FIRST + 1)[0] for live in (revised, always, never)]
    assert same_decision(after[0], after[1])
    assert not same_decision(after[0], after[2])


def test_a_revision_of_an_older_bar_is_recorded_and_not_decided_on(live):
    live.close(FIRST)
    live.close(FIRST + 1)
    (answer,) = live.close(FIRST + 1, [live.bar(FIRST, volume=1.0)])
    assert (answer.decision.action, answer.decision.reason) == ("abstain", "revision")
    assert isinstance(live.records()[-1], RevisionRecord)


@pytest.mark.parametrize("n_missing", [1, 2, 5])
def test_a_gap_abstains_until_it_has_left_the_newest_bars(live, n_missing):
    live.close(FIRST)
    after = FIRST + n_missing + 1
    for column in range(after, after + NEWEST_BARS - 1):
        answers = live.close(column)
        assert set(reasons(answers).values()) == {"gap"}, column - after
        assert {answer.decision.action for answer in answers} == {"abstain"}
    assert set(reasons(live.close(after + NEWEST_BARS - 1)).values()) == {"stacking_off"}
    gap = [record for record in live.bar_records() if record.ml_reason == "gap"]
    assert len(gap) == 2 * (NEWEST_BARS - 1)
    assert all(not record.probabilities and not record.members for record in gap)
    assert {record.ml_stacking_mode for record in gap} == {"inactive"}


def test_a_long_gap_abstains_until_the_window_holds_few_absent_bars(live):
    n_missing = 17
    live.answer(FIRST)
    recovered = FIRST + 1 + LOOKBACK_BARS  # the first absent bar has just left the window
    for column in range(FIRST + n_missing + 1, recovered):
        assert set(reasons(live.answer(column)).values()) == {"gap"}, column - FIRST
    assert set(reasons(live.answer(recovered)).values()) == {"stacking_off"}


def test_a_late_bar_closes_the_gap_and_is_itself_not_decided_on(live):
    live.close(FIRST)
    live.close(FIRST + 2)
    late = live.close(FIRST + 2, live.bars(FIRST + 1))
    assert reasons(late) == dict.fromkeys(SERVED, "late")
    assert {answer.decision.action for answer in late} == {"abstain"}
    assert set(reasons(live.close(FIRST + 3)).values()) == {"stacking_off"}
    assert [record.open_time_ms for record in live.bar_records()] == sorted(
        [live.open_ms(FIRST + step) for step in (0, 2, 3)] * 2
    )


def test_a_filled_gap_leaves_no_trace_in_later_answers(small_training, tmp_path):
    disturbed, undisturbed = (Live(small_training, tmp_path / name) for name in "du")
    disturbed.close(FIRST + 1)
    disturbed.close(FIRST + 1, disturbed.bars(FIRST))
    undisturbed.close(FIRST)
    undisturbed.close(FIRST + 1)
    for one, other in zip(disturbed.close(FIRST + 2), undisturbed.close(FIRST + 2), strict=True):
        assert same_decision(one, other)


def test_two_bars_of_a_symbol_in_one_batch_lead_to_one_decision_in_either_order(
    small_training, tmp_path
):
    logs = []
    for name, order in (("forward", (0, 1)), ("backward", (1, 0))):
        live = Live(small_training, tmp_path / name)
        batch = [bar for step in order for bar in live.bars(FIRST + step)]
        answers = live.close(FIRST + 1, batch)
        assert [answer.decision.reason for answer in answers] == ["late"] * 2 + ["stacking_off"] * 2
        logs.append([without_timings(record) for record in live.records()])
    assert logs[0] == logs[1]
    assert [record.ml_reason for record in logs[0]] == ["late", "late", "ok", "ok"]


def test_the_order_within_a_batch_does_not_matter(small_training, tmp_path):
    said = []
    for number, order in enumerate(permutations(range(4))):
        live = Live(small_training, tmp_path / str(number))
        batch = live.bars(FIRST)
        answers = live.answer(FIRST, [batch[place] for place in order])
        by_symbol = {answer.bar.symbol: replace(answer.decision, latency_us=0) for answer in answers}
        said.append(dict(sorted(by_symbol.items())))
    assert said.count(said[0]) == 24


def test_a_bar_of_an_unknown_symbol_is_not_answered(live):
    assert live.close(FIRST, [replace(live.bar(FIRST), symbol="DOGE/USDT")]) == []
    assert set(reasons(live.close(FIRST)).values()) == {"stacking_off"}


def test_a_companion_that_did_not_come_is_named(live):
    answers = live.close(FIRST, live.bars(FIRST, without=[BESIDE]))
    assert set(reasons(answers).values()) == {f"companion_missing:{BESIDE}"}
    assert {record.ml_reason for record in live.bar_records()} == {f"companion_missing:{BESIDE}"}


def test_a_gap_of_a_companion_abstains_until_it_has_left_the_newest_bars(live):
    live.close(FIRST, live.bars(FIRST, without=[BESIDE]))
    for column in range(FIRST + 1, FIRST + NEWEST_BARS):
        assert set(reasons(live.answer(column)).values()) == {"companion_gap"}, column - FIRST
    assert set(reasons(live.answer(FIRST + NEWEST_BARS)).values()) == {"stacking_off"}


def test_a_market_that_stands_still_abstains(live):
    for column in range(FIRST, FIRST + NEWEST_BARS):
        still = live.bar(column, open=5.0, high=5.0, low=5.0, close=5.0, volume=0.0)
        answers = live.answer(column, [still, *live.bars(column, without=[BTC])])
    assert reasons(answers) == {BTC: "dead_market", ETH: "companion_dead_market"}


def test_without_enough_history_it_warms_up(small_training, tmp_path):
    live = Live(small_training, tmp_path, n_history=LOOKBACK_BARS - 2)
    assert set(reasons(live.close(FIRST)).values()) == {"warming_up"}
    assert set(reasons(live.close(FIRST + 1)).values()) == {"stacking_off"}


def test_switched_off_it_records_the_bar_and_nothing_else(small_training, tmp_path):
    live = Live(small_training, tmp_path, environ={"ML_ENABLED": "0"})
    answers = live.close(FIRST)
    assert {(answer.decision.mode, answer.decision.action) for answer in answers} == {
        ("off", "abstain")
    }
    assert set(reasons(answers).values()) == {"disabled"}
    for record in live.bar_records():
        assert (record.mode, record.ml_stacking_mode, record.ml_reason) == ("off", "off", "disabled")
        assert not record.members
        assert record.meta_p is None
    assert len(live.bar_records()) == 2


@pytest.mark.parametrize(
    ("verdict", "missing", "mode", "reason"),
    [
        ("live", (), "live", "ok"),
        ("shadow", ("performance_stack", "shadow_evidence"), "shadow", "gate_performance_stack"),
        ("none", ("integrity",), "shadow", "gate_integrity"),
    ],
)
def test_only_a_bundle_that_passed_all_gates_goes_live(
    small_training, tmp_path, verdict, missing, mode, reason
):
    environ = {"ML_ENABLE_STACKING": "1", "ML_STACKING_MIN_SAMPLES": "100"}
    live = Live(small_training, tmp_path, environ=environ)
    live.reloader.champion = champion_of(live.bundle, verdict, missing)
    assert {(a.decision.mode, a.decision.reason) for a in live.close(FIRST)} == {(mode, reason)}
    assert {record.mode for record in live.bar_records()} == {mode}


def test_a_bundle_stacked_on_too_few_rows_stays_inactive(small_training, tmp_path):
    oof_rows = Live(small_training, tmp_path / "any").bundle.manifest.oof_rows
    for limit, reason in ((oof_rows, "stacking_off"), (oof_rows + 1, "too_few_samples")):
        environ = {"ML_STACKING_MIN_SAMPLES": str(limit)}
        live = Live(small_training, tmp_path / reason, environ=environ)
        assert set(reasons(live.close(FIRST)).values()) == {reason}
    assert {record.ml_stacking_mode for record in live.bar_records()} == {"inactive"}


def test_a_symbol_that_the_bundle_was_not_trained_for_is_told_so(small_training, tmp_path):
    live = Live(small_training, tmp_path, served=(*SERVED, BESIDE))
    assert reasons(live.close(FIRST)) == {
        BTC: "stacking_off",
        ETH: "stacking_off",
        BESIDE: "symbol_not_in_bundle",
    }


def test_without_a_bundle_it_still_answers_and_records(live):
    live.reloader.champion = None
    assert set(reasons(live.close(FIRST)).values()) == {"no_bundle"}
    record = live.bar_records()[0]
    assert (record.champion, record.ml_stacking_mode, record.ml_reason) == (
        None,
        "inactive",
        "no_bundle",
    )
    live.pipeline.warm_up()


def test_a_member_that_repeats_itself_is_called_constant_and_silences_the_stack(live):
    still = dict.fromkeys(live.bundle.manifest.horizons, Stubborn())
    live.reloader.champion = champion_of(with_models(live.bundle, xgb=still))
    live.close(FIRST)
    for column in range(FIRST + 1, FIRST + 12):
        assert set(reasons(live.answer(column)).values()) == {"stacking_off"}, column - FIRST
    assert set(reasons(live.close(FIRST + 12)).values()) == {"member_constant:xgb"}
    record = live.bar_records()[-1]
    assert record.members["xgb"].status == "constant"
    assert record.members["lgb"].status == "ok"
    assert (record.meta_p, record.probabilities) == (None, {})


def test_a_member_that_says_no_number_is_named(live):
    nowhere = dataclasses.replace(live.bundle.models["lgb"][5], base=math.nan)
    broken = {**live.bundle.models["lgb"], 5: nowhere}
    live.reloader.champion = champion_of(with_models(live.bundle, lgb=broken))
    assert set(reasons(live.close(FIRST)).values()) == {"member_nan:lgb"}
    record = live.bar_records()[0]
    assert (record.members["lgb"].status, record.members["lgb"].p) == ("nan", None)
    assert record.ml_error is None


def break_member(live: Live) -> None:
    arrays_gone = dataclasses.replace(live.bundle.models["cross"][5], threshold=None)
    broken = {**live.bundle.models["cross"], 5: arrays_gone}
    live.reloader.champion = champion_of(with_models(live.bundle, cross=broken))


def break_features(live: Live) -> None:
    buffer = live.pipeline.buffers[BESIDE]
    buffer.bars = buffer.bars.astype(object)


@pytest.mark.parametrize("break_it", [break_member, break_features])
def test_an_exception_inside_becomes_an_answer_and_a_field_of_the_record(
    small_training, tmp_path, break_it
):
    live = Live(small_training, tmp_path)
    break_it(live)
    live.pipeline.warm_up()
    answers = live.close(FIRST)
    assert reasons(answers) == dict.fromkeys(SERVED, "error")
    assert {answer.decision.action for answer in answers} == {"abstain"}
    for record in live.bar_records():
        assert record.ml_error is not None
        assert record.ml_error.startswith("TypingError: ")
        assert (record.ml_stacking_mode, record.ml_reason) == ("inactive", "error")
    live.reloader.champion = champion_of(live.bundle)
    live.pipeline.buffers.update(Live(small_training, tmp_path / "sound").pipeline.buffers)
    assert set(reasons(live.close(FIRST + 1)).values()) == {"gap"}, "it goes on"


def test_the_bundle_of_a_batch_is_the_one_it_began_with(live):
    own = live.bundle.bundle_id
    first = live.close(FIRST)
    manifest = replace(live.bundle.manifest, bundle_id="other")
    live.reloader.champion = champion_of(dataclasses.replace(live.bundle, manifest=manifest))
    second = live.close(FIRST + 1)
    assert {answer.decision.bundle_id for answer in first} == {own}
    assert {answer.decision.bundle_id for answer in second} == {"other"}
    assert [record.champion for record in live.bar_records()] == [own, own, "other", "other"]
    (again,) = live.close(FIRST + 1, [live.bar(FIRST + 1)])
    assert again.decision == second[0].decision
