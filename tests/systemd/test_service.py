"""Does the service survive under a real systemd, from its installation to its removal?

One machine for all tests, in their order; each leaves the service running, but for the last.
"""

import json
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.booted import Booted

pytestmark = pytest.mark.slow
UNIT = "shadowgate.service"
INSTALL = ("/checkout/systemd/install.sh", "--push", "--wheels", "/wheels", "--allow", "bot")
CHECKOUT = (
    *("plugin", "shadow", "gates", "training", "systemd", "docs"),
    *("setup.cfg", "LICENSE", ".env.example"),
)
STATE, CACHE, APP = "/var/lib/shadowgate", "/var/cache/shadowgate", "/opt/shadowgate"
DROP_IN = "/run/systemd/system/{}.d/test.conf"
BOT_UNIT = """\
[Unit]
Wants=shadowgate.service
[Service]
ExecStart=/bin/sleep infinity
"""
EXCHANGE_NAMES = (".binance.com", ".binance.vision")
# What the machine writes by itself, and what every removal of a user touches.
NOT_OURS = ("/etc/resolv.conf", "/var/log/journal", "/var/lib/systemd/", "/etc/subuid", "/etc/subgid")


@dataclass
class Installed:
    """The machine, and what was on it before."""

    machine: Booted
    before: set[str]

    def ask(self, user: str = "bot", wait_s: float = 60.0) -> dict[str, object]:
        """What a bot is told of a bar."""
        said = self.machine.run(*asking(wait_s), user=user)
        return dict(json.loads(said.splitlines()[-1]))

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.machine.run("shadowgate", "status", "--json", rc=None)))

    def flag(self, name: str) -> str:
        """The value in force."""
        return str(self.status()["flags"][name]["value"])

    def pid(self) -> int:
        return int(self.machine.show(UNIT, "MainPID"))

    def is_up(self) -> bool:
        return self.machine.show(UNIT, "ActiveState") == "active"

    def comes_back(self, dead_pid: int) -> None:
        self.machine.until(lambda: self.is_up() and self.pid() != dead_pid)

    def drop_in(self, unit: str, content: str) -> None:
        """Change a unit for the time of a test; nothing puts it back."""
        if content:
            self.machine.write(DROP_IN.format(unit), content)
        else:
            self.machine.run("rm", DROP_IN.format(unit))
        self.machine.run("systemctl", "daemon-reload")


def asking(wait_s: float) -> tuple[str, ...]:
    bot = "/checkout/tests/support/asking_bot.py"
    return "/usr/bin/python3", "-I", bot, "/checkout/plugin/hosts/client.py", str(wait_s)


@pytest.fixture(scope="module")
def installed(machine: Booted) -> Installed:
    before = machine.on_disk()
    machine.run("mkdir", STATE)
    machine.run("cp", "--recursive", "/models", f"{STATE}/models")
    machine.run(*INSTALL)
    installed = Installed(machine, before)
    machine.run("shadowgate", "set", "ML_STACKING_MIN_SAMPLES", "100")
    machine.until(lambda: installed.flag("ML_STACKING_MIN_SAMPLES") == "100")
    return installed


def test_it_is_ready_when_systemctl_says_so(installed):
    machine = installed.machine
    assert machine.show(UNIT, "ActiveState") == "active"
    assert machine.show(UNIT, "NRestarts") == "0"
    assert machine.show(UNIT, "StatusText").startswith("shadow (stacking_off)")
    for unit in (UNIT, "shadowgate.socket", "shadowgate-report.timer"):
        assert machine.run("systemctl", "is-enabled", unit).strip() == "enabled"


def test_no_unit_makes_systemd_complain(installed):
    units = ("shadowgate", "shadowgate-retrain", "shadowgate-report", "shadowgate-retention")
    timers = ("shadowgate-report.timer", "shadowgate-retention.timer")
    names = [*(f"{unit}.service" for unit in units), "shadowgate.socket", *timers]
    assert installed.machine.run("systemd-analyze", "verify", *names) == ""


def test_only_root_can_change_the_program_and_only_the_user_reads_the_data(installed):
    machine = installed.machine
    foreign = ["(", "-not", "-user", "root", "-o", "-perm", "/022", ")", "-not", "-type", "l"]
    assert machine.run("find", APP, *foreign) == ""
    interpreter = machine.run("readlink", "--canonicalize", f"{APP}/current/bin/python").strip()
    assert interpreter.startswith("/usr/")
    open_to_others = f"find {STATE} {CACHE} ( -not -user shadowgate -o -perm /077 )".split()
    assert machine.run(*open_to_others) == ""


def test_a_bot_of_the_group_is_answered_and_a_stranger_is_not(installed):
    assert installed.ask()["n_horizons"] == 3
    assert installed.ask("stranger", wait_s=2)["reason"] == "no_service"


def test_the_live_process_has_compiled_nothing(installed):
    """Compiling would leave it at twice its size; install.sh has done it before."""
    compiled_later = f"find -P {CACHE} -name *.nb? -newer {APP}/current".split()
    assert installed.machine.run(*compiled_later) == ""


def test_it_comes_back_after_a_kill(installed):
    pid = installed.pid()
    installed.machine.run("kill", "-KILL", str(pid))
    installed.comes_back(pid)
    assert installed.ask()["n_horizons"] == 3


def test_a_process_that_is_stuck_is_ended_with_its_stacks_in_the_journal(installed):
    machine = installed.machine
    installed.drop_in(UNIT, "[Service]\nWatchdogSec=2\n")
    machine.run("systemctl", "restart", UNIT)
    pid = installed.pid()
    machine.run("kill", "-STOP", str(pid))
    installed.comes_back(pid)
    said = machine.journal(UNIT)
    assert "Watchdog timeout (limit 2s)" in said
    assert "Fatal Python error: Aborted" in said
    assert 'asyncio/base_events.py", line' in said
    installed.drop_in(UNIT, "")
    machine.run("systemctl", "restart", UNIT)
    assert installed.ask()["n_horizons"] == 3


def test_a_reload_says_whether_it_went_well_and_a_refused_one_changes_nothing(installed):
    machine, pid = installed.machine, installed.pid()
    machine.run("systemctl", "reload", UNIT)
    good = installed.ask()["bundle_id"]
    bad = f"{str(good)[:-1]}{'0' if str(good)[-1] != '0' else '1'}"
    bundles, pointer = f"{STATE}/models/bundles", f"{STATE}/models/champion"
    machine.run("cp", "--archive", f"{bundles}/{good}", f"{bundles}/{bad}", user="shadowgate")
    machine.run(
        "bash", "-c", f"truncate --size=100 {bundles}/{bad}/*/*lgb* {bundles}/{bad}/*lgb*", rc=None
    )
    machine.run("cp", pointer, f"{pointer}.good", user="shadowgate")
    machine.run("sed", "--in-place", f"s/{good}/{bad}/", pointer, user="shadowgate")
    machine.run("systemctl", "reload", UNIT, rc=1)
    assert "refused" in machine.journal(UNIT)
    assert (machine.show(UNIT, "ActiveState"), installed.pid()) == ("active", pid)
    assert installed.ask()["bundle_id"] == good
    machine.run("mv", f"{pointer}.good", pointer, user="shadowgate")
    machine.run("rm", "--recursive", f"{bundles}/{bad}")
    machine.run("systemctl", "reload", UNIT)
    assert installed.pid() == pid


def test_a_flag_that_is_set_is_in_force_without_a_restart(installed):
    machine, pid = installed.machine, installed.pid()
    assert installed.flag("ML_ENABLED") == "1"
    machine.run("shadowgate", "set", "ML_ENABLED", "0")
    machine.until(lambda: installed.flag("ML_ENABLED") == "0")
    assert installed.pid() == pid
    machine.run("shadowgate", "set", "ML_ENABLED", "1")
    machine.until(lambda: installed.flag("ML_ENABLED") == "1")
    machine.run("shadowgate", "status", user="bot", rc=2)


def test_who_asks_during_a_restart_is_answered_after_it(installed):
    machine, pid = installed.machine, installed.pid()
    socket = machine.run("stat", "--format=%i", "/run/shadowgate/plugin.sock")
    machine.run("kill", "-STOP", str(pid))  # it can not answer any more
    asked = machine.begin(*asking(60.0), user="bot")
    machine.run("systemctl", "kill", "--signal=KILL", UNIT)
    said, _ = asked.communicate(timeout=120)
    assert json.loads(said)["reason"] not in ("no_service", "timeout")
    assert installed.pid() != pid
    assert machine.run("stat", "--format=%i", "/run/shadowgate/plugin.sock") == socket


def test_a_service_that_is_down_is_started_by_who_asks(installed):
    installed.machine.run("systemctl", "stop", UNIT)
    assert installed.ask()["n_horizons"] == 3
    assert installed.is_up()


def test_a_crash_loop_ends_and_the_bot_lives_on(installed):
    machine = installed.machine
    machine.write("/run/systemd/system/shadowgate.bot.service", BOT_UNIT)
    installed.drop_in(UNIT, "[Service]\nExecStart=\nExecStart=/bin/false\nRestartSec=100ms\n")
    machine.run("systemctl", "stop", UNIT)
    machine.run("systemctl", "start", "shadowgate.bot.service")
    machine.until(lambda: machine.show(UNIT, "ActiveState") == "failed")
    assert machine.show(UNIT, "Result") in ("exit-code", "start-limit-hit")
    assert machine.show("shadowgate.bot.service", "ActiveState") == "active"
    assert installed.ask(wait_s=2)["reason"] == "no_service"
    installed.drop_in(UNIT, "")
    machine.run("systemctl", "reset-failed", UNIT, "shadowgate.socket")
    machine.run("systemctl", "start", UNIT)
    assert installed.ask()["n_horizons"] == 3
    machine.run("systemctl", "stop", "shadowgate.bot.service")


def test_it_sees_neither_network_nor_homes_nor_other_processes(installed):
    """What the main process may do, asked of its own namespaces."""
    machine, pid = installed.machine, installed.pid()
    inside = ["nsenter", f"--target={pid}", "--mount", "--net"]
    assert machine.run(*inside, "cat", "/proc/net/dev").count(":") == 1
    assert machine.run(*inside, "ls", "--almost-all", "/root", "/home").split() == ["/home:", "/root:"]
    for place in (
        "/etc/probe",
        "/usr/probe",
        "/opt/shadowgate/probe",
        "/var/lib/probe",
        "/run/lock/probe",
    ):
        assert "Read-only" in machine.run(*inside, "touch", place, rc=1)
    status = machine.run("cat", f"/proc/{pid}/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    as_stranger = ["setpriv", "--reuid=stranger", "--regid=stranger", "--clear-groups"]
    seen = machine.run(*inside, *as_stranger, "ls", "/proc").split()
    assert len([name for name in seen if name.isdigit()]) == 1  # the one that looks


def test_with_a_feed_of_its_own_it_asks_for_the_names_of_its_exchange_and_no_other(installed):
    machine, push = installed.machine, f"/etc/systemd/system/{UNIT}.d/push.conf"
    machine.run("mv", push, f"{push}.away")
    machine.run("systemctl", "daemon-reload")
    machine.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    server = "/checkout/tests/support/name_server.py"
    machine.run("systemd-run", "--unit=names", "/usr/bin/python3", "-u", "-I", server)
    machine.run("shadowgate", "set", "ML_SOURCE", "ccxt")
    machine.run("systemctl", "restart", "--no-block", UNIT)
    machine.until(lambda: "asked" in machine.journal("names.service"))
    time.sleep(5)  # others would have been asked for by now
    said = machine.journal("names.service").split()
    names = {word for before, word in pairwise(said) if before == "asked"}
    assert names
    assert {name for name in names if not name.endswith(EXCHANGE_NAMES)} == set()
    machine.run("systemctl", "stop", "names.service")
    machine.run("shadowgate", "set", "ML_SOURCE", "socket")
    machine.run("mv", f"{push}.away", push)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", UNIT)
    assert installed.ask()["n_horizons"] == 3


def test_the_timer_brings_a_report(installed):
    machine, unit, timer = installed.machine, "shadowgate-report.service", "shadowgate-report.timer"
    assert machine.show(timer, "NextElapseUSecRealtime")
    installed.drop_in(timer, "[Timer]\nOnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\n")
    machine.run("systemctl", "restart", timer)
    machine.until(lambda: machine.show(unit, "ExecMainExitTimestampMonotonic") != "0")
    machine.until(lambda: machine.show(unit, "ActiveState") != "activating")
    assert machine.show(unit, "Result") == "success"
    assert "BTC/USDT" in machine.journal(unit)
    installed.drop_in(timer, "")
    machine.run("systemctl", "restart", timer)


def test_a_stop_ends_well_and_leaves_whole_records(installed):
    machine = installed.machine
    machine.run("systemctl", "stop", UNIT, "shadowgate.socket")
    assert (machine.show(UNIT, "Result"), machine.show(UNIT, "ExecMainStatus")) == ("success", "0")
    assert machine.run("ls", "--almost-all", "/run/shadowgate") == ""
    report = machine.run("shadowgate", "report", "--json", rc=None)
    assert not any(json.loads(report)["damage"].values())
    machine.run("systemctl", "start", UNIT)
    assert installed.ask()["n_horizons"] == 3


def test_a_release_that_does_not_start_is_taken_back(installed):
    machine, release = installed.machine, current(installed)
    machine.run("mkdir", "/run/broken")
    machine.run("cp", "--recursive", *(f"/checkout/{name}" for name in CHECKOUT), "/run/broken")
    machine.write("/run/broken/plugin/commands/run.py", "raise SystemExit('broken on purpose')\n")
    said = machine.run("/run/broken/systemd/install.sh", *INSTALL[1:], rc=1)
    assert "broken on purpose" in said
    assert "the old one is back" in said
    assert current(installed) == release
    assert machine.run("ls", f"{APP}/releases").split() == [release.rpartition("/")[2]]
    assert installed.ask()["n_horizons"] == 3


def current(installed: Installed) -> str:
    return installed.machine.run("readlink", f"{APP}/current").strip()


def contents(installed: Installed) -> str:
    """Of all data, but for what the running service adds."""
    files = f"find {STATE} -type f -not -path */shadow/* -exec sha256sum {{}} +".split()
    return "\n".join(sorted(installed.machine.run(*files).splitlines()))


def test_an_upgrade_keeps_data_and_settings(installed):
    machine, release, pid = installed.machine, current(installed), installed.pid()
    before = contents(installed)
    machine.run(*INSTALL)
    assert current(installed) != release
    assert machine.run("ls", f"{APP}/releases").split() == [current(installed).rpartition("/")[2]]
    assert contents(installed) == before
    assert installed.is_up()
    assert installed.pid() != pid
    assert installed.ask()["n_horizons"] == 3


def test_an_uninstall_leaves_nothing_but_the_data(installed):
    machine = installed.machine
    before = contents(installed)
    machine.run("/checkout/systemd/install.sh", "--uninstall")
    assert {path for path in left_over(installed) if not f"{path}/".startswith(f"{STATE}/")} == set()
    assert contents(installed) == before
    assert machine.run("find", STATE, "-not", "-user", "root") == ""
    assert "shadowgate" not in machine.run("getent", "passwd") + machine.run("getent", "group")
    assert "shadowgate" not in machine.run("systemctl", "list-units", "--all", "shadowgate*", "--plain")


def test_a_purge_leaves_nothing_at_all(installed):
    installed.machine.run("/checkout/systemd/install.sh", "--purge")
    assert left_over(installed) == set()


def left_over(installed: Installed) -> set[str]:
    """What is on the disk, or is gone from it, since before the installation."""
    since = installed.machine.on_disk() - installed.before
    # A folder of this machine counts as changed where something was made and removed in it.
    return {path for path in since if not path.startswith(NOT_OURS) and not Path(path).is_dir()}
