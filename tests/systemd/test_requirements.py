"""Does what install.sh installs stand with its hash, and is it what the tests run with?"""

import configparser
import re
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
BASE = "requirements.txt"
EXTRAS = {
    BASE: ("report", "signing", "bus", "mqtt"),
    "requirements-onnx.txt": ("onnx",),
    "requirements-training.txt": ("train",),
}
# Wanted by an interpreter older than the one that the tests run with.
BY_OLDER_PYTHON = {"async-timeout"}
MACHINES = [
    {"python_version": python, "python_full_version": full, "platform_machine": machine}
    | {"sys_platform": "linux", "implementation_name": "cpython", "platform_system": "Linux"}
    for python, full in (("3.11", "3.11.2"), ("3.11", "3.11.9"), ("3.12", "3.12.3"), ("3.13", "3.13.5"))
    for machine in ("x86_64", "aarch64")
]
Pins = dict[str, Requirement]


def pins(name: str) -> tuple[Pins, dict[str, int]]:
    """The pinned packages of a requirement file, and how many hashes each has."""
    found, n_hashes = {}, {}
    for block in re.split(r"\n(?=\S)", (ROOT / "systemd" / name).read_text()):
        if not block.startswith("#"):
            line, *hashes = block.rstrip().split(" \\\n")
            pinned = Requirement(line)
            found[canonicalize_name(pinned.name)] = pinned
            n_hashes[canonicalize_name(pinned.name)] = len(hashes)
            assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}", one) for one in hashes)
    return found, n_hashes


def all_pins(name: str) -> Pins:
    """Of a file with the one that it stands beside."""
    return pins(BASE)[0] | pins(name)[0]


def wanted(extras: tuple[str, ...]) -> list[Requirement]:
    """What setup.cfg asks for: the live side, and some extras with what these stand on."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    texts = [setup["options"]["install_requires"]]
    texts += [setup["options.extras_require"][extra] for extra in extras]
    return [Requirement(line) for text in texts for line in text.split("\n") if line.strip()]


def version(pinned: Requirement) -> str:
    (only,) = pinned.specifier
    assert only.operator == "=="
    return only.version


@pytest.mark.parametrize("name", EXTRAS)
def test_every_package_has_one_version_and_hashes(name):
    found, n_hashes = pins(name)
    assert found
    assert all(version(pinned) for pinned in found.values())
    assert [package for package, n in n_hashes.items() if n == 0] == []


@pytest.mark.parametrize("name", EXTRAS)
def test_what_setup_cfg_asks_for_is_there(name):
    found = all_pins(name)
    for asked in wanted(EXTRAS[name]):
        if asked.marker is None or asked.marker.evaluate({"sys_platform": "linux"}):
            assert version(found[canonicalize_name(asked.name)]) in asked.specifier


@pytest.mark.parametrize("name", EXTRAS)
def test_versions_are_those_that_the_tests_run_with(name):
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    tested = {
        canonicalize_name(one.name): version(one)
        for one in (Requirement(line) for line in lines if not line.startswith("#"))
    }
    found = {package: version(pinned) for package, pinned in pins(name)[0].items()}
    assert {package: found[package] for package in found.keys() - BY_OLDER_PYTHON} == {
        package: tested.get(package) for package in found.keys() - BY_OLDER_PYTHON
    }


@pytest.mark.parametrize("name", EXTRAS)
@pytest.mark.parametrize("machine", MACHINES, ids=lambda one: " ".join(one.values()))
def test_nothing_that_a_package_needs_is_missing_and_nothing_is_too_much(name, machine):
    """install.sh lets pip follow no dependency: whatever is needed must stand there."""
    found = all_pins(name)
    extras = EXTRAS[BASE] + (EXTRAS[name] if name != BASE else ())
    todo = [(one, "") for one in wanted(extras) if "%(" not in str(one)]
    reached: set[tuple[str, str]] = set()
    while todo:
        asked, extra_of = todo.pop()
        if asked.marker is not None and not asked.marker.evaluate({**machine, "extra": extra_of}):
            continue
        package = canonicalize_name(asked.name)
        assert package in found, f"{package} is needed on {machine}"
        marker = found[package].marker
        assert marker is None or marker.evaluate(machine), f"{package} is left out on {machine}"
        for extra in ("", *asked.extras):
            if (package, extra) not in reached:
                reached.add((package, extra))
                todo += [(Requirement(text), extra) for text in needs(package)]
    if machine["python_full_version"] == "3.11.2":
        assert found.keys() == {package for package, _ in reached}


def needs(package: str) -> list[str]:
    try:
        return requires(package) or []
    except PackageNotFoundError:
        assert package in BY_OLDER_PYTHON
        return []
