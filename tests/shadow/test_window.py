"""Which bars are in the window, and why the missing ones are missing."""

from pathlib import Path

import pytest

from shadow.checklist import checklist, is_ready
from shadow.coverage import ARRIVAL_GRACE_MS
from shadow.evidence import weigh
from shadow.window import Window, read_window, replayed_until
from tests.support.records import (
    CHALLENGER,
    CHAMPION,
    DAY_MS,
    HOUR_MS,
    START_MS,
    bar,
    challenger,
    member,
    silent_bar,
    write_log,
)


def _window(folder: Path, n_bars: int, days: int = 1, *symbols: str) -> Window:
    """The window that ends with the close of bar `n_bars - 1`, a minute later."""
    return read_window(folder, START_MS + n_bars * HOUR_MS + ARRIVAL_GRACE_MS, days, frozenset(symbols))


def test_every_bar_recorded_is_full_coverage(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(48)])
    (series,) = _window(tmp_path, 48).coverage
    assert (series.bars_expected, series.bars_recorded, series.coverage) == (23, 23, 1.0)
    assert series.holes == {}


def test_bars_are_expected_from_the_first_record_of_the_symbol(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(30, 48)])
    (series,) = _window(tmp_path, 48, 2).coverage
    assert (series.bars_expected, series.coverage) == (18, 1.0)
    assert series.bars_before_first_record == 29


@pytest.mark.parametrize("others", [[], [bar(n, symbol="ETH/USDT") for n in range(24, 96)]])
def test_a_symbol_known_from_before_is_expected_from_the_start_of_the_window(tmp_path, others):
    """Whether the file just before the window shows it, or only an older one does."""
    own = [bar(0), *(bar(n) for n in range(90, 96))]
    write_log(tmp_path, sorted([*own, *others], key=lambda record: record.open_time_ms))
    series = _window(tmp_path, 96, 1, "BTC/USDT").coverage[0]
    assert (series.bars_expected, series.bars_recorded) == (23, 6)


def test_a_symbol_that_fell_silent_before_the_window_is_missed(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(10)])
    (series,) = _window(tmp_path, 96, 2).coverage
    assert (series.bars_expected, series.bars_recorded, series.coverage) == (47, 0, 0.0)
    assert series.holes == {"not_running": 47}


def test_the_newest_bar_is_given_a_minute_to_arrive(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(10)])
    closed_ms = START_MS + 11 * HOUR_MS
    for late_ms, expected in ((0, 10), (ARRIVAL_GRACE_MS - 1, 10), (ARRIVAL_GRACE_MS, 11)):
        assert read_window(tmp_path, closed_ms + late_ms, 2).coverage[0].bars_expected == expected


def test_a_bar_without_probability_carries_its_own_reason(tmp_path):
    write_log(tmp_path, [bar(0), silent_bar(1, "warming_up"), silent_bar(2, "warming_up"), bar(3)])
    (series,) = _window(tmp_path, 4).coverage
    assert (series.bars_recorded, series.bars_with_probability) == (4, 2)
    assert series.holes == {"warming_up": 2}
    assert series.coverage == 0.5


def test_a_hole_while_another_symbol_was_recorded_is_a_gap_of_the_feed(tmp_path):
    records = [bar(n, symbol=symbol) for n in range(6) for symbol in ("ETH/USDT", "BTC/USDT")]
    del records[5]  # BTC/USDT, bar 2
    write_log(tmp_path, records)
    btc, eth = _window(tmp_path, 6).coverage
    assert (btc.symbol, btc.holes, eth.holes) == ("BTC/USDT", {"feed_gap": 1}, {})


def test_a_hole_after_which_the_window_was_refused_is_a_gap_of_the_feed(tmp_path):
    write_log(tmp_path, [bar(0), silent_bar(3, "gap"), bar(4)])
    assert _window(tmp_path, 5).coverage[0].holes == {"gap": 1, "feed_gap": 2}


def test_any_other_hole_means_that_nothing_was_running(tmp_path):
    write_log(tmp_path, [bar(0), bar(3)])
    assert _window(tmp_path, 6).coverage[0].holes == {"not_running": 4}


def test_what_came_after_now_is_not_known(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(48)])
    window = _window(tmp_path, 30, 2)
    assert window.coverage[0].bars_recorded == 30
    assert max(window.rows[0].open_time_ms) == bar(29).open_time_ms


def test_bars_before_the_window_serve_as_context_only(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(72)])
    (rows,) = _window(tmp_path, 72).rows
    assert rows.in_window.sum() == 23
    assert rows.open_time_ms.size > 40
    assert rows.reason[~rows.in_window].tolist() == [None] * (~rows.in_window).sum()


def test_only_the_named_symbols_are_counted(tmp_path):
    write_log(tmp_path, [bar(n, symbol=symbol) for n in range(5) for symbol in ("A/B", "C/D")])
    window = _window(tmp_path, 5, 1, "C/D")
    assert [series.symbol for series in window.coverage] == ["C/D"]
    assert {symbol for symbol, _ in window.columns.series} == {"A/B", "C/D"}


def test_an_empty_folder_has_an_empty_window(tmp_path):
    window = _window(tmp_path, 5)
    assert (window.rows, window.coverage) == ([], [])


def test_the_end_of_a_replay_is_the_close_of_its_newest_bar(tmp_path):
    flags = {"ML_SOURCE": "replay"}
    write_log(tmp_path, [bar(n, flags=flags) for n in range(30)])
    assert replayed_until(tmp_path) == START_MS + 30 * HOUR_MS


def test_a_live_or_empty_log_has_no_such_end(tmp_path):
    assert replayed_until(tmp_path) is None
    write_log(tmp_path, [bar(0, flags={"ML_SOURCE": "ccxt"})])
    (tmp_path / "2025-02-01.jsonl").write_bytes(b"")
    assert replayed_until(tmp_path) is None


def test_a_file_of_a_day_to_come_is_read_too(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(5)])
    (tmp_path / "2025-01-01.jsonl").rename(tmp_path / "2025-01-20.jsonl")
    window = read_window(tmp_path, START_MS + DAY_MS // 2, 1)
    assert window.coverage[0].bars_recorded == 5


def _of_bundle(folder: Path, n_bars: int, bundle: str = CHALLENGER, days: int = 10) -> Window:
    now_ms = START_MS + n_bars * HOUR_MS + ARRIVAL_GRACE_MS
    return read_window(folder, now_ms, days, bundle=bundle)


def test_the_window_of_a_bundle_begins_with_the_first_bar_on_which_it_was_asked(tmp_path):
    asked = [bar(n, challenger=challenger(0.4)) for n in range(30, 50)]
    write_log(tmp_path, [*(bar(n) for n in range(30)), *asked])
    window = _of_bundle(tmp_path, 50)
    (series,) = window.coverage
    assert window.since_ms == bar(30).open_time_ms
    assert (series.bars_expected, series.bars_recorded, series.coverage) == (20, 20, 1.0)
    (rows,) = window.rows
    assert (rows.in_window.sum(), rows.open_time_ms.size) == (20, 50)


def test_a_bundle_is_heard_as_challenger_and_as_champion(tmp_path):
    shadow = [bar(n, challenger=challenger(0.4), ml_error="not its own") for n in range(12)]
    served = [bar(n, champion=CHALLENGER, mode="live", meta_p=0.6) for n in range(12, 30)]
    write_log(tmp_path, [*shadow, *served])
    evidence = weigh(_of_bundle(tmp_path, 30))
    assert evidence.bundles == {CHALLENGER: 30}
    assert evidence.modes == {"live": 18, "shadow": 12}
    assert evidence.decisions == {"long": 18, "none": 12}
    assert (evidence.hours_in_shadow, evidence.n_errors) == (30.0, 0)
    assert evidence.members["lgb"].n == 30
    assert sorted(set(_of_bundle(tmp_path, 30).columns.meta_p)) == [0.4, 0.6]
    of_champion = weigh(_of_bundle(tmp_path, 30, CHAMPION))
    assert of_champion.bundles == {CHAMPION: 12}
    assert of_champion.errors == {"not its own": 12}


def test_what_ails_a_challenger_is_its_own(tmp_path):
    sick = {
        3: challenger(None),
        4: challenger(None, reason="error", error="lgb: broke", members={}),
        5: challenger(0.9, members={"lgb": member(0.9, "constant")}),
    }
    write_log(tmp_path, [bar(n, challenger=sick.get(n, challenger(0.4))) for n in range(10)])
    evidence = weigh(_of_bundle(tmp_path, 10))
    assert evidence.holes == evidence.inactive_reasons == {"member_nan:lgb": 1, "error": 1}
    assert evidence.stacking_activation == evidence.coverage == 0.8
    assert evidence.errors == {"lgb: broke": 1}
    assert evidence.members["lgb"].statuses == {"ok": 8, "constant": 1}
    assert evidence.share_within_middle == 7 / 8
    assert weigh(_window(tmp_path, 10, 10)).coverage == 1.0, "the champion was well"


def test_a_bar_on_which_a_bundle_had_no_role_is_neither_expected_nor_counted(tmp_path):
    its_own, without = {"challenger": challenger(0.4)}, {"ml_error": "of the champion"}
    records = [bar(n, **(its_own if n % 10 < 5 else without)) for n in range(40)]
    del records[2]
    write_log(tmp_path, records)
    window = _of_bundle(tmp_path, 40)
    (series,) = window.coverage
    assert (series.bars_expected, series.bars_recorded) == (20, 19)
    assert series.holes == {"not_running": 1}
    evidence = weigh(window)
    assert (evidence.hours_in_shadow, evidence.members["lgb"].n, evidence.errors) == (19.0, 19, {})


def test_outcomes_of_a_bundle_are_found_on_bars_that_others_answered(tmp_path):
    records = [bar(n, close=100.0 + n, challenger=challenger(0.4)) for n in range(10)]
    write_log(tmp_path, [*records, *(bar(n, close=100.0 + n) for n in range(10, 20))])
    figures = weigh(_of_bundle(tmp_path, 20)).outcomes["5"]
    assert (figures.n, figures.n_waiting, figures.n_missing) == (10, 0, 0)


def test_a_bundle_that_was_never_asked_has_an_empty_window(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(40)])
    evidence = weigh(_of_bundle(tmp_path, 40))
    assert (evidence.bundles, evidence.bars_expected, evidence.hours_in_shadow) == ({}, 0, 0.0)
    assert is_ready(checklist(evidence, 24)) is None
