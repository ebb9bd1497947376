"""The figures of a window, and the limits they are held against, from both sides."""

import math
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from shadow.checklist import LIMITS, Check, checklist, is_ready, luck
from shadow.columns import OTHER_ERRORS
from shadow.evidence import Evidence, weigh
from shadow.reader import Damage
from shadow.record import BarRecord
from shadow.window import read_window
from tests.support.records import HOUR_MS, START_MS, bar, member, silent_bar, write_log


def _evidence(folder: Path, records: list[BarRecord], days: int = 30) -> Evidence:
    write_log(folder, records)
    return weigh(read_window(folder, records[-1].open_time_ms + HOUR_MS, days))


def _walk(n: int, noise: float, seed: int = 0) -> list[BarRecord]:
    """Bars of a random walk whose probabilities see 5 bars ahead, through `noise`."""
    rng = np.random.default_rng(seed)
    closes = 100.0 * np.exp(0.01 * rng.standard_normal(n + 5).cumsum())
    seen = np.log(closes[5:] / closes[:-5]) + noise * rng.standard_normal(n)
    p = 0.5 + 0.1 * np.tanh(seen * 20)
    return [
        bar(at, close=float(closes[at]), meta_p=float(p[at]), probabilities={"5": float(p[at])})
        for at in range(n)
    ]


def test_the_counts_of_a_window(tmp_path):
    records = [
        bar(0, meta_p=0.29),
        bar(1, meta_p=0.3, mode="live"),
        bar(2, meta_p=0.7, ml_error="lgb: broke"),
        silent_bar(3, "warming_up", champion=None),
        silent_bar(5, "gap", mode="off"),
    ]
    evidence = _evidence(tmp_path, records)
    assert (evidence.bars_expected, evidence.bars_recorded) == (6, 5)
    assert evidence.coverage == 0.5
    assert evidence.holes == {"warming_up": 1, "gap": 1, "feed_gap": 1}
    assert evidence.stacking_activation == 0.6
    assert evidence.inactive_reasons == {"warming_up": 1, "gap": 1}
    assert evidence.errors == {"lgb: broke": 1}
    assert evidence.share_within_middle == pytest.approx(2 / 3)
    assert evidence.modes == {"shadow": 3, "live": 1, "off": 1}
    assert evidence.hours_in_shadow == 4.0
    assert evidence.bundles == {bar().champion: 4, "none": 1}
    assert evidence.decisions == {"long": 5}
    assert not evidence.simulated


def test_the_figures_of_a_member(tmp_path):
    statuses = ["ok", "ok", "nan", "timeout"]
    records = [
        bar(n, members={"lgb": replace(member(0.5, status), us=10.0 * (n + 1))})
        for n, status in enumerate(statuses)
    ]
    lgb = _evidence(tmp_path, records).members["lgb"]
    assert (lgb.n, lgb.normal_rate) == (4, 0.5)
    assert lgb.statuses == {"ok": 2, "nan": 1, "timeout": 1}
    assert (lgb.latency_us_p50, lgb.latency_us_p99) == (25.0, pytest.approx(39.7))


def test_hours_in_shadow_are_hours_of_the_market_whatever_the_number_of_symbols(tmp_path):
    records = [bar(n, symbol=symbol) for n in range(10) for symbol in ("A/B", "C/D", "E/F")]
    assert _evidence(tmp_path, records).hours_in_shadow == 10.0


def test_one_simulated_bar_makes_the_window_simulated(tmp_path):
    records = [bar(0), bar(1, flags={"ML_EXCHANGE": "simulated"})]
    assert _evidence(tmp_path, records).simulated


def test_the_outcomes_of_a_model_that_sees_ahead_are_found(tmp_path):
    figures = _evidence(tmp_path, _walk(300, noise=0.02)).outcomes["5"]
    assert (figures.n, figures.n_waiting, figures.n_missing) == (295, 5, 0)
    assert figures.auc_low > 0.6
    assert figures.p_value_no_skill < 0.01
    assert figures.rank_ic_t > 3
    assert figures.brier < figures.brier_constant == 0.25
    assert figures.n_reversal_rule == 290


def test_the_reversal_rule_is_minus_the_return_of_the_past_horizon(tmp_path):
    closes = [100.0 + (n // 5 % 2) for n in range(200)]  # every five bars it turns
    p = np.random.default_rng(1).uniform(0.4, 0.6, 200)
    records = [bar(n, close=closes[n], probabilities={"5": float(p[n])}) for n in range(200)]
    assert _evidence(tmp_path, records).outcomes["5"].reversal_rule_auc == 1.0


def test_an_outcome_whose_bar_is_missing_is_counted_as_such(tmp_path):
    figures = _evidence(tmp_path, [record for at, record in enumerate(_walk(100, 0.1)) if at != 50])
    assert figures.outcomes["5"].n_missing == 1


def test_horizons_stand_in_order_and_may_begin_later(tmp_path):
    late = [bar(n, probabilities={"5": 0.5, "12": 0.5, "24": 0.5}) for n in range(40, 80)]
    evidence = _evidence(tmp_path, [*(bar(n) for n in range(40)), *late])
    assert list(evidence.outcomes) == ["5", "12", "24"]
    assert [figures.n for figures in evidence.outcomes.values()] == [75, 28, 16]


def test_timeframes_of_different_length_are_pooled_with_the_longer_overlap(tmp_path):
    hourly = _walk(200, 0.02)
    four_hourly = [
        replace(record, timeframe="4h", open_time_ms=START_MS + at * 4 * HOUR_MS)
        for at, record in enumerate(_walk(50, 0.02, seed=3))
    ]
    records = sorted([*hourly, *four_hourly], key=lambda record: record.open_time_ms)
    write_log(tmp_path, records)
    figures = weigh(read_window(tmp_path, START_MS + 200 * HOUR_MS, 30)).outcomes["5"]
    assert figures.n == 195 + 45
    assert figures.auc > 0.6


def test_many_different_errors_do_not_fill_the_memory(tmp_path):
    errors = _evidence(tmp_path, [bar(n, ml_error=f"error {n}") for n in range(300)]).errors
    assert len(errors) == 101
    assert errors[OTHER_ERRORS] == 200


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """Evidence that passes every check."""
    return _evidence(tmp_path_factory.mktemp("healthy"), _walk(120, 0.02))


def _verdicts(evidence: Evidence, min_bars: int = 24) -> dict[str, str]:
    return {check.name: check.verdict for check in checklist(evidence, min_bars)}


def test_a_healthy_log_passes_every_check(healthy):
    checks = checklist(healthy, 24)
    assert {check.verdict for check in checks} == {"pass"}
    assert is_ready(checks) is True


@pytest.mark.parametrize(
    ("field", "check", "limit"),
    [
        ("coverage", "coverage", LIMITS.coverage),
        ("stacking_activation", "stacking_activation", LIMITS.stacking_activation),
        ("share_within_middle", "share_within_0.3_0.7", LIMITS.share_within_middle),
    ],
)
def test_a_share_must_lie_above_its_limit(healthy, field, check, limit):
    assert _verdicts(replace(healthy, **{field: limit}))[check] == "fail"
    assert _verdicts(replace(healthy, **{field: limit + 1e-9}))[check] == "pass"
    assert _verdicts(replace(healthy, **{field: math.nan}))[check] == "not enough evidence"


@pytest.mark.parametrize(("name", "limit"), [("lstm", 0.95), ("tft", 0.80), ("lgb", 0.95)])
def test_every_member_has_its_limit(healthy, name, limit):
    figures = healthy.members["lgb"]
    for rate, verdict in ((limit, "fail"), (limit + 1e-9, "pass")):
        members = {name: replace(figures, normal_rate=rate)}
        assert _verdicts(replace(healthy, members=members))[f"members.{name}"] == verdict


def test_no_member_at_all_is_no_pass(healthy):
    assert _verdicts(replace(healthy, members={}))["members"] == "not enough evidence"


def test_a_day_in_shadow_is_asked_for(healthy):
    assert _verdicts(replace(healthy, hours_in_shadow=23.9))["hours_in_shadow"] == "not enough evidence"
    assert _verdicts(replace(healthy, hours_in_shadow=24.0))["hours_in_shadow"] == "pass"


def test_one_error_fails_and_one_damaged_line_leaves_too_little_evidence(healthy):
    assert _verdicts(replace(healthy, errors={"it broke": 1}))["errors"] == "fail"
    for field in Damage.__struct_fields__:
        verdicts = _verdicts(replace(healthy, damage=Damage(**{field: 1})))
        assert verdicts["damage"] == "not enough evidence"


@pytest.mark.parametrize(
    ("field", "checks"),
    [
        ("bars_expected", ["coverage"]),
        ("bars_recorded", ["stacking_activation"]),
        ("bars_with_probability", ["share_within_0.3_0.7"]),
    ],
)
def test_too_few_bars_are_not_judged(healthy, field, checks):
    for n_bars, verdict in ((23, "not enough evidence"), (24, "pass")):
        verdicts = _verdicts(replace(healthy, **{field: n_bars}))
        assert [verdicts[check] for check in checks] == [verdict] * len(checks)


def test_a_simulated_market_is_never_ready(healthy):
    assert is_ready(checklist(replace(healthy, simulated=True), 24)) is None


def test_a_failure_outweighs_missing_evidence():
    def made(verdict: str) -> Check:
        return Check("x", 0.0, 0.0, verdict, "")  # type: ignore[arg-type]

    assert is_ready([made("pass"), made("not enough evidence"), made("fail")]) is False
    assert is_ready([made("pass"), made("not enough evidence")]) is None


def test_luck_speaks_plainly(healthy):
    figures = healthy.outcomes["5"]
    said = luck(
        replace(
            healthy, outcomes={"5": replace(figures, p_value_no_skill=0.31, n=40, n_effective=12.0)}
        )
    )
    assert said.probability == 0.31
    assert "31% of such windows (5 bars ahead, 40 outcomes worth 12 independent ones)" in said.says
    assert (
        "fewer than 1 in 200"
        in luck(replace(healthy, outcomes={"5": replace(figures, p_value_no_skill=0.001)})).says
    )


def test_luck_that_can_not_be_told_is_said_to_be_so(healthy):
    assert "no outcome is known" in luck(replace(healthy, outcomes={})).says
    unfit = replace(healthy.outcomes["5"], p_value_no_skill=math.nan, reason="3 bars are too few")
    said = luck(replace(healthy, outcomes={"5": unfit}))
    assert math.isnan(said.probability)
    assert "3 bars are too few" in said.says
