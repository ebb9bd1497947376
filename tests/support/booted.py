"""How do the units behave under a real systemd, without touching this machine?

systemd is booted as the first process of a container whose disk is a throw-away layer over the disk of
this machine, with a lone loopback for a network. What is written there is gone when it is shut down.
Where the kernel keeps the old cgroup controllers, MemoryMax=, TasksMax=, CPUWeight= and IPAddressDeny=
are not enforced in there.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

_PROGRAMS = ("systemd-nspawn", "systemd-analyze", "dbus-daemon", "nsenter", "unshare", "setpriv")
_APART = ("unshare", "--mount", "--propagation", "private")
_BOOT_S = 60.0
_COMMAND_S = 900.0
_ENVIRON = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8")
_TARGET = """\
[Unit]
Requires=basic.target
After=basic.target
Wants=dbus.service
"""
# $1 is an empty folder for the layer, $2 the cgroup; the rest are options of systemd-nspawn.
_BOOT = """
layer=$1 cgroup=$2; shift 2
echo $$ > "$cgroup/cgroup.procs"
mount -t tmpfs tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
rm -f "$layer/root/etc/machine-id"
systemd-id128 new > "$layer/root/etc/machine-id"
printf '%s' "$TARGET" > "$layer/root/etc/systemd/system/booted.target"
exec systemd-nspawn --quiet --directory="$layer/root" --register=no --keep-unit --private-network \
    --console=pipe --notify-ready=yes "$@" --boot systemd.unit=booted.target
"""


class Booted:
    """A running systemd; commands run in there as root."""

    def __init__(self, leader: int, outside: int, layer: Path) -> None:
        """`leader` is the first process in there, `outside` one that sees the disk's `layer`."""
        self._enter = ["nsenter", f"--target={leader}", "--mount", "--uts", "--ipc", "--net", "--pid"]
        self._enter += ["--root"]
        self._changes = ["nsenter", f"--target={outside}", "--mount", "find", str(layer / "upper")]

    def run(
        self,
        *command: str,
        rc: int | None = 0,
        user: str | None = None,
        text: str | None = None,
    ) -> str:
        """Run a command and return what it printed; `rc` is the exit code expected, None any."""
        done = subprocess.run(
            self._line(command, user),
            input=text,
            stdin=None if text is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_COMMAND_S,
            check=False,
        )
        assert rc is None or done.returncode == rc, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def begin(self, *command: str, user: str | None = None) -> subprocess.Popen[str]:
        """Start a command and leave it running; its output can be read."""
        line = self._line(command, user)
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def write(self, path: str, content: str) -> None:
        """Put a file there, and its folders."""
        self.run("mkdir", "--parents", str(Path(path).parent))
        self.run("tee", path, text=content)

    def on_disk(self) -> set[str]:
        """The paths of all that was made, changed or removed on the disk since the machine came up."""
        command = [*self._changes, "-mindepth", "1", "-printf", "/%P\n"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return set(done.stdout.splitlines())

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, as `systemctl show` words it."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, unit: str) -> str:
        """All that a unit has said."""
        self.run("journalctl", "--sync")
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def until(self, reached: Callable[[], bool], within_s: float = 60.0) -> None:
        """Wait for it; the time is generous, because it is not what is tested."""
        deadline = time.monotonic() + within_s
        while not reached():
            assert time.monotonic() < deadline, "it never came"
            time.sleep(0.1)

    def _line(self, command: Sequence[str], user: str | None) -> list[str]:
        as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        return [*self._enter, "env", "--chdir=/", "--ignore-environment", *_ENVIRON, *as_user, *command]


def needs_booting() -> None:
    """Skip the test where systemd can not be booted, and say why."""
    missing = [name for name in _PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"systemd can not be booted: {', '.join(missing)} is not installed")
    if os.geteuid() != 0:
        pytest.skip("systemd can not be booted: that takes root")
    if not os.access(_cgroup_root(), os.W_OK):
        pytest.skip("systemd can not be booted: there is no cgroup tree to write to")


@contextmanager
def booted(read_only: Mapping[Path, str]) -> Iterator[Booted]:
    """Boot; the folders of `read_only` are seen in there under the paths given with them."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="booted")))
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        told.bind(str(folder / "notify"))
        layer = folder / "layer"
        layer.mkdir()
        cgroup = _cgroup_root() / folder.name
        cgroup.mkdir()
        binds = [f"--bind-ro={source.resolve()}:{target}" for source, target in read_only.items()]
        console = stack.enter_context((folder / "console").open("wb"))
        process = subprocess.Popen(
            [*_APART, "bash", "-euc", _BOOT, "boot", str(layer), str(cgroup), *binds],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            env={
                "PATH": os.environ["PATH"],
                "NOTIFY_SOCKET": str(folder / "notify"),
                "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                "TARGET": _TARGET,
            },
        )
        try:
            with told:  # and no longer: systemd waits for who does not read what it says later
                leader = _leader(told, process, folder / "console")
            yield Booted(leader, process.pid, layer)
        finally:
            _end(process, cgroup)


def _leader(told: socket.socket, process: subprocess.Popen[bytes], console: Path) -> int:
    """The number of the container's first process, once that has said that it is up."""
    deadline = time.monotonic() + _BOOT_S
    words: dict[str, str] = {}
    told.settimeout(0.5)
    while "READY" not in words:
        gone = process.poll() is not None or time.monotonic() > deadline
        assert not gone, f"systemd did not come up:\n{console.read_text(errors='replace')}"
        with contextlib.suppress(TimeoutError):
            lines = told.recv(65_536).decode().splitlines()
            words |= dict(line.split("=", 1) for line in lines)
    return int(words["X_NSPAWN_LEADER_PID"])


def _end(process: subprocess.Popen[bytes], cgroup: Path) -> None:
    """End all that lives in the cgroup: the end of systemd-nspawn alone may leave orphans."""
    (cgroup / "cgroup.kill").write_text("1")
    process.wait()
    deadline = time.monotonic() + 10
    while cgroup.exists() and time.monotonic() < deadline:
        for inner in sorted(cgroup.rglob("*/"), reverse=True):
            with contextlib.suppress(OSError):
                inner.rmdir()
        with contextlib.suppress(OSError):
            cgroup.rmdir()
        time.sleep(0.1)


def _cgroup_root() -> Path:
    """The second version of cgroups, alone or beside the first."""
    root = Path("/sys/fs/cgroup")
    return root / "unified" if (root / "unified").is_dir() else root
