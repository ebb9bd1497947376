"""The live process as a whole: what a bot, an operator, systemd and Prometheus see of it."""

import json
import re
import resource
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shadow.files import day_files
from tests.support.bundles import add_twin, appoint, bundle_of
from tests.support.live_service import SYMBOLS, LiveService, json_of, wait_until
from tests.support.small_training import SmallTraining

HEAVY = {"ccxt", "aiohttp", "pandas", "pyarrow", "torch", "sklearn", "lightgbm", "xgboost", "redis"}
MIB = 1024**2


@pytest.fixture
def service(small_training: SmallTraining, models: Path, tmp_path: Path) -> Iterator[LiveService]:
    one = LiveService(small_training, models, tmp_path)
    yield one
    one.clean_up()


@contextmanager
def systemd(folder: Path) -> Iterator[socket.socket]:
    """The socket on which systemd would listen, at `notify` in the folder."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(folder / "notify"))
        listening.settimeout(60)
        yield listening


def hear(listening: socket.socket, begins: str) -> list[str]:
    """What is said up to and with the first message that begins so."""
    said = [""]
    while not said[-1].startswith(begins):
        said.append(listening.recv(4096).decode())
    return said[1:]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_bot_is_answered_and_every_answer_recorded(service):
    service.start("tests.support.watched_service", MODULES_FILE=str(service.folder / "modules"))
    service.give_history(n_coming=5)
    decisions = [one for number in range(4, -1, -1) for one in service.push(number)]
    assert {one["reason"] for one in decisions} == {"stacking_off"}
    assert {one["mode"] for one in decisions} == {"shadow"}

    said = service.wait_for("bar_answered", len(decisions))
    assert said["reason"] == "stacking_off"
    assert 0.0 < said["p"] < 1.0
    assert (said["mode"], said["bundle"]) == ("shadow", decisions[-1]["bundle_id"])
    assert said["latency_us"] > 0
    assert said["lag_s"] >= 0
    (begun,) = service.logged("in_force")
    assert (begun["mode"], begun["reason"], begun["source"]) == ("shadow", "stacking_off", "socket")

    ended = service.command("status", "--json")
    status = json_of(ended.stdout)
    assert (ended.returncode, status["alive"], status["faults"]) == (0, True, [])
    assert status["symbols"].keys() == set(SYMBOLS)
    btc = status["symbols"]["BTC/USDT"]
    assert (btc["n_bars"] >= 512, btc["n_absent"], btc["window_full"]) == (True, 0, True)
    assert btc["last_answer"]["reason"] == "stacking_off"
    assert status["flags"]["ML_STACKING_MIN_SAMPLES"]["held_by_environment"] is True
    assert 20 * MIB < status["memory_bytes"] < 400 * MIB
    assert "BTC/USDT" in service.command("status").stdout

    assert service.end() == 0
    records = service.bar_records()
    assert len(records) == len(decisions)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    imported = set((service.folder / "modules").read_text().splitlines())
    assert not imported & HEAVY, "who pushes bars needs none of them"


def test_a_flag_set_while_it_runs_counts_within_seconds_and_is_said(service):
    service.start()
    service.give_history(n_coming=2)
    assert service.push(1)[0]["reason"] == "stacking_off"
    ended = service.command("set", "ML_ENABLE_STACKING", "1", "--json")
    said = json_of(ended.stdout)
    assert (ended.returncode, said["written"], said["takes_effect"]) == (0, True, "at the next bar")
    assert said["mode"] == "shadow", "a market that was made up is no evidence"
    assert "real_market" in said["missing_gates"]
    changed = service.wait_for("flag_changed")
    assert (changed["flag"], changed["was"], changed["now"]) == ("ML_ENABLE_STACKING", "0", "1")
    warned = service.wait_for("not_live")
    assert (warned["mode"], warned["reason"]) == ("shadow", "gate_real_market")
    assert "real_market" in warned["missing_gates"]
    assert service.push(0)[0]["reason"] == "gate_real_market", "no bar had to come for the change"

    service.env.write_text("ML_ENABLE_STACKING=1\nML_SYMBOLS=BTC/USDT\nML_METRICS_PORT=1\n")
    service.wait_for("flag_needs_restart", 1)
    flags = service.status()["flags"]
    assert flags["ML_METRICS_PORT"]["after_restart"] == "1"
    assert flags["ML_SYMBOLS"]["held_by_environment"] is True
    service.env.write_text("ML_ENABLED=maybe\n")
    service.wait_for("settings_refused")
    ended = service.command("status", "--json")
    assert ended.returncode == 2, "the command reads the same file"
    assert "line 1" in service.status()["settings_refused"]
    assert service.status()["healthy"] is False


def test_stopped_in_the_middle_it_finishes_what_it_has_begun(service):
    service.start()
    service.give_history(n_coming=200)
    told = service.push_at_once(range(199, -1, -1), after_the_first=signal.SIGTERM)
    service.send(signal.SIGTERM)
    assert service.end(signal.SIGINT) == 0
    assert len(service.bar_records()) == len(told) >= 2
    assert {one["reason"] for one in told} == {"stacking_off"}
    assert len(service.logged("stopping")) == 1
    assert service.logged("stopped")[0]["records_waiting"] == 0
    assert "Traceback" not in service.log_text()
    assert not service.address.exists()
    assert not (service.run_folder / "serving.json").exists()
    ended = service.command("status")
    assert ended.returncode == 1
    assert "start it" in ended.stdout.replace("\n", " ")


def test_a_bot_that_waits_keeps_nobody_from_stopping(service):
    service.start()
    with socket.socket(socket.AF_UNIX) as bot:
        bot.connect(str(service.address))
        open_ms = int(time.time() * 1000) // 3_600_000 * 3_600_000
        ask = {"symbol": "BTC/USDT", "timeframe": "1h", "open_time_ms": open_ms}
        expires = {"expires_ms": open_ms + 7_200_000}
        bot.sendall(json.dumps({"type": "ask", "id": 1, **ask, **expires}).encode() + b"\n")
        wait_until(lambda: service.status()["socket"]["waiting_for_a_bar"] == 1)
        assert service.end() == 0


def test_sighup_loads_what_is_appointed(service, models):
    service.start()
    twin = add_twin(models)
    appoint(models, twin)
    service.send(signal.SIGHUP)
    wait_until(lambda: service.status()["champion"]["bundle"] == twin.name)
    ended = service.command("reload", "--json")
    assert (ended.returncode, json_of(ended.stdout)["champion"]) == (0, twin.name)
    assert service.status()["n_reloads"] >= 2


def test_systemd_is_told_and_a_wedged_loop_is_not_called_alive(service, models, tmp_path):
    environ = {
        "NOTIFY_SOCKET": str(service.run_folder / "notify"),
        "WATCHDOG_USEC": "1500000",
        "MODULES_FILE": str(tmp_path / "modules"),
    }
    with systemd(service.run_folder) as listening:
        service.start("tests.support.watched_service", **environ)
        began = hear(listening, "READY=1")
        assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in began)
        assert any(line.startswith("STATUS=shadow (stacking_off), ") for line in began)
        assert service.address.is_socket(), "ready means that a bot can ask"
        hear(listening, "WATCHDOG=1")

        appoint(models, bundle_of(models))
        service.send(signal.SIGHUP)
        (reloading,) = hear(listening, "RELOADING=1")[-1:]
        assert "MONOTONIC_USEC=" in reloading
        hear(listening, "READY=1")

        service.send(signal.SIGUSR1)
        listening.settimeout(3.0)
        with pytest.raises(TimeoutError):
            while True:
                listening.recv(4096)
        assert "stuck" in service.command("status").stdout
        assert service.end(signal.SIGABRT) == -signal.SIGABRT
        assert "Fatal Python error: Aborted" in service.log_text()
        assert "watched_service.py" in service.log_text(), "where it was stuck"


def test_at_the_end_systemd_is_told(service):
    with systemd(service.run_folder) as listening:
        service.start(NOTIFY_SOCKET=str(service.run_folder / "notify"))
        hear(listening, "READY=1")
        assert service.end() == 0
        said = hear(listening, "STOPPING=1")
        assert not any(line.startswith("WATCHDOG") for line in said), "no watchdog was asked for"


def test_a_full_disk_costs_records_and_no_answer(service):
    service.start()
    service.give_history(n_coming=30)
    service.push(29)
    wait_until(lambda: service.status()["records"]["written"] == 2)
    (day,) = day_files(service.shadow)
    unlimited = resource.RLIM_INFINITY
    # It is the log of the process, too, that finds no room now.
    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (day.stat().st_size + 100, unlimited))
    for number in range(28, 9, -1):
        assert {one["reason"] for one in service.push(number)} == {"stacking_off"}
    wait_until(lambda: service.status()["records"]["lost"] == 2 * 19)
    assert "OSError" in service.status()["records"]["last_error"]

    resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    for number in range(9, -1, -1):
        service.push(number)
    wait_until(lambda: service.status()["records"]["written"] == 2 + 2 * 10)
    service.wait_for("records_kept_again")
    assert service.end() == 0
    records = service.bar_records()
    assert len(records) == 2 + 2 * 10
    assert records[2].seq - records[1].seq == 1 + 2 * 19, "the loss shows"


def test_a_second_one_is_refused_and_the_first_serves_on(service, tmp_path):
    service.start()
    ended = service.command("run")
    assert ended.returncode == 1
    assert "to be the only writer" in ended.stderr.splitlines()[-1]
    other = {**service.environment, "ML_SHADOW_DIR": str(tmp_path / "other")}
    service.environment, first = other, service.environment
    ended = service.command("run")
    service.environment = first
    assert ended.returncode == 2
    assert f"process {service.pid}" in ended.stderr.splitlines()[-1]
    assert service.status()["pid"] == service.pid
    assert service.end() == 0


def test_metrics_are_served_on_loopback_when_asked_for(service):
    port = free_port()
    service.environment["ML_METRICS_PORT"] = str(port)
    service.start()
    service.give_history(n_coming=2)
    service.push(1)
    service.push(0)

    def page() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read().decode())

    wait_until(lambda: "shadowgate_records_written_total 4.0" in page())
    text = page()
    answered = [line for line in text.splitlines() if line.startswith("shadowgate_bars_answered_total")]
    assert sum(float(line.rpartition(" ")[2]) for line in answered) == 4
    assert all('reason="stacking_off"' in line for line in answered)
    assert "shadowgate_decision_latency_seconds_count 4.0" in text
    assert 'shadowgate_flag{flag="ML_ENABLE_STACKING"} 0.0' in text
    assert re.search(r'shadowgate_bars_held\{symbol="XRP/USDT"\} 51[2-9]\.0', text)
    ends = subprocess.run(["ss", "-ltn"], capture_output=True, text=True, check=False)
    if ends.returncode == 0:
        assert f"127.0.0.1:{port}" in ends.stdout


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ({"ML_SOURCE": "replay"}, "python -m plugin replay"),
        ({"ML_SOURCE": "tape"}, "ccxt, socket, redis or replay"),
        ({"ML_METRICS_PORT": "taken"}, "ML_METRICS_PORT"),
    ],
)
def test_what_can_not_be_served_is_said_in_one_line(service, flags, says):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        service.environment |= {key: text.replace("taken", port) for key, text in flags.items()}
        ended = service.command("run")
    assert ended.returncode == 2
    assert says in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_flags_that_can_not_be_understood_turn_everything_off_until_they_can(service):
    service.env.write_text("ML_ENABLED=1\nML_ENABLE_STACKING=on\n")
    service.start()
    service.give_history(n_coming=2)
    assert service.push(1)[0]["reason"] == "disabled"
    service.env.write_text("ML_ENABLED=1\n")
    service.wait_for("flag_changed")
    assert service.push(0)[0]["reason"] == "stacking_off"


def test_stopped_with_sigstop_it_is_said_to_be_stuck(service):
    service.start()
    service.send(signal.SIGSTOP)
    try:
        ended = service.command("status", "--json")
    finally:
        service.send(signal.SIGCONT)
    assert ended.returncode == 1
    assert "stuck" in json_of(ended.stdout)["faults"][0]
    assert service.end() == 0
