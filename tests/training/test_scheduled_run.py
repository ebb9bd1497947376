"""A run that fails is an outcome: it is written down, it pauses the next one, and it moves nothing."""

import asyncio
import threading
import time
from ast import literal_eval
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from plugin.clock import utc_text
from plugin.command_line import utc_ms
from plugin.settings import Settings
from tests.support.bundles import read_manifest
from tests.support.exchange import LocalExchange
from tests.support.raw_bars import START_MS, raw_bars
from training.attempts import KILLED, Attempt, Began, Ended, attempts, counted
from training.background import STOPPED, RunLimits
from training.scheduled_run import (
    HOUR_MS,
    RunOptions,
    ScheduledRun,
    UnderWay,
    failures_in_a_row,
    free_from_ms,
)
from training.settings import REFERENCE_ASSETS

NOW_MS = 1_750_000_000_000
# What stands for the program: told what to do by its first argument, as `-m training` is.
SAY_9 = "import sys; print('the exchange is gone'); sys.exit(9)"
TRAIN = """
import sys
from pathlib import Path
from training.attempts import counted
print(sys.argv)
if sys.argv[1] == "run":
    folder, trigger = (sys.argv[sys.argv.index(name) + 1] for name in ("--models-dir", "--trigger"))
    with counted(Path(folder), trigger) as training:
        training.end("unfit", "a-bundle", "not passed: parity")
    sys.exit(1)
"""


class LaterClock:
    """The host's clock, put ahead by as much as a test says."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def scheduled(
    models: Path, program: str, clock: LaterClock, since: str | None = None, wall_s: float = 60.0
) -> ScheduledRun:
    limits = RunLimits(wall_s, 4 * 2**30)
    options = RunOptions("simulated", since, ("--folds", "2"), limits, ("-c", program))
    return ScheduledRun(models, options, clock, threading.Event())


def settings(models: Path) -> Settings:
    return Settings(models_dir=models, candles_dir=models.parent / "candles")


def past(outcome: str, reason: str | None = None, at_ms: int = NOW_MS) -> Attempt:
    began = Began(id="x", trigger="calendar", at=utc_text(at_ms))
    ended = Ended(id="x", outcome=outcome, bundle_id=None, reason=reason, at=utc_text(at_ms))  # type: ignore[arg-type]
    return Attempt(number=1, began=began, ended=ended)


def test_twelve_failures_move_nothing_and_each_pauses_longer(models: Path) -> None:
    champion = (models / "champion").read_bytes()
    n_before, clock = len(attempts(models)), LaterClock()
    run = scheduled(models, SAY_9, clock)
    pauses = []
    for _ in range(12):
        attempt = run.train("calendar", settings(models))
        assert attempt is not None
        assert attempt.ended is not None
        assert attempt.ended.outcome == "failed"
        assert "run: the exchange is gone" in (attempt.ended.reason or "")
        free_ms = free_from_ms(attempts(models))
        assert free_ms is not None
        pauses.append((free_ms - utc_ms(attempt.ended.at)) / HOUR_MS)
        clock.ahead_ms = free_ms - utc_ms(utc_text(LaterClock().now_ms())) - 60_000
        assert run.train("calendar", settings(models)) is None, "a minute too early"
        clock.ahead_ms += 120_000
    assert pauses == [1, 2, 4, 8, 16, *[24] * 7]
    assert len(attempts(models)) == n_before + 12
    assert (models / "champion").read_bytes() == champion
    assert not (models / "schedule.json").exists()


def test_a_pause_from_the_future_holds_nothing_up(tmp_path: Path) -> None:
    """The clock was years ahead when the run failed, and was put right since."""
    clock = LaterClock()
    run = scheduled(tmp_path, SAY_9, clock)
    run.train("calendar", settings(tmp_path))
    assert "1 failures in a row" in str(run.why_not_now())
    clock.ahead_ms = -365 * 24 * HOUR_MS
    assert run.why_not_now() is None


def test_bars_are_fetched_first_and_both_commands_know_the_market(tmp_path: Path) -> None:
    run = scheduled(tmp_path, TRAIN, LaterClock(), since="2020-01-01")
    attempt = run.train("drift", settings(tmp_path))
    assert attempt is not None
    assert attempt.ended is not None
    assert (attempt.began.trigger, attempt.ended.outcome) == ("drift", "unfit")
    [log] = (tmp_path / "logs").iterdir()
    fetch, train = (literal_eval(line) for line in log.read_text().splitlines())
    assert fetch[1:3] == ["fetch", "--symbols"]
    assert fetch[3:7] == ["BTC/USDT", "ETH/USDT", "XRP/USDT", "LTC/USDT"]
    assert fetch[fetch.index("--since") + 1] == "2020-01-01"
    assert train[1] == "run"
    assert "--resume" in train
    assert train[train.index("--venue") + 1] == "simulated"
    assert train[-2:] == ["--folds", "2"]
    until = train[train.index("--until") + 1]
    assert fetch[fetch.index("--until") + 1] == until
    assert utc_ms(until) % HOUR_MS == 0


@pytest.mark.slow
def test_what_the_exchange_has_by_then_is_what_the_candidate_learns_from(tmp_path: Path) -> None:
    """Nothing stands in here but the exchange, which is a server that real ccxt asks."""
    n_bars, clock = 4_000, LaterClock()
    now_ms = START_MS + n_bars * HOUR_MS + 60_000
    clock.ahead_ms = now_ms - clock.now_ms()
    limits, models = RunLimits(300.0, 16 * 2**30), tmp_path / "models"
    options = RunOptions(None, utc_text(START_MS), ("--folds", "2"), limits)
    bars = {symbol: raw_bars(n_bars, seed) for seed, symbol in enumerate(REFERENCE_ASSETS)}
    with LocalExchange(bars, now_ms) as exchange:
        given = replace(settings(models), exchange_url=exchange.url)
        models.mkdir()
        attempt = ScheduledRun(models, options, clock, threading.Event()).train("calendar", given)
    assert attempt is not None
    assert attempt.ended is not None
    assert attempt.ended.bundle_id is not None, attempt.ended.reason
    manifest = read_manifest(models / "bundles" / attempt.ended.bundle_id)
    assert manifest.venue == "binance_spot"
    assert {name: seen.n_bars for name, seen in manifest.bars.items()} == dict.fromkeys(bars, n_bars)


def test_a_fetch_that_fails_is_no_training_on_old_bars(tmp_path: Path) -> None:
    program = "import sys; print(sys.argv[1], 'was refused'); sys.exit(sys.argv[1] == 'fetch')"
    attempt = scheduled(tmp_path, program, LaterClock(), "2020-01-01").train("age", settings(tmp_path))
    assert attempt is not None
    assert attempt.ended is not None
    assert "fetch: fetch was refused" in (attempt.ended.reason or "")


@pytest.mark.parametrize("code", [0, 1])
def test_a_run_that_tells_nothing_of_itself_has_failed(tmp_path: Path, code: int) -> None:
    run = scheduled(tmp_path, f"import sys; sys.exit({code})", LaterClock())
    attempt = run.train("age", settings(tmp_path))
    assert attempt is not None
    assert attempt.failed


def test_what_was_cut_off_goes_on_once_at_once_and_then_pauses(tmp_path: Path) -> None:
    slow = TRAIN.replace('training.end("unfit"', 'import time; time.sleep(600); training.end("unfit"')
    clock = LaterClock()
    run = scheduled(tmp_path, slow, clock, wall_s=2.0)
    first = run.train("drift", settings(tmp_path))
    assert first is not None
    assert first.ended is not None
    assert "still at work after 2 s" in (first.ended.reason or "")
    cut_off = run.cut_off()
    assert cut_off is not None
    second = scheduled(tmp_path, slow, clock, wall_s=2.0).train("again", settings(tmp_path))
    assert second is not None
    assert second.began.trigger == "drift"
    resumed = run.cut_off()
    assert resumed is not None
    assert (resumed.until, resumed.times_resumed) == (cut_off.until, 1)
    assert "2 failures in a row" in str(run.why_not_now())
    clock.ahead_ms = 25 * HOUR_MS
    assert run.cut_off() is None, "a day later fresh bars are worth more than what is half done"


@pytest.mark.parametrize("cut_off_in", ["fetch", "run"])
def test_bars_are_fetched_again_only_where_that_was_cut_off(tmp_path: Path, cut_off_in: str) -> None:
    """Bars that came later would make another training, to which nothing finished belongs."""
    kill = f"if sys.argv[1] == {cut_off_in!r}: os.kill(os.getpid(), 9)"
    said = "import os, sys; print(sys.argv[1], flush=True)\n"
    run = scheduled(tmp_path, said + kill, LaterClock(), since="2020-01-01")
    for _ in range(2):
        assert run.train("age", settings(tmp_path)) is not None
    [first, second] = [log.read_text().split() for log in sorted((tmp_path / "logs").iterdir())]
    assert first == (["fetch"] if cut_off_in == "fetch" else ["fetch", "run"])
    assert second == [cut_off_in]


def test_one_run_at_a_time_also_beside_a_person(tmp_path: Path) -> None:
    run = scheduled(tmp_path, TRAIN, LaterClock())
    with counted(tmp_path, "by command") as training:
        assert run.why_not_now() == "a training is under way"
        assert run.train("age", settings(tmp_path)) is None
        training.end("waiting", None, None)
    assert run.train("age", settings(tmp_path)) is not None


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"trigger":"age"}'])
def test_a_damaged_note_is_no_run_to_resume(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "schedule.json").write_bytes(content)
    assert scheduled(tmp_path, TRAIN, LaterClock()).cut_off() is None


def test_a_note_from_the_future_is_no_run_to_resume(tmp_path: Path) -> None:
    at = utc_text(time.time_ns() // 1_000_000 + HOUR_MS)
    note = UnderWay(trigger="age", began=at, until=at, is_fetched=True, times_resumed=0)
    (tmp_path / "schedule.json").write_bytes(msgspec.json.encode(note))
    assert scheduled(tmp_path, TRAIN, LaterClock()).cut_off() is None


@pytest.mark.parametrize(
    ("known", "failures", "hours"),
    [
        ([], 0, None),
        ([past("waiting")], 0, None),
        ([past("unfit"), past("failed")], 1, 1),
        ([past("failed"), past("unfit")], 0, None),
        ([past("failed", KILLED), past("failed")], 2, 2),
        ([past("failed"), past("failed", STOPPED)], 1, 1),
        ([past("waiting"), past("failed", STOPPED)], 0, None),
        ([past("failed")] * 5, 5, 16),
        ([past("failed")] * 6, 6, 24),
        ([past("failed")] * 3000, 3000, 24),
    ],
)
def test_pauses_double_up_to_a_day(known: list[Attempt], failures: int, hours: int | None) -> None:
    assert failures_in_a_row(known) == failures
    assert free_from_ms(known) == (None if hours is None else NOW_MS + hours * HOUR_MS)
