"""How is it right now? A page on this host that follows the shadow log by itself, and changes nothing.

`python -m shadow.dashboard` prints the address and serves until it is stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import sys
from pathlib import Path

from shadow.errors import LogUnusable, ShadowgateError
from shadow.report_options import command_parser, default_path, whole

_EXAMPLES = """examples:
  python -m shadow.dashboard                  then open the address that it prints
  python -m shadow.dashboard --days 7 --port 9000
  python -m shadow.dashboard --json           what it would show, once

From another machine, through ssh: ssh -L 8787:127.0.0.1:8787 HOST, then http://127.0.0.1:8787/
exit codes: 0 stopped, 2 wrong use
"""
_NICE = 10


def main(arguments: list[str] | None = None) -> int:
    """Serve until told to stop; the exit code."""
    options = _parser().parse_args(arguments)
    # One thread, and the last in the queue: it runs beside a live process.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.nice(_NICE)
    try:
        if importlib.util.find_spec("scipy") is None:
            raise LogUnusable(
                "scipy, which the statistics need", "missing", "install shadowgate[report]"
            )
        _run(options)
    except (ShadowgateError, OSError) as error:
        sys.stderr.write(f"shadow.dashboard: {error}\n")
        return 2
    return 0


def _run(options: argparse.Namespace) -> None:
    # Imported here because scipy belongs to an extra, and --help should not wait for it.
    from shadow.board.state import Board, Places
    from shadow.report_limits import read_report_limits

    places = Places(options.dir, options.models, options.run)
    limits = read_report_limits(options.limits)
    board = Board(places, options.days, frozenset(options.symbol), limits)
    if options.json:
        import msgspec

        state = msgspec.json.format(msgspec.json.encode(board.state()), indent=2)
        sys.stdout.write(f"{state.decode()}\n")
    else:
        from shadow.board.server import serve

        asyncio.run(serve(board, options.port))


def _parser() -> argparse.ArgumentParser:
    parser = command_parser("shadow.dashboard", __doc__, _EXAMPLES)
    log, models = default_path("ML_SHADOW_DIR", "data/shadow"), default_path("ML_MODELS_DIR", "models")
    run = default_path("ML_SOCKET", "run/plugin.sock").parent
    parser.add_argument("--dir", type=Path, default=log, help=f"the shadow log ({log})")
    parser.add_argument("--models", type=Path, default=models, help=f"the bundles ({models})")
    parser.add_argument("--run", type=Path, default=run, help=f"where the live process tells ({run})")
    parser.add_argument("--port", type=_port, default=8787, help="on loopback; 0 for any (8787)")
    parser.add_argument("--days", type=whole("days", 3650), default=2, help="length of the window (2)")
    parser.add_argument("--symbol", action="append", default=[], help="only this one; may be repeated")
    parser.add_argument("--limits", type=Path, metavar="FILE", help="as for python -m shadow.report")
    parser.add_argument("--json", action="store_true", help="print what it would show, and end")
    return parser


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, was {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
