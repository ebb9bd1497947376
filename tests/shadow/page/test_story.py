"""Which sections there are, what each shows, and what it says where it has nothing to show."""

import math

import pytest
from msgspec.structs import replace

from shadow.drift_file import OneFeature
from shadow.page.parts import Beside, Picture, Pill, Says, Strip, Table, Told
from shadow.page.story import facts, story
from shadow.page.wording import WORDS_OF_PAGE
from tests.shadow.test_rendering import DRIFT
from tests.support.evidence_log import evidence_log, found
from tests.support.records import HOUR_MS, START_MS, bar, silent_bar, write_log

WORDS = WORDS_OF_PAGE["en"]
ORDER = [
    "checklist",
    "coverage",
    "prices",
    "outcomes",
    "reliability",
    "recalibration",
    "fifths",
    "members",
    "adds",
    "agreement",
    "trading",
    "pair",
    "drift",
    "damage",
    "luck",
]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    findings, window = found(folder, evidence_log(folder))
    return Told(replace(findings, drift=DRIFT), window, WORDS)


def told_of(folder, n_bars, **changes):
    findings, window = found(folder, START_MS + max(n_bars, 1) * HOUR_MS)
    return Told(replace(findings, **changes), window, WORDS)


def section(told, name):
    (one,) = [each for each in story(told, "en") if each.name == name]
    return one


def leaves(part):
    if isinstance(part, Beside):
        return [leaf for column in part.columns for leaf in column]
    return [part]


def parts(told, name, kind):
    return [
        leaf for part in section(told, name).parts for leaf in leaves(part) if isinstance(leaf, kind)
    ]


def table(told, name, column):
    """The table of a section that has such a column."""
    (one,) = [
        each for each in parts(told, name, Table) if column in [head.heading for head in each.columns]
    ]
    return one


def test_the_story_has_one_order(told):
    assert [one.name for one in story(told, "en")] == ORDER


def test_every_row_has_a_cell_for_every_column(told):
    for name in ORDER:
        for one in parts(told, name, Table):
            assert {len(row) for row in one.rows} == {len(one.columns)}, (name, one.caption)
            for row in one.rows:
                for cell, column in zip(row, one.columns, strict=True):
                    assert isinstance(cell, Strip) is (column.look == "strip")
                    assert isinstance(cell, Pill) is (column.look == "mark")


def test_every_picture_has_its_figures_in_words(told):
    for name in ORDER:
        for one in parts(told, name, Picture):
            tables = parts(told, name, Table)
            assert one.note or tables, (name, one.caption)


@pytest.mark.parametrize("n_bars", [0, 1])
def test_a_section_without_figures_says_why_and_shows_no_picture(tmp_path, n_bars):
    write_log(tmp_path, [silent_bar(n, "warming_up") for n in range(n_bars)])
    empty = told_of(tmp_path, n_bars)
    why = {
        "prices": "No bar of this window has a probability 5 bars ahead.",
        "outcomes": WORDS["outcomes.none"],
        "reliability": WORDS["outcomes.none"],
        "recalibration": WORDS["recalibrated.none"],
        "fifths": WORDS["fifths.none"],
        "members": WORDS["members.none"],
        "adds": WORDS["adds.none"],
        "agreement": WORDS["trading.no_host"],
        "trading": WORDS["trading.none"],
        "pair": WORDS["challenger.none"],
        "drift": WORDS["drift.none"],
        "luck": empty.findings.luck.says,
    }
    for name, sentence in why.items():
        (one,) = section(empty, name).parts
        assert one == Says(sentence), name


def test_the_facts_are_those_of_the_findings(told):
    coverage, area, earned, luck = facts(told)
    evidence = told.findings.evidence
    assert coverage.value == f"{evidence.coverage:.1%}"
    assert area.value == f"{evidence.outcomes['5'].auc:.3f}"
    assert earned.value == f"{told.findings.trading.strategies['ensemble'].total_return:.1%}"
    assert luck.value == "< 0.5%"


def test_facts_that_nobody_knows_are_left_out(tmp_path):
    write_log(tmp_path, [silent_bar(0, "warming_up")])
    assert [one.name for one in facts(told_of(tmp_path, 1))] == ["Coverage"]


def test_a_changed_limit_is_named_under_the_checklist(told):
    changed = told.findings
    changed = replace(changed, changed_limits={"shadow.coverage": "0.5 instead of 0.8"})
    (one,) = section(told._replace(findings=changed), "checklist").parts
    assert one.note == "limits changed: shadow.coverage 0.5 instead of 0.8"


def test_verdicts_are_signs_and_words(tmp_path):
    write_log(tmp_path, [bar(n, ml_error="boom") for n in range(30)])
    (one,) = section(told_of(tmp_path, 30), "checklist").parts
    pills = {row[1]: row[0] for row in one.rows}
    assert pills["bars with an error"] == Pill("bad", "✗", "fails")
    assert pills["damage in the log"] == Pill("good", "✓", "passes")


def test_holes_have_their_reasons_in_words(told):
    reasons = table(told, "coverage", WORDS["reason"])
    assert reasons.rows == [("gap", "12"), ("no record and no sign of life", "6")]


def test_at_most_six_series_are_drawn_those_that_are_covered_worst_first(tmp_path):
    symbols = [f"S{at}/USDT" for at in range(8)]
    told = [
        silent_bar(n, "gap", symbol=symbol) if symbol == "S5/USDT" and n > 5 else bar(n, symbol=symbol)
        for n in range(20)
        for symbol in symbols
    ]
    write_log(tmp_path, told)
    drawn = parts(told_of(tmp_path, 20), "prices", Picture)
    assert len(drawn) == 6
    assert drawn[0].caption == "S5/USDT 1h"
    note, *_ = parts(told_of(tmp_path, 20), "prices", Says)
    assert note.text.startswith("6 of 8 series")


def test_a_price_says_in_words_what_it_draws(told):
    first = parts(told, "prices", Picture)[0]
    rows = next(one for one in told.window.rows if f"{one.symbol} 1h" == first.caption)
    close = rows.close[rows.in_window]
    assert f"close from {close.min():g} to {close.max():g}" in first.note
    assert first.svg.count(f"<desc>{first.note}</desc>") == 3


def test_a_horizon_that_is_too_short_gives_its_reason(tmp_path):
    write_log(tmp_path, [bar(n, close=100.0 + n % 3) for n in range(20)])
    few = told_of(tmp_path, 20)
    areas = table(few, "outcomes", WORDS["reversal"])
    assert areas.note.startswith("Too little to tell: ")
    assert few.findings.evidence.outcomes["5"].reason in areas.note


def test_the_members_table_says_what_was_not_normal(told):
    health = table(told, "members", WORDS["not_normal"])
    for name, pill, rate, n, odd in health.rows:
        figures = told.findings.evidence.members[name]
        assert pill == Pill("good", "✓", "passes")
        assert rate == f"{figures.normal_rate:.1%}"
        assert n == str(figures.n)
        assert odd == f"nan {figures.statuses['nan']}"


def test_agreement_counts_add_up(told):
    shares = table(told, "agreement", WORDS["n_bars"])
    assert sum(int(row[-1]) for row in shares.rows) == told.findings.agreement.n


def test_signals_that_nobody_understands_are_named(tmp_path):
    write_log(tmp_path, [bar(n, host_signal="moon") for n in range(10)])
    odd = told_of(tmp_path, 10)
    none, unclear = parts(odd, "agreement", Says)
    assert none.text == WORDS["agreement.none"]
    assert unclear == Says("Signals that are not understood: moon 10", "unsure")


def test_each_way_of_trading_keeps_its_colour(tmp_path, told):
    ways = told.findings.trading.strategies
    without = {name: one for name, one in ways.items() if name not in {"host", "both"}}
    trading = replace(told.findings.trading, strategies=without)
    other = told._replace(findings=replace(told.findings, trading=trading))
    styles = [
        {row[0]: row[1].svg.rpartition('<circle class="')[2][:2] for row in one.rows}
        for one in (table(which, "trading", WORDS["drawdown"]) for which in (told, other))
    ]
    assert styles[1].items() <= styles[0].items()
    assert len(set(styles[0].values())) == 5


def test_parts_of_the_trading_are_sorted_worst_first_and_cut(told):
    parts_of = told.findings.trading.by_symbol
    many = {f"S{at}": replace(parts_of["BTC/USDT"], total_return=-at / 100) for at in range(20)}
    trading = replace(told.findings.trading, by_symbol=many)
    other = told._replace(findings=replace(told.findings, trading=trading))
    (one,) = [
        each for each in parts(other, "trading", Table) if each.caption == WORDS["part.by_symbol"]
    ]
    assert [row[0] for row in one.rows] == [f"S{at}" for at in range(19, 7, -1)]
    assert one.note == "8 better ones"


def test_a_decided_claim_of_the_pair_stands_out(told):
    pair = told.findings.comparison
    decided = replace(pair, evidence=replace(pair.evidence, better=1e12, bars_needed=0))
    other = told._replace(findings=replace(told.findings, comparison=decided))
    claims = {row[0]: row for row in table(other, "pair", WORDS["evidence"]).rows}
    assert claims[WORDS["pair.better"]][2] == "1e+12"
    assert 'class="f1"' in claims[WORDS["pair.better"]][1].svg
    assert 'class="f5"' in claims[WORDS["pair.worse"]][1].svg


def test_a_pair_without_evidence_gives_the_reason(told):
    pair = told.findings.comparison
    nothing = replace(pair, evidence=replace(pair.evidence, reason="no bars to compare"))
    other = told._replace(findings=replace(told.findings, comparison=nothing))
    assert parts(other, "pair", Says) == [Says("Too little to tell: no bars to compare.")]


def test_drift_is_told_against_its_limits(told):
    features = [
        OneFeature("far", 0.4, 0.1, 0.3, 0.1, True),
        OneFeature("near", 0.05, 0.1, 0.05, 0.1, False),
        OneFeature("no_limit", 0.1, 0.0, 0.0, 0.0, True),
        OneFeature("unknown", math.nan, 0.1, math.nan, 0.1, False),
    ] + [OneFeature(f"f{at}", 0.0, 0.1, 0.0, 0.1, False) for at in range(30)]
    other = told._replace(findings=replace(told.findings, drift=replace(DRIFT, features=features)))
    one = table(other, "drift", WORDS["feature"])
    assert [row[1].sign for row in one.rows[:4]] == ["!", "✓", "!", "✓"]
    assert [row[2].svg.count("<rect") for row in one.rows[:4]] == [2, 2, 2, 0]
    assert 'width="100.00%"' in one.rows[2][2].svg
    assert one.note == "14 nearer ones are not shown."


def test_damage_is_listed(tmp_path):
    write_log(tmp_path, [bar(n) for n in range(30)])
    (path, *_) = sorted(tmp_path.glob("*.jsonl"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], b"\0" * 40 + b"\n", *lines[6:]]))
    broken = told_of(tmp_path, 30)
    assert parts(broken, "damage", Says)[0].look == "bad"
    assert dict(table(broken, "damage", "n").rows) == {"broken_lines": "1", "missing_lines": "1"}


@pytest.mark.parametrize(("probability", "n_filled"), [(0.0, 0), (0.03, 6), (0.5, 100), (1.0, 200)])
def test_luck_fills_as_many_windows_of_200(told, probability, n_filled):
    lucky = replace(told.findings, luck=replace(told.findings.luck, probability=probability))
    (one,) = parts(told._replace(findings=lucky), "luck", Picture)
    assert one.svg.count('class="f2"') == n_filled
    assert one.svg.count("<circle") == 200
    assert one.note == f"{n_filled} of 200 are filled."
