"""A bundle with networks beside its trees serves like any other, where onnxruntime is installed."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import external_data_helper

from plugin.bundle import Bundle, load_bundle
from plugin.canary import TOLERANCE, check_in_child
from plugin.ensemble import CONSTANT_AFTER_BARS, Ensemble
from plugin.errors import BundleRefused
from plugin.features.joined import FEATURE_SETS
from plugin.predictors.onnxrt import SCHEMA_KEY, Network
from plugin.registry import Registry
from plugin.reloader import Reloader
from tests.support.bundles import appoint, bundle_of, reseal
from tests.support.networks import (
    add_network,
    constant_network,
    network,
    random_rows,
    silent_network,
)

FILE = "net_h5.onnx"


@pytest.fixture
def bundle(models: Path) -> Path:
    return bundle_of(models)


def _with_networks(bundle: Path) -> Bundle:
    add_network(bundle)
    return load_bundle(bundle)


def put(bundle: Path, content: bytes) -> None:
    (bundle / FILE).write_bytes(content)
    reseal(bundle)


def test_networks_are_members_like_all_others(bundle: Path) -> None:
    loaded = _with_networks(bundle)
    assert list(loaded.models) == ["lgb", "xgb", "cross", "net"]
    assert all(isinstance(one, Network) for one in loaded.models["net"].values())
    (said,) = Ensemble(loaded).predict(["BTC/USDT"], random_rows(0, 1))
    assert said.reason == "ok"
    assert list(said.members["net"].horizons) == ["5", "12", "24"]


def test_golden_answers_that_numpy_gave_are_repeated_and_the_bundle_serves(
    models: Path, bundle: Path
) -> None:
    add_network(bundle)
    report = check_in_child(bundle)
    assert report.refusal is None
    assert report.largest_difference is not None
    assert report.largest_difference <= TOLERANCE
    appoint(models, bundle)
    reloader = Reloader(Registry(models))
    reloader.refresh()
    assert reloader.champion is not None
    assert "net" in reloader.champion.bundle.models


def test_a_batch_of_a_thousand_is_answered_as_one_by_one_to_the_last_bit(bundle: Path) -> None:
    loaded, rows = _with_networks(bundle), random_rows(3, 1_000)
    symbols = [f"S{number}/USDT" for number in range(len(rows))]
    together = [said.probabilities for said in Ensemble(loaded).predict(symbols, rows)]
    lonely = Ensemble(loaded)
    assert together == [
        lonely.predict([symbol], row[None])[0].probabilities
        for symbol, row in zip(symbols, rows, strict=True)
    ]


def test_a_network_that_has_collapsed_is_named_constant(bundle: Path) -> None:
    add_network(bundle, constant_network)
    ensemble = Ensemble(load_bundle(bundle))
    said = [ensemble.predict(["BTC/USDT"], row[None])[0] for row in random_rows(1, 20)]
    reasons = [one.reason for one in said]
    assert reasons == ["ok"] * CONSTANT_AFTER_BARS + ["member_constant:net"] * (
        20 - CONSTANT_AFTER_BARS
    )
    assert said[-1].meta_p is None


def test_a_network_without_numbers_is_named_nan_and_its_bundle_refused(bundle: Path) -> None:
    add_network(bundle, silent_network)
    (said,) = Ensemble(load_bundle(bundle)).predict(["BTC/USDT"], random_rows(1, 1))
    assert (said.reason, said.meta_p) == ("member_nan:net", None)
    assert (said.members["net"].status, said.members["net"].p) == ("nan", None)
    assert "member_nan:net" in str(check_in_child(bundle).refusal)


def test_another_network_than_the_answers_are_of_is_refused(bundle: Path) -> None:
    add_network(bundle)
    put(bundle, (bundle / "net_h12.onnx").read_bytes())
    assert "apart" in str(check_in_child(bundle).refusal)


def test_a_network_over_other_features_is_refused_by_its_name(bundle: Path) -> None:
    add_network(bundle)
    wide = random_rows(0, 8)[:, : len(FEATURE_SETS["cross"].names)]
    model = network(5, np.ascontiguousarray(wide)).model()
    model.metadata_props[0].value = FEATURE_SETS["cross"].schema_hash
    assert model.metadata_props[0].key == SCHEMA_KEY
    put(bundle, model.SerializeToString())
    with pytest.raises(BundleRefused, match=rf"^{FILE}: expected a network over features of schema"):
        load_bundle(bundle)


def test_a_network_whose_weights_lie_elsewhere_is_refused_by_its_name(bundle: Path) -> None:
    """Though they are where it says, as a file that nobody hashed."""
    add_network(bundle)
    model = network(5, random_rows(0, 8)[:, :73]).model()
    tensor = model.graph.initializer[2]
    (bundle.parent / "weights.bin").write_bytes(tensor.raw_data)
    external_data_helper.set_external_data(tensor, "../weights.bin")
    tensor.ClearField("raw_data")
    put(bundle, model.SerializeToString())
    with pytest.raises(BundleRefused, match=rf"^{FILE}: .*external data"):
        load_bundle(bundle)
    assert check_in_child(bundle).file == FILE


def test_without_onnxruntime_a_bundle_with_networks_is_refused_and_one_of_trees_served(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['onnxruntime'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert check_in_child(bundle).refusal is None
    load_bundle(bundle)
    add_network(bundle)
    report = check_in_child(bundle)
    assert (report.file, "pip install 'shadowgate[onnx]'" in str(report.refusal)) == (FILE, True)
    with pytest.raises(BundleRefused, match="onnxruntime on this host"):
        load_bundle(bundle)
