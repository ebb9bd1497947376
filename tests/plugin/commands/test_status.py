"""What is said where no process is well; with one, see tests/plugin/serving/test_service.py."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from plugin.command_line import run_command
from plugin.commands import status as command
from plugin.serving.live_status import NoLiveProcess, ask_status

Said = tuple[int, str, str]


@pytest.fixture
def status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Said]:
    """The command in this process: exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    (tmp_path / "run").mkdir()

    def run(*arguments: str) -> Said:
        try:
            code = run_command("python -m plugin", "", (command,), ["status", *arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    (tmp_path / "run").mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "run" / "plugin.sock"))
        one.listen()
        yield one


def say_once(listening: socket.socket, *pieces: bytes) -> None:
    def say() -> None:
        connection, _ = listening.accept()
        with connection:
            connection.recv(100)
            for piece in pieces:
                connection.sendall(piece)

    threading.Thread(target=say, daemon=True).start()


def test_without_a_process_it_says_what_to_do(status):
    code, out, _ = status()
    assert code == 1
    assert "expected a live process on run/plugin.sock" in out
    assert "python -m plugin run" in out
    code, out, _ = status("--json")
    said = json.loads(out)
    assert (code, said["alive"], said["healthy"]) == (1, False, False)


def test_one_that_says_nothing_is_not_waited_for_for_long(listening, tmp_path):
    with pytest.raises(NoLiveProcess, match=r"none within 0\.2 s: it is stuck"):
        ask_status(tmp_path / "run" / "plugin.sock", 0.2)


@pytest.mark.parametrize(
    "pieces",
    [(b"",), (b"hello\n",), (b'{"type":"refused","id":1,"reason":"busy","message":"later"}\n',)],
)
def test_one_that_says_something_else_is_no_live_process(status, listening, pieces):
    say_once(listening, *pieces)
    code, out, _ = status()
    assert code == 1
    assert "expected a status" in out


def test_one_that_drips_is_read_as_long_as_there_is_time(listening, tmp_path):
    say_once(listening, b'{"type":"status","id":1,', b'"status":{"pid"', b":7}}\n")
    assert ask_status(tmp_path / "run" / "plugin.sock", 30) == {"pid": 7}


def test_settings_that_can_not_be_understood_are_wrong_use(status, tmp_path):
    (tmp_path / ".env").write_text("ML_ENABLED=perhaps\n")
    code, out, err = status()
    assert (code, out) == (2, "")
    assert "line 1" in err


def test_help_shows_an_example(status):
    code, out, _ = status("--help")
    assert code == 0
    assert "example:\n  python -m plugin status" in out
