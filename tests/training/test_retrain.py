"""The whole walk of a training: what it may see, what it leaves behind, and how it refuses."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gates.limits import LIMITS, Limits
from plugin.candle_store import CandleStore, RawBars
from plugin.candles import SIMULATED_VENUE
from plugin.clock import ReplayClock
from plugin.errors import WrongUse
from plugin.manifest import Manifest
from plugin.registry import Registry
from tests.support.raw_bars import write_raw
from tests.support.small_training import END_MS, HOUR_MS
from training.attempts import attempts
from training.candles import simulate
from training.retrain import Outcome, n_steps, retrain
from training.settings import MEMBERS, REFERENCE_ASSETS, TrainingSettings, companions_of

N_BARS = 3_500
HELD_OUT_BARS = 200
SETTINGS = TrainingSettings(
    venue=SIMULATED_VENUE,
    symbols=("BTC/USDT",),
    also_learn_from=("ETH/USDT",),
    until_ms=END_MS - HELD_OUT_BARS * HOUR_MS,
    horizons=(5,),
    n_folds=2,
)
UNREACHABLE = msgspec.structs.replace(LIMITS, fold_auc=0.99)


@dataclass(frozen=True)
class Walks:
    """Trainings one after the other into the same folder, the bars altered between them.

    The clock that names bundles stands still.
    """

    models: Path
    first: Outcome
    told: list[str]
    after_held_out_bars_changed: Outcome
    after_a_seen_bar_changed: Outcome


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    simulate(folder, REFERENCE_ASSETS, "1h", N_BARS, seed=2, end_ms=END_MS)
    return folder


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    """The store, to be changed at will."""
    return Path(shutil.copytree(store, tmp_path / "candles"))


@pytest.fixture(scope="module")
def walks(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Walks:
    folder = tmp_path_factory.mktemp("walks")
    models, bars = folder / "models", folder / "candles"
    shutil.copytree(store, bars)
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("training.retrain.SystemClock", lambda: ReplayClock(END_MS))
        first = walk(bars, models, told=told)
        for symbol in REFERENCE_ASSETS:
            alter(bars, symbol, slice(N_BARS - HELD_OUT_BARS, None))
        second = walk(bars, models)
        alter(bars, "BTC/USDT", slice(N_BARS - HELD_OUT_BARS - 1, None))
        third = walk(bars, models, limits=UNREACHABLE)
    return Walks(models, first, told, second, third)


def walk(
    store: Path,
    models: Path,
    settings: TrainingSettings = SETTINGS,
    limits: Limits = LIMITS,
    told: list[str] | None = None,
) -> Outcome:
    step = (lambda _: None) if told is None else told.append
    return retrain(settings, CandleStore(store), models, limits, step)


def alter(store: Path, symbol: str, rows: slice) -> None:
    """Prices a tenth higher and volumes doubled in `rows` of the file."""
    path = CandleStore(store).path(SIMULATED_VENUE, "1h", symbol)
    raw = CandleStore(store).read_raw(SIMULATED_VENUE, "1h", symbol)
    ohlcv = raw.ohlcv.copy()
    ohlcv[:4, rows] *= 1.1
    ohlcv[4, rows] *= 2.0
    write_raw(path, RawBars(raw.open_time_ms, ohlcv))


def manifest_of(outcome: Outcome) -> Manifest:
    return msgspec.json.decode((outcome.bundle / "manifest.json").read_bytes(), type=Manifest)


def test_bars_after_the_end_are_never_touched(walks: Walks) -> None:
    first, second = manifest_of(walks.first), manifest_of(walks.after_held_out_bars_changed)
    assert second.content_hash == first.content_hash
    assert second.files == first.files


def test_the_last_bar_before_the_end_is(walks: Walks) -> None:
    """The control of the test above: one bar earlier, a change is seen."""
    first, third = manifest_of(walks.first), manifest_of(walks.after_a_seen_bar_changed)
    assert third.content_hash != first.content_hash
    assert third.bars["BTC/USDT"].n_bars == first.bars["BTC/USDT"].n_bars == N_BARS - HELD_OUT_BARS


def test_the_first_bundle_becomes_champion_and_its_equal_gets_no_role(walks: Walks) -> None:
    assert walks.first.report.level in {"shadow", "live"}
    assert walks.first.role == "champion"
    assert walks.after_held_out_bars_changed.role == "equal"
    champion = Registry(walks.models).champion()
    assert champion is not None
    assert champion.bundle_id == walks.first.bundle.name
    assert champion.who == "training"
    assert Registry(walks.models).challenger() is None


def test_a_bundle_that_is_fit_for_nothing_is_kept_and_never_champion(
    walks: Walks, store: Path, tmp_path: Path
) -> None:
    assert walks.after_a_seen_bar_changed.report.level == "none"
    assert walks.after_a_seen_bar_changed.bundle.is_dir()
    alone = walk(store, tmp_path / "models", limits=UNREACHABLE)
    assert alone.role == "unfit"
    assert Registry(tmp_path / "models").champion() is None


def check_nothing_but_a_failure(models: Path, told: str) -> None:
    """The training is counted, and there is nothing that anybody could load."""
    [attempt] = attempts(models)
    assert attempt.failed
    assert attempt.ended is not None
    assert attempt.ended.reason.startswith("WrongUse: ")
    assert told in attempt.ended.reason
    assert not (models / "bundles").exists()
    assert not (models / "drafts").exists()


def test_every_candidate_is_counted_with_what_became_of_it(walks: Walks) -> None:
    known = attempts(walks.models)
    outcomes = (walks.first, walks.after_held_out_bars_changed, walks.after_a_seen_bar_changed)
    assert [one.record["candidate"] for one in outcomes] == [1, 2, 3]
    ends = [(one.ended.outcome, one.ended.bundle_id) for one in known if one.ended]
    assert ends == [(one.role, one.bundle.name) for one in outcomes]
    reasons = [one.ended.reason for one in known if one.ended]
    assert reasons[:2] == [None, None]
    assert reasons[2].startswith("not passed: worst_fold")
    assert {one.began.trigger for one in known} == {"by command"}


def test_equal_trainings_within_one_second_have_names_of_their_own(walks: Walks) -> None:
    first, second = walks.first, walks.after_held_out_bars_changed
    assert first.record["content_hash"] == second.record["content_hash"]
    assert first.bundle.name == f"20250101T000000Z-{first.record['content_hash'][:12]}"
    assert second.bundle.name == f"20250101T000001Z-{first.record['content_hash'][:12]}"
    assert walks.after_a_seen_bar_changed.record["created"] == "2025-01-01T00:00:02Z"


def test_every_step_is_told_and_counted(walks: Walks) -> None:
    assert len(walks.told) == n_steps(SETTINGS)
    assert walks.told[0] == "lgb, 5 bars, fold 1 of 2"
    assert walks.told[-1] == "gates"


def test_the_record_of_a_run_is_complete(walks: Walks) -> None:
    first = walks.first
    stored = json.loads((walks.models / "runs" / f"{first.bundle.name}.json").read_bytes())
    manifest = manifest_of(first)
    assert stored == json.loads(json.dumps(first.record))
    assert stored["bundle_id"] == manifest.bundle_id
    assert stored["content_hash"] == manifest.content_hash
    assert stored["git_revision"] == manifest.git_revision
    assert msgspec.convert(stored["settings"], TrainingSettings) == SETTINGS
    assert stored["settings"]["seed"] == SETTINGS.seed
    fingerprints = {name: len(bars["sha256"]) for name, bars in stored["bars"].items()}
    assert fingerprints == dict.fromkeys(("BTC/USDT", *companions_of("BTC/USDT")), 64)
    assert len(stored["metrics"]["5"]["folds"]) == SETTINGS.n_folds
    assert stored["metrics"] == manifest.metrics
    parts = {"candles", "features", "models", "figures", "gates"}
    assert set(stored["minutes"]) == parts
    assert msgspec.to_builtins(first.report)["results"][0]["name"] == "integrity"
    assert stored["gate_report"]["level"] == first.report.level


def test_importances_are_shares_of_the_gain_with_the_largest_first(walks: Walks) -> None:
    importances = walks.first.record["importances"]["5"]
    assert list(importances) == [member.name for member in MEMBERS]
    for shares in importances.values():
        values = list(shares.values())
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1.0)


def test_a_record_is_for_its_owner_alone(walks: Walks) -> None:
    for record in (walks.models / "runs").iterdir():
        assert oct(record.stat().st_mode & 0o777) == "0o600"


def test_no_draft_is_left(walks: Walks) -> None:
    assert list((walks.models / "drafts").iterdir()) == []
    assert len(list((walks.models / "bundles").iterdir())) == 3


def test_a_missing_companion_is_wrong_use_by_its_name(copy: Path, tmp_path: Path) -> None:
    companion = companions_of("BTC/USDT")[-1]
    CandleStore(copy).path(SIMULATED_VENUE, "1h", companion).unlink()
    with pytest.raises(WrongUse, match=companion):
        walk(copy, tmp_path / "models")
    check_nothing_but_a_failure(tmp_path / "models", companion)


@pytest.mark.parametrize(
    ("n_bars", "told"),
    [
        (400, "and of its companions with 512, was none"),
        (600, "test blocks of at least"),
        (1_500, "rows enough for lgb to tell bars apart"),
    ],
)
def test_too_short_a_history_is_wrong_use(tmp_path: Path, n_bars: int, told: str) -> None:
    simulate(tmp_path / "candles", REFERENCE_ASSETS, "1h", n_bars, seed=2, end_ms=END_MS)
    settings = msgspec.structs.replace(SETTINGS, until_ms=END_MS)
    with pytest.raises(WrongUse, match=told):
        walk(tmp_path / "candles", tmp_path / "models", settings)
    check_nothing_but_a_failure(tmp_path / "models", told)


def test_a_start_after_the_last_bar_is_wrong_use(store: Path, tmp_path: Path) -> None:
    late = msgspec.structs.replace(SETTINGS, since_ms=END_MS)
    with pytest.raises(WrongUse, match="choose an earlier start"):
        walk(store, tmp_path / "models", late)


@pytest.mark.parametrize("n_folds", [0, 100, 5_000])
def test_folds_that_can_not_be_are_wrong_use(store: Path, tmp_path: Path, n_folds: int) -> None:
    with pytest.raises(WrongUse, match="fewer folds"):
        walk(store, tmp_path / "models", msgspec.structs.replace(SETTINGS, n_folds=n_folds))


def test_a_market_that_died_is_refused_with_the_reason(copy: Path, tmp_path: Path) -> None:
    path = CandleStore(copy).path(SIMULATED_VENUE, "1h", "ETH/USDT")
    raw = CandleStore(copy).read_raw(SIMULATED_VENUE, "1h", "ETH/USDT")
    ohlcv = raw.ohlcv.copy()
    ohlcv[:4, -500:], ohlcv[4, -500:] = ohlcv[3, -501], 0.0
    write_raw(path, RawBars(raw.open_time_ms, ohlcv))
    with pytest.raises(WrongUse, match="usable bars of ETH/USDT, was dead_at_end"):
        walk(copy, tmp_path / "models")


@pytest.mark.market
@pytest.mark.parametrize("symbol", ["FTT/USDT", "RAY/USDT", "WAVES/USDT"])
def test_a_real_market_that_died_is_refused(market: Path, tmp_path: Path, symbol: str) -> None:
    dead = TrainingSettings(venue="degenerate", symbols=(symbol,))
    with pytest.raises(WrongUse, match=f"usable bars of {symbol}, was .*dead"):
        walk(market, tmp_path / "models", dead)


def test_damaged_bars_are_wrong_use_by_their_file(copy: Path, tmp_path: Path) -> None:
    path = CandleStore(copy).path(SIMULATED_VENUE, "1h", "BTC/USDT")
    path.write_bytes(path.read_bytes()[:2_000])
    with pytest.raises(WrongUse, match=r"BTC-USDT\.parquet"):
        walk(copy, tmp_path / "models")


def test_a_symbol_with_too_few_bars_of_its_own_is_wrong_use(copy: Path, tmp_path: Path) -> None:
    path = CandleStore(copy).path(SIMULATED_VENUE, "1h", "ETH/USDT")
    raw = CandleStore(copy).read_raw(SIMULATED_VENUE, "1h", "ETH/USDT")
    write_raw(path.with_name("NEW-USDT.parquet"), raw[np.arange(N_BARS - 600, N_BARS)])
    settings = msgspec.structs.replace(SETTINGS, symbols=("BTC/USDT", "NEW/USDT"))
    with pytest.raises(WrongUse, match="bars of NEW/USDT with 512 bars before them"):
        walk(copy, tmp_path / "models", settings)
