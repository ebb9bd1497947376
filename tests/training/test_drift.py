"""The distances of every feature, as the report shows them."""

import numpy as np
import pytest

from plugin.features.joined import ROW_NAMES
from shadow.drift import drifting, limits_of, reference_of
from shadow.drift_file import DRIFT_FILE, read_drift
from training.drift import measure_drift, store_drift

N = len(ROW_NAMES)


@pytest.fixture(scope="module")
def measured():
    rows = np.random.default_rng(1).standard_normal((3000, N)).astype(np.float32)
    reference = reference_of(rows)
    limits = limits_of(reference, [rows[at : at + 300] for at in range(0, 2700, 100)])
    block = rows[:300].copy()
    block[:, [3, 50]] += np.float32(2.0)
    return measure_drift("one", reference, limits, block, 0, 86_400_000), reference, limits, block


def test_what_drifts_comes_first_and_is_what_the_limits_say(measured):
    found, reference, limits, block = measured
    expected = {ROW_NAMES[at] for at in np.flatnonzero(drifting(reference, limits, block))}
    assert {one.name for one in found.features if one.drifts} == expected
    assert {ROW_NAMES[3], ROW_NAMES[50]} <= expected
    assert [one.drifts for one in found.features] == sorted(
        (one.drifts for one in found.features), reverse=True
    )
    assert found.share == pytest.approx(len(expected) / N)
    assert (found.since, found.until) == ("1970-01-01T00:00:00.000Z", "1970-01-02T00:00:00.000Z")


def test_it_is_read_as_it_was_stored(measured, tmp_path):
    store_drift(tmp_path, measured[0])
    assert read_drift(tmp_path) == measured[0]
    assert (tmp_path / DRIFT_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b'{"bundle": 1}', b"\xff\xfe"])
def test_what_can_not_be_understood_was_not_measured(tmp_path, content):
    if content is not None:
        (tmp_path / DRIFT_FILE).write_bytes(content)
    assert read_drift(tmp_path) is None
