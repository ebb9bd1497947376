"""What is learnt from a log is kept, told, bounded in time, and taken back where it does harm."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from gates import recalibrate
from gates.recalibration import EVERY_BARS, HISTORY, VALID_BARS, By, Looked, reset, update
from plugin.clock import utc_text
from plugin.command_line import run_command
from plugin.registry import Registry
from shadow.realised import RealisedLog
from shadow.recalibration import (
    FOLDER,
    Coefficients,
    Recalibration,
    RecalibrationRefused,
    read_recalibration,
    recalibrated,
    recalibration_file,
)
from shadow.record import BarRecord, RecalibratedRecord
from tests.support.promotions import challenge, champion_of, close_ms, closes, told
from tests.support.records import HOUR_MS, START_MS, bar, write_log

LEVEL = 20.0
N = 1_500
HALF = Coefficients(0.0, 0.5)


def log_of(
    champion: str | None,
    n: int = N,
    *,
    spread: float = 2.0,
    read: Callable[[int], Coefficients | None] = lambda _: None,
    **fields: object,
) -> list[BarRecord]:
    """Bars of a walk that nobody foresees, on which the champion is sure of this or that: its log odds
    are `spread` wide. `read` gives the coefficients of the bars on which a p' is recorded."""
    odds = np.random.default_rng(2).normal(0.0, spread, n)
    p = (1.0 / (1.0 + np.exp(-odds))).tolist()
    records = []
    for at, close in enumerate(closes(n)):
        own = read(at)
        beside = recalibrated(p[at], own) if own else None
        records.append(
            bar(
                at,
                champion=champion,
                close=close,
                probabilities={"5": p[at]},
                recalibrated={}
                if own is None or beside is None
                else {"5": RecalibratedRecord(beside, own.shift, own.slope, acts=False)},
                **fields,
            )
        )
    return records


def at_bar(n: int) -> By:
    return By(close_ms(n - 1), "a test")


@pytest.fixture
def registry(models: Path) -> Registry:
    return Registry(models)


def learn(registry: Registry, shadow: Path, n: int = N, **more: bool) -> Looked:
    return update(registry, shadow, LEVEL, at_bar(n), **more)


def in_force(registry: Registry) -> Recalibration | None:
    return read_recalibration(registry.folder, str(champion_of(registry.folder)))


def history(registry: Registry) -> list[Recalibration]:
    lines = (registry.folder / FOLDER / HISTORY).read_bytes().splitlines()
    return [msgspec.json.decode(line, type=Recalibration) for line in lines]


def test_a_champion_that_is_too_sure_is_read_as_less_sure_one_step_a_day(registry, tmp_path):
    write_log(tmp_path / "shadow", log_of(champion_of(registry.folder)))
    slopes = []
    for n in (N - 2 * EVERY_BARS, N - EVERY_BARS - 1, N - EVERY_BARS, N):
        looked = learn(registry, tmp_path / "shadow", n)
        assert looked.recalibration is not None
        assert looked.recalibration == in_force(registry)
        slopes.append(looked.recalibration.horizons["5"].fit.coefficients.slope)
        assert looked.written is (n != N - EVERY_BARS - 1), "a step a day, however often one asks"
    assert slopes == pytest.approx([0.95, 0.95, 0.9, 0.85])
    told_of = history(registry)
    assert [one.kind for one in told_of] == ["updated"] * 3
    assert told_of[-1] == in_force(registry)
    assert told_of[-1].valid_until_ms == close_ms(N - 1) + VALID_BARS * HOUR_MS
    assert not told_of[-1].horizons["5"].holds
    assert told_of[-1].horizons["12"].fit == msgspec.convert(
        {"n": 0, "n_effective": None}, type(told_of[-1].horizons["12"].fit)
    )


def test_it_may_act_once_the_recorded_numbers_are_shown_to_be_better(registry, tmp_path):
    records = log_of(champion_of(registry.folder), read=lambda at: HALF if at > 200 else None)
    write_log(tmp_path / "shadow", records)
    early = learn(registry, tmp_path / "shadow", 300).recalibration
    assert early is not None
    assert not early.horizons["5"].holds
    assert early.horizons["5"].n_judged == 300 - 201 - 5
    late = learn(registry, tmp_path / "shadow").recalibration
    assert late is not None
    five = late.horizons["5"]
    assert five.holds_since_ms == late.until_ms
    assert five.better is not None
    assert five.better >= LEVEL
    assert five.mean_difference is not None
    assert five.mean_difference < -0.02


def test_what_is_shown_to_be_worse_is_taken_back_and_begins_anew(registry, tmp_path):
    sure = Coefficients(0.0, 1.5)
    write_log(tmp_path / "shadow", log_of(champion_of(registry.folder), read=lambda _: sure))
    looked = learn(registry, tmp_path / "shadow")
    assert looked.recalibration is not None
    assert looked.recalibration.kind == "taken back"
    assert looked.recalibration.horizons == {}
    assert looked.recalibration.since_ms == close_ms(N - 1)


def test_good_bars_before_it_acted_do_not_cover_what_it_does_since(registry, tmp_path):
    champion = champion_of(registry.folder)
    records = log_of(champion, 3_000, read=lambda at: HALF if at < 1_500 else Coefficients(0.0, 1.5))
    write_log(tmp_path / "shadow", records)
    assert learn(registry, tmp_path / "shadow", 1_500).recalibration.horizons["5"].holds
    rows = RealisedLog(tmp_path / "shadow", str(champion), 0, close_ms(2_999)).of("5")
    assert np.mean((rows.recalibrated - rows.up) ** 2 - (rows.p - rows.up) ** 2) < 0.0, "on all of them"
    assert learn(registry, tmp_path / "shadow", 3_000).recalibration.kind == "taken back"


def test_after_a_reset_only_bars_from_then_on_count(registry, tmp_path):
    write_log(tmp_path / "shadow", log_of(champion_of(registry.folder), read=lambda _: HALF))
    assert learn(registry, tmp_path / "shadow", 700).recalibration.horizons["5"].holds
    assert reset(registry, at_bar(700)).recalibration == in_force(registry)
    assert in_force(registry).horizons == {}
    later = learn(registry, tmp_path / "shadow", 800).recalibration
    assert (later.since_ms, later.horizons["5"].fit.n) == (close_ms(699), 800 - 700 - 5)
    assert later.horizons["5"].fit.coefficients is None, "too few"
    assert later.horizons["5"].n_judged == 800 - 700 - 5
    assert [one.kind for one in history(registry)] == ["updated", "reset", "updated"]


def test_nothing_is_learnt_from_what_is_not_known_yet(registry, tmp_path):
    records = log_of(champion_of(registry.folder))
    write_log(tmp_path / "all", records)
    write_log(tmp_path / "known", records[:1_000])
    said = [learn(registry, tmp_path / name, 1_000, dry_run=True) for name in ("all", "known")]
    assert said[0] == said[1]
    assert in_force(registry) is None


def test_a_damaged_log_is_no_evidence(registry, tmp_path):
    write_log(tmp_path / "shadow", log_of(champion_of(registry.folder), read=lambda _: HALF))
    day = min((tmp_path / "shadow").glob("*.jsonl"))
    day.write_bytes(day.read_bytes().replace(b'"close":100.0', b'"close":100.1', 1)[1:])
    found = learn(registry, tmp_path / "shadow")
    assert not found.recalibration.horizons["5"].holds
    assert "faults in the log" in found.why


def test_what_a_bundle_said_beside_the_champion_counts_and_what_others_said_does_not(models, tmp_path):
    other = challenge(models, 1)
    records = log_of("somebody else", challenger=None)
    champion = str(champion_of(models))
    beside = [
        replace(one, challenger=told(champion if at < 600 else other, one.probabilities["5"]))
        for at, one in enumerate(records)
    ]
    write_log(tmp_path / "shadow", beside)
    assert learn(Registry(models), tmp_path / "shadow").recalibration.horizons["5"].fit.n == 600


def test_a_file_that_can_not_be_believed_stops_learning_until_it_is_reset(registry, tmp_path):
    write_log(tmp_path / "shadow", log_of(champion_of(registry.folder)))
    learn(registry, tmp_path / "shadow")
    place = recalibration_file(registry.folder, str(champion_of(registry.folder)))
    place.write_bytes(place.read_bytes().replace(b'"slope": 0.95', b'"slope": 9.95'))
    with pytest.raises(RecalibrationRefused, match=r"slope of 9\.95"):
        learn(registry, tmp_path / "shadow")
    reset(registry, at_bar(N))
    assert not learn(registry, tmp_path / "shadow").written


def test_nobody_serves(registry, tmp_path):
    (registry.folder / "champion").unlink()
    assert learn(registry, tmp_path).why == "nobody serves"


def run(models: Path, *arguments: str) -> int:
    given = ["recalibrate", "--models-dir", str(models), *arguments]
    return run_command("python -m gates", "", [recalibrate], given)


def test_the_command_says_what_was_learnt(models, tmp_path, capsys):
    write_log(tmp_path / "shadow", log_of(champion_of(models)))
    given = ("--dir", str(tmp_path / "shadow"), "--now", utc_text(close_ms(N - 1)))
    assert run(models, *given, "--dry-run", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["written"], said["dry_run"]) == (False, True)
    assert said["recalibration"]["horizons"]["5"]["fit"]["coefficients"]["slope"] == 0.95
    assert run(models, *given) == 0
    assert "0.950" in capsys.readouterr().out
    assert run(models, *given, "--reset") == 0
    assert "reset: by hand" in capsys.readouterr().out
    assert in_force(Registry(models)).horizons == {}


def test_no_log_is_exit_code_2_and_a_damaged_file_1(models, tmp_path, capsys):
    assert run(models, "--dir", str(tmp_path / "none")) == 2
    write_log(tmp_path / "shadow", log_of(champion_of(models), 10))
    place = recalibration_file(models, str(champion_of(models)))
    place.parent.mkdir()
    place.write_bytes(b"{")
    assert run(models, "--dir", str(tmp_path / "shadow"), "--now", utc_text(START_MS + HOUR_MS)) == 1
    assert "--reset" in capsys.readouterr().err
