"""300 damaged files of each kind: none crashes or hangs what serves, none serves other answers.

With the hashes as they were, no parser sees them. With the hashes made right again, as by a training
gone wrong or by who can write to the folder, our readers and the golden answers stop them. LightGBM's
own parser, tried on texts like these, ended its process for two out of three of them.
"""

import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import msgspec
import pytest

from plugin import bundle as bundles
from plugin.bundle import load_bundle
from plugin.canary import TOLERANCE
from plugin.errors import BundleRefused
from plugin.meta_model import MetaModel
from plugin.registry import Registry
from plugin.reloader import Reloader
from tests.support.bundles import add_twin, appoint, bundle_of, reseal
from tests.support.damage import damaged
from tests.support.mutation_child import Told
from tests.support.networks import add_network
from tests.support.small_training import SmallTraining

ROOT = Path(__file__).parents[2]
N_CASES = 300
FILES = {
    "LightGBM": "lgb_h5.txt",
    "XGBoost": "xgb_h5.json",
    "ONNX": "net_h5.onnx",
    "meta-model": "meta.json",
    "golden answers": "golden.npz",
    "evidence": "out_of_fold.npz",
}
LONGEST_REFUSAL = 500
REFUSED, STOPPED, SAME = "refused by the reader", "stopped by golden answers", "same answers"


@pytest.fixture(scope="module")
def intact(small_training: SmallTraining, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder whose champion has trees and networks."""
    models = tmp_path_factory.mktemp("damage") / "models"
    shutil.copytree(small_training.models, models)
    add_network(bundle_of(models))
    appoint(models, bundle_of(models))
    return models


@cache
def told_of(bundle: Path, file: str) -> list[Told]:
    """What a process that read all damaged contents of `file` said before it ended, in whatever way."""
    command = [sys.executable, "-m", "tests.support.mutation_child", str(bundle), file, str(N_CASES)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=False)
    told = [msgspec.json.decode(line, type=Told) for line in ended.stdout.splitlines()]
    assert ended.returncode == 0, (
        f"ended by {ended.returncode} after {told[-1:]}: {ended.stderr[-500:]!r}"
    )
    assert ended.stderr == b"", "neither a reader nor a runtime prints"
    return told


@pytest.fixture
def no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a parser was given damaged bytes")

    monkeypatch.setattr(bundles, "_READERS", dict.fromkeys(("lightgbm", "xgboost", "onnx"), fail))
    monkeypatch.setattr(MetaModel, "from_json", fail)


@pytest.mark.usefixtures("no_parser")
@pytest.mark.parametrize("kind", FILES)
def test_with_the_hashes_as_they_were_no_parser_sees_a_damaged_file(
    intact: Path, tmp_path: Path, kind: str
) -> None:
    bundle = Path(shutil.copytree(bundle_of(intact), tmp_path / bundle_of(intact).name))
    content = (bundle / FILES[kind]).read_bytes()
    for seed in range(N_CASES):
        (bundle / FILES[kind]).write_bytes(damaged(content, seed))
        with pytest.raises(BundleRefused) as caught:
            load_bundle(bundle)
        assert caught.value.file == FILES[kind], seed


@pytest.mark.parametrize("kind", FILES)
def test_with_hashes_made_right_nothing_crashes_and_only_the_same_answers_serve(
    intact: Path, kind: str
) -> None:
    told = told_of(bundle_of(intact), FILES[kind])
    assert [one.seed for one in told] == list(range(N_CASES))
    for one in told:
        if kind in ("golden answers", "evidence"):  # they say nothing to the bot themselves
            assert one.difference is None or one.difference <= TOLERANCE
        else:
            assert (one.outcome == SAME) == (
                one.difference is not None and one.difference <= TOLERANCE
            ), one
        assert len(one.refusal) < LONGEST_REFUSAL, "a log line must not carry a model"
    counts = Counter(one.outcome for one in told)
    print(kind, dict(counts))
    assert counts[REFUSED] > N_CASES / 4
    if kind not in ("golden answers", "evidence"):  # whose every byte is checked by the archive
        assert counts[STOPPED] > 0


@pytest.mark.parametrize("kind", FILES)
def test_the_reloader_keeps_the_old_bundle_while_damaged_ones_are_offered(
    intact: Path, tmp_path: Path, kind: str
) -> None:
    """One after another, with hashes as they were and made right, one case of every outcome above."""
    models = Path(shutil.copytree(intact, tmp_path / "models"))
    reloader = Reloader(Registry(models))
    reloader.refresh()
    old = reloader.champion
    assert old is not None
    twin = add_twin(models)
    content = (twin / FILES[kind]).read_bytes()
    first = {one.outcome: one.seed for one in reversed(told_of(bundle_of(intact), FILES[kind]))}
    for outcome, seed in first.items():
        (twin / FILES[kind]).write_bytes(content)
        reseal(twin)
        (twin / FILES[kind]).write_bytes(damaged(content, seed))
        appoint(models, twin, why=f"{outcome}, hashes as they were")
        reloader.refresh()
        assert reloader.champion is old
        reseal(twin)
        appoint(models, twin, why=f"{outcome}, hashes made right")
        reloader.refresh()
        # Evidence is read by gates alone; what the live process says does not rest on it.
        serves = outcome == SAME or kind == "evidence"
        assert (reloader.champion is not old) == serves
        reloader.champion = old
