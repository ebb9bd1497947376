"""The example strategy of docs/hosts/nautilus.md in the real engine, in backtests."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from msgspec.structs import asdict

from plugin.candles import SIMULATED_VENUE
from shadow.record import BarRecord
from tests.support.live import read_records, without_timings
from tests.support.nautilus_bot import Backtest, push_service, run_backtests
from tests.support.replays import replay
from tests.support.scripted_service import HOUR_MS, ScriptedService, changed, rightly, silent
from tests.support.small_training import SmallTraining

pytestmark = pytest.mark.slow
ASSETS = ("BTC", "ETH", "XRP", "LTC")
N_BARS = 600
WARMING_UP = 511
"""So many bars are answered before a window is full."""
REAL_SINCE_MS = 1_731_200_400_000  # 2024-11-10, and the lively month after it
COMPANIONS_NS = 5_000_000_000


def cut(source: Path, folder: Path, since_ms: int) -> Path:
    """A store that holds nothing but N_BARS bars of each asset, for the engine and for a replay."""
    folder.mkdir(parents=True)
    for asset in ASSETS:
        table = pq.read_table(source / f"{asset}-USDT.parquet")
        within = (since_ms, since_ms + N_BARS * HOUR_MS)
        kept = pc.and_(pc.greater_equal(table["ts"], within[0]), pc.less(table["ts"], within[1]))
        pq.write_table(table.filter(kept), folder / f"{asset}-USDT.parquet")
    return folder


@pytest.fixture(scope="module")
def store(small_training: SmallTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The newest of the simulated bars."""
    source = small_training.store / SIMULATED_VENUE / "1h"
    newest_ms = pq.read_table(source / "BTC-USDT.parquet")["ts"][-1].as_py()
    since_ms = newest_ms - (N_BARS - 1) * HOUR_MS
    return cut(source, tmp_path_factory.mktemp("bars") / "1h", since_ms)


@pytest.fixture(scope="module")
def alone(store: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """The trades of the strategy that knows nothing of shadowgate."""
    folder = tmp_path_factory.mktemp("alone")
    (result,) = run_backtests(folder, Backtest(store, folder / "none", "alone"))
    assert len(result["trades"]) > 20
    return list(result["trades"])


def opened_ms(store: Path) -> list[int]:
    return list(pq.read_table(store / "BTC-USDT.parquet")["ts"].to_pylist())


def saying(**changes: object) -> Callable[..., None]:
    """A service that says this of every bar."""

    def reply(connection: Any, request: dict[str, Any]) -> None:
        (changed(**changes) if request["type"] in ("bars", "ask") else rightly)(connection, request)

    return reply


def reasons(result: dict[str, Any]) -> Counter[str]:
    return Counter(decision["reason"] for decision in result["decisions"])


def bar_records(folder: Path) -> list[dict[str, Any]]:
    """Less what differs between any two runs, and what the bot itself meant to do."""
    records = [one for one in read_records(folder) if isinstance(one, BarRecord)]
    left_out = ("seq", "written_at", "host_signal", "flags")
    fields = [asdict(without_timings(record)) for record in records]
    return [{name: one[name] for name in one if name not in left_out} for one in fields]


def said_in(record: dict[str, Any]) -> dict[str, Any]:
    """What the bot must have seen of a recorded bar."""
    beside = ("symbol", "timeframe", "open_time_ms", "mode", "probabilities", "feature_hash")
    said = {**asdict(record["decision"]), "bundle_id": record["champion"]}
    return {**said, **{name: record[name] for name in beside}}


@pytest.mark.market
def test_on_real_bars_the_bot_sees_what_a_replay_decides_and_trades_as_without(
    market: Path, small_training: SmallTraining, tmp_path: Path
) -> None:
    store = cut(
        market / "binance_spot" / "1h", tmp_path / "candles" / "binance_spot" / "1h", REAL_SINCE_MS
    )
    with push_service(small_training, tmp_path) as (_, socket):
        (result,) = run_backtests(tmp_path, Backtest(store, socket))
    replayed = replay(
        small_training,
        tmp_path / "replayed",
        *("--venue", "binance_spot", "--store", str(tmp_path / "candles"), "--days", "100"),
        flags={"ML_SYMBOLS": "BTC/USDT"},
    )
    assert replayed.returncode == 0, replayed.stderr
    records = bar_records(tmp_path / "replayed")
    assert [record["open_time_ms"] for record in records] == opened_ms(store)
    assert bar_records(tmp_path / "shadow") == records
    told = [said_in(record) for record in records]
    assert [{name: one[name] for name in told[0]} for one in result["decisions"]] == told
    assert reasons(result) == {"warming_up": WARMING_UP, "stacking_off": N_BARS - WARMING_UP}
    assert {one["action"] for one in result["decisions"][WARMING_UP:]} >= {"long", "short"}
    signals = {record.host_signal for record in read_records(tmp_path / "shadow")}
    assert signals == {"long", "flat"}
    (without,) = run_backtests(tmp_path, Backtest(store, socket, "alone"))
    assert result["trades"] == without["trades"]
    assert len(without["trades"]) > 20


def test_the_actor_brings_the_decisions_to_a_strategy(
    small_training: SmallTraining, store: Path, alone: list[list[str]], tmp_path: Path
) -> None:
    with push_service(small_training, tmp_path) as (_, socket):
        (result,) = run_backtests(tmp_path, Backtest(store, socket, "listens"))
    assert result["trades"] == alone
    seen = [said_in(record) for record in bar_records(tmp_path / "shadow")]
    assert [{name: one[name] for name in seen[0]} for one in result["decisions"]] == seen
    assert reasons(result) == {"warming_up": WARMING_UP, "stacking_off": N_BARS - WARMING_UP}


def test_a_missing_companion_is_waited_for_by_the_clock_of_the_engine(
    small_training: SmallTraining, store: Path, tmp_path: Path
) -> None:
    lost_ms = opened_ms(store)[-10]
    with push_service(small_training, tmp_path) as (_, socket):
        (result,) = run_backtests(tmp_path, Backtest(store, socket, absent={"ETH": [lost_ms]}))
    waits = {one["open_time_ms"]: one["answered_ns"] - one["closed_ns"] for one in result["decisions"]}
    assert waits.pop(lost_ms) == COMPANIONS_NS
    assert set(waits.values()) == {0}
    said = {one["open_time_ms"]: one["reason"] for one in result["decisions"]}
    assert said[lost_ms] == "companion_missing:ETH/USDT"
    assert len(said) == N_BARS


def test_two_served_symbols_are_asked_about_in_one_go(
    small_training: SmallTraining, store: Path, tmp_path: Path
) -> None:
    with push_service(small_training, tmp_path, ML_SYMBOLS="BTC/USDT,ETH/USDT") as (_, socket):
        (result,) = run_backtests(
            tmp_path, Backtest(store, socket, assets=("BTC", "ETH"), companions=("XRP", "LTC"))
        )
    symbols = [one["symbol"] for one in result["decisions"]]
    assert symbols == ["BTC/USDT", "ETH/USDT"] * N_BARS
    assert reasons(result) == {"warming_up": 2 * WARMING_UP, "stacking_off": 2 * (N_BARS - WARMING_UP)}
    seen = [said_in(record) for record in bar_records(tmp_path / "shadow")]
    assert [{name: one[name] for name in seen[0]} for one in result["decisions"]] == seen


def test_only_a_decision_that_is_to_be_followed_changes_an_entry(
    store: Path, alone: list[list[str]], tmp_path: Path
) -> None:
    said: list[tuple[dict[str, object], str | None]] = [
        ({"action": "long", "size_multiplier": 0.5}, "0.25000000"),
        ({"action": "short"}, None),
        ({"action": "flat"}, None),
        ({"action": "short", "mode": "shadow"}, "0.50000000"),
        ({"action": "abstain", "size_multiplier": 0.0}, "0.50000000"),
        ({"action": "short", "valid_until_ms": 1}, "0.50000000"),
    ]
    with ExitStack() as stack:
        services = [
            stack.enter_context(ScriptedService(tmp_path / str(number), saying(**changes)))
            for number, (changes, _) in enumerate(said)
        ]
        results = run_backtests(tmp_path, *(Backtest(store, service.path) for service in services))
    for (changes, size), result in zip(said, results, strict=True):
        bought = [[time, side, size, price] for time, side, _, price in alone if size is not None]
        assert result["trades"] == bought, changes
        assert len(result["decisions"]) == N_BARS


def test_a_bar_is_known_by_its_open_time_or_not_asked_about(
    store: Path, alone: list[list[str]], tmp_path: Path
) -> None:
    stamps = [
        ("close", 0, "ok"),
        ("close", -1_000_000, "ok"),  # in the last millisecond of the bar
        ("open", -HOUR_MS * 1_000_000, "ok"),
        ("close", -HOUR_MS * 1_000_000, "late"),
        ("open", 0, "not_closed"),
        ("close", -HOUR_MS * 500_000, "off_grid"),
    ]
    with ExitStack() as stack:
        services = [
            stack.enter_context(ScriptedService(tmp_path / str(number), saying(action="abstain")))
            for number in range(len(stamps))
        ]
        backtests = [
            Backtest(store, service.path, stamped=stamped, stamp_ns=stamp_ns)
            for service, (stamped, stamp_ns, _) in zip(services, stamps, strict=True)
        ]
        results = run_backtests(tmp_path, *backtests)
    for service, stamp, result in zip(services, stamps, results, strict=True):
        asked = [request["bars"][0]["open_time_ms"] for request in service.asked("bars")]
        assert asked == (opened_ms(store) if stamp[2] == "ok" else []), stamp
        assert reasons(result) == {stamp[2]: N_BARS}, stamp
        assert result["trades"] == alone, stamp


def test_a_service_that_is_dead_or_wedged_changes_nothing(
    store: Path, alone: list[list[str]], tmp_path: Path
) -> None:
    with ScriptedService(tmp_path / "s", silent) as service:
        backtests = (
            Backtest(store, tmp_path / "nobody"),
            Backtest(store, service.path, deadline_s=0.05),
        )
        dead, wedged = run_backtests(tmp_path, *backtests)
    assert reasons(dead) == {"no_service": N_BARS}
    assert reasons(wedged).keys() == {"timeout", "no_service"}
    for result in (dead, wedged):
        assert len(result["decisions"]) == N_BARS
        assert result["trades"] == alone


def test_a_service_that_is_killed_on_the_way_changes_nothing(
    small_training: SmallTraining, store: Path, alone: list[list[str]], tmp_path: Path
) -> None:
    with push_service(small_training, tmp_path) as (process, socket):
        backtest = Backtest(store, socket, signal_after=550, signal=(process.pid, signal.SIGKILL))
        (result,) = run_backtests(tmp_path, backtest)
    assert reasons(result) == {"warming_up": WARMING_UP, "stacking_off": 39, "no_service": 50}
    assert result["trades"] == alone


def test_a_service_that_was_started_again_is_told_what_the_bot_has_seen(
    store: Path, tmp_path: Path
) -> None:
    with ScriptedService(tmp_path / "s") as service:

        def restarted_once(connection: Any, request: dict[str, Any]) -> None:
            rightly(connection, request)
            if len(service.asked("bars")) == 550:
                service.drop_connections()

        service.reply = restarted_once
        (result,) = run_backtests(tmp_path, Backtest(store, service.path))
    # Its going away may meet the next question, or that question's second try.
    assert reasons(result)["ok"] >= N_BARS - 1
    assert len(result["decisions"]) == N_BARS
    opened = opened_ms(store)
    histories = {one["symbol"]: one["bars"] for one in service.asked("history")}
    assert histories.keys() == {"BTC/USDT", "ETH/USDT"}  # what this service follows
    for rows in histories.values():
        end = opened.index(rows[-1][0]) + 1
        assert end in (550, 551, 552)
        assert [row[0] for row in rows] == opened[end - len(rows) : end]
        assert len(rows) >= 512
