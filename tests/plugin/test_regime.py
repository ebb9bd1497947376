"""What the regime is, who says it, and what the bot is told of it."""

import dataclasses
import math
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plugin.bundle import Bundle, load_bundle
from plugin.canary import check_in_child
from plugin.decision import size_and_stop
from plugin.ensemble import Ensemble
from plugin.errors import BundleRefused
from plugin.features.joined import ROW_NAMES, joined_history
from plugin.golden import Golden
from plugin.regime import QUESTIONS, RegimeClassifier, answered_regime, most_likely, regime_of
from tests.support.bundles import bundle_of, read_manifest, reseal
from tests.support.live import FIRST, SERVED, Live, champion_of, stored
from tests.support.small_training import SmallTraining

ORDER = ("low", "mid", "high")
NO_PROBABILITY = (math.nan, math.inf, -math.inf, -0.001, 1.001)
P = st.floats(0, 1)


class Says:
    """A model that says one probability of every row."""

    def __init__(self, p: float) -> None:
        self.p = p

    def probability(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.full(len(rows), self.p)


def saying(mid_or_high: float, high: float) -> RegimeClassifier:
    return RegimeClassifier((Says(mid_or_high), Says(high)))


@pytest.mark.parametrize(
    ("vol_rank", "regime"),
    [
        (0.0, "low"),
        (math.nextafter(1 / 3, 0), "low"),
        (1 / 3, "mid"),
        (math.nextafter(2 / 3, 0), "mid"),
        (2 / 3, "high"),
        (1.0, "high"),
        *((one, "unknown") for one in (None, *NO_PROBABILITY)),
    ],
)
def test_a_rank_lies_in_a_third_or_is_none(vol_rank, regime):
    assert regime_of(vol_rank) == regime


@pytest.mark.parametrize(
    ("mid_or_high", "high", "regime"),
    [
        (0.3, 0.1, "low"),
        (0.9, 0.2, "mid"),
        (0.9, 0.8, "high"),
        (
            0.6,
            0.25,
            "low",
        ),  # that mid is reached is more likely than not, and low is likelier than each
        (0.5, 0.5, "high"),
        (0.5, 0.0, "mid"),
        (0.2, 0.7, "low"),  # a contradiction: low at 0.8 against high at 0.7
        (0.4, 0.7, "high"),
    ],
)
def test_the_most_likely_third_is_the_answer(mid_or_high, high, regime):
    assert most_likely(mid_or_high, high) == regime


@given(P, P)
def test_no_third_is_more_likely_than_the_answer(mid_or_high, high):
    likely = dict(zip(ORDER, (1.0 - mid_or_high, mid_or_high - high, high), strict=True))
    assert likely[most_likely(mid_or_high, high)] == max(likely.values())


@given(P, P)
def test_models_that_contradict_each_other_never_mean_mid(one, other):
    less, more = sorted((one, other))
    assert less == more or most_likely(less, more) != "mid"


@given(P, st.sampled_from(NO_PROBABILITY))
def test_what_is_no_probability_is_no_regime(p, wrong):
    assert most_likely(p, wrong) == most_likely(wrong, p) == "unknown"


def test_without_a_classifier_the_present_volatility_answers():
    assert [answered_regime({}, rank) for rank in (0.1, 0.5, 0.9, math.nan)] == [*ORDER, "unknown"]
    assert answered_regime({"mid_or_high": 0.1, "high": 0.0}, 0.9) == "low"


@pytest.fixture
def live(small_training: SmallTraining, tmp_path: Path) -> Live:
    return Live(small_training, tmp_path)


def closed_with(live: Live, regime: RegimeClassifier | None):
    """The decisions on one close of a bundle with this classifier, and their records."""
    changed: Bundle = dataclasses.replace(live.bundle, regime=regime)
    live.reloader.champion = champion_of(changed)
    decisions = [answer.decision for answer in live.close(FIRST)]
    return decisions, live.bar_records()


@pytest.mark.parametrize(
    ("said", "regime"), [((0.1, 0.0), "low"), ((0.9, 0.1), "mid"), ((0.9, 0.8), "high")]
)
def test_the_decision_is_sized_and_stopped_by_what_the_classifier_says(live, said, regime):
    decisions, records = closed_with(live, saying(*said))
    assert {one.regime for one in decisions} == {regime}
    assert {one.action for one in decisions} != {"abstain"}
    assert {(one.size_multiplier, one.stop_atr) for one in decisions} == {size_and_stop(regime)}
    expected = dict(zip(QUESTIONS, said, strict=True))
    assert [one.regime_probabilities for one in records] == [expected] * len(records)
    assert {one.decision.regime for one in records} == {regime}


def test_a_classifier_without_a_number_is_an_unknown_regime_and_the_rest_is_recorded(live):
    decisions, records = closed_with(live, saying(math.nan, 0.2))
    assert {(one.action, one.reason, one.regime) for one in decisions} == {
        ("abstain", "unknown_regime", "unknown")
    }
    assert all(one.regime_probabilities == {"mid_or_high": None, "high": 0.2} for one in records)
    assert all(one.probabilities and one.meta_p is not None for one in records)


def test_a_bundle_without_a_classifier_answers_by_the_present_rank(live):
    decisions, records = closed_with(live, None)
    rank = ROW_NAMES.index("vol_rank_24")
    for symbol, decision in zip(SERVED, decisions, strict=True):
        beside = [stored(live.store, one) for one in live.bundle.manifest.companions[symbol]]
        rows, _ = joined_history(stored(live.store, symbol), beside)
        assert decision.regime == regime_of(float(rows[FIRST, rank]))
    assert all(one.regime_probabilities == {} for one in records)


def test_the_live_side_says_what_training_s_library_said(small_training):
    bundle = load_bundle(small_training.outcome.bundle)
    golden = Golden.decode(bundle.golden)
    assert golden.regime.shape == (8, len(QUESTIONS))
    assert bundle.regime is not None
    np.testing.assert_allclose(
        bundle.regime.probabilities(golden.rows), golden.regime, rtol=0, atol=1e-12
    )
    [said] = Ensemble(bundle).predict(["BTC/USDT"], golden.rows[:1])
    assert [*said.regime_probabilities] == [*QUESTIONS]


@pytest.fixture
def bundle(models: Path) -> Path:
    return bundle_of(models)


def put_golden(bundle: Path, **changes: object) -> None:
    golden = Golden.decode((bundle / "golden.npz").read_bytes())
    (bundle / "golden.npz").write_bytes(dataclasses.replace(golden, **changes).encode())


def test_a_bundle_of_this_format_without_a_classifier_is_sound(bundle: Path) -> None:
    for question in QUESTIONS:
        (bundle / f"regime_{question}.txt").unlink()
    put_golden(bundle, regime=np.empty((8, 0)))
    files = {
        name: entry
        for name, entry in read_manifest(bundle).files.items()
        if not name.startswith("regime")
    }
    reseal(bundle, regime=None, files=files)
    assert load_bundle(bundle).regime is None
    assert check_in_child(bundle).refusal is None


@pytest.mark.parametrize("file", [f"regime_{question}.txt" for question in QUESTIONS])
@pytest.mark.parametrize("content", [b"", b"tree\nversion=v4\n"])
def test_a_damaged_model_is_refused_by_its_name(bundle: Path, file: str, content: bytes) -> None:
    (bundle / file).write_bytes(content)
    reseal(bundle)
    with pytest.raises(BundleRefused) as caught:
        load_bundle(bundle)
    assert caught.value.file == file


def test_a_file_that_the_classifier_shares_with_a_member_is_refused(bundle: Path) -> None:
    regime = read_manifest(bundle).regime
    reseal(bundle, regime=msgspec.structs.replace(regime, files=("lgb_h5.txt", regime.files[1])))
    with pytest.raises(BundleRefused, match="every file used once"):
        load_bundle(bundle)


def test_models_that_changed_places_are_found_by_the_golden_answers(bundle: Path) -> None:
    one, other = (bundle / f"regime_{question}.txt" for question in QUESTIONS)
    shutil.move(one, bundle / "moved")
    shutil.move(other, one)
    shutil.move(bundle / "moved", other)
    reseal(bundle)
    refusal = check_in_child(bundle).refusal
    assert refusal is not None
    assert "most of all regime_" in refusal


@pytest.mark.parametrize("wrong", [math.nan, 0.5])
def test_golden_answers_of_the_regime_are_repeated(bundle: Path, wrong: float) -> None:
    put_golden(bundle, regime=np.full((8, len(QUESTIONS)), wrong))
    reseal(bundle)
    assert "golden.npz" in str(check_in_child(bundle).refusal)
