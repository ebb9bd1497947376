"""Records reach the disk in order, and a disk that is slow or stuck delays nobody."""

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from plugin.answer import Answer
from plugin.candles import SIMULATED_VENUE
from plugin.recorder import Recorder
from shadow.record import BarRecord, RevisionRecord
from shadow.writer import ShadowWriter
from tests.support.live import FIRST, Live, read_records
from tests.support.small_training import SmallTraining

N_CLOSES = 12


@pytest.fixture
def live(small_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(small_training, tmp_path / "live")


class Disk:
    """A disk whose syncs wait until it goes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.goes_on = threading.Event()
        self.is_waiting = threading.Event()
        self.n_syncs = 0
        monkeypatch.setattr(os, "fdatasync", self._sync)

    def _sync(self, _descriptor: int) -> None:
        self.n_syncs += 1
        self.is_waiting.set()
        assert self.goes_on.wait(60)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    one = Disk(monkeypatch)
    yield one
    one.goes_on.set()


def recorder_in(tmp_path: Path, live: Live, *, may_lose: bool, room: int = 4096) -> Recorder:
    return Recorder(tmp_path / "shadow", SIMULATED_VENUE, live.clock, may_lose=may_lose, room=room)


def closes(live: Live) -> list[list[Answer]]:
    return [live.answer(FIRST + number) for number in range(N_CLOSES)]


def bars(tmp_path: Path) -> list[BarRecord]:
    return [one for one in read_records(tmp_path / "shadow") if isinstance(one, BarRecord)]


def test_batches_are_written_in_order_with_the_time_at_which_they_came(live, tmp_path, disk):
    recorder = recorder_in(tmp_path, live, may_lose=False)
    came = []
    for number in range(N_CLOSES):
        recorder.take(live.answer(FIRST + number))
        came += 2 * [live.clock.now_ms()]
        assert disk.is_waiting.wait(60), "the clock is far ahead when the others are written"
    disk.goes_on.set()
    recorder.close()
    records = bars(tmp_path)
    assert [record.seq for record in records] == list(range(1, 2 * N_CLOSES + 1))
    assert [record.open_time_ms + 3_600_000 for record in records] == came
    assert [record.written_at for record in records] == [f"{_text(ms)}" for ms in came]
    assert disk.n_syncs <= 4, "what waits together is synced together"
    assert recorder.n_written == 2 * N_CLOSES
    assert (recorder.n_lost, recorder.n_waiting) == (0, 0)


def _text(time_ms: int) -> str:
    from plugin.clock import utc_text

    return utc_text(time_ms)


def test_live_a_stuck_disk_costs_records_which_show_and_no_time(live, tmp_path, disk):
    recorder = recorder_in(tmp_path, live, may_lose=True, room=6)
    batches = closes(live)
    recorder.take(batches[0])
    assert disk.is_waiting.wait(60)
    with capture_logs() as logged:
        for batch in batches[1:-1]:
            recorder.take(batch)  # a disk that is stuck: were it waited for, this would never end
    assert [line["event"] for line in logged] == ["records_lost"], "once, not at every bar"
    assert recorder.n_waiting == 6
    assert recorder.n_lost == 2 * (N_CLOSES - 4)
    disk.goes_on.set()
    while recorder.n_waiting:
        time.sleep(0.01)
    recorder.take(batches[-1])
    recorder.close()
    records = bars(tmp_path)
    assert len(records) == recorder.n_written == 8
    n_missing = records[-1].seq - len(records)
    assert n_missing == recorder.n_lost == 2 * (N_CLOSES - 4), "the hole shows how many"
    assert recorder.writer.errors == n_missing


def test_a_replay_waits_for_room_and_loses_nothing(live, tmp_path, disk):
    recorder = recorder_in(tmp_path, live, may_lose=False, room=4)

    async def replay() -> None:
        for batch in closes(live):
            if recorder.n_waiting >= 4:
                disk.goes_on.set()
            await recorder.has_room()
            recorder.take(batch)

    asyncio.run(replay())
    recorder.close()
    assert len(bars(tmp_path)) == 2 * N_CLOSES
    assert recorder.n_lost == 0


def test_revisions_are_recorded_and_what_leaves_no_record_takes_no_room(live, tmp_path):
    recorder = recorder_in(tmp_path, live, may_lose=True)
    first = live.bars(FIRST)
    again = live.bar(FIRST, volume=first[0].volume + 1)
    recorder.take(live.answer(FIRST, first))
    recorder.take(live.answer(FIRST, [again]))
    repeat = live.answer(FIRST, [again])
    before = recorder._n_taken
    recorder.take(repeat)
    assert recorder._n_taken == before
    recorder.close()
    kinds = [type(record) for record in read_records(tmp_path / "shadow")]
    assert kinds == [BarRecord, BarRecord, RevisionRecord]


def test_a_bar_that_is_recorded_already_is_neither_written_nor_lost(live, tmp_path):
    answers = live.answer(FIRST)
    for _ in range(2):
        recorder = recorder_in(tmp_path, live, may_lose=True)
        recorder.take(answers)
        recorder.close()
    assert (recorder.n_written, recorder.n_lost) == (0, 0)
    assert len(bars(tmp_path)) == 2


def test_our_own_slip_costs_one_record_and_not_all_later_ones(live, tmp_path):
    recorder = recorder_in(tmp_path, live, may_lose=True)
    first, second, third = closes(live)[:3]
    recorder.take(first)
    recorder.take([replace(second[0], asked="not what it should be"), second[1]])
    recorder.take(third)
    recorder.close()
    assert [record.seq for record in bars(tmp_path)] == [1, 2, 4, 5, 6]
    assert recorder.n_lost == 1
    assert "AttributeError" in (recorder.writer.last_error or "")


def test_closed_twice_it_lets_another_writer_in(live, tmp_path):
    recorder = recorder_in(tmp_path, live, may_lose=True)
    recorder.take(live.answer(FIRST))
    recorder.close()
    recorder.close()
    ShadowWriter(tmp_path / "shadow", live.clock.now_ms).close()
