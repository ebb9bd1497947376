"""Names, order and formulas of the features are known by a hash, and a changed formula is noticed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.candles import ABSENT, CLOSE, HIGH, LOW, N_ROWS, OPEN, VOLUME
from plugin.features import (
    BASE,
    CROSS,
    LOOKBACK_BARS,
    SEQUENCE,
    companion_row,
    feature_set,
    row_of_newest,
)
from plugin.features.companion import NAMES as COMPANION_NAMES
from tests.support.windows import HOUR_MS, MONDAY_MS

ANSWERS = Path(__file__).with_name("answers.json")


def waves(phase: float) -> NDArray[np.float64]:
    """Bars (6, 512) made of sines: the same wherever and whenever the test runs."""
    at = np.arange(LOOKBACK_BARS + 1) + phase
    swing = 0.05 * np.sin(at / 31.0) + 0.02 * np.sin(at / 5.3) + 0.004 * np.sin(at * at / 17.0)
    prices = 100.0 * np.exp(swing)
    bars = np.zeros((N_ROWS, LOOKBACK_BARS))
    bars[OPEN], bars[CLOSE] = prices[:-1], prices[1:]
    bars[HIGH] = np.maximum(prices[:-1], prices[1:]) * (1.002 + 0.001 * np.sin(at[1:] / 3.0))
    bars[LOW] = np.minimum(prices[:-1], prices[1:]) * (0.997 + 0.001 * np.cos(at[1:] / 2.0))
    bars[VOLUME] = 50.0 * np.exp(np.sin(at[1:] * at[1:] / 23.0))
    bars[:5, 200], bars[ABSENT, 200] = [bars[CLOSE, 199]] * 4 + [0.0], 1.0
    return bars


def answers() -> dict[str, object]:
    """Every feature on two fixed windows, with the version of the formulas that they were made by."""
    own, other = waves(0.0), waves(10.3)
    row = np.empty(len(SEQUENCE.names), dtype=np.float32)
    beside = np.empty(len(COMPANION_NAMES), dtype=np.float32)
    newest = LOOKBACK_BARS - 1
    assert row_of_newest(own, newest, MONDAY_MS + 5 * HOUR_MS, HOUR_MS, row) == 0
    assert companion_row(own, newest, other, newest, beside) == 0
    return {
        "version": feature_set.FEATURES_VERSION,
        "own": dict(zip(SEQUENCE.names, map(float, row), strict=True)),
        "companion": dict(zip(COMPANION_NAMES, map(float, beside), strict=True)),
    }


def test_the_answers_of_this_version_are_the_pinned_ones() -> None:
    """After a change of a formula: raise FEATURES_VERSION, then run this file to pin it anew."""
    pinned, now = json.loads(ANSWERS.read_text()), answers()
    assert now["version"] == pinned["version"], "the answers were not pinned for this version"
    for part in ("own", "companion"):
        assert now[part] == pytest.approx(pinned[part], rel=1e-5, abs=1e-7), "raise FEATURES_VERSION"


def test_the_sets_have_their_agreed_sizes_and_share_the_base() -> None:
    assert [len(s.names) for s in (BASE, SEQUENCE, CROSS)] == [73, 80, 94]
    assert SEQUENCE.names[:73] == CROSS.names[:73] == BASE.names
    assert CROSS.names[73::7] == tuple(f"companion{n}_return_1" for n in (1, 2, 3))
    for chosen in (BASE, SEQUENCE, CROSS):
        assert len(set(chosen.names)) == len(chosen.names)
        assert chosen.lookback == LOOKBACK_BARS


def test_every_family_has_a_place_for_each_of_its_names() -> None:
    row = answers()["own"]
    assert isinstance(row, dict)
    # A kernel that wrote one value too few would leave the buffer's old content in its last place.
    for filler in (7.0, -7.0):
        out = np.full(len(SEQUENCE.names), filler, dtype=np.float32)
        row_of_newest(waves(0.0), LOOKBACK_BARS - 1, MONDAY_MS + 5 * HOUR_MS, HOUR_MS, out)
        assert dict(zip(SEQUENCE.names, map(float, out), strict=True)) == row


def test_the_hash_changes_with_names_order_lookback_and_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    swapped = (BASE.names[1], BASE.names[0], *BASE.names[2:])
    others = [
        replace(BASE, names=BASE.names[:-1]),
        replace(BASE, names=swapped),
        replace(BASE, lookback=511),
    ]
    hashes = {BASE.schema_hash, *(other.schema_hash for other in others)}
    assert replace(BASE, name="renamed").schema_hash == BASE.schema_hash
    monkeypatch.setattr(feature_set, "FEATURES_VERSION", feature_set.FEATURES_VERSION + 1)
    hashes.add(replace(BASE).schema_hash)
    assert len(hashes) == 5
    assert all(len(digest) == 64 for digest in hashes)


if __name__ == "__main__":
    ANSWERS.write_text(json.dumps(answers(), indent=1) + "\n")
