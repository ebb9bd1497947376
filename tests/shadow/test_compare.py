"""Two bundles on the same recorded bars: which rows count, and which do not."""

import math
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from shadow.compare import HOLE_DAYS, Comparison, compare
from shadow.errors import LogUnusable
from shadow.record import BarRecord
from tests.support.records import (
    CHALLENGER,
    CHAMPION,
    DAY_MS,
    HOUR_MS,
    START_MS,
    bar,
    challenger,
    write_log,
)

_PROBABILITIES = np.random.default_rng(1).uniform(0.2, 0.8, (2, 2_000))
_CLOSES = 100.0 * np.exp(0.01 * np.random.default_rng(2).standard_normal(2_000).cumsum())


def _bar(n: int, **fields: object) -> BarRecord:
    """Bar `n` of a random walk, of which both bundles say something."""
    own, other = _PROBABILITIES[:, n].tolist()
    said = {"close": float(_CLOSES[n]), "probabilities": {"5": own}, "challenger": challenger(other)}
    return bar(n, **(said | fields))


def _compare(folder: Path, n_bars: int, **changes: object) -> Comparison:
    """As known when bar `n_bars - 1` had closed."""
    arguments = {
        "challenger": CHALLENGER,
        "champion": CHAMPION,
        "horizon_bars": 5,
        "margin": 0.005,
        "level": 20.0,
        "until_ms": START_MS + n_bars * HOUR_MS,
    }
    return compare(folder, **(arguments | changes))


def test_the_scores_are_those_of_the_bars_with_an_outcome(tmp_path):
    write_log(tmp_path, [_bar(n) for n in range(100)])
    compared = _compare(tmp_path, 100)
    up = (_CLOSES[5:100] > _CLOSES[:95]).astype(float)
    own, other = _PROBABILITIES[:, :95]
    assert (compared.n_bars, compared.n_rows, compared.n_only_champion) == (95, 95, 0)
    assert (compared.first_open_ms, compared.last_open_ms) == (START_MS, bar(94).open_time_ms)
    assert compared.champion_brier == pytest.approx(np.mean((own - up) ** 2))
    assert compared.challenger_brier == pytest.approx(np.mean((other - up) ** 2))
    in_band = np.clip(other, 0.3, 0.7)
    assert compared.challenger_clipped_brier == pytest.approx(np.mean((in_band - up) ** 2))
    assert compared.evidence.mean_difference == pytest.approx(
        compared.challenger_clipped_brier - compared.champion_clipped_brier
    )
    assert compared.watch.mean_difference == pytest.approx(
        compared.champion_brier - compared.challenger_brier
    )
    assert compared.n_damaged == 0


def test_an_outcome_counts_from_the_close_of_its_last_bar_on(tmp_path):
    write_log(tmp_path, [_bar(n) for n in range(100)])
    for n_bars, n_known in ((5, 0), (6, 1), (50, 45)):
        assert _compare(tmp_path, n_bars).n_bars == n_known
    assert _compare(tmp_path, 6, until_ms=START_MS + 6 * HOUR_MS - 1).n_bars == 0


def test_nothing_to_compare_is_no_evidence(tmp_path):
    for compared in (_compare(tmp_path / "nowhere", 10), _compare(tmp_path, 10)):
        assert (compared.n_bars, compared.first_open_ms, compared.evidence.reason) == (
            0,
            None,
            "no bars to compare",
        )
        assert math.isnan(compared.champion_brier)
        assert not compared.evidence.not_inferior >= 20.0
        assert not compared.watch.worse_by_margin >= 20.0


def test_bars_on_which_the_challenger_said_nothing_are_counted_and_left_out(tmp_path):
    silent = {10: challenger(None), 20: None, 30: challenger(0.5, probabilities={"5": 7.0})}
    write_log(
        tmp_path, [_bar(n, **({"challenger": silent[n]} if n in silent else {})) for n in range(60)]
    )
    compared = _compare(tmp_path, 60)
    assert compared.n_bars == 55 - 3
    assert compared.n_only_champion == 2, "on bar 20 there was no challenger"
    assert [_compare(tmp_path, n_bars).n_only_champion for n_bars in (10, 11)] == [0, 1]


def test_a_bar_without_the_champion_counts_for_neither(tmp_path):
    write_log(tmp_path, [_bar(n, **({"probabilities": {}} if n == 10 else {})) for n in range(60)])
    compared = _compare(tmp_path, 60)
    assert (compared.n_bars, compared.n_only_champion) == (54, 0)


def test_only_bars_on_which_both_had_these_roles_count(tmp_path):
    """Promoted at bar 40: from then on the roles are the other way round."""
    swapped = {"champion": CHALLENGER}
    after = [_bar(n, **swapped, challenger=challenger(0.6, CHAMPION)) for n in range(40, 90)]
    write_log(tmp_path, [*(_bar(n) for n in range(40)), *after])
    before = _compare(tmp_path, 90)
    assert (before.n_bars, before.last_open_ms) == (40, bar(39).open_time_ms)
    since = _compare(tmp_path, 90, challenger=CHAMPION, champion=CHALLENGER)
    assert (since.n_bars, since.first_open_ms) == (45, bar(40).open_time_ms)
    assert _compare(tmp_path, 90, challenger="another").n_bars == 0
    assert _compare(tmp_path, 90, champion="another").n_bars == 0


def test_symbols_are_pooled_by_the_mean_of_each_bar(tmp_path):
    eth = {"symbol": "ETH/USDT", "challenger": challenger(0.3), "probabilities": {"5": 0.5}}
    records = [one for n in range(60) for one in (_bar(n), _bar(n, **eth))]
    del records[41]  # ETH/USDT, bar 20: it and the outcome of bar 15
    write_log(tmp_path, records)
    compared = _compare(tmp_path, 60)
    assert (compared.n_bars, compared.n_rows) == (55, 55 + 53)
    up = (_CLOSES[5:60] > _CLOSES[:55]).astype(float)
    own, other = np.clip(_PROBABILITIES[:, :55], 0.3, 0.7)
    btc = (other - up) ** 2 - (own - up) ** 2
    both = (btc + (0.3 - up) ** 2 - (0.5 - up) ** 2) / 2
    both[[15, 20]] = btc[[15, 20]]
    assert compared.evidence.mean_difference == pytest.approx(both.mean())


def test_timeframes_of_different_length_take_the_longer_overlap(tmp_path):
    hourly = [bar(n, probabilities={"5": 0.5}, challenger=challenger(0.5)) for n in range(100)]
    four_hourly = [
        replace(record, timeframe="4h", open_time_ms=START_MS + n * 4 * HOUR_MS)
        for n, record in enumerate(hourly[:25])
    ]
    write_log(tmp_path, sorted([*hourly, *four_hourly], key=lambda record: record.open_time_ms))
    compared = _compare(tmp_path, 100)
    assert (compared.n_bars, compared.n_rows) == (95, 95 + 20)
    assert compared.evidence.better == pytest.approx(12 / 23), "20 bars take 23 sequences"


def test_a_torn_log_is_compared_as_far_as_it_is_whole(tmp_path):
    write_log(tmp_path, [_bar(n) for n in range(60)])
    path = tmp_path / "2025-01-02.jsonl"
    lines = path.read_bytes().split(b"\n")
    lines[3] = lines[3][:-30]
    path.write_bytes(b"\n".join(lines))
    compared = _compare(tmp_path, 60)
    assert compared.n_bars == 55 - 2, "the bar itself, and the one whose outcome it was"
    assert compared.n_damaged == 2, "a broken line, which is also a missing number"


@pytest.mark.parametrize(("days_between", "n_bars"), [(HOLE_DAYS, 20 + 15), (HOLE_DAYS + 1, 15)])
def test_a_longer_hole_ends_the_pair(tmp_path, days_between, n_bars):
    """Other bundles serve in the days between; each file holds the bars that closed on its day."""
    first = [_bar(n) for n in range(23)]
    later = 23 + days_between * 24
    between = [_bar(n, challenger=None) for n in range(23, later)]
    write_log(tmp_path, [*first, *between, *(_bar(n) for n in range(later, later + 20))])
    n_first = 23 if n_bars > 15 else 0
    assert _compare(tmp_path, later + 20).n_bars == n_first + 15


def test_days_before_the_pair_are_not_read(tmp_path):
    old = [_bar(n, challenger=None) for n in range(24 * 10)]
    write_log(tmp_path, [*old, *(_bar(n) for n in range(240, 300))])
    (tmp_path / "2025-01-03.jsonl").write_bytes(b"not read\n" * 10)
    compared = _compare(tmp_path, 300)
    assert (compared.n_bars, compared.n_damaged) == (55, 0)


def test_a_pair_of_the_past_is_found_as_it_was_known_then(tmp_path):
    write_log(tmp_path, [_bar(n, **({"challenger": None} if n >= 60 else {})) for n in range(60 + 240)])
    assert _compare(tmp_path, 60).n_bars == 55
    assert _compare(tmp_path, 300).n_bars == 0, "ended ten days before"


def test_a_file_of_a_day_to_come_is_read_too(tmp_path):
    write_log(tmp_path, [_bar(n) for n in range(20)])
    (tmp_path / "2025-01-01.jsonl").rename(tmp_path / "2025-03-01.jsonl")
    assert _compare(tmp_path, 20).n_bars == 15


def test_a_timeframe_that_is_none_is_said(tmp_path):
    write_log(tmp_path, [_bar(0, timeframe="soon")])
    with pytest.raises(LogUnusable, match="soon"):
        _compare(tmp_path, 5, until_ms=START_MS + DAY_MS)


def test_a_worse_challenger_is_shown_to_be_worse_and_its_promotion_to_be_undone(tmp_path):
    ahead = (_CLOSES[5:1_205] > _CLOSES[:1_200]).astype(float)
    knows = (0.5 + 0.15 * (2 * ahead - 1)).tolist()
    records = [
        _bar(n, probabilities={"5": knows[n]}, challenger=challenger(1 - knows[n]))
        for n in range(1_200)
    ]
    write_log(tmp_path / "before", records)
    before = _compare(tmp_path / "before", 1_200).evidence
    assert before.worse > 20.0 > before.not_inferior
    assert before.bars_needed is None
    promoted = [
        replace(
            record,
            champion=CHALLENGER,
            probabilities=record.challenger.probabilities,
            challenger=challenger(record.probabilities["5"], CHAMPION),
        )
        for record in records
    ]
    write_log(tmp_path / "after", promoted)
    after = _compare(tmp_path / "after", 1_200, challenger=CHAMPION, champion=CHALLENGER)
    assert after.watch.worse_by_margin > 20.0
    assert after.evidence.not_inferior > 20.0
