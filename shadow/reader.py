"""What does the log say, and how much of it is whole?

Lines are read as they were written: in order, in bounded memory, and every kind of damage is counted
instead of being raised. A log that this program wrote undisturbed has no damage at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from shadow.errors import NOT_JSON
from shadow.files import (
    MAX_LINE_BYTES,
    DamagedArchive,
    cut_blocks,
    day_files,
    day_of,
    torn_bytes,
)
from shadow.record import SCHEMA, RecoveredRecord, RevisionRecord, are_whole


class Bar(Protocol):
    """What the reader itself needs of a bar's line. BarRecord has it, and so has BarKey."""

    @property
    def schema(self) -> int: ...
    @property
    def seq(self) -> int: ...
    @property
    def symbol(self) -> str: ...
    @property
    def timeframe(self) -> str: ...
    @property
    def open_time_ms(self) -> int: ...


_NEVER_MS = -(2**63)
AnyBar = TypeVar("AnyBar", bound=Bar)


class BarKey(msgspec.Struct, tag_field="type", tag="bar", gc=False):
    """Only what tells bars apart. Subclass it with the fields you need, decoding is cheaper for it."""

    schema: int
    seq: int
    symbol: str
    timeframe: str
    open_time_ms: int


class _Head(msgspec.Struct, gc=False):
    """What every schema to come must keep."""

    schema: int
    seq: int


class Damage(msgspec.Struct):
    """What is wrong with a log.

    A line that can not be read leaves a hole in `seq` as well, and counts in both. A log of a few days
    may start at any `seq`.
    """

    broken_lines: int = 0
    """Lines that are not what was written: bits flipped, two lines glued, torn and never repaired. The
    rest of a damaged archive counts as one; how many lines it held shows in `missing_lines`."""
    overlong_lines: int = 0
    missing_lines: int = 0
    """Numbers left out by `seq`: lines that were lost, or could not be written."""
    repeated_lines: int = 0
    """Lines whose `seq` does not lie above the one before."""
    repeated_bars: int = 0
    """Bars of a series at or before one that was read; the first stands."""
    newer_lines: int = 0
    """Lines of a schema that this program does not know yet."""

    def counts(self) -> dict[str, int]:
        """The counters by name."""
        return msgspec.structs.asdict(self)

    @property
    def n_total(self) -> int:
        return sum(self.counts().values())


class LogReader(Generic[AnyBar]):
    """The bars of a log, oldest line first. Iterate once; the counters are complete afterwards.

    `next_seq` is the number that the next line would have, 0 before the first; `newest_open_ms` the
    open time of the newest bar by symbol and timeframe.

    `bar_type` is BarRecord or a subclass of BarKey. `since_day` and `until_day` (`YYYY-MM-DD`, both
    included) bound the files that are opened. Iterating raises OSError where a file can not be read.
    """

    def __init__(
        self,
        folder: Path,
        bar_type: type[AnyBar],
        since_day: str = "0000-00-00",
        until_day: str = "9999-99-99",
    ) -> None:
        self.damage = Damage()
        self.n_revisions = 0
        self.n_repairs = 0
        self.next_seq = 0
        self.newest_open_ms: dict[tuple[str, str], int] = {}
        self._bar_type = bar_type
        self._files = [path for path in day_files(folder) if since_day <= day_of(path) <= until_day]
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
            bar_type | RevisionRecord | RecoveredRecord
        )

    def __iter__(self) -> Iterator[AnyBar]:
        for bars in self.batches():
            yield from bars

    def batches(self) -> Iterator[list[AnyBar]]:
        """The same bars, as many at a time as come from the disk at once: cheaper for many."""
        for path in self._files:
            for lines in self._blocks(path):
                yield self._bars(lines)
            # Only the newest file can be in the middle of a line.
            if path is not self._files[-1] and torn_bytes(path):
                self.damage.broken_lines += 1

    def _blocks(self, path: Path) -> Iterator[list[bytes]]:
        """The lines of a file; of a compressed one that is damaged, those before the damage."""
        try:
            yield from cut_blocks(path)
        except DamagedArchive:
            self.damage.broken_lines += 1

    def _bars(self, lines: list[bytes]) -> list[AnyBar]:
        """The bars of some lines. What is looked up for a million of them is at hand."""
        bars, newest_open_ms, bar_type = [], self.newest_open_ms, self._bar_type
        decode, next_seq = self._decoder.decode, self.next_seq
        for line, is_whole in zip(lines, are_whole(lines), strict=True):
            if not is_whole or len(line) > MAX_LINE_BYTES:
                self._count_broken(line)
                continue
            try:
                record = decode(line)
            except NOT_JSON:
                record = None
            if record is None or record.schema > SCHEMA:
                record = self._of_later_schema(line)
                if record is None:
                    continue
            if record.seq == next_seq:
                next_seq += 1
            else:
                next_seq = self._after_jump(record.seq, next_seq)
            if type(record) is not bar_type:
                self._count_other(record)
                continue
            series = record.symbol, record.timeframe
            if record.open_time_ms <= newest_open_ms.get(series, _NEVER_MS):
                self.damage.repeated_bars += 1
                continue
            newest_open_ms[series] = record.open_time_ms
            bars.append(record)
        self.next_seq = next_seq
        return bars

    def _count_broken(self, line: bytes) -> None:
        if len(line) > MAX_LINE_BYTES:
            self.damage.overlong_lines += 1
        else:
            self.damage.broken_lines += 1

    def _of_later_schema(self, line: bytes) -> _Head | None:
        """The crc32 is right and the content is not ours: of a later version, or nonsense."""
        try:
            head = msgspec.json.decode(line, type=_Head)
        except NOT_JSON:
            head = _Head(schema=SCHEMA, seq=0)
        if head.schema > SCHEMA:
            return head
        self.damage.broken_lines += 1
        return None

    def _count_other(self, record: Any) -> None:
        if type(record) is RevisionRecord:
            self.n_revisions += 1
        elif type(record) is RecoveredRecord:
            self.n_repairs += 1
        else:
            self.damage.newer_lines += 1

    def _after_jump(self, seq: int, expected: int) -> int:
        """What comes next, after a number that was not the expected one."""
        if seq < expected:
            self.damage.repeated_lines += 1
            return expected
        if expected:
            self.damage.missing_lines += seq - expected
        return seq + 1
