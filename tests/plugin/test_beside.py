"""Work beside the loop: its result, its exception, and no claim on the end of the process."""

import asyncio
import subprocess
import sys
import threading

import pytest

from plugin.beside import beside, start_beside


def test_the_loop_goes_on_while_work_is_done_elsewhere():
    go = threading.Event()

    async def both() -> tuple[int, str]:
        named = asyncio.create_task(
            beside(lambda: go.wait(30) and threading.current_thread().name, "me")
        )
        turns = 0
        while turns < 10:
            await asyncio.sleep(0)
            turns += 1
        go.set()
        return turns, await named

    assert asyncio.run(both()) == (10, "me")


def test_what_it_raises_comes_back():
    with pytest.raises(ZeroDivisionError):
        asyncio.run(beside(lambda: 1 / 0, "me"))


def leave() -> None:
    raise SystemExit(3)


def test_not_even_leaving_the_process_ends_more_than_the_work():
    assert isinstance(start_beside(leave, "me").exception(timeout=30), SystemExit)


def test_what_is_stuck_keeps_neither_the_loop_nor_the_process_from_ending():
    stuck = """
import asyncio, threading
from plugin.beside import beside

async def main():
    await asyncio.wait_for(beside(threading.Event().wait, "stuck"), 0.05)

try:
    asyncio.run(main())
except TimeoutError:
    print("too late")
"""
    ended = subprocess.run(
        [sys.executable, "-c", stuck], capture_output=True, text=True, timeout=30, check=True
    )
    assert (ended.stdout, ended.stderr) == ("too late\n", "")
