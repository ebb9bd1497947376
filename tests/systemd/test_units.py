"""What do systemd's own checks say of the units, and do they say what no score asks for?"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted(path.name for path in SYSTEMD.glob("shadowgate*.*") if path.suffix != ".sh")
UNITS.remove("shadowgate.tmpfiles.conf")
SERVICES = [name for name in UNITS if name.endswith(".service")]
NUMBA_FORBIDS = "MemoryDenyWriteExecute"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file tree in which the units are installed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    units = tmp_path / "etc" / "systemd" / "system"
    units.mkdir(parents=True)
    for name in UNITS:
        shutil.copy(SYSTEMD / name, units)
    launcher = tmp_path / "opt" / "shadowgate" / "python"
    launcher.parent.mkdir(parents=True)
    shutil.copy(SYSTEMD / "python.sh", launcher)
    # What units without a word of their own depend on.
    there = tmp_path / "usr" / "lib" / "systemd" / "system"
    shutil.copytree("/usr/lib/systemd/system", there, symlinks=True)
    return tmp_path


def analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", f"--root={root}", "--man=no", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def push(root: Path) -> None:
    folder = root / "etc" / "systemd" / "system" / "shadowgate.service.d"
    folder.mkdir()
    shutil.copy(SYSTEMD / "push.conf", folder)


@pytest.mark.parametrize("name", UNITS)
def test_verify_prints_nothing(root, name):
    done = analyze(root, "verify", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_prints_nothing_of_the_drop_in(root):
    push(root)
    done = analyze(root, "verify", "shadowgate.service")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_verify_would_print_a_misspelt_directive(root):
    """Its exit code would not tell."""
    unit = root / "etc" / "systemd" / "system" / "shadowgate.service"
    unit.write_text(unit.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in analyze(root, "verify", "shadowgate.service").stderr


@pytest.mark.parametrize(
    ("name", "tenths"),
    [
        ("shadowgate", 15),
        ("shadowgate-retrain", 15),
        ("shadowgate-report", 6),
        ("shadowgate-retention", 6),
    ],
)
def test_exposure(root, name, tenths):
    done = analyze(root, "security", "--offline=true", f"--threshold={tenths}", f"{name}.service")
    assert done.returncode == 0, done.stdout.splitlines()[-1]


def test_exposure_where_bars_are_pushed(root):
    push(root)
    done = analyze(root, "security", "--offline=true", "--threshold=6", "shadowgate.service")
    assert done.returncode == 0, done.stdout.splitlines()[-1]


# A score stays good without some of them.
HARDENED = {
    "ProtectSystem": "strict",
    "ReadOnlyPaths": "/run",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateIPC": "yes",
    "PrivateMounts": "yes",
    "ProtectProc": "invisible",
    "ProtectHostname": "yes",
    "ProtectClock": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "NoNewPrivileges": "yes",
    "CapabilityBoundingSet": "",
    "AmbientCapabilities": "",
    "RestrictSUIDSGID": "yes",
    "RestrictRealtime": "yes",
    "RestrictNamespaces": "yes",
    "LockPersonality": "yes",
    "RemoveIPC": "yes",
    "KeyringMode": "private",
    "SystemCallArchitectures": "native",
    "UMask": "0077",
    "User": "shadowgate",
    "LimitCORE": "0",
}


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(("directive", "value"), HARDENED.items())
def test_every_service_has(name, directive, value):
    assert directives(name)[directive] == [value]


@pytest.mark.parametrize("name", ["shadowgate.service", "shadowgate-retrain.service"])
def test_where_numba_compiles_memory_may_be_written_and_run_and_the_unit_says_so(name):
    assert NUMBA_FORBIDS not in directives(name)
    assert f"# {NUMBA_FORBIDS}=yes can not be set: numba" in (SYSTEMD / name).read_text()


@pytest.mark.parametrize("name", ["shadowgate-report.service", "shadowgate-retention.service"])
def test_what_reads_the_log_needs_no_numba(name):
    assert directives(name)[NUMBA_FORBIDS] == ["yes"]


def test_tidying_up_may_write_into_the_log_alone():
    assert directives("shadowgate-retention.service")["ReadWritePaths"] == [
        "-/var/lib/shadowgate/data/shadow"
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_settings_do_not_come_by_systemd(name):
    """It reads another dialect of .env, once, and silently drops what it does not understand."""
    assert "EnvironmentFile" not in directives(name)
    assert "ML_" not in (SYSTEMD / name).read_text()


def test_the_bot_comes_first():
    live, retrain = (directives(f"shadowgate{name}.service") for name in ("", "-retrain"))
    assert int(live["OOMScoreAdjust"][0]) >= 500
    assert int(retrain["OOMScoreAdjust"][0]) > int(live["OOMScoreAdjust"][0])
    assert retrain["Nice"] == ["19"]
    assert retrain["MemoryMax"] and live["MemoryMax"]


def directives(name: str) -> dict[str, list[str]]:
    """The values of each directive, in their order; comments and sections are left out."""
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", (SYSTEMD / name).read_text(), re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found
