"""Do the benchmarks run, and say all that they promise?"""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.small_training import SmallTraining

ROOT = Path(__file__).parents[2]


def numbers(answer: object, place: str = "") -> Iterator[tuple[str, float]]:
    if isinstance(answer, dict):
        for key, part in answer.items():
            yield from numbers(part, f"{place}.{key}")
    elif isinstance(answer, list):
        for number, part in enumerate(answer):
            yield from numbers(part, f"{place}.{number}")
    elif isinstance(answer, int | float) and not isinstance(answer, bool):
        yield place, answer


def test_a_quick_run_writes_finite_figures_for_every_part(
    small_training: SmallTraining, tmp_path: Path
) -> None:
    file = tmp_path / "bench" / "figures.json"
    command = [sys.executable, "-m", "tests.benchmarks", "--quick", "--json", str(file)]
    command += ["--only", "bar_close", "round_trip", "client_faults", "history", "report"]
    command += ["--market", str(small_training.store), "--models-dir", str(small_training.models)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    assert "SIMULATED" in run.stdout
    answer = json.loads(file.read_text())
    assert answer["simulated"] is True
    results = answer["results"]
    assert set(results) == {"bar_close", "round_trip", "client_faults", "history", "report"}
    assert results["round_trip"]["decided"] == 1.0
    for size in results["bar_close"]:
        assert size["decided"] == 1.0
        latencies = [size[when] for when in ("hot", "cold", "cold_after_warm_up")]
        ratios = {"to_own", "to_library", "to_own_alike", "to_library_alike"}
        assert all(set(one) == {"answer", *ratios} for one in latencies)
        assert set(size["parts"]) == {"features_us", "prediction_us", "rest_us", "write_us"}
        assert len(size["bare"]) == 4
    assert results["report"]["run"]["n_bars"] == results["report"]["n_records"]
    asked = results.pop("client_faults")
    assert {one["fault"] for one in asked} > {"killed", "paused", "wedged", "flooded", "slow bytes"}
    assert all("ok" not in one["reasons"] for one in asked)
    figures = dict(numbers(results))
    assert [place for place, figure in figures.items() if not 0 < figure < math.inf] == []


def test_a_folder_without_bars_is_refused_with_a_remedy(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--market", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "name another folder" in run.stderr
