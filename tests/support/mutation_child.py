"""A process that reads a file of a bundle again and again, each time spoilt otherwise, and tells of it.

Its arguments are the folder of an intact bundle, the name of the file and the number of cases. It
prints a line for each: refused by the reader, stopped by golden answers, or served with the same
answers. What crashes or hangs ends it, and the lines say where.
"""

import dataclasses
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np

from gates.out_of_fold import OutOfFoldRows
from plugin.bundle import Bundle, load_bundle
from plugin.canary import TOLERANCE
from plugin.errors import BundleRefused
from plugin.features.joined import FEATURE_SETS, ROW_NAMES, columns_of
from plugin.golden import Golden, answer_golden, largest_difference
from plugin.manifest import MemberFile
from plugin.meta_model import MetaModel, meta_inputs
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.predictors.onnxrt import read_onnx
from plugin.predictors.xgboost_json import read_xgboost
from tests.support.damage import damaged

CASE_S, ALL_S, MEMORY_BYTES = 5, 100, 4 * 2**30
READERS = {"lightgbm": read_lightgbm, "xgboost": read_xgboost, "onnx": read_onnx}
Put = Callable[[Bundle, bytes], Bundle]


class Told(msgspec.Struct, frozen=True):
    """What became of one case; `difference` is that of its answers, None where it gave none."""

    seed: int
    outcome: str
    difference: float | None
    refusal: str = ""


def put_model(model: MemberFile) -> Put:
    """The bundle with another content of a model file."""
    names, columns = FEATURE_SETS[model.feature_set].names, columns_of(model.feature_set)

    def put(bundle: Bundle, content: bytes) -> Bundle:
        read = READERS[model.kind](model.file, content, names, columns)
        by_horizon = {**bundle.models[model.member], model.horizon: read}
        return dataclasses.replace(bundle, models={**bundle.models, model.member: by_horizon})

    return put


def put_meta(bundle: Bundle, content: bytes) -> Bundle:
    """The bundle with another meta-model."""
    manifest = bundle.manifest
    try:
        meta = MetaModel.from_json(content, manifest.horizons, manifest.member_names)
    except (ValueError, RecursionError) as error:
        raise BundleRefused(manifest.meta_file, "a meta-model", error) from error
    return dataclasses.replace(bundle, meta=meta)


def put_golden(bundle: Bundle, content: bytes) -> Bundle:
    """The bundle with other golden bars and answers."""
    try:
        Golden.decode(content)
    except Exception as error:
        raise BundleRefused(bundle.manifest.golden_file, "golden answers", error) from error
    return dataclasses.replace(bundle, golden=content)


def put_evidence(bundle: Bundle, content: bytes) -> Bundle:
    """The bundle as it is: only gates read these rows."""
    try:
        OutOfFoldRows.decode(content)
    except Exception as error:
        raise BundleRefused(bundle.manifest.evidence_file, "rows out of fold", error) from error
    return bundle


def passes(bundle: Bundle) -> bool:
    """Whether the canary would let the bundle serve."""
    golden = Golden.decode(bundle.golden)
    try:
        answered = answer_golden(bundle, golden.bars, golden.open_time_ms)
    except BundleRefused:
        return False
    return largest_difference(golden, answered) <= TOLERANCE


def difference(bundle: Bundle, intact: Golden) -> float:
    """From what was said before, on the rows themselves; not the canary's own way to find it."""
    members = np.array(
        [
            [model.probability(intact.rows) for model in by_horizon.values()]
            for by_horizon in bundle.models.values()
        ]
    )
    volatility = intact.rows[:, ROW_NAMES.index("realised_vol_20")]
    stacked = [
        bundle.meta.horizons[str(horizon)].probability(
            meta_inputs(intact.members[:, :, place].T, volatility)
        )
        for place, horizon in enumerate(bundle.manifest.horizons)
    ]
    apart = (members.transpose(2, 0, 1) - intact.members, np.stack(stacked, axis=1) - intact.stacked)
    return float(max(np.abs(one).max() for one in apart))


def tell(bundle: Bundle, intact: Golden, put: Put, content: bytes, seed: int) -> Told:
    """Read one damaged content and ask it."""
    try:
        changed = put(bundle, damaged(content, seed))
    except BundleRefused as error:
        return Told(seed, "refused by the reader", None, str(error))
    with np.errstate(all="ignore"):
        outcome = "same answers" if passes(changed) else "stopped by golden answers"
        return Told(seed, outcome, difference(changed, intact))


def main(folder: Path, file: str, n_cases: int) -> None:
    bundle = load_bundle(folder)
    manifest = bundle.manifest
    puts: dict[str, Put] = {model.file: put_model(model) for model in manifest.members}
    puts |= {manifest.meta_file: put_meta, manifest.golden_file: put_golden}
    puts |= {manifest.evidence_file: put_evidence}
    intact, content = Golden.decode(bundle.golden), (folder / file).read_bytes()
    assert passes(puts[file](bundle, content))
    for seed in range(n_cases):
        signal.alarm(CASE_S)
        told = tell(bundle, intact, puts[file], content, seed)
        print(msgspec.json.encode(told).decode(), flush=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (ALL_S, ALL_S))
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
