"""Do workers answer every bar of every symbol once, whoever of them dies?"""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from msgspec.structs import replace

from plugin.answer import Answer
from plugin.bar import BarClosed
from plugin.decision import Decision
from plugin.shadow_log import bar_record
from plugin.sources import redis_shards, redis_streams
from plugin.sources.redis_answers import RedisAnswers
from plugin.sources.redis_bus import (
    Connection,
    Kind,
    encode_bar,
    key_of,
    open_redis,
    publish_bars,
)
from plugin.sources.redis_shards import owner
from plugin.sources.redis_streams import RedisStreams
from shadow.record import BarRecord
from tests.support.bars import HOURLY
from tests.support.live import FIRST, FOLLOWED, SERVED, Live, stored_bar
from tests.support.redis_server import redis_server
from tests.support.scripted_source import until
from tests.support.small_training import SmallTraining

SYMBOLS = (*SERVED, *FOLLOWED)
BTC, ETH = SERVED
N_HISTORY = 520
LEASE_MS = 3_000  # long enough for a busy machine, or the living are taken for dead


@pytest.fixture
def url() -> Iterator[str]:
    # Not in the test's own folder, whose path may be too long for a socket.
    with TemporaryDirectory(prefix="redis-") as folder, redis_server(Path(folder)) as address:
        yield address


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_shards, "LEASE_MS", LEASE_MS)
    monkeypatch.setattr(redis_streams, "LEASE_MS", LEASE_MS)
    monkeypatch.setattr(redis_streams, "RENEWAL_S", 0.1)


class Worker:
    """A pipeline on the bus, whose buffers know nothing but what the bus tells them."""

    def __init__(self, url: str, training: SmallTraining, folder: Path, name: str) -> None:
        self.live = Live(training, folder / name, n_history=0)
        self.source = RedisStreams(url, SERVED, FOLLOWED, HOURLY, self.live.clock, name=name)
        self.source.take_history = self.live.pipeline.take_history
        self.answers = RedisAnswers(self.source, lambda answer: bar_record(answer, {}))
        self.answered: list[Answer] = []
        self.dies_before_done = False

    async def run(self) -> None:
        for symbol in SYMBOLS:
            history = await self.source.history(symbol, 512)
            if history is not None:
                self.live.pipeline.take_history(history)
        async with self.answers:
            async for batch in self.source.batches():
                answers = self.live.pipeline.answer(batch)
                self.answers.deliver(answers)
                self.answered += answers
                if self.dies_before_done:
                    await asyncio.sleep(3600)
                self.answers.done(answers)

    @property
    def owned(self) -> list[str]:
        owned = self.source.state()["owned"]
        assert isinstance(owned, list)
        return owned

    def let_time_come(self, column: int) -> None:
        self.live.clock.advance_to(self.live.open_ms(column + 1))


class Bus:
    """The other end: publishes stored bars, reads what the workers say."""

    def __init__(self, url: str, training: SmallTraining) -> None:
        self.redis: Connection = open_redis(url)
        self.store = training.store

    async def close(self, column: int, symbols: Sequence[str] = SYMBOLS) -> int:
        return await publish_bars(self.redis, HOURLY, [self.bar(column, symbol) for symbol in symbols])

    def bar(self, column: int, symbol: str) -> BarClosed:
        return stored_bar(self.store, symbol, column)

    async def fill(self, until_column: int) -> None:
        columns = range(until_column - N_HISTORY, until_column)
        bars = [self.bar(column, symbol) for column in columns for symbol in SYMBOLS]
        await publish_bars(self.redis, HOURLY, bars)

    async def said(self, kind: Kind, symbol: str, type_: type) -> list[object]:
        entries = await self.redis.xrange(key_of(kind, HOURLY, symbol))
        return [msgspec.json.decode(fields[kind[:-1].encode()], type=type_) for _, fields in entries]

    async def n_said(self, kind: Kind) -> int:
        return sum([await self.redis.xlen(key_of(kind, HOURLY, symbol)) for symbol in SERVED])


async def eventually(bus: Bus, n_records: int) -> None:
    async with asyncio.timeout(90):
        while await bus.n_said("records") < n_records:
            await asyncio.sleep(0.02)


def test_two_workers_share_the_symbols_and_say_what_one_pipeline_says(url, small_training, tmp_path):
    alone = Live(small_training, tmp_path / "alone")
    expected = {
        (answer.bar.symbol, answer.bar.open_time_ms): answer.decision
        for column in range(FIRST, FIRST + 4)
        for answer in alone.close(column)
    }

    async def walk() -> None:
        bus = Bus(url, small_training)
        await bus.fill(FIRST)
        workers = [
            Worker(url, small_training, tmp_path, name) for name in ("a", "g")
        ]  # of whom each owns one of the two
        tasks = [asyncio.create_task(worker.run()) for worker in workers]
        await until(lambda: all(len(worker.owned) == 1 for worker in workers))
        await eventually(bus, 2)  # the newest bar there is
        for column in range(FIRST, FIRST + 4):
            for worker in workers:
                worker.let_time_come(column)
            await bus.close(column)
            await eventually(bus, 2 + 2 * (column - FIRST + 1))
        for worker in workers:
            worker.source.stop()
        await asyncio.gather(*tasks)
        for symbol in SERVED:
            decisions = (await bus.said("decisions", symbol, Decision))[1:]
            records = (await bus.said("records", symbol, BarRecord))[1:]
            assert len(decisions) == len(records) == 4
            for decision, record in zip(decisions, records, strict=True):
                assert isinstance(decision, Decision) and isinstance(record, BarRecord)
                key = (decision.symbol, decision.open_time_ms)
                assert replace(decision, latency_us=0) == replace(expected[key], latency_us=0)
                assert record.probabilities == decision.probabilities
        assert {worker.answered[-1].bar.symbol for worker in workers} == set(SERVED), "they share"

    asyncio.run(walk())


def test_what_a_dead_worker_left_is_answered_by_the_other_and_once(url, small_training, tmp_path):
    async def walk() -> None:
        bus = Bus(url, small_training)
        await bus.fill(FIRST)
        lost, heir = (Worker(url, small_training, tmp_path, name) for name in ("a", "g"))
        tasks = [asyncio.create_task(worker.run()) for worker in (lost, heir)]
        await until(lambda: len(lost.owned) == len(heir.owned) == 1)
        await eventually(bus, 2)
        (orphan,) = lost.owned
        lost.dies_before_done = True
        for worker in (lost, heir):
            worker.let_time_come(FIRST)
        await bus.close(FIRST)
        await until(
            lambda: lost.answered and lost.answered[-1].bar.open_time_ms == heir.live.open_ms(FIRST)
        )
        lost.source._shards.leave = lambda: asyncio.sleep(0)  # type: ignore[method-assign]  # the dead say nothing
        tasks[0].cancel()
        await eventually(bus, 4)
        assert sorted(heir.owned) == sorted(SERVED)
        decisions = await bus.said("decisions", orphan, Decision)
        assert len(decisions) == len(await bus.said("records", orphan, BarRecord)) == 2, "each once"
        assert heir.answers.repeated == 1, "the decision was out before the worker died"
        assert heir.answered[-1].is_decided, "though its bar was held beside the heir's own symbol"
        pending = await bus.redis.xpending(key_of("bars", HOURLY, orphan), redis_streams.GROUP)
        assert pending["pending"] == 0
        heir.let_time_come(FIRST + 1)
        await bus.close(FIRST + 1)
        await eventually(bus, 6)
        heir.source.stop()
        await tasks[1]

    asyncio.run(walk())


def test_bars_that_nobody_was_there_for_are_recorded_as_late_and_the_newest_is_decided_on(
    url, small_training, tmp_path
):
    async def walk() -> None:
        bus = Bus(url, small_training)
        await bus.fill(FIRST)
        first = Worker(url, small_training, tmp_path, "a")
        task = asyncio.create_task(first.run())
        await eventually(bus, 2)
        first.source.stop()
        await task
        for column in range(FIRST, FIRST + 3):
            await bus.close(column)
        second = Worker(url, small_training, tmp_path, "b")
        second.let_time_come(FIRST + 2)
        task = asyncio.create_task(second.run())
        await eventually(bus, 8)
        second.source.stop()
        await task
        records = (await bus.said("records", BTC, BarRecord))[1:]
        assert [record.ml_reason for record in records] == ["late", "late", "ok"]

    asyncio.run(walk())


def test_a_bar_that_a_former_owner_took_in_the_last_moment_goes_before_the_next_one(
    url, small_training, tmp_path, monkeypatch
):
    """Who has just become the owner of a symbol was given none of its bars yet."""
    monkeypatch.setattr(redis_streams, "LEASE_MS", 60_000)  # too long for the bar to be missed by then

    async def walk() -> None:
        bus = Bus(url, small_training)
        await bus.fill(FIRST)
        for symbol in SERVED:
            await bus.redis.xgroup_create(key_of("bars", HOURLY, symbol), redis_streams.GROUP, "$")
        heir = Worker(url, small_training, tmp_path, "b")
        task = asyncio.create_task(heir.run())
        await until(lambda: len(heir.owned) == len(SERVED))
        heir.let_time_come(FIRST + 1)
        others = [symbol for symbol in SYMBOLS if symbol != BTC]
        await bus.close(FIRST, others)
        await bus.close(FIRST + 1, others)
        key = key_of("bars", HOURLY, BTC)
        async with bus.redis.pipeline() as pipe:  # in one step, so that the heir can not come between
            for column in (FIRST, FIRST + 1):
                fields = {"bar": encode_bar(bus.bar(column, BTC))}
                pipe.xadd(key, fields, id=f"{heir.live.open_ms(column)}-0")
                if column == FIRST:
                    pipe.xreadgroup(redis_streams.GROUP, "dead", {key: ">"})
            await pipe.execute()
        await eventually(bus, 4)
        heir.source.stop()
        await task
        records = await bus.said("records", BTC, BarRecord)
        assert [one.open_time_ms for one in records] == [heir.live.open_ms(FIRST + n) for n in (0, 1)]

    asyncio.run(walk())


def test_a_bar_is_published_once_and_a_revised_newest_one_again(url, small_training):
    async def walk() -> None:
        bus = Bus(url, small_training)
        assert await bus.close(FIRST, [BTC]) == 1
        assert await bus.close(FIRST, [BTC]) == 0
        revised = replace(bus.bar(FIRST, BTC), volume=1.5)
        assert await publish_bars(bus.redis, HOURLY, [revised]) == 0
        assert await publish_bars(bus.redis, HOURLY, [revised]) == 0
        entries = await bus.redis.xrange(key_of("bars", HOURLY, BTC))
        open_ms = bus.bar(FIRST, BTC).open_time_ms
        assert [entry_id.decode() for entry_id, _ in entries] == [f"{open_ms}-0", f"{open_ms}-1"]

    asyncio.run(walk())


def test_an_entry_that_is_no_bar_harms_nobody_and_does_not_come_back(url, small_training, tmp_path):
    async def walk() -> None:
        bus = Bus(url, small_training)
        await bus.fill(FIRST)
        worker = Worker(url, small_training, tmp_path, "a")
        task = asyncio.create_task(worker.run())
        await eventually(bus, 2)
        worker.let_time_come(FIRST + 1)
        key, open_ms = key_of("bars", HOURLY, BTC), worker.live.open_ms(FIRST)
        await bus.redis.xadd(key, {"bar": b"[[[["}, id=f"{open_ms}-0")
        await bus.close(FIRST + 1)
        await eventually(bus, 4)
        worker.source.stop()
        await task
        pending = await bus.redis.xpending(key, redis_streams.GROUP)
        assert pending["pending"] == 0
        records = await bus.said("records", BTC, BarRecord)
        assert [record.ml_reason for record in records] == ["ok", "gap"]

    asyncio.run(walk())


def test_a_redis_that_comes_back_with_nothing_is_used_again(small_training, tmp_path):
    async def walk(folder: Path) -> None:
        with redis_server(folder) as url:
            bus = Bus(url, small_training)
            await bus.fill(FIRST)
            worker = Worker(url, small_training, tmp_path, "a")
            task = asyncio.create_task(worker.run())
            await eventually(bus, 2)
        await until(lambda: worker.source.state()["connected"] is False)
        with redis_server(folder):
            await bus.fill(FIRST)
            await until(lambda: worker.source.state()["connected"])
            worker.let_time_come(FIRST)
            await bus.close(FIRST)
            await eventually(bus, 4)
            worker.source.stop()
            await task
            records = await bus.said("records", BTC, BarRecord)
            opened_ms = [worker.live.open_ms(column) for column in (FIRST - 1, FIRST)]
            assert [record.open_time_ms for record in records] == opened_ms, "the known one again"

    with TemporaryDirectory(prefix="redis-") as folder:
        asyncio.run(walk(Path(folder)))


def test_a_slip_in_one_record_does_not_keep_later_ones_back(url, small_training, tmp_path):
    async def walk() -> None:
        bus = Bus(url, small_training)
        await bus.fill(FIRST)
        worker = Worker(url, small_training, tmp_path, "a")
        newest_ms = worker.live.open_ms(FIRST - 1)

        def record_of(answer: Answer) -> BarRecord:
            if answer.bar.open_time_ms == newest_ms:
                raise ValueError("a slip")
            return bar_record(answer, {})

        worker.answers = RedisAnswers(worker.source, record_of)
        task = asyncio.create_task(worker.run())
        await until(lambda: worker.answered)
        worker.let_time_come(FIRST)
        await bus.close(FIRST)
        await eventually(bus, 2)
        worker.source.stop()
        await task
        (record,) = await bus.said("records", BTC, BarRecord)
        assert record.open_time_ms == worker.live.open_ms(FIRST)

    asyncio.run(walk())


def test_only_the_symbols_of_a_worker_that_goes_move():
    symbols = [f"S{number}/USDT" for number in range(300)]
    before = {symbol: owner(symbol, ["a", "b", "c"]) for symbol in symbols}
    after = {symbol: owner(symbol, ["a", "c"]) for symbol in symbols}
    moved = {symbol for symbol in symbols if before[symbol] != after[symbol]}
    assert moved == {symbol for symbol in symbols if before[symbol] == "b"}
    assert min(list(before.values()).count(name) for name in "abc") > 60
