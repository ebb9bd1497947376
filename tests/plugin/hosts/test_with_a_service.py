"""The client and the service as they are: nothing between them is played."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugin.command_line import run_command
from plugin.commands import status
from plugin.hosts.client import AsyncClient, Client, Decision
from tests.support.live import FOLLOWED, SERVED
from tests.support.live_service import SYMBOLS, LiveService, wait_until
from tests.support.scripted_service import stopped
from tests.support.small_training import SmallTraining

LONG_S = 60.0
SYMBOL = SERVED[0]


@pytest.fixture
def service(small_training: SmallTraining, models: Path, tmp_path: Path) -> Iterator[LiveService]:
    one = LiveService(small_training, models, tmp_path)
    one.start()
    yield one
    one.clean_up()


def tell_history(client: Client, service: LiveService, n_bars: int = 600) -> None:
    for symbol in SYMBOLS:
        assert client.sync_history(symbol, "1h", service.rows(symbol, n_bars)[:-1], LONG_S)


def newest(client: Client, service: LiveService, wait_s: float = LONG_S) -> Decision:
    """What is decided on the bar that closed last."""
    rows = {symbol: service.rows(symbol, 1)[0] for symbol in SYMBOLS}
    beside = [(symbol, *row[1:]) for symbol, row in rows.items() if symbol != SYMBOL]
    open_time_ms, *values = rows[SYMBOL]
    return client.bar_closed(
        SYMBOL, "1h", int(open_time_ms), *values, "buy", companions=beside, wait_s=wait_s
    )


def test_a_bot_tells_its_bars_and_gets_decisions_in_shadow(service: LiveService) -> None:
    client = Client(service.address)
    welcome = client.welcome(LONG_S)
    assert welcome is not None
    assert (welcome.takes_bars, welcome.served, welcome.followed) == (True, SERVED, FOLLOWED)
    the_services_own_words_come_through(service)

    tell_history(client, service)
    decision = newest(client, service)

    assert (decision.mode, decision.follow) == ("shadow", False)
    assert set(decision.probabilities) == {"5", "12", "24"}
    assert newest(client, service) == decision
    place = SYMBOL, "1h", decision.open_time_ms, LONG_S
    assert client.decision(*place) == decision
    assert asyncio.run(AsyncClient(service.address).decision(*place)) == decision
    wait_until(lambda: len(service.bar_records()) == len(SERVED))  # written after the answer
    records = {record.symbol: record for record in service.bar_records()}
    assert records[SYMBOL].host_signal == "buy"
    told = client.status(LONG_S)
    assert told is not None
    assert told["pid"] == service.pid
    wait_until(lambda: (client.status(LONG_S) or {})["audit"]["equal"] == 1)  # what it said, once more
    held = client.welcome(LONG_S)
    assert held is not None
    assert held.held[SYMBOL].newest_open_ms == decision.open_time_ms


def test_a_person_is_shown_how_it_is(
    service: LiveService, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client = Client(service.address)
    tell_history(client, service)
    newest(client, service)
    wait_until(lambda: (client.status(LONG_S) or {})["audit"]["equal"] == 1)
    monkeypatch.setenv("ML_SOCKET", str(service.address))
    monkeypatch.setenv("COLUMNS", "200")
    env = ("--env", str(service.folder / "none"))

    assert run_command("python -m plugin", "", (status,), ["status", *env]) == 0

    shown = capsys.readouterr().out
    for text in ("shadow (stacking_off)", SYMBOL, "one bar in 24: 1 equal, 0 different", "ML_ENABLED"):
        assert text in shown


def the_services_own_words_come_through(service: LiveService) -> None:
    client = Client(service.address, LONG_S)
    row = service.rows(SYMBOL, 2)[0]
    open_time_ms, values = int(row[0]), row[1:]

    assert client.bar_closed(SYMBOL, "15m", open_time_ms, *values).reason == "other_timeframe"
    assert client.bar_closed(SYMBOL, "1h", open_time_ms // 1000, *values).reason == "timestamp_unit"
    assert client.bar_closed("NO/USDT", "1h", open_time_ms, *values).reason == "symbol_not_served"
    assert client.bar_closed("X" * 65, "1h", open_time_ms, *values).reason.startswith("refused:")
    assert client.history("NO/USDT", "1h", [row]) is None
    assert client.trouble == "refused:symbol_not_followed"
    assert client.welcome() is not None


def test_a_service_that_is_stopped_and_killed_is_found_again_and_told_everything_anew(
    service: LiveService,
) -> None:
    client = Client(service.address)
    tell_history(client, service)
    before = newest(client, service)
    assert service.child is not None
    with stopped(service.child):
        assert reason_in_time(client, service) == "timeout"
    assert newest(client, service) == before
    tell_history(client, service)
    assert not client.history_wanted(SYMBOL)

    service.child.kill()
    service.child.wait()
    assert reason_in_time(client, service) == "no_service"
    assert client.history_wanted(SYMBOL)

    service.start()
    tell_history(client, service)
    assert newest(client, service).probabilities == before.probabilities


def reason_in_time(client: Client, service: LiveService) -> str:
    """The bound is generous: tests share their machine."""
    started = time.monotonic()
    decision = newest(client, service, wait_s=0.25)
    assert time.monotonic() - started < 2.25
    return decision.reason
