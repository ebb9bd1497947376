"""The report on a terminal, in both languages."""

import io
import re
import string

import pytest
from msgspec.structs import replace
from rich.console import Console

from shadow.drift_file import FeatureDrift, OneFeature
from shadow.rendering import render
from shadow.words import LANGUAGES, WORDS
from tests.support.evidence_log import evidence_log, found
from tests.support.records import START_MS, bar, write_log

DRIFT = FeatureDrift(
    bundle="one",
    measured_at="2025-01-20T00:00:00Z",
    since="2024-12-20T00:00:00Z",
    until="2025-01-20T00:00:00Z",
    n_rows=700,
    share=0.3,
    limit=0.1,
    features=[OneFeature(f"feature_{at}", 0.4, 0.1, 0.3, 0.1, True) for at in range(9)],
)


@pytest.fixture(scope="module")
def findings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    return replace(found(folder, evidence_log(folder))[0], drift=DRIFT)


def shown(findings, language="en", width=80):
    text = io.StringIO()
    render(findings, language, Console(file=text, width=width, highlight=False))
    return text.getvalue()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_is_there(findings, language):
    said = shown(findings, language)
    words = WORDS[language]
    headings = "checklist bars members outcomes contributions trading drift luck agreement"
    for key in headings.split():
        assert words[key] in said, key
    for name in ("ensemble", "host", "both", "neither", "buy_and_hold"):
        assert words[name] in said
    assert "feature_4" in said and "feature_5" not in said
    assert words["trading.no_host"] not in said
    assert findings.comparison.challenger in said


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(findings, language, width):
    from rich.cells import cell_len

    assert max(cell_len(line) for line in shown(findings, language, width).splitlines()) <= width


@pytest.mark.parametrize("language", LANGUAGES)
def test_at_eighty_columns_no_figure_is_cut(findings, language):
    assert "…" not in shown(findings, language, 80)


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_log_says_what_to_do(tmp_path, language):
    said = shown(found(tmp_path, START_MS)[0], language)
    assert WORDS[language]["verdict.None"] in said
    assert "--dir" in said


def test_texts_of_the_log_move_no_cursor_and_mark_nothing_up(tmp_path):
    hostile = "\x1b[2J[bold red]x[/]\r\n" + "y" * 500
    write_log(
        tmp_path, [bar(n, symbol=hostile, ml_error=hostile, host_signal="\x07") for n in range(40)]
    )
    for language in LANGUAGES:
        said = shown(found(tmp_path, START_MS + 40 * 3_600_000)[0], language)
        assert not re.search(r"[\x00-\x09\x0b-\x1f]", said)
        assert "[bold red]" in said.replace("\n", "")


def test_a_simulated_market_is_said_first(tmp_path):
    write_log(tmp_path, [bar(n, flags={"ML_EXCHANGE": "simulated"}) for n in range(40)])
    findings = found(tmp_path, START_MS + 40 * 3_600_000)[0]
    assert shown(findings).lstrip().startswith("SIMULATED MARKET")
    assert "模拟行情" in shown(findings, "zh").splitlines()[0]


def test_both_languages_say_the_same_things_of_the_same_figures():
    english, chinese = WORDS["en"], WORDS["zh"]
    assert english.keys() == chinese.keys()

    def fields(text):
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    for key in english:
        assert fields(english[key]) == fields(chinese[key]), key
    assert [key for key in english if english[key] == chinese[key]] == ["brier"], "a name"


def test_the_chinese_report_leaves_no_sentence_in_english(findings):
    said = shown(replace(findings, folder="log"), "zh", 120)
    assert not re.search(r"\b(the|of|is|and|than)\b", said)


def test_changed_limits_are_named(findings):
    changed = replace(findings, changed_limits={"shadow.coverage": "0.1 instead of 0.8"})
    assert "shadow.coverage 0.1 instead of 0.8" in shown(changed)
