"""How does the program say what it does? The only structlog set-up.

Lines go to stderr, so that stdout stays free for what a command answers. An event is a fixed
lower_snake name with key-values; what changes from line to line is a value, never a part of the name.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from plugin.clock import Clock, utc_text


def configure_logs(clock: Clock, *, as_json: bool, level: int = logging.INFO) -> None:
    """Set structlog up: one JSON object a line, or lines for people. Called once, by the command."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _stamped_by(clock),
    ]
    if as_json:
        last: list[Processor] = [structlog.processors.format_exc_info, _as_json_line]
    else:
        # The renderer's own choice of traceback prints local variables, and so may print secrets.
        plain = structlog.dev.plain_traceback
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    structlog.configure(
        processors=shared + last,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Unfailing(sys.stderr))),
        # A cached logger would keep the clock of the first set-up for ever.
        cache_logger_on_first_use=False,
    )


class _Unfailing:
    """A stream on a full disk, or a pipe that nobody reads any more, costs the line and not the bar."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _stamped_by(clock: Clock) -> Processor:
    """Under replay the time of a line is the time of the event that caused it."""

    def stamp(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["timestamp"] = utc_text(clock.now_ms())
        return event

    return stamp


def _as_json_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    # The json module would write NaN, which no strict reader takes; msgspec writes null.
    return msgspec.json.encode(event, enc_hook=repr).decode()
