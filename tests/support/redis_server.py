"""A real Redis of one's own, on a Unix socket, without a file on disk."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """The address of a server that lives as long as the block. Skips the test without the program."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    address = folder / "redis.sock"
    arguments = ["--port", "0", "--unixsocket", str(address), "--save", "", "--appendonly", "no"]
    server = subprocess.Popen([program, *arguments, "--dir", folder], stdout=subprocess.DEVNULL)
    try:
        _wait_for(address, server)
        yield f"unix://{address}"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(address: Path, server: subprocess.Popen[bytes]) -> None:
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at and server.poll() is None:
        try:
            redis.Redis(unix_socket_path=str(address)).ping()
        except redis.ConnectionError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the Redis server does not answer")
