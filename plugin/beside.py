"""How does slow work run beside the event loop without holding it up, not even at the end?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")


def start_beside(work: Callable[[], _T], name: str) -> Future[_T]:
    """Start `work` in a thread of its own; its result, or what it raised, is in the future.

    Not a pool and not `asyncio.to_thread`: both wait for their threads before the process may end, and
    what is stuck would keep it from ending.
    """
    future: Future[_T] = Future()
    future.set_running_or_notify_cancel()  # from here on it can not be cancelled, only left alone

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def beside(work: Callable[[], _T], name: str) -> _T:
    """What `work` returns, computed in a thread of its own. Cancelled, it leaves the thread alone."""
    return await asyncio.wrap_future(start_beside(work, name))
