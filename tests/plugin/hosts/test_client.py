"""A bot gets the decision, knows whether to follow it, and is spared what would cost it time."""

import asyncio
import os
import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin.hosts.client import AsyncClient, Client, Decision, Held, Welcome
from tests.support.scripted_service import (
    HOUR_MS,
    Request,
    ScriptedService,
    answer_to,
    changed,
    line_of,
    rightly,
    silent,
)

T_MS = 1_735_689_600_000
BAR: Any = ("BTC/USDT", "1h", T_MS, 50.0, 52.0, 49.0, 51.0, 7.5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plugin.sock"


def test_a_closed_bar_is_answered_with_the_decision_on_it(path: Path) -> None:
    with ScriptedService(path) as service:
        before_ms = time.time() * 1000
        companion = ("ETH/USDT", 3.0, 4.0, 2.0, 3.5, 1.0, "sell")
        decision = Client(path, 30).bar_closed(*BAR, host_signal="buy", companions=[companion])

    assert (decision.symbol, decision.open_time_ms) == ("BTC/USDT", T_MS)
    assert (decision.mode, decision.action, decision.reason) == ("live", "long", "ok")
    assert decision.probabilities == {"5": 0.61, "12": 0.58}
    request = service.requests[0]
    assert request["bars"] == [
        {
            "symbol": "BTC/USDT",
            "timeframe": "1h",
            "open_time_ms": T_MS,
            "open": 50.0,
            "high": 52.0,
            "low": 49.0,
            "close": 51.0,
            "volume": 7.5,
            "host_signal": "buy",
        },
        {
            "symbol": "ETH/USDT",
            "timeframe": "1h",
            "open_time_ms": T_MS,
            "open": 3.0,
            "high": 4.0,
            "low": 2.0,
            "close": 3.5,
            "volume": 1.0,
            "host_signal": "sell",
        },
    ]
    assert before_ms < request["expires_ms"] <= time.time() * 1000 + 30_000


@pytest.mark.parametrize(
    ("changes", "now_ms", "follow"),
    [
        ({}, T_MS + HOUR_MS, True),
        ({"action": "flat"}, T_MS + HOUR_MS, True),
        ({}, T_MS + 2 * HOUR_MS - 1, True),
        ({}, T_MS + 2 * HOUR_MS, False),
        ({"mode": "shadow"}, T_MS + HOUR_MS, False),
        ({"mode": "off"}, T_MS + HOUR_MS, False),
        ({"action": "abstain"}, T_MS + HOUR_MS, False),
    ],
)
def test_only_a_live_decision_in_time_is_followed(
    path: Path, changes: dict[str, str], now_ms: int, follow: bool
) -> None:
    with ScriptedService(path, changed(**changes)):
        decision = Client(path, 30).bar_closed(*BAR)

    assert decision.follow_at(now_ms) is follow


def test_by_the_clock_a_decision_is_followed_until_it_expires(path: Path) -> None:
    now_ms = time.time_ns() // 1_000_000
    with ScriptedService(path):
        client = Client(path, 30)
        fresh = client.bar_closed("BTC/USDT", "1h", now_ms - HOUR_MS, *BAR[3:])
        expired = client.bar_closed("BTC/USDT", "1h", now_ms - 2 * HOUR_MS, *BAR[3:])

    assert fresh.follow
    assert not expired.follow


def test_what_gets_no_answer_is_not_followed_at_any_time(path: Path) -> None:
    decision = Client(path, 30).bar_closed(*BAR)

    assert decision == Decision(
        symbol="BTC/USDT",
        timeframe="1h",
        open_time_ms=T_MS,
        valid_until_ms=0,
        mode="off",
        action="abstain",
        probabilities={},
        size_multiplier=0.0,
        stop_atr=0.0,
        regime="unknown",
        bundle_id=None,
        feature_hash=None,
        reason="no_service",
        latency_us=0.0,
    )
    assert not decision.follow_at(0)


def test_a_bar_of_the_services_own_feed_is_asked_for(path: Path) -> None:
    with ScriptedService(path) as service:
        decision = Client(path, 30).decision("BTC/USDT", "1h", T_MS, wait_s=20)

    assert decision.action == "long"
    request = service.requests[0]
    assert (request["type"], request["open_time_ms"]) == ("ask", T_MS)
    assert request["expires_ms"] > time.time() * 1000 + 10_000


def test_symbols_that_are_not_served_are_told_apart_from_faults(path: Path) -> None:
    def nothing(connection: Any, request: Request) -> None:
        connection.sendall(line_of({"type": "decisions", "id": request["id"], "decisions": []}))

    with ScriptedService(path, nothing):
        assert Client(path, 30).bar_closed(*BAR).reason == "symbol_not_served"


def test_a_refused_request_names_the_services_word_for_it(path: Path) -> None:
    def refuse(connection: Any, request: Request) -> None:
        refusal = {"type": "refused", "id": 0, "reason": "too_long", "message": "..."}
        connection.sendall(line_of(refusal))

    with ScriptedService(path, refuse):
        client = Client(path, 30)
        assert client.bar_closed(*BAR).reason == "refused:too_long"
        assert client.welcome() is None
        assert client.trouble == "refused:too_long"


def test_the_connection_is_kept_between_calls(path: Path) -> None:
    with ScriptedService(path) as service:
        client = Client(path, 30)
        for _ in range(10):
            assert client.bar_closed(*BAR).reason == "ok"
        assert client.status() == {"mode": "shadow"}

        assert service.n_connections == 1
    assert [request["id"] for request in service.requests] == list(range(1, 12))


def test_after_a_restart_the_same_call_is_answered_on_a_new_connection(path: Path) -> None:
    client = Client(path, 30)
    with ScriptedService(path):
        assert client.bar_closed(*BAR).reason == "ok"
    with ScriptedService(path) as restarted:
        assert client.bar_closed(*BAR).reason == "ok"
        assert restarted.n_connections == 1


def test_a_service_that_ends_on_a_kept_connection_is_asked_once_more(path: Path) -> None:
    """It took the request with it: nobody knows, at the time of sending, that it is ending."""

    def end_once(connection: Any, request: Request) -> None:
        service.reply = rightly
        service.drop_connections()

    with ScriptedService(path) as service:
        client = Client(path, 30)
        client.bar_closed(*BAR)
        service.reply = end_once
        assert client.bar_closed(*BAR).reason == "ok"
        assert [len(request["bars"]) for request in service.requests] == [1, 1, 1]


def test_a_late_answer_is_never_taken_for_the_one_to_a_later_question(path: Path) -> None:
    def late(connection: Any, request: Request) -> None:
        time.sleep(0.2)
        service.reply = rightly
        rightly(connection, request)

    with ScriptedService(path, late) as service:
        client = Client(path, deadline_s=0.05)
        assert client.bar_closed(*BAR).reason == "timeout"
        time.sleep(0.3)
        later = client.bar_closed("BTC/USDT", "1h", T_MS + HOUR_MS, *BAR[3:], wait_s=10)
        assert later.open_time_ms == T_MS + HOUR_MS


def test_fifty_symbols_do_not_wait_fifty_deadlines(path: Path) -> None:
    """The bound allows 12 of them, on a machine that is busy: 50 would take ten seconds."""
    with ScriptedService(path, silent):
        client = Client(path, deadline_s=0.2)
        started = time.monotonic()
        reasons = [client.bar_closed(f"C{n}/USDT", *BAR[1:]).reason for n in range(50)]

        assert reasons == ["timeout"] * 3 + ["no_service"] * 47
        assert time.monotonic() - started < 2.4


def test_a_service_that_uses_up_most_of_every_deadline_is_spared_too(path: Path) -> None:
    def slow(connection: Any, request: Request) -> None:
        time.sleep(0.6)
        rightly(connection, request)

    with ScriptedService(path, slow):
        client = Client(path, deadline_s=1.0)
        reasons = [client.bar_closed(*BAR).reason for _ in range(5)]

    assert reasons == ["ok", "ok", "ok", "no_service", "no_service"]


def test_waiting_for_a_feed_is_no_sign_of_trouble(path: Path) -> None:
    def slow(connection: Any, request: Request) -> None:
        time.sleep(0.3)
        rightly(connection, request)

    with ScriptedService(path, slow):
        client = Client(path)
        reasons = [client.decision(*BAR[:3], wait_s=0.5).reason for _ in range(5)]

    assert reasons == ["ok"] * 5


def test_after_a_rest_one_call_tries_and_the_service_is_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin.hosts.client._REST_S", 0.3)
    with ScriptedService(path, silent) as service:
        client = Client(path, deadline_s=0.05)
        for _ in range(4):
            client.bar_closed(*BAR)
        n_asked = len(service.requests)
        assert client.bar_closed(*BAR).reason == "no_service"
        time.sleep(0.4)
        assert client.bar_closed(*BAR).reason == "timeout"
        assert client.bar_closed(*BAR).reason == "no_service"
        assert len(service.requests) == n_asked + 1
        time.sleep(0.4)
        service.reply = rightly
        assert [client.bar_closed(*BAR, wait_s=10).reason for _ in range(3)] == ["ok"] * 3


def test_while_one_call_tries_the_others_are_still_spared(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin.hosts.client._REST_S", 0.1)
    with ScriptedService(path, silent) as service:
        client = Client(path, deadline_s=0.05)
        for _ in range(3):
            client.bar_closed(*BAR)
        time.sleep(0.2)
        monkeypatch.setattr("plugin.hosts.client._REST_S", 60.0)
        trying = threading.Thread(target=client.bar_closed, args=BAR, kwargs={"wait_s": 1.0})
        trying.start()
        while len(service.requests) < 4:
            time.sleep(0.001)
        assert client.bar_closed(*BAR).reason == "no_service"
        trying.join()
        assert len(service.requests) == 4


def test_threads_share_a_client(path: Path) -> None:
    reasons: list[str] = []
    with ScriptedService(path):
        client = Client(path, deadline_s=30)

        def ask(symbol: str) -> None:
            for n in range(50):
                bar = (symbol, "1h", T_MS + n * HOUR_MS, *BAR[3:])
                reasons.append(client.bar_closed(*bar).reason)

        threads = [threading.Thread(target=ask, args=(f"C{n}/USDT",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert reasons == ["ok"] * 400


def test_a_forked_child_does_not_talk_on_the_parents_connection(path: Path) -> None:
    with ScriptedService(path) as service:
        client = Client(path, deadline_s=30)
        client.bar_closed(*BAR)
        child = os.fork()
        if child == 0:
            os._exit(0 if client.bar_closed(*BAR).reason == "ok" else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert client.bar_closed(*BAR).reason == "ok"
        assert service.n_connections == 2


@pytest.mark.parametrize(
    "open_time",
    [
        T_MS,
        float(T_MS),
        np.int64(T_MS),
        np.float64(T_MS),
        datetime.fromtimestamp(T_MS / 1000, tz=UTC),
    ],
)
def test_times_and_prices_may_be_of_other_libraries(path: Path, open_time: Any) -> None:
    values = (np.float32(50), Decimal(52), 49, np.float64(51), 7.5)
    with ScriptedService(path) as service:
        assert Client(path, 30).bar_closed("BTC/USDT", "1h", open_time, *values).reason == "ok"

    bar = service.requests[0]["bars"][0]
    assert (bar["open_time_ms"], bar["open"], bar["high"]) == (T_MS, 50.0, 52.0)


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (0, None, "wrong_argument"),
        (1, "hour", "wrong_argument"),
        (1, None, "wrong_argument"),
        (2, datetime(2025, 1, 1), "wrong_argument"),  # noqa: DTZ001 - that is the fault
        (2, "2025-01-01", "wrong_argument"),
        (2, None, "wrong_argument"),
        (2, float("nan"), "wrong_argument"),
        (2, True, "wrong_argument"),
        (3, float("nan"), "not_finite"),
        (4, float("inf"), "not_finite"),
        (5, None, "not_finite"),
        (6, np.float32("nan"), "not_finite"),
        (7, object(), "wrong_argument"),
        (7, "much", "wrong_argument"),
        (7, np.zeros(3), "wrong_argument"),
    ],
)
def test_wrong_arguments_are_answered_too(path: Path, place: int, value: Any, reason: str) -> None:
    bar = [*BAR]
    bar[place] = value
    with ScriptedService(path) as service:
        decision = Client(path, 30).bar_closed(*bar)

        assert (decision.reason, decision.follow_at(0)) == (reason, False)
        assert service.requests == []


@pytest.mark.parametrize("wait_s", [0, -1, float("nan"), "soon", object()])
def test_a_wait_that_is_none_is_answered_at_once(path: Path, wait_s: Any) -> None:
    with ScriptedService(path, silent):
        assert Client(path, 30).bar_closed(*BAR, wait_s=wait_s).reason == "wrong_argument"
        assert Client(path, 30).welcome(wait_s) is None


@pytest.mark.parametrize("deadline_s", [0, -1.0, float("nan")])
def test_a_client_without_a_deadline_is_refused_when_it_is_made(path: Path, deadline_s: float) -> None:
    with pytest.raises(ValueError, match="deadline"):
        Client(path, deadline_s=deadline_s)


def test_the_welcome_says_what_is_followed_and_held(path: Path) -> None:
    def hold(connection: Any, request: Request) -> None:
        held = {"newest_open_ms": T_MS, "n_bars": 40, "n_absent": 2}
        connection.sendall(line_of(answer_to(request) | {"held": {"BTC/USDT": held}}))

    with ScriptedService(path, hold):
        assert Client(path, 30).welcome() == Welcome(
            takes_bars=True,
            timeframe="1h",
            served=("BTC/USDT",),
            followed=("ETH/USDT",),
            lookback=512,
            held={"BTC/USDT": Held(T_MS, 40, 2)},
        )


# History.


def rows(first: int, n: int) -> list[list[float]]:
    """Hourly bars from the hour `first` on."""
    return [[T_MS + hour * HOUR_MS, 50.0, 52.0, 49.0, 51.0, 7.5] for hour in range(first, first + n)]


def holding(newest_hour: int | None, n_bars: int, n_absent: int = 0, takes_bars: bool = True) -> Any:
    newest_ms = None if newest_hour is None else T_MS + newest_hour * HOUR_MS
    held = {"newest_open_ms": newest_ms, "n_bars": n_bars, "n_absent": n_absent}

    def reply(connection: Any, request: Request) -> None:
        answer = answer_to(request)
        if request["type"] == "hello":
            answer |= {"held": {"BTC/USDT": held}, "takes_bars": takes_bars}
        connection.sendall(line_of(answer))

    return reply


@pytest.mark.parametrize(
    ("reply", "told_hours"),
    [
        (holding(None, 0), [*range(600 - 512, 600)]),
        (holding(595, 512), [596, 597, 598, 599]),
        (holding(595, 500), [*range(88, 96), 596, 597, 598, 599]),
        (holding(595, 512, n_absent=1), [*range(88, 600)]),
        (holding(599, 512), []),
        (holding(None, 0, takes_bars=False), []),
    ],
)
def test_only_the_history_that_the_service_lacks_is_told(
    path: Path, reply: Any, told_hours: list[int]
) -> None:
    with ScriptedService(path, reply) as service:
        assert Client(path, deadline_s=30).sync_history("BTC/USDT", "1h", rows(0, 600))

    told = [row[0] for request in service.asked("history") for row in request["bars"]]
    assert [(open_ms - T_MS) // HOUR_MS for open_ms in told] == told_hours


def test_a_long_history_goes_in_pages_in_the_order_of_time(path: Path) -> None:
    with ScriptedService(path) as service:
        held = Client(path, deadline_s=30).history("BTC/USDT", "1h", reversed(rows(0, 2500)))

    assert held == Held(None, 0, 0)
    assert [len(request["bars"]) for request in service.requests] == [1000, 1000, 500]
    told = [row[0] for request in service.requests for row in request["bars"]]
    assert told == sorted(told)


def test_rows_with_holes_are_left_out_of_a_history(path: Path) -> None:
    given = rows(0, 3)
    given[1][4] = float("nan")
    with ScriptedService(path) as service:
        Client(path, 30).history("BTC/USDT", "1h", np.array(given))

    assert service.requests[0]["bars"] == [given[0], given[2]]


def test_history_is_wanted_at_first_and_after_every_restart(path: Path) -> None:
    client = Client(path, deadline_s=30)
    assert client.history_wanted("BTC/USDT")
    with ScriptedService(path):
        assert client.sync_history("BTC/USDT", "1h", rows(0, 600))
        assert not client.history_wanted("BTC/USDT")
        assert client.history_wanted("ETH/USDT")
        client.bar_closed(*BAR)
        assert not client.history_wanted("BTC/USDT")
    assert client.history_wanted("BTC/USDT")
    assert not client.sync_history("BTC/USDT", "1h", rows(0, 600))
    with ScriptedService(path):
        client.bar_closed(*BAR)
        assert client.history_wanted("BTC/USDT")


def test_a_history_that_two_services_heard_a_part_of_each_is_not_complete(path: Path) -> None:
    def end_once(connection: Any, request: Request) -> None:
        if request["type"] == "history":
            service.reply = rightly
            service.drop_connections()
        else:
            rightly(connection, request)

    with ScriptedService(path, end_once) as service:
        client = Client(path, deadline_s=30)
        assert not client.sync_history("BTC/USDT", "1h", rows(0, 600))
        assert client.history_wanted("BTC/USDT")
        assert client.sync_history("BTC/USDT", "1h", rows(0, 600))


@pytest.mark.parametrize("given", [None, [None], [()], [("x", 1, 1, 1, 1, 1)], 7])
def test_a_history_that_is_none_is_not_told_and_nothing_raises(path: Path, given: Any) -> None:
    with ScriptedService(path):
        client = Client(path, 30)
        assert client.history("BTC/USDT", "1h", given) is None
        assert client.sync_history("BTC/USDT", "1h", given) is False
        assert client.history(object(), "1h", rows(0, 1)) is None  # type: ignore[arg-type]


# asyncio.


def test_in_asyncio_calls_run_side_by_side(path: Path) -> None:
    """The bound is 16 of the 20 waits: one after the other they would take 4 s."""

    def slow(connection: Any, request: Request) -> None:
        time.sleep(0.2)
        rightly(connection, request)

    async def ask_all() -> list[Decision]:
        client = AsyncClient(path, deadline_s=30)
        symbols = [f"C{n}/USDT" for n in range(20)]
        return await asyncio.gather(*(client.bar_closed(symbol, *BAR[1:]) for symbol in symbols))

    with ScriptedService(path, slow):
        started = time.monotonic()
        decisions = asyncio.run(ask_all())
        assert time.monotonic() - started < 3.2

    assert [decision.symbol for decision in decisions] == [f"C{n}/USDT" for n in range(20)]
    assert {decision.reason for decision in decisions} == {"ok"}


def test_in_asyncio_every_call_is_there(path: Path) -> None:
    async def ask() -> None:
        client = AsyncClient(path, deadline_s=30)
        assert client.history_wanted("BTC/USDT")
        assert await client.sync_history("BTC/USDT", "1h", rows(0, 600))
        assert not client.history_wanted("BTC/USDT")
        assert (await client.decision(*BAR[:3])).reason == "ok"
        assert await client.history("BTC/USDT", "1h", rows(0, 2)) == Held(None, 0, 0)
        welcome = await client.welcome()
        assert welcome is not None
        assert welcome.served == ("BTC/USDT",)
        assert await client.status() == {"mode": "shadow"}
        client.close()

    with ScriptedService(path):
        asyncio.run(ask())


def test_a_cancelled_call_leaves_nothing_behind(path: Path) -> None:
    async def cancel() -> None:
        client = AsyncClient(path, deadline_s=30)
        call = asyncio.create_task(client.bar_closed(*BAR))
        while not service.requests:
            await asyncio.sleep(0.001)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        service.reply = rightly
        assert (await client.bar_closed(*BAR)).reason == "ok"

    with ScriptedService(path, silent) as service:
        asyncio.run(cancel())


def test_one_asyncio_client_serves_one_loop_after_the_other(path: Path) -> None:
    with ScriptedService(path) as service:
        client = AsyncClient(path, deadline_s=30)
        for _ in range(3):
            assert asyncio.run(client.bar_closed(*BAR)).reason == "ok"
        assert service.n_connections == 1
