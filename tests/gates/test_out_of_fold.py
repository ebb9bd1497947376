"""Rows that can not be those that the bundle was judged on are no evidence, and say why."""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gates.measured import Measured
from gates.out_of_fold import OutOfFoldRows
from tests.support.candidates import (
    HORIZONS,
    MEMBERS,
    SYMBOLS,
    answers_of,
    candidate,
    damaged_candidate,
    good_rows,
    with_answers,
)

ROWS = good_rows()


def refusal_of(rows: OutOfFoldRows | bytes, **more: Any) -> str:
    found = candidate(rows=rows, **more).measured
    assert isinstance(found, str)
    return found


def changed(name: str, place: Any, value: Any) -> OutOfFoldRows:
    array = getattr(ROWS, name).copy()
    array[place] = value
    return replace(ROWS, **{name: array})


def test_rows_survive_the_way_through_a_file() -> None:
    read = OutOfFoldRows.decode(ROWS.encode())
    for name in OutOfFoldRows.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(read, name), getattr(ROWS, name))
    assert read.encode() == ROWS.encode()


def test_rows_that_fit_the_manifest_are_read_once() -> None:
    one = candidate()
    assert isinstance(one.measured, Measured)
    assert one.measured is one.measured
    assert (one.measured.horizon, one.measured.members) == (5, list(MEMBERS))


def test_a_bundle_that_is_not_intact_has_no_rows() -> None:
    assert damaged_candidate().measured == "the bundle is not intact"


def _archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no archive",
        ROWS.encode()[:1000],
        _archive(up=ROWS.up),
        _archive(**{**vars(ROWS), "sources": np.array([{}], dtype=object)}),
    ],
    ids=["empty", "no archive", "cut", "fields missing", "objects"],
)
def test_a_file_that_can_not_be_read_is_said_so(content: bytes) -> None:
    assert refusal_of(content).startswith("out_of_fold.npz can not be used: ")


def test_a_file_that_is_not_there_is_said_so() -> None:
    assert "can not be used" in str(candidate(contents={}).measured)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (replace(ROWS, up=ROWS.up[1:]), "expected up of shape"),
        (replace(ROWS, up=ROWS.up.astype(np.int16)), "expected up of shape"),
        (replace(ROWS, probability=ROWS.probability[:, :, 1:]), "expected probability of shape"),
        (replace(ROWS, symbol=ROWS.symbol.astype(np.float32)), "expected symbol of shape"),
    ],
)
def test_arrays_of_another_shape_or_type_are_refused(rows: OutOfFoldRows, why: str) -> None:
    assert why in refusal_of(rows)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"symbols": ("BTC/USDT",)}, "expected symbols ('BTC/USDT',) as in the manifest"),
        ({"symbols": SYMBOLS[::-1]}, "expected symbols"),
        ({"horizons": (5, 24)}, "expected horizons (5, 24)"),
        ({"members": ()}, "expected sources ('stack',)"),
        ({"oof_rows": ROWS.known_from_ms.size + 1}, "expected rows with a label"),
        ({"primary_horizon": 7}, "not in tuple"),
        ({"timeframe": "soon"}, "expected a timeframe"),
        ({"timeframe": "2h"}, "expected close times on the grid"),
    ],
)
def test_rows_that_do_not_fit_the_manifest_are_refused(fields: dict[str, Any], why: str) -> None:
    assert why in refusal_of(ROWS, **fields)


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (changed("symbol", 7, 2), "symbols of every row"),
        (changed("symbol", 7, -1), "symbols of every row"),
        (changed("symbol", 7, 0), "rows in time order, each once"),
        (changed("known_from_ms", 7, ROWS.known_from_ms[20]), "rows in time order"),
        (changed("known_from_ms", 7, ROWS.known_from_ms[7] + 1), "close times on the grid"),
        (changed("known_from_ms", 0, 0), "close times of this century"),
        (changed("fold", 0, 1), "blocks that are numbered from 0"),
        (changed("fold", 9_000, 3), "blocks that are numbered from 0"),
        (replace(ROWS, fold=np.where(ROWS.fold > 1, ROWS.fold + 1, ROWS.fold)), "blocks"),
        (changed("up", (7, 0), 0.5), "labels 0 and 1"),
        (changed("up", (7, 0), np.inf), "labels 0 and 1"),
        (changed("probability", (7, 0, 0), 1.01), "probabilities"),
        (changed("probability", (7, 0, 0), -np.inf), "probabilities"),
        (changed("probability", (7, 0, 0), np.nan), "an answer of every member to every row"),
        (changed("probability", (9_000, 0, -1), np.nan), "an answer of the stack after"),
    ],
)
def test_rows_without_sense_are_refused(rows: OutOfFoldRows, why: str) -> None:
    assert f"expected {why}" in refusal_of(rows)


def test_no_rows_are_refused() -> None:
    none = {name: getattr(ROWS, name)[:0] for name in ("symbol", "known_from_ms", "fold", "up")}
    assert "expected rows, was other" in refusal_of(
        replace(ROWS, probability=ROWS.probability[:0], **none)
    )


def test_another_horizon_is_another_look_at_the_same_rows() -> None:
    measured = candidate().measured
    assert isinstance(measured, Measured)
    assert [one.horizon for one in measured.by_horizon()] == list(HORIZONS)
    np.testing.assert_array_equal(measured.at(12).said("xgb"), answers_of("xgb", 12))
    np.testing.assert_array_equal(measured.at(12).up, ROWS.up[:, 1])


def test_a_row_without_a_label_counts_nowhere() -> None:
    """Its answer could be anything: here 0 throughout."""
    first_week = np.arange(ROWS.known_from_ms.size) % 50 == 0
    up = np.where(first_week[:, None], np.nan, ROWS.up).astype(np.float32)
    loud = with_answers("stack", np.where(first_week & (ROWS.fold > 0), 0.0, answers_of("stack")))
    for one, other in ((replace(ROWS, up=up), replace(loud, up=up)),):
        first, second = candidate(rows=one).measured, candidate(rows=other).measured
        assert isinstance(first, Measured)
        assert isinstance(second, Measured)
        assert first.stack_auc == second.stack_auc
        assert first.stack_brier == second.stack_brier
        assert first.block_aucs("stack") == second.block_aucs("stack")
        assert first.known.sum() == (~first_week).sum()
