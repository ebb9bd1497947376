"""The report says what p' would have been worth, where records have one, and is silent elsewhere."""

import io
import json

import msgspec
import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from shadow.page.parts import Told
from shadow.page.story import story
from shadow.page.wording import WORDS_OF_PAGE
from shadow.recalibration import Coefficients, recalibrated
from shadow.record import BarRecord, RecalibratedRecord
from shadow.rendering import render
from shadow.report import as_json
from shadow.words import LANGUAGES, WORDS
from tests.support.evidence_log import found
from tests.support.records import CHAMPION, HOUR_MS, START_MS, bar, write_log

N, FIRST_READ = 400, 100
HALF = Coefficients(0.0, 0.5)


def records(acts_from: int = N) -> list[BarRecord]:
    """Bars that nobody foresees and of which the champion is sure; read as half as sure from the
    hundredth on, and acted on from `acts_from` on."""
    random = np.random.default_rng(3)
    close = (100.0 * np.exp(np.cumsum(random.normal(0.0, 0.01, N)))).tolist()
    p = (1.0 / (1.0 + np.exp(-random.normal(0.0, 1.5, N)))).tolist()
    made = []
    for at in range(N):
        read = recalibrated(p[at], HALF)
        assert read is not None
        own = {"5": RecalibratedRecord(read, HALF.shift, HALF.slope, at >= acts_from)}
        made.append(
            bar(
                at,
                close=close[at],
                meta_p=p[at],
                probabilities={"5": p[at], "12": p[at]},
                recalibrated=own if at >= FIRST_READ else {},
            )
        )
    return made


def report_of(folder, log, days=1.0):
    write_log(folder, log)
    return found(folder, START_MS + N * HOUR_MS, days)[0]


def test_both_scores_are_those_of_the_same_bars_also_of_those_before_the_window(tmp_path):
    log = records()
    five = report_of(tmp_path, log).recalibration["5"]
    judged = range(FIRST_READ, N - 5)
    up = np.array([log[at + 5].close > log[at].close for at in judged])
    p = np.array([log[at].probabilities["5"] for at in judged])
    read = np.array([log[at].recalibrated["5"].p for at in judged])
    assert (five.bundle, five.n_rows, five.evidence.n_bars) == (CHAMPION, len(up), len(up))
    assert five.brier == pytest.approx(np.mean((p - up) ** 2))
    assert five.recalibrated_brier == pytest.approx(np.mean((read - up) ** 2))
    assert five.recalibrated_brier < five.brier
    assert five.evidence.better > 1.0
    assert not five.acts


def test_a_horizon_without_a_p_prime_is_no_evidence(tmp_path):
    twelve = report_of(tmp_path, records()).recalibration["12"]
    assert twelve.n_rows == 0
    assert twelve.evidence.reason == "no bars to compare"


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_reads_well_and_says_whether_it_acts(tmp_path, language):
    findings = report_of(tmp_path, records(acts_from=N - 3))
    assert findings.recalibration["5"].acts
    text = io.StringIO()
    render(findings, language, Console(file=text, width=80, highlight=False))
    said = text.getvalue()
    assert WORDS[language]["recalibrated"] in said
    assert max(map(cell_len, said.splitlines())) <= 80
    assert "…" not in said.split(WORDS[language]["recalibrated"])[1]
    as_told = json.loads(msgspec.json.encode(as_json(findings)))["recalibration"]["5"]
    assert as_told["acts"] is True
    assert as_told["evidence"]["better"] > 1.0


def test_without_any_p_prime_nothing_is_said(tmp_path):
    log = [msgspec.structs.replace(one, recalibrated={}) for one in records()]
    findings = report_of(tmp_path, log)
    assert findings.recalibration == {}
    text = io.StringIO()
    render(findings, "en", Console(file=text, width=80, highlight=False))
    assert WORDS["en"]["recalibrated"] not in text.getvalue()


def test_the_page_shows_them_with_a_strip_of_the_evidence(tmp_path):
    write_log(tmp_path, records(acts_from=200))
    findings, window = found(tmp_path, START_MS + N * HOUR_MS, 1.0)
    words = WORDS_OF_PAGE["en"]
    (section,) = [
        one for one in story(Told(findings, window, words), "en") if one.name == "recalibration"
    ]
    (table,) = section.parts
    horizon, n, p_brier, read_brier, strip, better, acts = table.rows[0]
    five = findings.recalibration["5"]
    assert (horizon, n, acts) == ("5", str(five.n_rows), "yes")
    assert (p_brier, read_brier) == (f"{five.brier:.4f}", f"{five.recalibrated_brier:.4f}")
    assert better == f"{five.evidence.better:.2f}"
    assert ('class="f1"' in strip.svg) == (five.evidence.better >= five.level)
    assert table.note.endswith("20 decides.")
