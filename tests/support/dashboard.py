"""The dashboard as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.replays import ROOT


class Dashboard:
    """Started at the begin of a block and told to end at its end; `address` is where it serves."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self._folder, self._port = folder, port
        self.address = ""
        self.child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [
            sys.executable,
            "-m",
            "shadow.dashboard",
            "--port",
            str(self._port),
            "--days",
            "3650",
        ]
        places = [(name, str(self._folder / name)) for name in ("dir", "models", "run")]
        more = [text for name, place in places for text in (f"--{name}", place)]
        self.child = subprocess.Popen(
            [*command, *more], cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE, text=True
        )
        assert self.child.stdout is not None
        self.address = self.child.stdout.readline().strip()
        assert self.address.startswith("http://127.0.0.1:"), self.address
        return self

    def __exit__(self, *_: object) -> None:
        assert self.end() == 0

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end; its exit code."""
        assert self.child is not None
        self.child.send_signal(number)
        self.child.communicate(timeout=30)
        return self.child.returncode

    @property
    def port(self) -> int:
        return int(self.address.rstrip("/").rpartition(":")[2])

    def ask(
        self, path: str = "", method: str = "GET", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers in small letters, and body."""
        fields = {name.replace("_", "-"): text for name, text in headers.items()}
        request = Request(self.address + path, method=method, headers=fields)  # noqa: S310  (http)
        try:
            with urlopen(request, timeout=30) as answer:  # noqa: S310  (http)
                return answer.status, _lower(answer.headers), answer.read()
        except HTTPError as error:
            return error.code, _lower(error.headers), error.read()


def _lower(headers: object) -> dict[str, str]:
    return {name.lower(): text for name, text in headers.items()}  # type: ignore[attr-defined]
