"""plugin/hosts/nautilus.py in a live node of the real engine, beside a service that a test directs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.nautilus_bot import run_in_engine
from tests.support.scripted_service import HOUR_MS, ScriptedService, rightly, silent

pytestmark = pytest.mark.slow
BTC, ETH = {"asset": "BTC"}, {"asset": "ETH"}


def live(folder: Path, service: ScriptedService, *bars: dict[str, Any], **asked: Any) -> dict[str, Any]:
    """The node gets these bars and runs until there were decisions enough."""
    usual = {"deadline_s": 30.0, "companions_s": 30.0, "n_decisions": 1, "pause_s": 0.3, "n_busy": 0}
    return run_in_engine(
        "nautilus_live.py", folder, {**usual, **asked, "socket": service.path, "bars": bars}
    )


def test_bars_of_one_close_are_asked_about_together_after_their_history(tmp_path: Path) -> None:
    with ScriptedService(tmp_path / "s") as service:
        said = live(tmp_path, service, ETH, BTC)
        (asked,) = service.asked("bars")
    newest_ms = said["close_ns"] // 1_000_000 - HOUR_MS
    assert [bar["symbol"] for bar in asked["bars"]] == ["BTC/USDT", "ETH/USDT"]
    assert {bar["open_time_ms"] for bar in asked["bars"]} == {newest_ms}
    assert asked["bars"][0]["host_signal"] == "long"
    (decision,) = said["decisions"]
    assert (decision["action"], decision["open_time_ms"]) == ("long", newest_ms)
    assert decision["follows"] and decision["is_told"] and decision["in_main_thread"]
    for history, symbol in zip(service.asked("history"), ("BTC/USDT", "ETH/USDT"), strict=True):
        assert history["symbol"] == symbol
        assert [row[0] for row in history["bars"][-2:]] == [
            newest_ms - 2 * HOUR_MS,
            newest_ms - HOUR_MS,
        ]
        assert len(history["bars"]) >= 512


def test_the_loop_turns_while_a_wedged_service_is_waited_for(tmp_path: Path) -> None:
    def wedged(connection: Any, request: dict[str, Any]) -> None:
        (silent if request["type"] == "bars" else rightly)(connection, request)

    with ScriptedService(tmp_path / "s", wedged) as service:
        said = live(tmp_path, service, ETH, BTC, deadline_s=2.0)
    (decision,) = said["decisions"]
    assert decision["reason"] == "timeout"
    assert not decision["follows"]
    assert said["n_turns"] > 10  # of some 200; a blocked loop turns once


def test_a_companion_that_does_not_come_is_waited_for_in_vain_and_told_later(tmp_path: Path) -> None:
    with ScriptedService(tmp_path / "s") as service:
        said = live(tmp_path, service, BTC, companions_s=0.5)
    (decision,) = said["decisions"]
    assert decision["action"] == "long"
    assert decision["in_main_thread"]
    (asked,) = service.asked("bars")
    assert [bar["symbol"] for bar in asked["bars"]] == ["BTC/USDT"]


def test_a_bar_that_comes_again_is_passed_on_and_its_decision_stands(tmp_path: Path) -> None:
    still_open = {**BTC, "hours": 1, "is_revision": True}
    revised = {**BTC, "close": "11.5", "is_revision": True}
    with ScriptedService(tmp_path / "s") as service:
        said = live(tmp_path, service, ETH, {**BTC, "is_revision": True}, revised, BTC, still_open)
        closes = sorted([bar["close"] for bar in one["bars"]] for one in service.asked("bars"))
    assert len(said["decisions"]) == 1
    assert closes == [[11.0], [11.0, 11.0], [11.5]]


def test_nobody_there(tmp_path: Path) -> None:
    said = live(tmp_path, ScriptedService(tmp_path / "nobody"), ETH, BTC)
    (decision,) = said["decisions"]
    assert (decision["reason"], decision["mode"]) == ("no_service", "off")


def test_an_answer_comes_although_the_executor_has_no_thread_left(tmp_path: Path) -> None:
    with ScriptedService(tmp_path / "s") as service:
        said = live(tmp_path, service, ETH, BTC, deadline_s=0.25, n_busy=200)
    (decision,) = said["decisions"]
    assert (decision["reason"], decision["follows"]) == ("timeout", False)
