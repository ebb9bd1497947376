"""A bundle that does not repeat its golden answers is refused in words, whatever it does instead."""

import dataclasses
import io
import mmap
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin import canary
from plugin.bundle import load_bundle
from plugin.canary import TOLERANCE, check_in_child
from plugin.errors import BundleRefused
from plugin.golden import Golden, answer_golden, differs_most, largest_difference
from tests.support.bundles import bundle_of, flip_byte, read_manifest, reseal


@pytest.fixture
def bundle(models: Path) -> Path:
    return bundle_of(models)


@pytest.fixture
def golden(bundle: Path) -> Golden:
    return Golden.decode((bundle / "golden.npz").read_bytes())


def put(bundle: Path, content: bytes) -> None:
    (bundle / "golden.npz").write_bytes(content)
    reseal(bundle)


def refusal_of(bundle: Path, **limits: float) -> str:
    report = check_in_child(bundle, **limits)
    assert report.bundle_id == bundle.name
    assert report.largest_difference is None
    assert report.refusal is not None
    return report.refusal


def test_an_intact_bundle_repeats_its_answers(bundle: Path) -> None:
    report = check_in_child(bundle)
    assert report.refusal is None
    assert report.bundle_id == bundle.name
    assert report.largest_difference is not None
    assert report.largest_difference <= TOLERANCE
    assert (report.differs_most, report.differs_at) in {("xgb", horizon) for horizon in (5, 12, 24)}


def test_what_a_row_and_the_bundle_cost_is_said(bundle: Path) -> None:
    """A machine can be busy: orders of magnitude, not times."""
    report = check_in_child(bundle)
    assert report.row_microseconds is not None
    assert 1.0 < report.row_microseconds < 1e6
    assert report.memory_bytes is not None
    assert 0 <= report.memory_bytes < 2**30


def test_resident_memory_is_what_a_process_holds() -> None:
    n_bytes = 64 * 2**20
    before = canary._resident_bytes()
    # Not an array: that may lie where another one was before.
    with mmap.mmap(-1, n_bytes) as held:
        held.write(b"x" * n_bytes)
        assert canary._resident_bytes() - before > 0.9 * n_bytes


@pytest.mark.parametrize(
    ("part", "place", "where"),
    [
        ("rows", (2, 7), ("features", None)),
        ("members", (2, 1, 2), ("xgb", 24)),
        ("members", (0, 2, 0), ("cross", 5)),
        ("stacked", (1, 1), ("stack", 12)),
    ],
)
def test_the_place_of_the_largest_difference_is_told(
    bundle: Path, golden: Golden, part: str, place: tuple[int, ...], where: tuple[str, int | None]
) -> None:
    changed = getattr(golden, part).copy()
    changed[place] += 0.25
    other = dataclasses.replace(golden, **{part: changed})
    assert differs_most(golden, other, read_manifest(bundle)) == where
    assert largest_difference(golden, other) == pytest.approx(0.25)


@pytest.mark.parametrize("part", ["rows", "members", "stacked"])
@pytest.mark.parametrize("by", [3 * TOLERANCE, float("nan"), float("inf")])
def test_an_answer_that_differs_is_seen_wherever_it_stands(
    golden: Golden, part: str, by: float
) -> None:
    changed = getattr(golden, part).astype(np.float64)
    changed[-1].flat[-1] += by
    other = dataclasses.replace(golden, **{part: changed})
    assert not largest_difference(other, golden) <= TOLERANCE
    assert not largest_difference(golden, other) <= TOLERANCE


def test_a_difference_within_the_tolerance_is_none(golden: Golden) -> None:
    near = dataclasses.replace(golden, stacked=golden.stacked + 0.9 * TOLERANCE)
    assert largest_difference(near, golden) <= TOLERANCE


def test_answers_of_another_shape_are_no_answers(golden: Golden) -> None:
    fewer = dataclasses.replace(golden, members=golden.members[:, :2])
    assert largest_difference(fewer, golden) == float("inf")


def test_the_live_code_repeats_what_training_s_libraries_said(bundle: Path, golden: Golden) -> None:
    answered = answer_golden(load_bundle(bundle), golden.bars, golden.open_time_ms)
    np.testing.assert_array_equal(answered.rows, golden.rows)
    assert largest_difference(golden, answered) <= TOLERANCE


def test_other_golden_answers_are_refused(bundle: Path, golden: Golden) -> None:
    put(bundle, dataclasses.replace(golden, stacked=golden.stacked + 3e-6).encode())
    assert "golden.npz: expected answers within 1e-06" in refusal_of(bundle)


def test_another_model_than_the_answers_are_of_is_refused(bundle: Path) -> None:
    (bundle / "lgb_h5.txt").write_bytes((bundle / "lgb_h12.txt").read_bytes())
    reseal(bundle)
    assert "apart, most of all lgb at 5 bars" in refusal_of(bundle)


def test_bars_that_give_no_features_are_refused(bundle: Path, golden: Golden) -> None:
    bars = golden.bars.copy()
    bars[0, 0, 4, :] = 0.0
    put(bundle, dataclasses.replace(golden, bars=bars).encode())
    assert "dead_market" in refusal_of(bundle)


def _archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _array(value: np.ndarray[Any, Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, value)
    return buffer.getvalue()


def _too_large() -> bytes:
    """An array that says it has 10^12 numbers, and has none."""
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode()


def _fields(golden: Golden, **changes: Any) -> bytes:
    return _archive(**{**dataclasses.asdict(golden), **changes})


class _Touch:
    """What a pickle can do when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickle-was-run",)


@pytest.mark.parametrize("part", ["bars", "rows", "stacked"])
def test_an_array_of_objects_is_refused_and_not_run(
    golden: Golden, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = _fields(golden, **{part: np.array([_Touch()], dtype=object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        Golden.decode(content)
    assert not (tmp_path / "pickle-was-run").exists()


def test_golden_answers_that_are_a_pickle_are_refused_by_the_child(bundle: Path) -> None:
    put(bundle, pickle.dumps(_Touch()))
    assert "golden.npz: expected golden bars and answers" in refusal_of(bundle)


def test_an_archive_that_claims_more_memory_than_there_is_is_refused(bundle: Path) -> None:
    put(bundle, _too_large())
    assert "golden.npz: expected golden bars and answers" in refusal_of(bundle)


@pytest.mark.parametrize(
    "fault", ["empty", "no archive", "one array", "cut", "a field less", "damaged"]
)
def test_content_that_is_no_archive_of_answers_is_refused(
    bundle: Path, golden: Golden, fault: str
) -> None:
    whole = golden.encode()
    content = {
        "empty": b"",
        "no archive": b"\x00" * 500,
        "one array": _array(golden.stacked),
        "cut": whole[: len(whole) // 2],
        "a field less": _archive(bars=golden.bars),
        "damaged": whole[:1000] + bytes(100) + whole[1100:],
    }[fault]
    put(bundle, content)
    assert "golden.npz: expected golden bars and answers" in refusal_of(bundle)


def test_bars_of_another_shape_never_reach_the_compiled_features(golden: Golden) -> None:
    bars = golden.bars
    none = {"bars": bars[:0], "open_time_ms": golden.open_time_ms[:0]}
    for changes in (
        {"bars": bars[..., 1:]},
        {"bars": bars[:, :2]},
        {"bars": bars[:, :, :5]},
        {"bars": bars[1:]},
        {"bars": bars.astype(np.float32)},
        none,
    ):
        with pytest.raises(ValueError, match="bars of shape"):
            Golden.decode(_fields(golden, **changes))


def test_a_member_without_a_number_has_no_golden_answer(bundle: Path, golden: Golden) -> None:
    loaded = load_bundle(bundle)
    trees = loaded.models["lgb"][5]
    broken = dataclasses.replace(trees, base=float("nan"))
    models = {**loaded.models, "lgb": {**loaded.models["lgb"], 5: broken}}
    with pytest.raises(BundleRefused, match="member_nan:lgb"):
        answer_golden(dataclasses.replace(loaded, models=models), golden.bars, golden.open_time_ms)


def test_a_damaged_bundle_is_refused_without_a_process(bundle: Path) -> None:
    flip_byte(bundle / "xgb_h5.json", 1000)
    report = check_in_child(bundle, timeout_s=0.0)
    assert report.file == "xgb_h5.json"
    assert "other bytes" in str(report.refusal)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "the folder of a bundle" in refusal_of(tmp_path / "none")


def test_a_bundle_that_takes_too_long_is_refused(bundle: Path) -> None:
    assert refusal_of(bundle, timeout_s=0.02) == (
        "the process that tried the bundle gave no answer within 0.02 s"
    )


@pytest.fixture
def hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that every Python started from now on runs first."""
    (tmp_path / "site").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    return tmp_path / "site" / "sitecustomize.py"


def test_a_process_that_is_killed_is_a_refusal(bundle: Path, hook: Path) -> None:
    hook.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert refusal_of(bundle) == "the process that tried the bundle was ended by SIGKILL"


def test_a_process_that_fails_is_a_refusal_with_its_last_words(bundle: Path, hook: Path) -> None:
    hook.write_text("import os\nos.write(2, b'one\\nlast words\\n')\nos._exit(7)\n")
    assert refusal_of(bundle) == "the process that tried the bundle failed: last words"


def test_a_process_that_fails_without_a_word_is_a_refusal(bundle: Path, hook: Path) -> None:
    hook.write_text("import os\nos._exit(7)\n")
    assert refusal_of(bundle) == "the process that tried the bundle failed: exit code 7"


def test_a_process_that_says_nothing_is_a_refusal(bundle: Path, hook: Path) -> None:
    hook.write_text("import os\nos._exit(0)\n")
    assert refusal_of(bundle).startswith("the bundle could not be tried")


def test_a_process_that_fails_after_its_answer_is_a_refusal(bundle: Path, hook: Path) -> None:
    last = "import atexit, os, sys\natexit.register(lambda: (sys.stdout.flush(), os.abort()))\n"
    hook.write_text(last)
    assert refusal_of(bundle) == "the process that tried the bundle was ended by SIGABRT"


def test_what_libraries_print_does_not_spoil_the_answer(bundle: Path, hook: Path) -> None:
    hook.write_text("print('{\"refusal\": null}')\nprint('no newline', end='')\n")
    assert check_in_child(bundle).refusal is None
