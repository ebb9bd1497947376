"""A second intact bundle that answers otherwise than the first, so that it shows who answered."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import msgspec
from msgspec.structs import replace

from plugin.bundle import load_bundle
from plugin.golden import Golden, answer_golden
from plugin.meta_kinds import LogisticModel
from plugin.meta_model import MetaModel
from plugin.registry import Registry
from tests.support.bundles import AT, add_twin, reseal


def add_other(models: Path) -> Path:
    """The champion's bundle with every weight of the meta-model halved, under a later name."""
    folder = add_twin(models)
    bundle = load_bundle(folder)
    halved = {
        horizon: replace(model, weights=tuple(weight / 2 for weight in model.weights))
        for horizon, model in bundle.meta.horizons.items()
        if isinstance(model, LogisticModel)
    }
    meta = MetaModel(bundle.meta.members, halved)
    golden = Golden.decode(bundle.golden)
    answered = answer_golden(dataclasses.replace(bundle, meta=meta), golden.bars, golden.open_time_ms)
    (folder / bundle.manifest.meta_file).write_bytes(msgspec.json.encode(meta))
    # The meta-model alone has changed: what training said of features and members stands.
    told = dataclasses.replace(golden, stacked=answered.stacked)
    (folder / bundle.manifest.golden_file).write_bytes(told.encode())
    reseal(folder)
    return folder


def appoint_challenger(models: Path, bundle: Path) -> None:
    """Let `bundle` be tried beside the champion."""
    Registry(models).appoint(bundle.name, at=AT, who="a test", why="to try it", role="challenger")
