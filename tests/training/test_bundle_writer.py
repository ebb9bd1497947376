"""A bundle appears whole or not at all, and holds what training itself said."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from importlib.metadata import version
from os import kill
from pathlib import Path

import lightgbm
import msgspec
import numpy as np
import pytest
import xgboost

from gates.measured import Measured
from gates.out_of_fold import OutOfFoldRows
from plugin.bundle import load_bundle, verify_bundle
from plugin.candle_store import CandleStore
from plugin.features import LOOKBACK_BARS
from plugin.features.joined import FEATURE_SETS, ROW_NAMES, columns_of
from plugin.golden import Golden, answer_golden, largest_difference
from plugin.manifest import GateReport, GateResult, Manifest, content_hash
from plugin.meta_model import MetaModel, meta_inputs
from tests.support.small_training import HOUR_MS, SETTINGS, SmallTraining
from tests.support.stored_training import trained_again
from training.bundle_writer import draft_bundle, publish_bundle
from training.golden import golden_cases
from training.settings import MEMBERS, TrainingSettings, companions_of
from training.trained import Trained

CREATED = "2026-01-02T03:04:05Z"
REPORT = GateReport(
    level="shadow",
    results=(
        GateResult(
            name="gate", level="live", value=0.5, limit=">= 0.6", verdict="fail", sentence="too low"
        ),
    ),
)


@pytest.fixture(scope="module")
def bundle(small_training: SmallTraining) -> Path:
    return small_training.outcome.bundle


@pytest.fixture(scope="module")
def manifest(bundle: Path) -> Manifest:
    return verify_bundle(bundle)[0]


@pytest.fixture(scope="module")
def golden(bundle: Path, manifest: Manifest) -> Golden:
    return Golden.decode((bundle / manifest.golden_file).read_bytes())


@pytest.fixture(scope="module")
def trained(small_training: SmallTraining) -> Trained:
    return trained_again(small_training.store, small_training.outcome.bundle)


def test_a_manifest_tells_what_was_trained_on_what(
    manifest: Manifest, small_training: SmallTraining
) -> None:
    assert manifest.venue == SETTINGS.venue
    assert manifest.symbols == SETTINGS.symbols
    assert manifest.timeframe == SETTINGS.timeframe
    assert (manifest.horizons, manifest.primary_horizon) == ((5, 12, 24), 5)
    assert msgspec.convert(manifest.settings, TrainingSettings) == SETTINGS
    assert manifest.companions == {symbol: companions_of(symbol) for symbol in SETTINGS.symbols}
    store = CandleStore(small_training.store)
    for symbol, bars in manifest.bars.items():
        candles = store.read(SETTINGS.venue, "1h", symbol, until_ms=SETTINGS.until_ms)
        assert (bars.first_open_ms, bars.n_bars) == (candles.first_open_ms, candles.n_bars)
    assert {*SETTINGS.symbols, *companions_of("BTC/USDT")} <= set(manifest.bars)


def test_a_manifest_lists_every_model_file_and_feature(manifest: Manifest) -> None:
    listed = {(entry.member, entry.horizon): entry for entry in manifest.members}
    assert set(listed) == {(member.name, h) for member in MEMBERS for h in SETTINGS.horizons}
    for member in MEMBERS:
        entry = listed[member.name, 5]
        assert (entry.kind, entry.feature_set) == (member.kind, member.feature_set)
        feature_set = manifest.feature_sets[member.feature_set]
        assert feature_set.names == FEATURE_SETS[member.feature_set].names
        assert feature_set.schema_hash == FEATURE_SETS[member.feature_set].schema_hash


def test_a_manifest_names_the_libraries_and_the_figures(manifest: Manifest) -> None:
    assert manifest.libraries == {
        "lightgbm": version("lightgbm"),
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
        "xgboost": xgboost.__version__,
    }
    assert set(manifest.metrics) == {"5", "12", "24"}
    assert manifest.oof_rows == manifest.metrics["5"]["oof_rows"] > 0
    assert manifest.gate_report is not None


def test_a_bundle_with_a_network_names_what_runs_it(trained: Trained, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Network:
        """Any member whose file is called one of onnxruntime; it is not loaded here."""

        name: str = "cross"
        kind: str = "onnx"
        feature_set: str = "cross"

    members = [*trained.members[:2], Network()]
    draft = draft_bundle(tmp_path, replace(trained, members=members), CREATED)
    manifest, _ = verify_bundle(draft)
    assert manifest.libraries["onnxruntime"] == version("onnxruntime")
    assert (draft / "cross_h5.onnx").is_file()


def test_the_rows_that_it_was_judged_on_lie_in_the_bundle_and_fit_its_manifest(
    bundle: Path, manifest: Manifest, small_training: SmallTraining
) -> None:
    rows = OutOfFoldRows.decode((bundle / manifest.evidence_file).read_bytes())
    rows.check(manifest)
    measured = Measured(rows, manifest.primary_horizon, HOUR_MS)
    figures = small_training.outcome.record["metrics"]["5"]
    for number, symbol in enumerate(measured.symbols):
        said = figures["symbols"][symbol]["stack"]
        # Kept as float32: two answers that become one move an area over so few rows by 2e-6.
        assert measured.stack_auc[number].estimate == pytest.approx(said["auc"], abs=1e-5)
        assert measured.stack_auc[number].low == pytest.approx(said["auc_low"], abs=1e-5)
        assert measured.stack_brier[number].score == pytest.approx(said["brier"], abs=1e-6)
    for name in manifest.member_names:
        by_fold = [fold["auc"][name] for fold in figures["folds"]]
        assert measured.block_aucs(name) == pytest.approx(by_fold, abs=1e-5)


def test_an_id_sorts_by_time_and_ends_with_the_content_hash(bundle: Path, manifest: Manifest) -> None:
    stamp = manifest.created.replace("-", "").replace(":", "")
    assert manifest.content_hash == content_hash(manifest)
    assert bundle.name == manifest.bundle_id == f"{stamp}-{manifest.content_hash[:12]}"


def test_files_are_for_their_owner_alone(bundle: Path) -> None:
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in bundle.iterdir()}
    assert set(modes.values()) == {"0o600"}, modes
    assert oct(bundle.stat().st_mode & 0o777) == "0o700"
    assert oct(bundle.parent.stat().st_mode & 0o777) == "0o700"


def test_golden_bars_are_real_bars_of_every_judged_symbol(
    golden: Golden, small_training: SmallTraining
) -> None:
    store = CandleStore(small_training.store)
    candles = {
        name: store.read(SETTINGS.venue, "1h", name) for name in store.symbols(SETTINGS.venue, "1h")
    }
    seen = set()
    for windows, open_time_ms in zip(golden.bars, golden.open_time_ms.tolist(), strict=True):
        first_ms = open_time_ms - (LOOKBACK_BARS - 1) * HOUR_MS
        cut = {
            name: one.between(first_ms, open_time_ms + HOUR_MS).bars for name, one in candles.items()
        }
        [symbol] = [name for name, bars in cut.items() if np.array_equal(bars, windows[0])]
        for companion, bars in zip(companions_of(symbol), windows[1:], strict=True):
            np.testing.assert_array_equal(bars, cut[companion])
        seen.add(symbol)
    assert len(golden.bars) == 8
    assert seen & set(SETTINGS.symbols)


def test_golden_answers_of_members_are_those_of_their_own_libraries(
    golden: Golden, bundle: Path, manifest: Manifest
) -> None:
    for entry in manifest.members:
        rows = np.ascontiguousarray(golden.rows[:, columns_of(entry.feature_set)])
        if entry.kind == "lightgbm":
            said = lightgbm.Booster(model_str=(bundle / entry.file).read_text()).predict(rows)
        else:
            booster = xgboost.Booster(model_file=bundle / entry.file)
            said = booster.inplace_predict(rows)
        member = manifest.member_names.index(entry.member)
        horizon = manifest.horizons.index(entry.horizon)
        np.testing.assert_allclose(golden.members[:, member, horizon], said, rtol=0, atol=1e-12)


def test_golden_answers_of_the_stack_are_those_of_the_meta_model(
    golden: Golden, bundle: Path, manifest: Manifest
) -> None:
    text = (bundle / manifest.meta_file).read_bytes()
    meta = MetaModel.from_json(text, manifest.horizons, manifest.member_names)
    volatility = golden.rows[:, ROW_NAMES.index("realised_vol_20")]
    for place, horizon in enumerate(manifest.horizons):
        inputs = meta_inputs(golden.members[:, :, place].T, volatility)
        said = meta.horizons[str(horizon)].probability(inputs)
        np.testing.assert_array_equal(golden.stacked[:, place], said)


def test_the_live_side_repeats_golden_answers(golden: Golden, bundle: Path) -> None:
    answered = answer_golden(load_bundle(bundle), golden.bars, golden.open_time_ms)
    assert largest_difference(golden, answered) <= 1e-6
    assert answered.rows.tobytes() == golden.rows.tobytes()


def test_golden_cases_are_the_same_each_time(trained: Trained) -> None:
    assert golden_cases(trained).encode() == golden_cases(trained).encode()


def test_a_draft_lies_apart_from_the_bundles_and_has_no_report(
    trained: Trained, tmp_path: Path
) -> None:
    draft = draft_bundle(tmp_path, trained, CREATED)
    assert draft.parent == tmp_path / "drafts"
    assert oct(draft.parent.stat().st_mode & 0o777) == oct(draft.stat().st_mode & 0o777) == "0o700"
    assert not (tmp_path / "bundles").exists()
    assert load_bundle(draft).manifest.gate_report is None


def test_a_published_bundle_is_the_draft_with_its_report(trained: Trained, tmp_path: Path) -> None:
    draft = draft_bundle(tmp_path, trained, CREATED)
    before = {file.name: file.read_bytes() for file in draft.iterdir()}
    place = publish_bundle(tmp_path, draft, REPORT)
    after = {file.name: file.read_bytes() for file in place.iterdir()}
    changed = {name for name in before if before[name] != after[name]}
    assert place == tmp_path / "bundles" / draft.name
    assert not draft.exists()
    assert set(before) == set(after)
    assert changed == {"manifest.json", "manifest.sha256"}
    assert load_bundle(place).manifest.gate_report == REPORT


def test_what_a_killed_run_left_behind_is_swept_away(trained: Trained, tmp_path: Path) -> None:
    left = tmp_path / "drafts" / "20250101T000000Z-0123456789ab"
    left.mkdir(parents=True)
    (left / "lgb_h5.txt").write_text("half a mod")
    draft = draft_bundle(tmp_path, trained, CREATED)
    assert list((tmp_path / "drafts").iterdir()) == [draft]


def test_the_time_and_the_report_lie_outside_the_content_hash(trained: Trained, tmp_path: Path) -> None:
    hashes = set()
    for created in (CREATED, "2026-05-05T05:05:05Z"):
        place = publish_bundle(tmp_path, draft_bundle(tmp_path, trained, created), REPORT)
        hashes.add(load_bundle(place).manifest.content_hash)
    assert len(hashes) == 1
    assert len(list((tmp_path / "bundles").iterdir())) == 2


def test_the_manifest_is_json_that_a_person_can_read(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    assert len(text.splitlines()) > 100
    assert json.loads(text)["label"] == "up: the close h bars later is above the close of the bar"


def test_a_kill_at_any_moment_leaves_whole_bundles_or_none(
    small_training: SmallTraining, trained: Trained, tmp_path: Path
) -> None:
    moments = random.Random(11)
    folders = (small_training.store, small_training.outcome.bundle, tmp_path)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.publishing_child", *map(str, folders)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        n_drafts_left = 0
        for _ in range(20):
            parent.stdin.write("\n")
            parent.stdin.flush()
            writer = int(parent.stdout.readline())
            time.sleep(moments.uniform(0.0, 0.2))
            kill(writer, signal.SIGKILL)
            assert parent.stdout.readline() == "gone\n"
            n_drafts_left += len(list(tmp_path.glob("drafts/*")))
            for place in tmp_path.glob("bundles/*"):
                assert load_bundle(place).manifest.gate_report is not None
                shutil.rmtree(place)
        parent.stdin.close()
    assert n_drafts_left > 0, "no kill came in the middle of a draft"
    place = publish_bundle(tmp_path, draft_bundle(tmp_path, trained, CREATED), REPORT)
    assert load_bundle(place).manifest.gate_report == REPORT
    assert list((tmp_path / "drafts").iterdir()) == []
