"""What does the dashboard show, read anew only where something has changed?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import msgspec

from shadow.board.around import Move, Process, read_moves, read_process, read_roles
from shadow.board.last_lines import newest_records
from shadow.board.pace import Paced
from shadow.board.series import Newest, Told, newest_of_all, told_by
from shadow.checklist import Check, Luck, checklist, is_ready, luck
from shadow.compare import Comparison
from shadow.evidence import weigh
from shadow.files import day_files, utc_text
from shadow.findings import Pair, compare_pair, newest_pair
from shadow.outcomes import bar_length_ms
from shadow.report_limits import ReportLimits
from shadow.skill import HorizonFigures
from shadow.texts import plain
from shadow.window import read_window, replayed_until

_MIN_BARS = 24
_N_DECISIONS = 50
_N_FILES = 3
_STALE_MS = 600_000
"""An unchanged log is read again after so long: bars that should have come count as missing."""


class LogState(msgspec.Struct, frozen=True, kw_only=True):
    """What the log says. `now_ms` is the end of its window: the clock, or where a replay stopped."""

    now_ms: int
    is_replay: bool = False
    simulated: bool = False
    ready: bool | None = None
    checklist: list[Check] = []
    luck: Luck | None = None
    outcomes: dict[str, HorizonFigures] = {}
    damage: dict[str, int] = {}
    newest: list[Newest] = []
    decisions: list[Told] = []
    troubles: list[str] = []


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows. `troubles` are sentences on what could not be read or is refused."""

    now: str
    folder: str
    days: float
    symbols: list[str]
    process: Process
    appointed: dict[str, str | None]
    log: LogState
    changed_limits: dict[str, str]
    comparison: Comparison | None
    moves: list[Move]
    troubles: list[str]


class Places(NamedTuple):
    """Where the log lies, the bundles and their pointers, and what the live process tells of itself."""

    log: Path
    models: Path
    run: Path


class _Read(NamedTuple):
    state: LogState
    pair: Pair | None


class _Compared(NamedTuple):
    comparison: Comparison | None
    troubles: list[str]


class Board:
    """Reads for the dashboard; one call of `state` at a time. Nothing here raises for what is read."""

    def __init__(
        self,
        places: Places,
        days: float = 2,
        symbols: frozenset[str] = frozenset(),
        limits: ReportLimits = ReportLimits(),  # noqa: B008  (never changed)
    ) -> None:
        self._places, self._days, self._symbols, self._limits = places, days, symbols, limits
        self._log: Paced[_Read] = Paced()
        # Apart from the log: the days of a pair may be many more than those of the window.
        self._compared: Paced[_Compared] = Paced()

    def state(self) -> State:
        """How things stand."""
        clock_ms = time.time_ns() // 1_000_000
        trace = self._trace()
        read = self._log.get((trace, clock_ms // _STALE_MS), lambda: self._read_log(clock_ms))
        now_ms = read.state.now_ms if read.state.is_replay else clock_ms
        compared = self._compared.get(
            (trace, read.pair), lambda: self._compare(read.pair, read.state.now_ms)
        )
        roles = read_roles(self._places.models)
        moves, history_troubles = read_moves(self._places.models)
        return State(
            now=utc_text(clock_ms),
            folder=plain(str(self._places.log)),
            days=self._days,
            symbols=sorted(map(plain, self._symbols)),
            process=read_process(self._places.run),
            appointed=roles.appointed,
            log=_aged(read.state, now_ms),
            changed_limits=self._limits.changed,
            comparison=compared.comparison,
            moves=moves,
            troubles=[
                *read.state.troubles,
                *compared.troubles,
                *roles.troubles,
                *history_troubles,
            ],
        )

    def _trace(self) -> object:
        """What changes when a line is written, a day begins or is compressed, or files are put back."""
        try:
            files = day_files(self._places.log)[-_N_FILES:]
            stats = [(path.name, path.stat()) for path in files]
        except OSError as error:
            return error.errno
        return [(name, one.st_ino, one.st_size, one.st_mtime_ns) for name, one in stats]

    def _read_log(self, clock_ms: int) -> _Read:
        try:
            if not self._places.log.is_dir():
                said = f"there is no log in {plain(str(self._places.log))}"
                return _Read(LogState(now_ms=clock_ms, troubles=[said]), None)
            return self._understood(clock_ms)
        except Exception as error:  # whatever it is, the page says it and stays
            said = f"the log can not be read: {_worded(error)}"
            return _Read(LogState(now_ms=clock_ms, troubles=[said]), None)

    def _understood(self, clock_ms: int) -> _Read:
        folder = self._places.log
        replayed_ms = replayed_until(folder)
        now_ms = clock_ms if replayed_ms is None else replayed_ms
        window = read_window(folder, now_ms, self._days, self._symbols)
        evidence = weigh(window)
        checks = checklist(evidence, _MIN_BARS, self._limits.checklist)
        told = newest_records(folder, _N_DECISIONS, self._symbols)
        unseen = self._symbols - {symbol for symbol, _ in window.columns.series}
        state = LogState(
            now_ms=now_ms,
            is_replay=replayed_ms is not None,
            simulated=evidence.simulated,
            ready=is_ready(checks),
            checklist=[_plain_check(check) for check in checks],
            luck=luck(evidence),
            outcomes={plain(horizon): one for horizon, one in evidence.outcomes.items()},
            damage={name: n for name, n in evidence.damage.counts().items() if n},
            newest=newest_of_all(window),
            decisions=[told_by(record, bar_length_ms(record.timeframe)) for record in told],
            troubles=[f"no record is of {plain(symbol)}" for symbol in sorted(unseen)],
        )
        return _Read(state, newest_pair(window))

    def _compare(self, pair: Pair | None, until_ms: int) -> _Compared:
        if pair is None:
            return _Compared(None, [])
        try:
            return _Compared(compare_pair(self._places.log, pair, until_ms, self._limits.pair), [])
        except Exception as error:  # as above
            return _Compared(None, [f"champion and challenger: {_worded(error)}"])


def _aged(log: LogState, now_ms: int) -> LogState:
    """The same with the ages as they are by now."""
    replace = msgspec.structs.replace
    newest = []
    for one in log.newest:
        passed_bars = (now_ms - log.now_ms) / bar_length_ms(one.timeframe)
        newest.append(replace(one, age_bars=round(one.age_bars + passed_bars, 2)))
    return replace(log, newest=newest)


def _plain_check(check: Check) -> Check:
    return msgspec.structs.replace(check, name=plain(check.name), says=plain(check.says))


def _worded(error: Exception) -> str:
    said = plain(str(error))
    return said if isinstance(error, (OSError, ValueError)) else f"{type(error).__name__}: {said}"
