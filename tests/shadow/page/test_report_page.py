"""The report as one page: whole, harmless, and readable in a real browser."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from msgspec.structs import replace

from shadow.errors import LogUnusable
from shadow.page.report_page import render_page, stylesheet, write_page
from shadow.page.wording import WORDS_OF_PAGE
from shadow.words import LANGUAGES
from tests.shadow.test_rendering import DRIFT
from tests.support.browser import DESKTOP, PHONE, browser, complaints, overflow, requested
from tests.support.evidence_log import evidence_log, found
from tests.support.records import HOUR_MS, START_MS, bar, write_log

VOID = {"meta", "link", "br", "hr", "img"}
HEADINGS = [
    "checklist",
    "coverage.heading",
    "price.heading",
    "outcomes.heading",
    "reliability.heading",
    "recalibrated.heading",
    "fifths.heading",
    "members.heading",
    "adds.heading",
    "agreement",
    "trading.heading",
    "challenger",
    "drift",
    "damage.heading",
    "luck",
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    folder = tmp_path_factory.mktemp("log")
    findings, window = found(folder, evidence_log(folder))
    return replace(findings, drift=DRIFT), window


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """What a log can hold at its worst."""
    folder = tmp_path_factory.mktemp("hostile")
    text = "</style></title><script>alert(1)</script><b>\"'&\x00\x1b[2J\u202e" + "x" * 5000
    symbols = ("A" * 300, "<b>")
    fields = {
        "ml_error": text,
        "champion": text,
        "host_signal": text,
        "flags": {"ML_EXCHANGE": "simulated"},
    }
    now_ms = evidence_log(folder, n_bars=200, symbols=symbols, **fields)
    findings, window = found(folder, now_ms)
    members = {text + name: one for name, one in findings.evidence.members.items()}
    evidence = replace(findings.evidence, members=members, holes={text: 3})
    drift = replace(DRIFT, features=[replace(one, name=text) for one in DRIFT.features])
    contributions = {text + name: one for name, one in findings.contributions.items()}
    changes = {"evidence": evidence, "drift": drift, "contributions": contributions, "folder": text}
    return replace(findings, **changes), window


class Nesting(HTMLParser):
    """Whether every element is closed where it should be; all texts, headings and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.headings: list[str] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def parsed(page: str) -> Nesting:
    nesting = Nesting()
    nesting.feed(page)
    assert nesting.open == []
    return nesting


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_part_is_there_in_its_order_and_closed(seen, language):
    page = parsed(render_page(*seen, language))
    words = WORDS_OF_PAGE[language]
    assert page.headings == [words[key] for key in HEADINGS]
    assert words[f"verdict.{seen[0].ready}"] in page.text
    assert page.tags.count("svg") > 50
    assert "{" not in page.text.replace(stylesheet(), "").partition("</style>")[2]


def test_every_picture_is_sound_and_named_or_hidden(seen):
    body = render_page(*seen).partition("<body>")[2].rpartition("</body>")[0]
    root = ElementTree.fromstring(f"<body>{body}</body>")  # noqa: S314  (our own)
    parents = {child: parent for parent in root.iter() for child in parent}
    outer = [one for one in root.iter("svg") if parents[one].tag != "svg"]
    for one in outer:
        assert one.get("aria-hidden") == "true" or (one.get("role"), one[0].tag) == ("img", "title")
    assert sum(one.get("role") == "img" for one in outer) >= 12
    for one in root.iter():
        for value in one.attrib.values():
            assert not re.search(r"\b(nan|inf)\b", value.lower())


def test_nothing_is_fetched_from_anywhere_and_nothing_runs(seen):
    page = parsed(render_page(*seen))
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(page.tags)
    for name, value in page.attributes:
        assert name not in {"src", "srcset", "action", "style"} and not name.startswith("on")
        assert name != "href" or value.startswith("#")
        assert "//" not in (value or "") or "sha256-" in value
    for text in ("@import", "url(", "http:", "https:"):
        assert text not in render_page(*seen)


def test_every_link_leads_somewhere_within(seen):
    page = parsed(render_page(*seen))
    ids = [value for name, value in page.attributes if name == "id"]
    links = [value.removeprefix("#") for name, value in page.attributes if name == "href"]
    assert links == ids
    assert len(set(ids)) == len(ids)


def test_the_policy_allows_the_style_of_the_page_and_nothing_else(seen):
    page = render_page(*seen)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_same_findings_give_the_same_bytes(seen, language):
    assert render_page(*seen, language) == render_page(*seen, language)


def test_texts_of_the_log_are_texts_and_cut(hostile):
    page = render_page(*hostile)
    nesting = parsed(page)
    assert not {"script", "b"} & set(nesting.tags)
    assert page.count("</style>") == page.count("</title>") - page.count("<title>") + 1 == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", page)
    assert "x" * 201 not in page
    assert len(page) < 300_000


@pytest.mark.parametrize("n_bars", [0, 1, 2, 20])
def test_little_to_show_is_no_error(tmp_path, n_bars):
    write_log(tmp_path, [bar(n) for n in range(n_bars)])
    page = parsed(render_page(*found(tmp_path, START_MS + max(n_bars, 1) * HOUR_MS)))
    assert WORDS_OF_PAGE["en"]["verdict.None"] in page.text
    assert page.headings == [WORDS_OF_PAGE["en"][key] for key in HEADINGS]


@pytest.mark.parametrize(("later_hours", "key"), [(0, "empty"), (24 * 40, "stopped")])
def test_a_window_without_records_says_so(tmp_path, later_hours, key):
    write_log(tmp_path, [bar(n) for n in range(30 if later_hours else 0)])
    page = parsed(render_page(*found(tmp_path, START_MS + (later_hours + 1) * HOUR_MS, days=2)))
    assert WORDS_OF_PAGE["en"][key] in page.text


def test_many_symbols_and_bars_stay_a_small_page(tmp_path):
    symbols = tuple(f"SYM{at}/USDT" for at in range(150))
    page = render_page(*found(tmp_path, evidence_log(tmp_path, n_bars=60, symbols=symbols)))
    assert len(page.encode()) < 500_000
    assert "138 better ones" in page
    few = tmp_path / "few"
    long = render_page(*found(few, evidence_log(few, n_bars=1_500, symbols=symbols[:6]), days=70))
    assert len(long.encode()) < 1_500_000


def test_a_simulated_market_is_said_before_all_else(tmp_path):
    write_log(tmp_path, [bar(n, flags={"ML_EXCHANGE": "simulated"}) for n in range(30)])
    page = render_page(*found(tmp_path, START_MS + 30 * HOUR_MS))
    body = page.partition("<body>")[2].lstrip()
    assert body.startswith('<div class="banner"')
    assert "SIMULATED MARKET" in body[:200]


def test_a_real_market_is_not_called_simulated(seen):
    assert "SIMULATED" not in render_page(*seen)


def test_a_page_is_written_whole_or_not_at_all(seen, tmp_path):
    path = tmp_path / "report.html"
    write_page(path, *seen)
    assert path.read_text() == render_page(*seen)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(LogUnusable, match="name another file"):
        write_page(tmp_path / "none" / "report.html", *seen)


SIZES_OF_TEXTS = """
return [...document.querySelectorAll('p, td, th, li, dd, dt, figcaption, svg text')]
  .filter(one => one.getClientRects().length && one.textContent.trim())
  .map(one => {
    const drawn = one.ownerSVGElement, width = drawn?.viewBox.baseVal?.width;
    const scale = width ? drawn.getBoundingClientRect().width / width : 1;
    return parseFloat(getComputedStyle(one).fontSize) * scale;
  })
"""
CONTRASTS = """
const part = value => value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4;
const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
const rgb = text => text.match(/[\\d.]+/g).slice(0, 4).map(Number);
const behind = one => {
  for (let at = one; at; at = at.parentElement) {
    const found = rgb(getComputedStyle(at).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
};
return [...document.querySelectorAll('p, td, th, li, dd, dt, a, h1, h2, figcaption, .pill, .banner')]
  .filter(one => one.getClientRects().length && one.textContent.trim())
  .map(one => {
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(behind(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  })
"""


@pytest.mark.slow
@pytest.mark.parametrize("log", ["seen", "hostile"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_a_real_browser_shows_it_readable_and_without_a_complaint(request, tmp_path, log, size, dark):
    path: Path = tmp_path / "report.html"
    write_page(path, *request.getfixturevalue(log))
    with browser(size, dark=dark) as chrome:
        chrome.get(path.as_uri())
        assert complaints(chrome) == []
        assert requested(chrome) == [path.as_uri()]
        assert overflow(chrome) == 0
        colour = chrome.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (colour == "rgb(18, 22, 26)") is dark, "the style is allowed by the page's own policy"
        assert min(chrome.execute_script(SIZES_OF_TEXTS)) > 9
        assert min(chrome.execute_script(CONTRASTS)) > 4.5
        heights = chrome.execute_script(
            "return [...document.querySelectorAll('svg[role=img]')]"
            ".map(one => one.getBoundingClientRect().height)"
        )
        assert min(heights) > 40
