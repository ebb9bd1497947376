"""One flag changes, and nothing else in the file, whole or not at all."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from plugin.env_edit import set_flag
from plugin.errors import WrongUse
from plugin.settings import load_settings

TEXT = """\
# the bot's own
TOKEN="very$ecret"
ML_ENABLED=1
# on or off
ML_ENABLE_STACKING=0

ML_RETRAIN_CRON='17 3 * * 0'
"""


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(TEXT)
    path.chmod(0o640)
    return path


def test_one_line_changes_and_all_else_stays(env):
    assert set_flag(env, "ML_ENABLE_STACKING", "1") == ("0", True)
    assert env.read_text() == TEXT.replace("STACKING=0", "STACKING=1")
    assert stat.S_IMODE(env.stat().st_mode) == 0o640
    assert sorted(path.name for path in env.parent.iterdir()) == [".env"], "nothing is left behind"


def test_the_same_value_is_not_written_again(env):
    before = env.stat().st_ino
    assert set_flag(env, "ML_ENABLE_STACKING", "0") == ("0", False)
    assert env.stat().st_ino == before


def test_a_flag_that_is_not_there_is_added_at_the_end(env):
    assert set_flag(env, "ML_TIMEFRAME", "4h") == (None, True)
    assert env.read_text() == TEXT + "ML_TIMEFRAME=4h\n"


def test_a_file_that_is_not_there_is_made_for_its_owner_alone(tmp_path):
    path = tmp_path / "new" / ".env"
    assert set_flag(path, "ML_ENABLED", "0") == (None, True)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("ML_ENABLED=0\n", 0o600)


def test_a_value_with_spaces_is_quoted_and_read_back(env):
    set_flag(env, "ML_RETRAIN_CRON", "5 4 1 * *")
    assert "ML_RETRAIN_CRON='5 4 1 * *'\n" in env.read_text()
    assert load_settings(env, {}).retrain_cron == "5 4 1 * *"
    set_flag(env, "ML_SHADOW_DIR", "a folder/with $signs #1")
    assert load_settings(env, {}).shadow_dir == Path("a folder/with $signs #1")
    set_flag(env, "ML_EXCHANGE_URL", "")
    assert load_settings(env, {}).exchange_url == ""


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("ML_ENABLE_STAKING", "1", "did you mean ML_ENABLE_STACKING"),
        ("TOKEN", "1", "a known flag"),
        ("ML_ENABLED", "yes", "0 or 1"),
        ("ML_ENABLED", "1\nML_ENABLE_STACKING=1", "0 or 1"),
        ("ML_SHADOW_DIR", "a\nML_ENABLE_STACKING=1", ""),
        ("ML_SHADOW_DIR", "it's", ""),
        ("ML_SHADOW_DIR", "\0", ""),
        ("ML_SHADOW_DIR", "x" * 5000, "1 to 4095 bytes"),
    ],
)
def test_what_no_reader_would_take_is_not_written(env, key, text, says):
    with pytest.raises(WrongUse, match=says):
        set_flag(env, key, text)
    assert env.read_text() == TEXT


@pytest.mark.parametrize(
    "text",
    ["ML_ENABLED=1\nML_ENABLED=0\n", "ML_ENABLED=1\nexport ML_TIMEFRAME=1h\n", "ML_OLD=1\n"],
)
def test_a_file_that_would_not_be_understood_is_left_alone(env, text):
    env.write_text(text)
    with pytest.raises(WrongUse):
        set_flag(env, "ML_ENABLED", "0")
    assert env.read_text() == text


def test_a_wrong_value_and_a_missing_line_end_can_be_repaired(env):
    env.write_text("ML_ENABLED=yes\nML_TIMEFRAME=1h")
    assert set_flag(env, "ML_ENABLED", "1") == (None, True)
    assert env.read_text() == "ML_ENABLED=1\nML_TIMEFRAME=1h\n"


def test_a_symbolic_link_and_a_folder_are_refused(env, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(env)
    for path in (link, tmp_path):
        with pytest.raises(WrongUse):
            set_flag(path, "ML_ENABLED", "0")
    assert link.is_symlink()
    assert env.read_text() == TEXT


def test_a_draft_that_somebody_laid_as_a_trap_is_not_written_through(env, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "..env.new").symlink_to(victim)
    set_flag(env, "ML_ENABLED", "0")
    assert victim.read_text() == "mine"
    assert "ML_ENABLED=0" in env.read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_the_owner_stays(env):
    os.chown(env, 12345, 54321)
    set_flag(env, "ML_ENABLED", "0")
    assert (env.stat().st_uid, env.stat().st_gid) == (12345, 54321)
    assert stat.S_IMODE(env.stat().st_mode) == 0o640


_WRITER = """
import sys
from pathlib import Path
from plugin.env_edit import set_flag
for number in range(1, 100):
    set_flag(Path(sys.argv[1]), sys.argv[2], str(number % 2) if sys.argv[3] == "0" else str(number))
"""


def test_two_writers_and_a_reader_always_meet_a_whole_file(env):
    flags = (("ML_ENABLED", "0"), ("ML_STACKING_MIN_SAMPLES", "1"))
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, str(env), *flag]) for flag in flags]
    n_read = 0
    while any(writer.poll() is None for writer in writers):
        text = env.read_text()
        assert text.startswith(TEXT[:30])
        assert text.endswith("\n")
        load_settings(env, {})
        n_read += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert n_read
    settings = load_settings(env, {})
    assert (settings.enabled, settings.stacking_min_samples) == (True, 99)
