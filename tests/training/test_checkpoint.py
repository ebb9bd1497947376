"""What a training kept before it was cut off is used again whole, or not at all."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from plugin.candles import Candles
from plugin.errors import WrongUse
from tests.support.small_training import SETTINGS
from training import checkpoint
from training.checkpoint import open_checkpoint, training_key
from training.settings import MEMBERS

ROOT = Path(__file__).parents[2]
KEY = "a" * 32
CONTENT = b"first line\n\x00\xff\nlast line"
_DAY_S = 86_400
_WORKS_FOR_EVER = """
import sys, time
from pathlib import Path
from training.checkpoint import open_checkpoint
with open_checkpoint(Path(sys.argv[1]), sys.argv[2], resume=True):
    print("at work", flush=True)
    time.sleep(60)
"""


class Cut(Exception):
    """In the place of a kill."""


def cut_off(models: Path, **pieces: bytes) -> None:
    """A training that made `pieces` and was cut off then."""
    with pytest.raises(Cut), open_checkpoint(models, KEY, resume=True) as kept:
        for name, content in pieces.items():
            assert kept.piece(name, lambda content=content: content) == content
        raise Cut


def place(models: Path, name: str = "one") -> Path:
    return models / "resume" / KEY / name


def unused() -> bytes:
    raise AssertionError("it is there and must not be made again")


def test_a_piece_is_there_after_a_cut(tmp_path: Path) -> None:
    cut_off(tmp_path, one=CONTENT, two=b"")
    with open_checkpoint(tmp_path, KEY, resume=True) as kept:
        assert kept.piece("one", unused) == CONTENT
        assert kept.piece("two", unused) == b""
        assert kept.piece("three", lambda: b"new") == b"new"
    assert (kept.reused, kept.damaged) == (["one", "two"], [])


def test_without_resume_it_is_made_again_and_replaced(tmp_path: Path) -> None:
    cut_off(tmp_path, one=b"old", two=b"old")
    with pytest.raises(Cut), open_checkpoint(tmp_path, KEY, resume=False) as kept:
        assert kept.piece("one", lambda: b"new") == b"new"
        raise Cut
    assert kept.reused == []
    with open_checkpoint(tmp_path, KEY, resume=True) as kept:
        assert kept.piece("one", unused) == b"new"
        assert kept.piece("two", lambda: b"newer") == b"newer", "nothing of the old training is left"


def test_at_the_end_nothing_is_left(tmp_path: Path) -> None:
    with open_checkpoint(tmp_path, KEY, resume=False) as kept:
        kept.piece("one", lambda: CONTENT)
        assert place(tmp_path).exists()
    assert list((tmp_path / "resume").iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:40],
        lambda content: b"",
        lambda content: content + b"\n",
        lambda content: b"0" + content[1:],
        lambda content: content.replace(b"last", b"lost"),
        lambda content: content.replace(b"\n", b"\r\n"),
        lambda content: content.split(b"\n", 1)[1],
    ],
)
def test_a_damaged_piece_is_made_again_and_named(tmp_path: Path, damage) -> None:
    cut_off(tmp_path, one=CONTENT, two=b"whole")
    place(tmp_path).write_bytes(damage(place(tmp_path).read_bytes()))
    with pytest.raises(Cut), open_checkpoint(tmp_path, KEY, resume=True) as kept:
        assert kept.piece("one", lambda: b"again") == b"again"
        assert kept.piece("two", unused) == b"whole"
        raise Cut
    assert (kept.reused, kept.damaged) == (["two"], ["one"])
    with open_checkpoint(tmp_path, KEY, resume=True) as kept:
        assert kept.piece("one", unused) == b"again"


def test_a_piece_that_was_being_written_is_none(tmp_path: Path) -> None:
    cut_off(tmp_path)
    place(tmp_path, ".one.tmp").write_bytes(b"half of a pi")
    with open_checkpoint(tmp_path, KEY, resume=True) as kept:
        assert kept.piece("one", lambda: CONTENT) == CONTENT
    assert (kept.reused, kept.damaged) == ([], [])


def test_epochs_are_there_after_a_cut_until_their_piece_is(tmp_path: Path) -> None:
    with pytest.raises(Cut), open_checkpoint(tmp_path, KEY, resume=False) as kept:
        assert kept.epochs("one").read() is None
        kept.epochs("one").write(b"first")
        kept.epochs("one").write(b"second")
        raise Cut
    with open_checkpoint(tmp_path, KEY, resume=True) as kept:
        assert kept.epochs("one").read() == b"second"
        assert kept.epochs("two").read() is None, "each fit has its own"
        kept.piece("two", lambda: b"whole")
        assert place(tmp_path, "one.epochs").exists()
        assert kept.piece("one", lambda: CONTENT) == CONTENT
        assert kept.epochs("one").read() is None
        assert [piece.name for piece in sorted(place(tmp_path).parent.iterdir())] == ["one", "two"]
    assert (kept.reused, kept.damaged) == ([], [])


def test_damaged_epochs_are_none_and_named(tmp_path: Path) -> None:
    with open_checkpoint(tmp_path, KEY, resume=False) as kept:
        kept.epochs("one").write(CONTENT)
        place(tmp_path, "one.epochs").write_bytes(place(tmp_path, "one.epochs").read_bytes()[:-1])
        assert kept.epochs("one").read() is None
    assert kept.damaged == ["one.epochs"]


def test_another_key_is_another_training(tmp_path: Path) -> None:
    cut_off(tmp_path, one=b"old")
    with open_checkpoint(tmp_path, "b" * 32, resume=True) as kept:
        assert kept.piece("one", lambda: b"new") == b"new"
    assert place(tmp_path).exists(), "and leaves the first one alone"


@pytest.mark.parametrize(("age_days", "left"), [(29.9, True), (30.1, False)])
def test_after_thirty_days_it_is_swept_away_by_the_next_training(
    tmp_path: Path, age_days: float, left: bool
) -> None:
    cut_off(tmp_path, one=CONTENT)
    then = time.time() - age_days * _DAY_S
    os.utime(place(tmp_path).parent, (then, then))
    with open_checkpoint(tmp_path, "b" * 32, resume=False):
        assert place(tmp_path).exists() is left


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    cut_off(tmp_path, one=CONTENT)
    piece = place(tmp_path)
    assert oct(piece.stat().st_mode & 0o777) == "0o600"
    for folder in (piece.parent, piece.parent.parent):
        assert oct(folder.stat().st_mode & 0o777) == "0o700"


def test_the_same_training_twice_at_once_is_wrong_use(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _WORKS_FOR_EVER, str(tmp_path), KEY]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "at work\n"
        for resume in (True, False):
            with (
                pytest.raises(WrongUse, match="nobody else at this very training"),
                open_checkpoint(tmp_path, KEY, resume=resume),
            ):
                pass
        with open_checkpoint(tmp_path, "b" * 32, resume=False):
            pass
        other.kill()
        other.wait()
    with open_checkpoint(tmp_path, KEY, resume=True):
        pass


class TestKey:
    """Any change of what decides the models is another key."""

    @pytest.fixture
    def key(self, candles: dict[str, Candles]) -> str:
        return training_key(SETTINGS, candles, MEMBERS)

    def test_the_same_training_has_the_same_key(self, key: str, candles: dict[str, Candles]) -> None:
        assert training_key(SETTINGS, dict(reversed(candles.items())), MEMBERS) == key

    @pytest.mark.parametrize(
        "change", [{"seed": 8}, {"n_folds": 3}, {"until_ms": 1}, {"symbols": ("ETH/USDT", "BTC/USDT")}]
    )
    def test_settings(self, key: str, candles: dict[str, Candles], change: dict[str, object]) -> None:
        assert training_key(msgspec.structs.replace(SETTINGS, **change), candles, MEMBERS) != key

    @pytest.mark.parametrize("symbol", ["BTC/USDT", "LTC/USDT"])
    def test_one_value_of_one_bar(self, key: str, candles: dict[str, Candles], symbol: str) -> None:
        own = candles[symbol]
        bars = own.bars.copy()
        bars[4, 7] = np.nextafter(bars[4, 7], np.inf)
        changed = Candles(own.symbol, own.timeframe, own.first_open_ms, bars)
        assert training_key(SETTINGS, {**candles, symbol: changed}, MEMBERS) != key

    def test_the_time_of_the_bars(self, key: str, candles: dict[str, Candles]) -> None:
        own = candles["BTC/USDT"]
        later = Candles(own.symbol, own.timeframe, own.first_open_ms + 3_600_000, own.bars)
        assert training_key(SETTINGS, {**candles, "BTC/USDT": later}, MEMBERS) != key

    def test_a_parameter_of_a_member(
        self, key: str, candles: dict[str, Candles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(MEMBERS[0].bin.__globals__["PARAMETERS"], "lambda_l2", 11.0)
        assert training_key(SETTINGS, candles, MEMBERS) != key

    def test_the_version_of_a_library(
        self, key: str, candles: dict[str, Candles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        versions = {**checkpoint.library_versions(), "numpy": "0"}
        monkeypatch.setattr(checkpoint, "library_versions", lambda: versions)
        assert training_key(SETTINGS, candles, MEMBERS) != key

    def test_the_version_of_torch_where_there_are_networks(
        self, candles: dict[str, Candles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        trees, both = SETTINGS, msgspec.structs.replace(SETTINGS, networks=("lstm",))
        before = [training_key(settings, candles, MEMBERS) for settings in (trees, both)]
        monkeypatch.setattr(checkpoint, "version", lambda _name: "0")
        after = [training_key(settings, candles, MEMBERS) for settings in (trees, both)]
        assert (before[0], before[1] == after[1]) == (after[0], False)

    def test_the_features(
        self, key: str, candles: dict[str, Candles], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fewer = dict(list(checkpoint.FEATURE_SETS.items())[:-1])
        monkeypatch.setattr(checkpoint, "FEATURE_SETS", fewer)
        assert training_key(SETTINGS, candles, MEMBERS) != key

    def test_the_code(
        self, key: str, candles: dict[str, Candles], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "deeper").mkdir()
        (tmp_path / "deeper" / "labels.py").write_text("another label\n")
        monkeypatch.setattr(checkpoint.training, "__path__", [str(tmp_path)])
        first = training_key(SETTINGS, candles, MEMBERS)
        (tmp_path / "deeper" / "labels.py").write_text("yet another label\n")
        assert len({key, first, training_key(SETTINGS, candles, MEMBERS)}) == 3
