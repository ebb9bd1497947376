"""What systemd hears, and that nothing which goes wrong there is felt."""

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from plugin.serving.notify import Notifier, Watchdog


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(str(tmp_path / "n"))
        one.settimeout(10)
        yield one


def hear(listening: socket.socket) -> str:
    return listening.recv(4096).decode()


def test_it_says_what_the_manual_lays_down(listening, tmp_path):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")})
    notifier.starting(60)
    notifier.ready()
    notifier.reloading()
    notifier.status("shadow (gate_skill),\nno bundle")
    notifier.status("shadow (gate_skill),\nno bundle")
    notifier.alive()
    notifier.stopping()
    assert hear(listening) == "EXTEND_TIMEOUT_USEC=60000000"
    assert hear(listening) == "READY=1"
    reloading, _, since = hear(listening).partition("\nMONOTONIC_USEC=")
    assert reloading == "RELOADING=1"
    assert int(since) > 0
    assert hear(listening) == "STATUS=shadow (gate_skill), no bundle", "one line, and once"
    assert hear(listening) == "WATCHDOG=1"
    assert hear(listening) == "STOPPING=1"


def test_an_abstract_address_is_understood():
    name = f"shadowgate-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.bind(f"\0{name}")
        one.settimeout(10)
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert hear(one) == "READY=1"


def test_children_do_not_inherit_the_word(tmp_path):
    environ = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "HOME": "/"}
    Notifier(environ)
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    ("environ", "limit_s"),
    [
        ({}, None),
        ({"NOTIFY_SOCKET": "/x"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}, None),
        ({"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
    ],
)
def test_the_watchdog_is_that_of_this_process(environ, limit_s):
    assert Notifier(dict(environ)).watchdog_s == limit_s


def test_a_socket_that_nobody_reads_costs_a_message_and_one_line(listening, tmp_path):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "n")})
    with capture_logs() as logged:
        for _ in range(2_000):  # more than its queue holds
            notifier.alive()
    assert [line["event"] for line in logged] == ["systemd_not_told"]
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
    notifier.close()
    notifier.ready()


def test_without_systemd_nothing_is_said():
    notifier = Notifier({})
    with capture_logs() as logged:
        notifier.ready()
        notifier.status("well")
    assert logged == []


def test_the_watchdog_hears_only_while_it_gets_on(listening, tmp_path):
    asked: list[float] = []
    gets_on = [True, True, False, False, True]

    def is_well(limit_s: float) -> bool:
        asked.append(limit_s)
        return gets_on[len(asked) - 1]

    async def watch() -> None:
        environ = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "30000"}
        async with Watchdog(Notifier(environ), is_well):
            while len(asked) < len(gets_on):
                await asyncio.sleep(0.001)

    asyncio.run(watch())
    assert set(asked) == {0.03}
    listening.setblocking(False)
    assert [hear(listening) for _ in range(3)] == ["WATCHDOG=1"] * 3
    with pytest.raises(BlockingIOError):
        hear(listening)
