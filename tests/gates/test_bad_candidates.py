"""Candidates made worse on purpose, every hash right: the gate that should stop them does."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from gates.runner import run_gates
from plugin.features.joined import FEATURE_SETS
from plugin.manifest import GateReport, GateResult
from tests.support.bundles import bundle_of, read_manifest, reseal
from tests.support.networks import (
    Network,
    Rows,
    add_network,
    constant_network,
    network,
    random_rows,
    silent_network,
)

NOW_MS = 1_735_689_600_000


@pytest.fixture
def candidate(models: Path) -> Path:
    """A bundle to be made worse."""
    return bundle_of(models)


def judged(candidate: Path) -> tuple[str, dict[str, GateResult]]:
    """The level, and the gates for shadow that failed."""
    report: GateReport = run_gates(candidate, now_ms=NOW_MS)
    failed = [one for one in report.results if one.verdict == "fail" and one.level == "shadow"]
    return report.level, {one.name: one for one in failed}


def test_a_candidate_with_sound_networks_is_fit_for_shadow(candidate: Path) -> None:
    """What is made worse below, as it is."""
    add_network(candidate)
    assert judged(candidate) == ("shadow", {})


def test_features_of_another_schema_are_stopped_by_integrity(candidate: Path) -> None:
    sets = read_manifest(candidate).feature_sets
    other = msgspec.structs.replace(sets["base"], schema_hash="0" * 64)
    reseal(candidate, feature_sets={**sets, "base": other})
    level, failed = judged(candidate)
    assert (level, "integrity" in failed) == ("none", True)
    assert "train again with this release" in failed["integrity"].sentence


def test_a_network_over_features_of_another_schema_is_stopped_by_parity(candidate: Path) -> None:
    """The manifest promises the right ones, so that only reading the network shows it."""
    add_network(candidate)
    wide = random_rows(0, 8)[:, : len(FEATURE_SETS["cross"].names)]
    model = network(5, np.ascontiguousarray(wide)).model()
    model.metadata_props[0].value = FEATURE_SETS["cross"].schema_hash
    (candidate / "net_h5.onnx").write_bytes(model.SerializeToString())
    reseal(candidate)
    level, failed = judged(candidate)
    assert (level, list(failed)) == ("none", ["parity"])
    assert "net_h5.onnx: expected a network over features of schema" in failed["parity"].sentence


def test_a_constant_network_is_stopped_as_collapsed(candidate: Path) -> None:
    add_network(candidate, constant_network)
    level, failed = judged(candidate)
    assert (level, list(failed)) == ("none", ["collapsed"])
    assert "net at 5 bars" in failed["collapsed"].sentence


def test_a_network_that_is_constant_at_one_horizon_only_is_stopped_as_well(candidate: Path) -> None:
    def one_of_them(horizon: int, rows: Rows) -> Network:
        return (constant_network if horizon == 24 else network)(horizon, rows)

    add_network(candidate, one_of_them)
    level, failed = judged(candidate)
    assert (level, list(failed)) == ("none", ["collapsed"])
    assert "net at 24 bars" in failed["collapsed"].sentence


def test_a_network_without_numbers_is_stopped_by_parity(candidate: Path) -> None:
    add_network(candidate, silent_network)
    level, failed = judged(candidate)
    assert (level, list(failed)) == ("none", ["parity"])
    assert "member_nan:net" in failed["parity"].sentence


def test_another_network_than_was_judged_is_stopped_by_parity(candidate: Path) -> None:
    add_network(candidate)
    (candidate / "net_h5.onnx").write_bytes((candidate / "net_h12.onnx").read_bytes())
    reseal(candidate)
    level, failed = judged(candidate)
    assert (level, list(failed)) == ("none", ["parity"])
    assert "most of all net at 5 bars" in failed["parity"].sentence
