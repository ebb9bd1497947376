"""Whatever comes down one connection, the others are served, and the next one is."""

import asyncio
import gc
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from plugin.protocol import MAX_REQUEST_BYTES
from plugin.serving.connection import Limits
from tests.support.live import SERVED, read_records
from tests.support.scripted_source import until
from tests.support.small_training import SmallTraining
from tests.support.socket_side import ALL, FAR_MS, Bot, SocketSide

Make = Callable[..., SocketSide]
HELLO = b'{"type":"hello","id":1}\n'
QUICK = Limits(read_s=0.2, write_s=0.2, drain_s=0.2, max_connections=8)


@pytest.fixture
def make(small_training: SmallTraining, tmp_path: Path) -> Iterator[Make]:
    yield lambda **options: SocketSide(small_training, tmp_path, **options)
    gc.unfreeze()


async def is_served(side: SocketSide) -> bool:
    """Whether a new connection gets its answer."""
    async with side.bot() as bot:
        return (await bot.say("hello"))["type"] == "welcome"


def hello_with(more: bytes) -> bytes:
    return b'{"type":"hello","id":7' + more + b"}\n"


HOSTILE = {
    "nothing": b"\n",
    "no JSON": b"hello\n",
    "cut off": b'{"type":"hello","id":\n',
    "no object": b"[1,2]\n",
    "unknown type": b'{"type":"trade","id":1}\n',
    "no type": b'{"id":1}\n',
    "no id": b'{"type":"hello"}\n',
    "negative id": b'{"type":"hello","id":-1}\n',
    "huge id": b'{"type":"hello","id":9007199254740992}\n',
    "text as id": b'{"type":"hello","id":"1"}\n',
    "5000 digits": hello_with(b',"id":' + b"9" * 5_000),
    "unknown field": hello_with(b',"more":1'),
    "a key twice": hello_with(b',"id":8'),
    "an escaped key twice": hello_with(b',"\\u0069d":8'),
    "deep": b"[" * 100_000 + b"\n",
    "deep inside": hello_with(b',"more":' + b"[" * 100_000),
    "NaN": hello_with(b',"more":NaN'),
    "no UTF-8": b'{"type":"hel\xfflo","id":1}\n',
    "NUL": b'{"type":"hello","id":1}\0\n',
    "NUL within": b'{"type":"hel\0lo","id":1}\n',
    "half a character": b'{"type":"\\ud800","id":1}\n',
    "two objects": b'{"type":"hello","id":1}{"type":"hello","id":2}\n',
    "no bars": b'{"type":"bars","id":1,"expires_ms":1,"bars":[]}\n',
    "too long": b" " * (MAX_REQUEST_BYTES + 1) + b"\n",
    "too long without an end": b" " * (MAX_REQUEST_BYTES + 1),
}


@pytest.mark.parametrize("line", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_request_is_refused_and_its_connection_closed(make, line):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as other, side.bot() as bot:
            bot.send(line)
            refused = await bot.hear()
            assert refused["type"] == "refused"
            assert refused["reason"] == ("too_long" if line.startswith(b"  ") else "malformed")
            assert refused["message"]
            assert await bot.ends()
            assert (await other.say("hello"))["type"] == "welcome"
            assert await is_served(side)

    asyncio.run(story())


NUMBERS = {"infinite": "Infinity", "not a number": "NaN", "too large": "1e999", "digits": "9" * 5_000}


@pytest.mark.parametrize("number", NUMBERS.values(), ids=NUMBERS)
def test_a_bar_with_what_is_no_number_is_refused(make, number):
    side = make()
    bar = json.dumps({**side.bar(0), "close": 0}).replace('"close": 0', f'"close": {number}')

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            bot.send(f'{{"type":"bars","id":3,"expires_ms":1,"bars":[{bar}]}}\n'.encode())
            refused = await bot.hear()
            assert (refused["type"], refused["reason"]) == ("refused", "malformed")
            assert await bot.ends()

    asyncio.run(story())


def test_a_refusal_names_the_request_where_it_can(make):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            bot.send(b'{"type":"hello","id":41,"more":1}\n')
            assert (await bot.hear())["id"] == 41

    asyncio.run(story())


def test_requests_that_come_at_once_in_parts_or_with_an_end_are_answered_in_order(make):
    side = make()

    async def story() -> None:
        async with side.running(), side.bot() as bot:
            side.close_of(0)
            ask = {"type": "ask", "symbol": SERVED[0], "timeframe": "1h", "open_time_ms": 1}
            lines = [json.dumps({**ask, "id": number, "expires_ms": FAR_MS}) for number in range(50)]
            raw = "\r\n".join(lines).encode() + b"\n"
            for start in range(0, len(raw), 7):
                bot.send(raw[start : start + 7])
                if start % 5 == 0:
                    await asyncio.sleep(0)
            assert [(await bot.hear())["id"] for _ in range(50)] == list(range(50))
            bot.send(HELLO * 3)
            bot.writer.write_eof()
            assert [(await bot.hear())["type"] for _ in range(3)] == ["welcome"] * 3
            assert await bot.ends()

    asyncio.run(story())


def test_a_request_must_come_in_time_once_begun_and_an_idle_connection_may_stay(make):
    side = make(limits=QUICK)

    async def story() -> None:
        loop = asyncio.get_running_loop()
        async with side.running(), side.bot() as idle:
            with socket.socket(socket.AF_UNIX) as slow:
                slow.connect(str(side.address))
                slow.setblocking(False)
                with suppress(BrokenPipeError):
                    while True:  # ends only if a byte now and then is not enough
                        await loop.sock_sendall(slow, b" ")
                        await asyncio.sleep(QUICK.read_s / 10)
                assert b'"too_slow"' in await loop.sock_recv(slow, 1_000)
            assert (await idle.say("hello"))["type"] == "welcome"

    asyncio.run(story())


def test_who_does_not_read_is_dropped_and_holds_no_more_than_one_answer(make):
    side = make(limits=QUICK._replace(write_s=1.0))

    async def story() -> None:
        async with side.running():
            deaf = socket.socket(socket.AF_UNIX)
            deaf.connect(str(side.address))
            deaf.setblocking(False)
            sent = 0
            while side.server.state()["requests_refused"] == 0:
                try:
                    sent += deaf.send(HELLO * 10_000)
                except (BlockingIOError, BrokenPipeError, ConnectionResetError):
                    await asyncio.sleep(0.01)
                assert sent < 2**21, "it takes in what it does not answer"
                await asyncio.sleep(0)
            assert await is_served(side)
            deaf.close()

    asyncio.run(story())


def test_one_connection_too_many_is_refused_and_a_closed_one_makes_room(make):
    side = make(limits=QUICK)

    async def story() -> None:
        async with side.running(), AsyncExitStack() as stack:
            bots = [await stack.enter_async_context(side.bot()) for _ in range(QUICK.max_connections)]
            for bot in bots:
                assert (await bot.say("hello"))["type"] == "welcome"
            async with side.bot() as one_more:
                assert (await one_more.hear())["reason"] == "too_many_connections"
                assert await one_more.ends()
            await bots[0].close()
            await until(lambda: side.server.state()["connections"] < QUICK.max_connections)
            assert await is_served(side)

    asyncio.run(story())


def test_a_full_queue_is_busy_at_once(make):
    side = make(room_bars=len(ALL))
    released = threading.Event()

    async def story() -> None:
        async with side.running(), side.bot() as one, side.bot() as two, side.bot() as three:
            challenge = side.app.pipeline.challenge

            async def held_up(answers):
                await asyncio.to_thread(released.wait)
                return await challenge(answers)

            side.app.pipeline.challenge = held_up
            assert {one["reason"] for one in await side.push(one, 0)} != {"busy"}
            waiting = asyncio.create_task(side.push(two, 1))
            await until(lambda: side.source.state()["bars_waiting"] == len(ALL))
            told = await side.push(three, 1)
            assert {(one["action"], one["reason"]) for one in told} == {("abstain", "busy")}
            refused = await three.say(
                "history", symbol=SERVED[0], timeframe="1h", bars=side.rows(SERVED[0], -3, 0)
            )
            assert refused["reason"] == "busy"
            released.set()
            assert "busy" not in {one["reason"] for one in await waiting}

    asyncio.run(story())


def test_a_flood_from_many_leaves_a_bot_its_answers(make):
    side = make()

    async def flood(bot: Bot) -> None:
        while True:
            bot.send(HELLO * 100)
            for _ in range(100):
                await bot.hear()

    async def story() -> None:
        async with side.running(), AsyncExitStack() as stack:
            bot = await stack.enter_async_context(side.bot())
            await side.give_history(bot)
            flooding = [
                asyncio.create_task(flood(await stack.enter_async_context(side.bot())))
                for _ in range(20)
            ]
            for number in range(3):
                assert {one["reason"] for one in await side.push(bot, number)} == {"stacking_off"}
            for task in flooding:
                task.cancel()
            await asyncio.gather(*flooding, return_exceptions=True)

    asyncio.run(story())


def test_refusals_are_logged_now_and_then(make):
    side = make()

    async def story() -> None:
        async with side.running():
            for _ in range(20):
                async with side.bot() as bot:
                    bot.send(b"nonsense\n")
                    assert (await bot.hear())["type"] == "refused"

    with capture_logs() as logged:
        asyncio.run(story())
    told = [line for line in logged if line["event"] == "request_refused"]
    assert len(told) < 20
    assert side.server.state()["requests_refused"] == 20


def test_at_the_end_who_waits_is_told_and_the_socket_is_gone(make):
    side = make(pushed=False)

    async def story() -> None:
        async with AsyncExitStack() as stack:
            async with side.running():
                waiting, idle = [await stack.enter_async_context(side.bot()) for _ in range(2)]
                waiting.send({"type": "bars", "id": 1, "expires_ms": FAR_MS, "bars": side.bars(0)})
                await until(lambda: side.desk.n_waiting)
            assert (await waiting.hear())["reason"] == "stopping"
            assert await waiting.ends()
            assert await idle.ends()
        assert not side.address.exists()

    asyncio.run(story())


def test_after_a_restart_the_bars_of_a_bot_are_recorded_once(small_training, tmp_path):
    first = SocketSide(small_training, tmp_path)

    async def begun(side: SocketSide) -> None:
        async with side.running(), side.bot() as bot:
            await side.give_history(bot)
            await side.push(bot, 0)

    async def continued(side: SocketSide) -> None:
        async with side.running(), side.bot() as bot:
            await side.give_history(bot)
            for number in (0, 1):
                assert {one["reason"] for one in await side.push(bot, number)} == {"stacking_off"}

    asyncio.run(begun(first))
    again = SocketSide(small_training, tmp_path)
    asyncio.run(continued(again))
    gc.unfreeze()
    places = [(record.symbol, record.open_time_ms) for record in read_records(again.shadow)]
    assert sorted(places) == sorted(
        (symbol, again.open_ms(number)) for symbol in SERVED for number in (0, 1)
    )


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([HELLO, b"\n", b"{", b"}", b'"', b"\\", b"[", b'{"type":"status","id":2}\n']),
    st.sampled_from(list(HOSTILE.values())[:8]),
)


def test_any_bytes_are_answered_or_end_their_connection_alone(make):
    side = make(limits=QUICK)

    async def told(raw: bytes) -> None:
        async with side.bot() as bot:
            bot.send(raw)
            bot.writer.write_eof()
            while (reply := await bot.hear()) is not None:
                assert reply["type"] in ("welcome", "status", "refused", "decisions", "held")
                if reply["type"] == "refused":
                    assert await bot.ends()
                    break
        assert await is_served(side)

    async def story() -> None:
        loop = asyncio.get_running_loop()

        @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(PIECES, max_size=6).map(b"".join))
        def fuzz(raw: bytes) -> None:
            asyncio.run_coroutine_threadsafe(told(raw), loop).result(60)

        async with side.running():
            await asyncio.to_thread(fuzz)

    asyncio.run(story())
