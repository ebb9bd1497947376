"""The challenger is heard after the answer, and nothing it does reaches the champion."""

import dataclasses
import math
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from numpy.typing import NDArray

from plugin.bundle import load_bundle
from plugin.deadlines import REPLAY
from plugin.ensemble import Ensemble
from plugin.features.joined import ROW_NAMES
from shadow.record import BarRecord
from tests.support.live import FIRST, FOLLOWED, SERVED, Live, Stubborn, with_models, without_timings
from tests.support.small_training import SmallTraining
from tests.support.twins import add_other

N_BARS = 15
DEADLINE_S = 0.05


class Raising(Ensemble):
    def predict(self, symbols, rows, earlier=()):
        raise ZeroDivisionError("no members")


class Leaving(Ensemble):
    def predict(self, symbols, rows, earlier=()):
        raise SystemExit(3)


class Stuck(Ensemble):
    """An ensemble that answers when it is told to."""

    def __init__(self, bundle):
        super().__init__(bundle)
        self.go, self.n_asked = threading.Event(), 0

    def predict(self, symbols, rows, earlier=()):
        self.n_asked += 1
        assert self.go.wait(60)
        return super().predict(symbols, rows, earlier)


@pytest.fixture
def other(models: Path):
    """A bundle that answers otherwise than the champion."""
    return load_bundle(add_other(models))


@pytest.fixture
def live(small_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(small_training, tmp_path / "live")


def closed(live: Live, n_bars: int = N_BARS) -> list[BarRecord]:
    for column in range(FIRST, FIRST + n_bars):
        live.close(column)
    return live.bar_records()


def test_it_says_what_it_would_say_as_champion(small_training, tmp_path, live, other):
    live.reloader.challenger = Ensemble(other)
    alone = Live(small_training, tmp_path / "alone")
    alone.reloader.champion = dataclasses.replace(
        alone.reloader.champion, bundle=other, ensemble=Ensemble(other)
    )
    for beside, own in zip(closed(live), closed(alone), strict=True):
        said = beside.challenger
        assert (said.bundle, said.reason, said.error) == (other.bundle_id, "ok", None)
        assert (said.meta_p, said.probabilities) == (own.meta_p, own.probabilities)
        assert said.meta_p != beside.meta_p
        assert said.us > 0.0
        untimed = [without_timings(own).members, without_timings(beside).challenger.members]
        assert untimed[0] == untimed[1]


def test_without_one_the_field_is_empty(live):
    assert {record.challenger for record in closed(live, 2)} == {None}


def test_it_is_not_asked_where_the_ensemble_is_switched_off(small_training, tmp_path, other):
    live = Live(small_training, tmp_path, environ={"ML_ENABLED": "0"})
    live.reloader.challenger = Stuck(other)
    assert {record.challenger for record in closed(live, 2)} == {None}
    assert live.reloader.challenger.n_asked == 0


def broken_ensembles(bundle) -> Iterator[tuple[str, Ensemble]]:
    nowhere = {
        h: dataclasses.replace(model, base=math.nan) for h, model in bundle.models["lgb"].items()
    }
    gone = {h: dataclasses.replace(model, threshold=None) for h, model in bundle.models["xgb"].items()}
    still = dict.fromkeys(bundle.manifest.horizons, Stubborn())
    yield "raises", Raising(bundle)
    yield "leaves", Leaving(bundle)
    yield "says no number", Ensemble(with_models(bundle, lgb=nowhere))
    yield "is constant", Ensemble(with_models(bundle, cross=still))
    yield "has lost an array", Ensemble(with_models(bundle, xgb=gone))
    yield "is well", Ensemble(bundle)
    yield "sleeps", Stuck(bundle)


def test_whatever_it_does_the_champion_s_records_are_the_same_to_the_last_byte(
    small_training, tmp_path, other
):
    undisturbed = [without_timings(one) for one in closed(Live(small_training, tmp_path / "alone"))]
    for name, ensemble in broken_ensembles(other):
        live = Live(small_training, tmp_path / name, deadlines=REPLAY._replace(challenger_s=DEADLINE_S))
        live.reloader.challenger = ensemble
        records = [without_timings(record) for record in closed(live)]
        assert all(record.challenger is not None for record in records), name
        assert [replace(record, challenger=None) for record in records] == undisturbed, name
        if isinstance(ensemble, Stuck):
            ensemble.go.set()


@pytest.mark.parametrize(
    ("make", "error"),
    [(Raising, "ZeroDivisionError: no members"), (Leaving, "SystemExit: 3")],
)
def test_an_exception_is_a_reason_and_its_text(live, other, make: Callable[..., Ensemble], error):
    live.reloader.challenger = make(other)
    for record in closed(live, 2):
        said = record.challenger
        assert (said.reason, said.error) == ("error", error)
        assert (said.members, said.meta_p, said.probabilities) == ({}, None, {})


def test_no_number_and_always_the_same_one_are_named(live, other):
    named = dict(broken_ensembles(other))
    live.reloader.challenger = named["says no number"]
    assert {record.challenger.reason for record in closed(live, 1)} == {"member_nan:lgb"}
    live.reloader.challenger = named["is constant"]
    for column in range(FIRST + 1, FIRST + 14):
        live.close(column)
    reasons = [record.challenger.reason for record in live.bar_records()[2:]]
    assert reasons == ["ok"] * 2 * 12 + ["member_constant:cross"] * 2
    assert {record.ml_reason for record in live.bar_records()} == {"ok"}


def test_a_late_answer_is_a_timeout_and_while_it_is_stuck_no_bar_waits(small_training, tmp_path, other):
    live = Live(small_training, tmp_path, deadlines=REPLAY._replace(challenger_s=0.3))
    stuck = live.reloader.challenger = Stuck(other)
    live.close(FIRST)
    began = time.monotonic()
    for column in range(FIRST + 1, FIRST + 4):
        live.close(column)
    assert time.monotonic() - began < 3 * 0.3, "one deadline, not one for each bar"
    assert stuck.n_asked == 1
    assert {record.challenger.reason for record in live.bar_records()} == {"timeout"}
    stuck.go.set()
    while stuck_threads():
        time.sleep(0.005)
    live.close(FIRST + 4)
    assert [record.challenger.reason for record in live.bar_records()[-2:]] == ["ok", "ok"]
    assert stuck.n_asked == 2


def stuck_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "challenger"]


def test_another_challenger_does_not_answer_for_the_one_that_is_stuck(small_training, tmp_path, other):
    live = Live(small_training, tmp_path, deadlines=REPLAY._replace(challenger_s=10.0))
    live.pipeline._challenger._deadline_s = DEADLINE_S
    stuck = live.reloader.challenger = Stuck(other)
    live.close(FIRST)
    live.pipeline._challenger._deadline_s = 10.0
    live.reloader.challenger = Ensemble(other)
    live.close(FIRST + 1)
    assert [r.challenger.reason for r in live.bar_records()] == ["timeout"] * 2 + ["ok"] * 2
    stuck.go.set()


class Remembering(Ensemble):
    """An ensemble that keeps the rows it was asked."""

    def __init__(self, bundle):
        super().__init__(bundle)
        self.rows: list[NDArray[np.float32]] = []

    def predict(self, symbols, rows, earlier=()):
        self.rows.append(rows.copy())
        return super().predict(symbols, rows, earlier)


def test_beside_other_companions_it_is_asked_with_rows_of_its_own(small_training, tmp_path, other):
    turned = {symbol: names[::-1] for symbol, names in other.manifest.companions.items()}
    bundles = {
        "same": other,
        "turned": dataclasses.replace(other, manifest=replace(other.manifest, companions=turned)),
    }
    asked = {}
    for name, bundle in bundles.items():
        live = Live(small_training, tmp_path / name)
        live.reloader.champion = dataclasses.replace(
            live.reloader.champion, ensemble=(champion := Remembering(live.bundle))
        )
        live.reloader.challenger = ensemble = Remembering(bundle)
        live.close(FIRST)
        asked[name] = champion.rows[0], ensemble.rows[0]
    columns = [number for number, name in enumerate(ROW_NAMES) if name.startswith("companion")]
    champion_s, same = asked["same"]
    assert same.tobytes() == champion_s.tobytes()
    champion_s, turned_rows = asked["turned"]
    assert turned_rows.tobytes() != champion_s.tobytes()
    assert np.delete(turned_rows, columns, 1).tobytes() == np.delete(champion_s, columns, 1).tobytes()


def test_a_bar_that_can_not_be_asked_about_has_the_reason_in_both_places(live, other):
    live.reloader.challenger = Ensemble(other)
    live.close(FIRST, live.bars(FIRST, without=[FOLLOWED[0]]))
    for record in live.bar_records():
        assert record.challenger.reason == record.ml_reason == f"companion_missing:{FOLLOWED[0]}"


def test_it_is_asked_only_about_bars_that_leave_a_record(live, other):
    live.reloader.challenger = ensemble = Remembering(other)
    live.close(FIRST)
    live.close(FIRST)
    live.close(FIRST, [live.bar(FIRST, volume=1.0)])
    assert [rows.shape[0] for rows in ensemble.rows] == [len(SERVED)]


def test_it_is_asked_without_a_champion_too(live, other):
    live.reloader.champion = None
    live.reloader.challenger = Ensemble(other)
    assert {record.challenger.reason for record in closed(live, 1)} == {"ok"}
    assert {record.ml_reason for record in live.bar_records()} == {"no_bundle"}
