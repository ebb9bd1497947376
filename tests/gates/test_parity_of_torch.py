"""What torch said in training is what the live process says, or the bundle is fit for nothing."""

from pathlib import Path

import pytest

from gates.runner import ask_gates
from plugin.manifest import GateResult
from tests.support.bundles import bundle_of, read_manifest, reseal
from tests.support.networks import Rows, add_network, random_rows
from tests.support.torch_networks import TorchNetwork, torch_network

NOW_MS = 1_735_689_600_000


@pytest.fixture
def candidate(models: Path) -> Path:
    """A bundle with a network of torch beside its trees, whose golden answers are torch's own."""
    bundle = bundle_of(models)
    add_network(bundle, torch_network)
    return bundle


def parity(candidate: Path) -> GateResult:
    (found,) = ask_gates(["parity"], candidate, now_ms=NOW_MS)
    return found


def test_a_network_answers_as_torch_did(candidate: Path) -> None:
    found = parity(candidate)
    assert found.verdict == "pass", found.sentence
    assert isinstance(found.value, float)
    assert found.value < 1e-6


def test_a_file_that_answers_otherwise_than_torch_is_named(candidate: Path) -> None:
    """Exported after a further step of training, say: the right one in all other respects."""
    (entry,) = [one for one in read_manifest(candidate).members if one.file == "net_h12.onnx"]
    rows: Rows = random_rows(0, 8)[:, :73].copy()
    other: TorchNetwork = torch_network(99, rows)
    (candidate / entry.file).write_bytes(other.content())
    reseal(candidate)
    found = parity(candidate)
    assert found.verdict == "fail"
    assert "net at 12 bars" in found.sentence
