"""Whatever the service does, a call ends in time, raises nothing, and is not followed.

The times asserted here are generous: tests share their machine. `python -m tests.benchmarks` measures.
"""

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plugin.hosts.client import AsyncClient, Client, Decision
from tests.support.scripted_service import (
    Request,
    ScriptedService,
    answer_to,
    changed,
    decision_of,
    flood,
    hang_up,
    line_of,
    raw,
    rightly,
    service_process,
    silent,
    slow_bytes,
    stopped,
)

DEADLINE_S = 0.25
BUSY_MACHINE_S = 2.0
T_MS = 1_735_689_600_000
BAR: Any = ("BTC/USDT", "1h", T_MS, 50.0, 52.0, 49.0, 51.0, 7.5)
Ask = Callable[[Path], Decision]


def in_a_thread(path: Path) -> Decision:
    return Client(path, DEADLINE_S).bar_closed(*BAR)


def in_asyncio(path: Path) -> Decision:
    return asyncio.run(AsyncClient(path, DEADLINE_S).bar_closed(*BAR))


both_ways = pytest.mark.parametrize("ask", [in_a_thread, in_asyncio])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "plugin.sock"


def reason_in_time(ask: Ask, path: Path) -> str:
    """Why a call was in vain; it must have ended in time."""
    started = time.monotonic()
    decision = ask(path)
    assert time.monotonic() - started < DEADLINE_S + BUSY_MACHINE_S
    assert decision.action == "abstain" or not decision.follow_at(0)
    assert not decision.follow_at(T_MS)
    return decision.reason


def many_lines(connection: socket.socket, request: Request) -> None:
    connection.sendall(line_of(answer_to(request)) * 2)


def other_id(connection: socket.socket, request: Request) -> None:
    connection.sendall(line_of(answer_to(request) | {"id": request["id"] + 1}))


def other_kind(connection: socket.socket, request: Request) -> None:
    connection.sendall(line_of(answer_to(request) | {"type": "held"}))


def half_and_end(connection: socket.socket, request: Request) -> None:
    connection.sendall(line_of(answer_to(request))[:40])
    connection.shutdown(socket.SHUT_RDWR)


def half_and_wait(connection: socket.socket, request: Request) -> None:
    connection.sendall(line_of(answer_to(request))[:40])


def twice_the_same_key(connection: socket.socket, request: Request) -> None:
    line = line_of(answer_to(request))
    connection.sendall(line.replace(b'"mode": "live"', b'"mode": "shadow", "mode": "live"'))


@both_ways
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (silent, "timeout"),
        (slow_bytes, "timeout"),
        (half_and_wait, "timeout"),
        (hang_up, "no_service"),
        (half_and_end, "no_service"),
        (flood, "broken_answer"),
        (many_lines, "broken_answer"),
        (other_id, "broken_answer"),
        (other_kind, "broken_answer"),
        (twice_the_same_key, "broken_answer"),
        (raw(b"\n"), "broken_answer"),
        (raw(b"null\n"), "broken_answer"),
        (raw(b"\xff\xfe\n"), "broken_answer"),
        (raw(b"[" * 60_000 + b"\n"), "broken_answer"),
        (raw(b'{"id": ' + b"9" * 5_000 + b"}\n"), "broken_answer"),
        (raw(b'{"type": "refused", "id": 0, "reason": 7}\n'), "broken_answer"),
        (raw(b'{"type": "refused", "id": 0, "reason": "A b"}\n'), "refused:unknown"),
        (raw(b"x" * 70_000 + b"\n"), "broken_answer"),
    ],
)
def test_a_service_that_answers_wrongly_is_no_danger(
    path: Path, ask: Ask, reply: Any, reason: str
) -> None:
    with ScriptedService(path, reply):
        assert reason_in_time(ask, path) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": "ETH/USDT"},
        {"symbol": None},
        {"timeframe": "4h"},
        {"open_time_ms": T_MS - 3_600_000},
        {"open_time_ms": float(T_MS)},
        {"open_time_ms": str(T_MS)},
        {"valid_until_ms": T_MS},
        {"valid_until_ms": T_MS + 3 * 3_600_000},
        {"valid_until_ms": True},
        {"mode": "LIVE"},
        {"mode": ["live"]},
        {"action": "buy"},
        {"action": None},
        {"probabilities": None},
        {"probabilities": {"5": None}},
        {"probabilities": {"5": 1.2}},
        {"probabilities": {"5": "0.6"}},
        {"probabilities": {"5": float("nan")}},
        {"size_multiplier": float("inf")},
        {"size_multiplier": -0.5},
        {"size_multiplier": 40},
        {"size_multiplier": True},
        {"size_multiplier": 0},
        {"stop_atr": 0.0},
        {"stop_atr": -1},
        {"stop_atr": 1e9},
        {"regime": "wild"},
        {"bundle_id": 7},
        {"feature_hash": {}},
        {"reason": None},
        {"latency_us": "fast"},
    ],
)
def test_a_decision_that_can_not_be_right_is_not_taken(path: Path, changes: dict[str, object]) -> None:
    with ScriptedService(path, changed(**changes)) as service:
        client = Client(path, 30)
        assert client.bar_closed(*BAR).reason == "broken_answer"
        service.reply = rightly
        assert client.bar_closed(*BAR).reason == "ok"
        assert service.n_connections == 2, "a service that talks nonsense is not listened to any more"


@pytest.mark.parametrize(
    "field", decision_of({"type": "ask", "symbol": "", "timeframe": "", "open_time_ms": 0})
)
def test_a_decision_that_lacks_a_field_is_not_taken(path: Path, field: str) -> None:
    def lacking(connection: socket.socket, request: Request) -> None:
        answer = answer_to(request)
        del answer["decisions"][0][field]
        connection.sendall(line_of(answer))

    with ScriptedService(path, lacking):
        assert Client(path, 30).bar_closed(*BAR).reason == "broken_answer"


@pytest.mark.parametrize("reply", [silent, flood, hang_up, raw(b"null\n"), half_and_end])
def test_every_other_call_ends_in_time_too(path: Path, reply: Any) -> None:
    with ScriptedService(path, reply):
        for call in (
            lambda client: client.welcome(),
            lambda client: client.status(),
            lambda client: client.history("BTC/USDT", "1h", [[T_MS, 1, 1, 1, 1, 1]] * 900),
            lambda client: client.sync_history("BTC/USDT", "1h", [[T_MS, 1, 1, 1, 1, 1]]),
        ):
            started = time.monotonic()
            assert not call(Client(path, DEADLINE_S))
            assert time.monotonic() - started < DEADLINE_S + BUSY_MACHINE_S


@pytest.mark.parametrize(
    "change",
    [
        {"takes_bars": 1},
        {"served": "BTC/USDT"},
        {"followed": [7]},
        {"lookback": -1},
        {"lookback": 2.5},
        {"held": {"BTC/USDT": {"newest_open_ms": 1.5, "n_bars": 1, "n_absent": 0}}},
        {"held": {"BTC/USDT": {"newest_open_ms": None, "n_bars": None, "n_absent": 0}}},
        {"held": [[]]},
    ],
)
def test_a_welcome_that_can_not_be_right_is_none(path: Path, change: dict[str, object]) -> None:
    def wrong(connection: socket.socket, request: Request) -> None:
        connection.sendall(line_of(answer_to(request) | change))

    with ScriptedService(path, wrong):
        assert Client(path, 30).welcome() is None


# Nobody there.


@both_ways
def test_without_a_socket_or_a_listener_there_is_no_wait(path: Path, ask: Ask) -> None:
    assert reason_in_time(ask, path) == "no_service"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    assert reason_in_time(ask, path) == "no_service"


@both_ways
def test_paths_that_can_be_no_socket_are_no_service(tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert reason_in_time(ask, tmp_path / "file") == "no_service"
    assert reason_in_time(ask, tmp_path) == "no_service"
    assert reason_in_time(ask, tmp_path / ("x" * 200)) == "no_service"


@both_ways
def test_a_queue_that_is_full_is_noticed_at_once(path: Path, ask: Ask) -> None:
    waiting = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        for _ in range(2):
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            waiting[-1].connect_ex(str(path))
        assert reason_in_time(ask, path) == "no_service"
    for connection in waiting:
        connection.close()


def test_out_of_descriptors_is_no_service(path: Path) -> None:
    with ScriptedService(path):
        client = Client(path, 30)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
        taken = []
        try:
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            decision = client.bar_closed(*BAR)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for descriptor in taken:
                os.close(descriptor)
        assert decision.reason == "no_service"
        assert client.bar_closed(*BAR).reason == "ok"


# A real process, treated badly.


@both_ways
def test_a_stopped_service_is_left_alone_in_time_and_found_again(path: Path, ask: Ask) -> None:
    with service_process(path) as process:
        with stopped(process):
            assert reason_in_time(ask, path) == "timeout"
        assert Client(path, 30).bar_closed(*BAR).reason == "ok"


def test_a_service_stopped_on_a_kept_connection_costs_one_deadline(path: Path) -> None:
    with service_process(path) as process:
        client = Client(path, DEADLINE_S)
        assert client.bar_closed(*BAR, wait_s=30).reason == "ok"
        with stopped(process):
            assert reason_in_time(lambda _: client.bar_closed(*BAR), path) == "timeout"
        assert client.bar_closed(*BAR, wait_s=30).reason == "ok"


TOO_MUCH_FOR_THE_KERNEL = "B" * 1_000_000
"""As a symbol: the rest of a line must wait until the other side has read its beginning."""


@both_ways
def test_a_request_that_a_stopped_service_does_not_take_in_ends_in_time(path: Path, ask: Ask) -> None:
    with service_process(path) as process, stopped(process):
        bar = (TOO_MUCH_FOR_THE_KERNEL, *BAR[1:])
        started = time.monotonic()
        if ask is in_a_thread:
            decision = Client(path, DEADLINE_S).bar_closed(*bar)
        else:
            decision = asyncio.run(AsyncClient(path, DEADLINE_S).bar_closed(*bar))
        assert time.monotonic() - started < DEADLINE_S + BUSY_MACHINE_S
        assert decision.reason == "timeout"


def test_a_request_that_is_taken_in_slowly_is_sent_whole(path: Path) -> None:
    row = [T_MS, 1, 1, 1, 1, 1]
    with ScriptedService(path) as service:
        assert Client(path, 30).history(TOO_MUCH_FOR_THE_KERNEL, "1h", [row]) is not None
        client = AsyncClient(path, 30)
        assert asyncio.run(client.history(TOO_MUCH_FOR_THE_KERNEL, "1h", [row])) is not None
        assert {request["symbol"] for request in service.requests} == {TOO_MUCH_FOR_THE_KERNEL}


def test_an_answer_that_takes_longer_to_read_than_there_is_time_is_not_read(path: Path) -> None:
    def late_and_long(connection: socket.socket, request: Request) -> None:
        time.sleep(0.99)
        answer = answer_to(request) | {"status": {"": [{}] * 60_000}}
        with suppress(OSError):
            connection.sendall(line_of(answer))

    with ScriptedService(path, late_and_long):
        client = Client(path, 30)
        assert client.status(wait_s=1.0) is None
        assert client.trouble == "timeout"
        assert client.status(wait_s=30) is not None


@both_ways
def test_a_killed_service_is_no_service(path: Path, ask: Ask) -> None:
    with service_process(path) as process:
        process.kill()
        process.wait()
        assert reason_in_time(ask, path) == "no_service"


def test_a_service_killed_under_load_never_raises_into_the_bot(path: Path) -> None:
    """It dies at another moment of a call each time."""
    for round_ in range(5):
        with service_process(path) as process:
            client = Client(path, DEADLINE_S)
            killer = threading.Timer(0.02 + round_ * 0.003, process.kill)
            killer.start()
            reasons = [client.bar_closed(*BAR).reason for _ in range(2_000)]
            killer.join()
        assert reasons[-1] == "no_service"
        assert set(reasons) <= {"ok", "no_service"}
        path.unlink()


def test_a_bot_that_dies_of_sigpipe_by_default_does_not_die_of_us(path: Path) -> None:
    """The service ends while it is being told something long."""
    script = (
        "import signal, sys; from plugin.hosts.client import Client\n"
        "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"
        "client = Client(sys.argv[1], 30)\n"
        "print(client.history('B' * 1_000_000, '1h', [(1, 1, 1, 1, 1, 1)]), client.trouble)\n"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def end_early() -> None:
            connection, _ = listener.accept()
            connection.recv(10)
            connection.close()

        ending = threading.Thread(target=end_early)
        ending.start()
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)], check=False, capture_output=True, text=True
        )
        ending.join()
    assert (done.returncode, done.stdout) == (0, "None no_service\n")


def test_a_status_with_what_is_no_json_is_none(path: Path) -> None:
    def not_a_number(connection: socket.socket, request: Request) -> None:
        connection.sendall(line_of(answer_to(request) | {"status": {"lag_ms": float("nan")}}))

    with ScriptedService(path, not_a_number):
        assert Client(path, 30).status() is None


def test_an_interrupt_goes_through_and_does_not_spoil_the_next_call(path: Path) -> None:
    def interrupt(signum: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with ScriptedService(path, silent) as service:
            client = Client(path, 30)
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(KeyboardInterrupt):
                client.bar_closed(*BAR)
            service.reply = rightly
            assert client.bar_closed(*BAR).reason == "ok"
    finally:
        signal.signal(signal.SIGALRM, before)


# Anything at all.


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedService]:
    with ScriptedService(tmp_path_factory.mktemp("fuzz") / "s") as service:
        yield service


json_values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
relaxed = settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(st.binary(max_size=200))
def test_no_bytes_raise_or_make_a_bot_act(fuzzed: ScriptedService, sent: bytes) -> None:
    fuzzed.reply = raw(sent.replace(b"\n", b"") + b"\n")
    decision = Client(fuzzed.path, 30).bar_closed(*BAR)
    assert (decision.reason, decision.action) == ("broken_answer", "abstain")


@relaxed
@given(json_values, st.sampled_from(["", "decisions", "first"]))
def test_no_json_in_any_place_raises_or_makes_a_bot_act(
    fuzzed: ScriptedService, value: Any, place: str
) -> None:
    def reply(connection: socket.socket, request: Request) -> None:
        answer: Any = answer_to(request)
        if place == "first":
            answer["decisions"] = [value]
        elif place:
            answer[place] = value
        else:
            answer = value
        connection.sendall(json.dumps(answer).encode() + b"\n")

    fuzzed.reply = reply
    decision = Client(fuzzed.path, 30).bar_closed(*BAR)
    assert decision.reason in {"broken_answer", "symbol_not_served"}
    assert decision.action == "abstain"


@relaxed
@given(
    st.sampled_from(
        sorted(decision_of(dict.fromkeys(("type", "symbol", "timeframe")) | {"open_time_ms": 0}))
    ),
    json_values,
)
def test_no_value_of_any_field_raises_or_leads_beyond_the_tables(
    fuzzed: ScriptedService, field: str, value: Any
) -> None:
    fuzzed.reply = changed(**{field: value})
    decision = Client(fuzzed.path, 30).bar_closed(*BAR)
    assert decision.mode in {"off", "shadow", "live"}
    assert decision.action in {"long", "short", "flat", "abstain"}
    assert 0 <= decision.size_multiplier <= 1
    assert 0 <= decision.stop_atr <= 100
    assert decision.valid_until_ms <= T_MS + 7_200_000
    assert all(0 <= p <= 1 for p in decision.probabilities.values())


@relaxed
@given(st.lists(json_values | st.builds(object), min_size=7, max_size=7))
def test_no_argument_raises(fuzzed: ScriptedService, arguments: list[Any]) -> None:
    fuzzed.reply = rightly
    client = Client(fuzzed.path, 30)
    symbol, timeframe, moment, value, signal_, companions, wait_s = arguments
    for call in (
        lambda: client.bar_closed(symbol, timeframe, moment, value, value, value, value, value),
        lambda: client.bar_closed(*BAR, host_signal=signal_, companions=companions),
        lambda: client.bar_closed(*BAR, wait_s=wait_s if wait_s is None else 0),
        lambda: client.decision(symbol, timeframe, moment),
        lambda: client.history(symbol, timeframe, companions),
        lambda: client.sync_history(symbol, timeframe, companions),
    ):
        call()
