"""How does the live process keep in step with the registry while bars come in?

The folders of the registry are watched, with a poll behind that for file systems that report nothing;
SIGHUP asks for a look at once. Looks come one after the other, each at whatever is newest by then.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path
from types import TracebackType

import structlog
from watchfiles import awatch

from plugin.beside import beside
from plugin.reloader import Reloader
from plugin.serving_state import StateFile
from shadow.recalibration import FOLDER as RECALIBRATION

_log = structlog.get_logger()
POLL_S = 5.0
_SETTLED_MS = 50  # a move is several changes: they are told as one when nothing more comes
_LONGEST_MS = 200


class Follower:
    """Within its `async with` block, moved pointers and changed verdicts take effect between batches.

    `after` is called when a look has ended. With a `state_file`, the process says what is in service,
    and SIGHUP makes it look again, also at what it has refused; `asked` is told of it.
    """

    def __init__(
        self,
        reloader: Reloader,
        models_dir: Path,
        state_file: StateFile | None,
        after: Callable[[], None],
        asked: Callable[[], None] = lambda: None,
    ) -> None:
        self._reloader = reloader
        self._models_dir = models_dir
        self._state_file = state_file
        self._after = after
        self._tell_asked = asked
        self._wake = asyncio.Event()
        self._n_asked = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        if self._state_file is not None:
            self._listen()
            self._state_file.keep(self._reloader.roles(), self._n_asked)
        work = (self._look_when_woken(), watch_registry(self._models_dir, self._wake.set))
        self._tasks = [asyncio.create_task(one) for one in work]

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._state_file is not None:
            self._state_file.remove()
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _listen(self) -> None:
        try:
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked)
        except (RuntimeError, ValueError) as error:  # not in the main thread
            _log.warning("no_reload_by_signal", reason=str(error))

    def _asked(self) -> None:
        self._n_asked += 1
        self._tell_asked()
        self._wake.set()

    async def _look_when_woken(self) -> None:
        n_done = 0
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._n_asked > n_done:
                n_done = self._n_asked
                self._reloader.forget_refusals()
            await self._reloader.refresh_beside()
            self._after()
            if self._state_file is not None:
                keep = partial(self._state_file.keep, self._reloader.roles(), n_done)
                await beside(keep, "serving state")


async def watch_registry(folder: Path, wake: Callable[[], None], poll_s: float = POLL_S) -> None:
    """Call `wake` when something in the registry changed, and every `poll_s`; never returns."""
    complained = False
    while True:
        watched = _identities(folder)
        try:
            changes = awatch(
                *watched,
                watch_filter=None,
                recursive=False,
                step=_SETTLED_MS,
                debounce=_LONGEST_MS,
                rust_timeout=int(poll_s * 1000),
                yield_on_timeout=True,
            )
            async with aclosing(changes):
                wake()  # for what moved before the watch began
                async for _ in changes:
                    complained = False
                    wake()
                    if _identities(folder) != watched:
                        break
        except Exception as error:  # no more watches to be had, or the folder went away
            if not complained:
                _log.warning("registry_only_polled", folder=str(folder), reason=str(error))
            complained = True
            await asyncio.sleep(poll_s)
            wake()


def _identities(folder: Path) -> dict[Path, int]:
    """The folders in which a pointer, a verdict or a recalibration can change, with what tells them
    from later ones."""
    found = {}
    for one in (folder, folder / "verdicts", folder / RECALIBRATION):
        try:
            found[one] = one.stat().st_ino
        except OSError:
            continue
    return found
