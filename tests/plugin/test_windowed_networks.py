"""A bundle with networks over windows: the same answers prepared or not, alone or together, and what
stands in where one can not answer."""

from __future__ import annotations

import dataclasses
import math
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest

from plugin.audit import audit
from plugin.audit_bars import AuditBars
from plugin.buffer import LONGEST_WINDOW
from plugin.bundle import load_bundle
from plugin.canary import TOLERANCE, check_in_child
from plugin.candle_store import CandleStore
from plugin.ensemble import CONSTANT_AFTER_BARS
from plugin.errors import BundleRefused
from plugin.features import LOOKBACK_BARS
from tests.support.bundles import flip_byte, read_manifest, reseal
from tests.support.live import FIRST, SERVED, Live, champion_of, without_timings
from tests.support.network_training import MEMBERS, NETWORKS
from tests.support.small_training import SmallTraining

N_EARLIER = 47
LONG = LOOKBACK_BARS + N_EARLIER


@pytest.fixture
def live(network_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(network_training, tmp_path, n_history=LONG)


@pytest.fixture
def bundle(network_training: SmallTraining, tmp_path: Path) -> Path:
    original = network_training.outcome.bundle
    return Path(shutil.copytree(original, tmp_path / "bundles" / original.name))


def said(live: Live, column: int) -> list[tuple[object, ...]]:
    """What was said of the bars of a column: all but how long it took."""
    return [
        (
            answer.asked.prediction.said,
            list(answer.asked.prediction.statuses),
            answer.decision.probabilities,
        )
        for answer in live.close(column)
    ]


def test_the_bundle_says_what_it_holds(network_training: SmallTraining) -> None:
    manifest = read_manifest(network_training.outcome.bundle)
    assert manifest.member_names == (*MEMBERS, *NETWORKS)
    assert manifest.n_earlier_rows == N_EARLIER
    verdicts = {one.name: one.verdict for one in network_training.outcome.report.results}
    for gate in ("integrity", "parity", "collapsed", "redundant"):
        assert verdicts[gate] == "pass", verdicts
    report = check_in_child(network_training.outcome.bundle)
    assert report.refusal is None
    assert report.largest_difference <= TOLERANCE


def test_every_network_answers_and_is_recorded(live: Live) -> None:
    live.close(FIRST)
    for record in live.bar_records():
        assert record.ml_reason == "ok"
        for name in NETWORKS:
            assert record.members[name].status == "ok"
            assert set(record.members[name].horizons) == {"5", "12", "24"}
            assert 0.0 < record.members[name].p < 1.0


def test_what_was_prepared_leads_to_the_same_bits(
    live: Live, network_training: SmallTraining, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    unprepared = Live(network_training, tmp_path / "other", n_history=LONG)
    n_prepared = watch_preparing(live)
    for column in range(FIRST, FIRST + 4):
        live.pipeline.prepare(list(live.pipeline.buffers))
        before = len(n_prepared)
        assert said(live, column) == said(unprepared, column)
        assert len(n_prepared) == before  # nothing was left to prepare at the close


def watch_preparing(live: Live) -> list[int]:
    """How many windows were prepared each time, by any network."""
    seen: list[int] = []

    class Watched:
        def __init__(self, network) -> None:
            self.n_steps, self.no_rows = network.n_steps, network.no_rows
            self.probability, self._prepare = network.probability, network.prepare

        def prepare(self, rows):
            seen.append(len(rows))
            return self._prepare(rows)

    watched = {name: Watched(network) for name, network in live.bundle.networks.items()}
    live.reloader.champion = champion_of(dataclasses.replace(live.bundle, networks=watched))
    return seen


def test_a_bar_that_changed_after_the_preparation_counts_as_it_is(
    live: Live, network_training: SmallTraining, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    plain = Live(network_training, tmp_path / "other", n_history=LONG)
    for one in (live, plain):
        one.close(FIRST)
    live.pipeline.prepare(list(live.pipeline.buffers))
    revised = live.bar(FIRST, volume=live.bar(FIRST).volume * 3.0)
    for one in (live, plain):
        one.close(FIRST, [revised])
    after = said(live, FIRST + 1)
    assert after == said(plain, FIRST + 1)
    (tmp_path / "third").mkdir()
    unrevised = Live(network_training, tmp_path / "third", n_history=LONG)
    unrevised.close(FIRST)
    assert said(unrevised, FIRST + 1)[0] != after[0]


def test_without_enough_bars_the_trees_answer_alone(
    network_training: SmallTraining, tmp_path: Path
) -> None:
    short = Live(network_training, tmp_path, n_history=LONG - 2)
    for answer in short.close(FIRST):
        prediction = answer.asked.prediction
        assert list(prediction.statuses) == ["ok"] * len(MEMBERS) + ["missing"] * len(NETWORKS)
        assert prediction.probabilities == prediction.without_networks
        assert answer.decision.probabilities == prediction.without_networks
    for record in short.bar_records():
        assert record.members["lstm"].p is None
        assert record.members["lstm"].horizons == {}
    assert [list(answer.asked.prediction.statuses)[-1] for answer in short.close(FIRST + 1)] == [
        "ok"
    ] * len(SERVED)


@pytest.mark.parametrize("value", [math.nan, 1.5])
def test_a_network_that_says_no_probability_is_named_and_left_out(live: Live, value: float) -> None:
    answers_with(live, "tft", lambda said: np.full_like(said, value))
    (first, *_) = live.close(FIRST)
    prediction = first.asked.prediction
    assert prediction.members["tft"].status == "nan"
    assert prediction.reason == "ok"
    assert prediction.probabilities == prediction.without_networks != {}


def test_a_network_that_repeats_itself_is_named_constant_and_left_out(live: Live) -> None:
    answers_with(live, "tcn", lambda said: np.full_like(said, 0.5))
    for column in range(FIRST, FIRST + CONSTANT_AFTER_BARS + 1):
        (first, *_) = live.close(column)
    prediction = first.asked.prediction
    assert prediction.members["tcn"].status == "constant"
    assert prediction.probabilities == prediction.without_networks


def answers_with(live: Live, name: str, change) -> None:
    network = live.bundle.networks[name]

    class Changed:
        n_steps = network.n_steps
        prepare = staticmethod(network.prepare)
        no_rows = staticmethod(network.no_rows)

        @staticmethod
        def probability(rows, state):
            return change(network.probability(rows, state))

    networks = {**live.bundle.networks, name: Changed()}
    live.reloader.champion = champion_of(dataclasses.replace(live.bundle, networks=networks))


def test_a_batch_is_answered_as_one_by_one(live: Live, network_training, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    lonely = Live(network_training, tmp_path / "other", n_history=LONG)
    together = [without_timings(record) for record in recorded(live, live.bars(FIRST))]
    followed = [bar for bar in lonely.bars(FIRST) if bar.symbol not in SERVED]
    lonely.close(FIRST, [*followed, lonely.bar(FIRST, SERVED[1])])
    lonely.close(FIRST, [lonely.bar(FIRST, SERVED[0])])
    assert together[0].symbol == SERVED[0]
    alone = {record.symbol: without_timings(record) for record in lonely.bar_records()}
    # The first to come alone lacks a companion, and says so; the other had all of them.
    assert alone[SERVED[0]].members == together[0].members


def recorded(live: Live, batch) -> list:
    live.close(FIRST, batch)
    return live.bar_records()


def test_an_audit_finds_the_recorded_numbers_again(live: Live, network_training: SmallTraining) -> None:
    for column in range(FIRST, FIRST + 5):
        live.close(column)
    bars = AuditBars(CandleStore(network_training.store), "simulated")
    found = audit(
        live.shadow, network_training.models, bars, live.open_ms(FIRST), live.open_ms(FIRST + 5)
    )
    assert (found.n_bars, found.n_differences) == (5 * len(SERVED), 0)


@pytest.mark.parametrize("file", ["lstm_history.onnx", "lstm_step.onnx"])
def test_one_changed_byte_is_refused_by_name(bundle: Path, file: str) -> None:
    flip_byte(bundle / file, 1_000)
    with pytest.raises(BundleRefused, match=file):
        load_bundle(bundle)


def test_the_network_of_another_training_is_refused_by_its_answers(bundle: Path) -> None:
    content = bytearray((bundle / "tcn_step.onnx").read_bytes())
    for at in range(len(content) - 4_000, len(content) - 3_000, 4):
        content[at] ^= 0x01  # low bits of weights
    (bundle / "tcn_step.onnx").write_bytes(content)
    reseal(bundle)
    assert check_in_child(bundle).refusal is not None


def test_a_window_longer_than_the_buffers_hold_is_refused(bundle: Path) -> None:
    (first, *others) = read_manifest(bundle).networks
    longer = msgspec.structs.replace(first, n_steps=LONGEST_WINDOW + 1)
    reseal(bundle, networks=(longer, *others))
    with pytest.raises(BundleRefused, match="a window of 2 to"):
        load_bundle(bundle)


def test_a_network_under_the_name_of_another_member_is_refused(bundle: Path) -> None:
    (first, *others) = read_manifest(bundle).networks
    reseal(bundle, networks=(msgspec.structs.replace(first, member="lgb"), *others))
    with pytest.raises(BundleRefused):
        load_bundle(bundle)
