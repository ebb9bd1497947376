"""The dashboard in a real Chromium."""

import json
import os

import pytest
from selenium.webdriver.common.by import By

from shadow.files import day_files
from shadow.process import began_ticks
from tests.support.browser import DESKTOP, PHONE, browser, complaints, overflow, requested
from tests.support.dashboard import Dashboard
from tests.support.evidence_log import evidence_log
from tests.support.live_service import wait_until
from tests.support.records import bar, write_log

pytestmark = pytest.mark.slow
HOSTILE = "</td></script><script>document.title='owned'</script><img src=x onerror=alert(1)>"
PARTS = [
    "heroes",
    "tiles",
    "newest",
    "checklist",
    "outcomes",
    "luck",
    "decisions",
    "roles",
    "pair",
    "moves",
]


def text_of(chrome, name: str) -> str:
    return chrome.find_element(By.ID, name).text


def is_connected(chrome) -> bool:
    return text_of(chrome, "connection") == "connected"


def beside(folder, refusal: str | None = None, **move: str) -> None:
    """What the live process and the registry leave there."""
    for name in ("run", "models"):
        (folder / name).mkdir(exist_ok=True)
    role = {"bundle": "one", "pointer": None, "refusal": None}
    own = {"pid": os.getpid(), "began_ticks": began_ticks(os.getpid()), "started": "2025-01-01"}
    told = own | {"champion": role, "challenger": role | {"bundle": None, "refusal": refusal}}
    (folder / "run" / "serving.json").write_text(json.dumps(told))
    (folder / "models" / "history.jsonl").write_text(json.dumps(move) + "\n")
    (folder / "models" / "champion").write_text(json.dumps({"bundle_id": "one"}))


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("dark", [False, True])
def test_it_shows_everything_without_a_complaint(tmp_path, size, dark):
    evidence_log(tmp_path / "dir", n_bars=120)
    beside(tmp_path, kind="appointed", role="champion", bundle_id="one", who="me")
    with Dashboard(tmp_path) as dashboard, browser(size, dark=dark) as chrome:
        chrome.get(dashboard.address)
        wait_until(lambda: is_connected(chrome))
        for name in PARTS:
            assert text_of(chrome, name), name
        assert {"ALIVE", "SHADOW"} <= set(text_of(chrome, "heroes").split("\n"))
        assert "in service" in text_of(chrome, "roles")
        assert overflow(chrome) == 0
        assert complaints(chrome) == []
        assert all(one.startswith((dashboard.address, "data:")) for one in requested(chrome))


def test_it_follows_the_log_and_says_when_it_is_alone(tmp_path):
    write_log(tmp_path / "dir", [bar(n) for n in range(30)])
    with browser() as chrome:
        with Dashboard(tmp_path) as dashboard:
            port = dashboard.port
            chrome.get(dashboard.address)
            wait_until(lambda: "01-02 06:00" in text_of(chrome, "decisions"))
            assert "NOT RUNNING" in text_of(chrome, "heroes")
            write_log(tmp_path / "dir", [bar(30)])
            wait_until(lambda: "01-02 07:00" in text_of(chrome, "decisions"))
            # A day begins, a process lives, and the newest file is spoilt, under the eyes of the page.
            write_log(tmp_path / "dir", [bar(n) for n in range(48, 50)])
            beside(tmp_path)
            wait_until(lambda: "01-03 02:00" in text_of(chrome, "decisions"))
            wait_until(lambda: "ALIVE" in text_of(chrome, "heroes"))
            with day_files(tmp_path / "dir")[-1].open("ab") as file:
                file.write(b"\x00" * 300 + b"\n")
            wait_until(lambda: "1 broken lines" in text_of(chrome, "tiles"))
        wait_until(lambda: text_of(chrome, "connection") == "not connected")
        assert "as of" in text_of(chrome, "alone")
        assert "01-03 02:00" in text_of(chrome, "decisions"), "what was seen last stays"
        with Dashboard(tmp_path, port):
            wait_until(lambda: is_connected(chrome))
            assert text_of(chrome, "alone") == ""


def test_texts_of_others_stay_texts(tmp_path):
    told = [bar(n, symbol=HOSTILE, host_signal=HOSTILE, champion=HOSTILE) for n in range(30)]
    write_log(tmp_path / "dir", told)
    beside(tmp_path, HOSTILE, who=HOSTILE, why=HOSTILE, bundle_id=HOSTILE)
    with Dashboard(tmp_path) as dashboard, browser(PHONE) as chrome:
        chrome.get(dashboard.address)
        wait_until(lambda: is_connected(chrome))
        for name in ("newest", "decisions", "moves", "alerts"):
            assert "<script>" in text_of(chrome, name), name
        assert "owned" not in chrome.title
        assert chrome.find_elements(By.TAG_NAME, "img") == []
        assert len(chrome.find_elements(By.TAG_NAME, "script")) == 1
        assert overflow(chrome) == 0
        assert complaints(chrome) == []


def test_a_place_scrolled_to_stays_when_a_line_is_added(tmp_path):
    write_log(tmp_path / "dir", [bar(n) for n in range(60)])
    top = "return document.getElementById('decisions').scrollTop"
    with Dashboard(tmp_path) as dashboard, browser() as chrome:
        chrome.get(dashboard.address)
        wait_until(lambda: is_connected(chrome))
        chrome.execute_script("document.getElementById('decisions').scrollTop = 200")
        write_log(tmp_path / "dir", [bar(60)])
        wait_until(lambda: "01-03 13:00" in text_of(chrome, "decisions"))
        assert chrome.execute_script(top) == 200
