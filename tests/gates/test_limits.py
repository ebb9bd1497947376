"""One file changes limits, and only what is meant for sure is believed."""

from pathlib import Path

import msgspec
import pytest

from gates.limits import LIMITS, Limits, changes, load_limits
from plugin.errors import WrongUse
from shadow import checklist


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.toml"


def read(file: Path, text: str) -> Limits:
    file.write_text(text)
    return load_limits(file)


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_limits() == LIMITS
    assert changes(LIMITS) == {}


def test_limits_of_the_working_directory_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("limits.toml").write_text("watch_bars = 7")
    assert load_limits().watch_bars == 7


def test_a_file_that_was_named_must_be_there(file: Path) -> None:
    with pytest.raises(WrongUse, match=r"a file of limits at .*my.toml, was none there"):
        load_limits(file)


def test_named_limits_change_and_all_others_stay(file: Path) -> None:
    found = read(
        file,
        """
stack_auc = 0.55  # a comment
oof_rows = 8_000
latency_ratio = 3
[member_auc]
xgb = 0.48
tft = 0.52
[shadow]
hours_in_shadow = 48
[shadow.member_normal_rates]
lstm = 0.9
""",
    )
    assert found == Limits(
        stack_auc=0.55,
        oof_rows=8_000,
        latency_ratio=3.0,
        member_auc={"lgb": 0.55, "xgb": 0.48, "cross": 0.5, "tft": 0.52},
        shadow=checklist.Limits(hours_in_shadow=48.0, member_normal_rates={"tft": 0.8, "lstm": 0.9}),
    )
    assert changes(found) == {
        "member_auc.xgb": "0.48 instead of 0.5",
        "member_auc.tft": "0.52 instead of none",
        "stack_auc": "0.55 instead of 0.58",
        "oof_rows": "8,000 instead of 20,000",
        "latency_ratio": "3 instead of 2",
        "shadow.member_normal_rates.lstm": "0.9 instead of none",
        "shadow.hours_in_shadow": "48 instead of 24",
    }


def test_a_limit_that_is_written_as_it_is_by_default_is_no_change(file: Path) -> None:
    assert changes(read(file, "stack_auc = 0.58")) == {}


def test_every_limit_can_be_changed_and_is_then_named(file: Path) -> None:
    numbers = {
        name: value
        for name, value in msgspec.structs.asdict(LIMITS).items()
        if isinstance(value, int | float)
    }
    text = "".join(f"{name} = {value * 2 + 1}\n" for name, value in numbers.items())
    assert set(changes(read(file, text))) == set(numbers)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("stack_uac = 0.5", r"stack_uac in .*my.toml, line 1; did you mean stack_auc\?"),
        ("\n[shadow]\ncoverge = 0.5", r"shadow.coverge in .*, line 3; did you mean coverage\?"),
        ("[shadwo]\ncoverage = 0.5", r"shadwo in .*, line 1; did you mean shadow\?"),
        ("xyz = 1", r"xyz in .*; did you mean challenger_days, correlation"),
        ('stack_auc = "0.5"', r"another value of stack_auc in .*, line 1, was '0.5'"),
        ("stack_auc = true", "another value of stack_auc"),
        ("stack_auc = [0.5]", "another value of stack_auc"),
        ("stack_auc = 2025-01-01", "another value of stack_auc"),
        ("oof_rows = 0.5", "another value of oof_rows"),
        ("member_auc = 0.5", "another value of member_auc"),
        ('[member_auc]\nlgb = "high"', "another value of member_auc"),
        ("shadow = 0.5", r"expected a table \[shadow\] in"),
        ("stack_auc = nan", "a finite value of stack_auc in .*, line 1, was nan"),
        ("stack_auc = -inf", "a finite value of stack_auc"),
        ("[member_auc]\nlgb = nan", "a finite value of member_auc"),
        ("stack_auc = \n", "limits in TOML in .*line 1"),
        ("stack_auc = 0.5\nstack_auc = 0.6\n", "limits in TOML in .*line 2"),
        ("# " + "x" * 70_000, "at most 65536 bytes"),
    ],
)
def test_what_can_not_be_understood_is_refused_with_its_name(file: Path, text: str, why: str) -> None:
    with pytest.raises(WrongUse, match=why):
        read(file, text)


def test_a_file_that_is_no_text_or_no_file_is_refused(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(WrongUse, match="limits in TOML"):
        load_limits(file)
    with pytest.raises(WrongUse, match="limits in TOML"):
        load_limits(file.parent)
