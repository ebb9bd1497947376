"""Where the socket lies, who may enter, and what happens to one that lies there already."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.errors import WrongUse
from plugin.serving.listening import listen


@pytest.fixture
def address(tmp_path: Path) -> Path:
    return tmp_path / "run" / "plugin.sock"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_our_user_may_enter_and_nothing_is_left_behind(address):
    listening = listen(address, {})
    assert (mode_of(address.parent), mode_of(address)) == (0o700, 0o600)
    assert (listening.address, listening.is_handed_over) == (str(address), False)
    with socket.socket(socket.AF_UNIX) as bot:
        bot.connect(str(address))
    listening.close()
    assert list(address.parent.iterdir()) == []


def test_the_socket_of_a_dead_process_is_replaced(address):
    address.parent.mkdir()
    code = f"import os, socket; s = socket.socket(socket.AF_UNIX); s.bind({str(address)!r}); s.listen()"
    subprocess.run([sys.executable, "-c", f"{code}; os._exit(1)"], check=False)
    assert address.is_socket()
    listen(address, {}).close()


def test_the_socket_of_a_live_process_is_refused_and_the_process_named(address):
    listening = listen(address, {})
    with pytest.raises(WrongUse, match=rf"listening at {address}, was process {os.getpid()};"):
        listen(address, {})
    assert address.is_socket()
    listening.close()


def test_a_process_that_takes_no_more_connections_is_alive(address):
    address.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as bot:
        busy.bind(str(address))
        busy.listen(0)
        bot.connect(str(address))
        with pytest.raises(WrongUse, match="nobody listening"):
            listen(address, {})


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_stays(address, kind):
    address.parent.mkdir()
    if kind == "file":
        address.write_text("precious")
    elif kind == "folder":
        address.mkdir()
    else:
        address.symlink_to(address.parent / "elsewhere")
    with pytest.raises(WrongUse, match="a file of another kind"):
        listen(address, {})
    assert os.path.lexists(address)


def test_where_no_socket_can_be_made_it_says_so(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WrongUse, match="set ML_SOCKET to another path"):
        listen(tmp_path / "file" / "plugin.sock", {})
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_the_socket_of_a_successor_is_not_removed(address):
    listening = listen(address, {})
    address.unlink()
    successor = listen(address, {})
    listening.close()
    assert address.is_socket()
    successor.close()


HANDED_OVER = """
import os, socket, sys
from pathlib import Path
from plugin.errors import WrongUse
from plugin.serving.listening import listen
made = {made}
if made.fileno() != 3:
    os.dup2(made.fileno(), 3)
try:
    environ = {{"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "{count}"}}
    taken = listen(Path("unused/plugin.sock"), environ)
    print(taken.address, taken.is_handed_over, os.get_inheritable(3), os.path.exists("unused"))
    taken.close()
except WrongUse as error:
    print(error)
print(os.path.exists("systemd.sock"))
"""
UNIX = "socket.socket(socket.AF_UNIX); made.bind('systemd.sock')"


@pytest.mark.parametrize(
    ("made", "count", "said"),
    [
        (f"{UNIX}; made.listen()", "1", "systemd.sock True False False"),
        (f"{UNIX}; made.listen()", "2", "expected one socket from systemd, was LISTEN_FDS=2"),
        (UNIX, "1", "expected a listening Unix stream socket from systemd"),
        ("socket.create_server(('127.0.0.1', 0))", "1", "expected a listening Unix stream socket"),
        ("open(os.devnull)", "1", "expected a socket from systemd"),
    ],
    ids=["listening", "two", "not listening", "internet", "no socket"],
)
def test_the_socket_that_systemd_hands_over_is_taken_and_left_in_place(tmp_path, made, count, said):
    code = HANDED_OVER.format(made=made, count=count)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, is_there = run.stdout.splitlines()
    assert first.startswith(said)
    assert is_there == str("systemd.sock" in made)


def test_a_socket_that_was_handed_to_another_process_is_not_taken(address):
    environment = {"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}
    listening = listen(address, environment)
    assert not listening.is_handed_over
    listening.close()
