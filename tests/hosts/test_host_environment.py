"""Is the environment of a host made when it is missing, once, and again when its list changes?"""

import subprocess
from pathlib import Path

import pytest

from tests.support import host_environment

pytestmark = pytest.mark.slow


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The list of a host `toy`, which wants nothing, in a checkout of its own."""
    monkeypatch.setattr(host_environment, "_CHECKOUT", tmp_path)
    monkeypatch.setattr(host_environment, "_HOSTS", tmp_path / ".venv" / "hosts")
    path = tmp_path / "tests" / "hosts" / "toy-requirements.txt"
    path.parent.mkdir(parents=True)
    path.write_text("# nothing\n")
    return path


def asked_in_a_new_process() -> Path:
    host_environment._made.cache_clear()
    return host_environment.host_python("toy")


def test_an_environment_is_made_once_and_again_when_its_list_changes(requirements):
    python = asked_in_a_new_process()
    assert subprocess.run([python, "-c", "import pip"], check=False).returncode == 0
    mark = python.parent / "mark"
    mark.touch()
    assert asked_in_a_new_process() == python
    assert mark.exists()
    requirements.write_text("# nothing, but otherwise\n")
    assert asked_in_a_new_process() == python
    assert not mark.exists()


def test_a_test_is_skipped_where_it_can_not_be_made(requirements):
    requirements.write_text("no-such-package-anywhere==1.0\n")
    with pytest.raises(pytest.skip.Exception, match=r"no environment of toy: .*no-such-package"):
        asked_in_a_new_process()
