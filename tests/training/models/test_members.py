"""What every member must be able to do, checked without knowing its kind."""

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.features.joined import FEATURE_SETS, ROW_NAMES, columns_of
from plugin.predictors.lightgbm_text import read_lightgbm
from plugin.predictors.xgboost_json import read_xgboost
from shadow.statistics import auc
from training.models.base import Binned, Member, Model
from training.models.lgb import LightGBMMember
from training.settings import MEMBERS, TUNABLE

N_ROWS, N_FIRST, N_TRAIN = 6_000, 3_000, 4_000
FIRST_BLOCK, TRAIN, TEST = np.arange(N_FIRST), np.arange(N_TRAIN), slice(N_TRAIN + 100, N_ROWS)
READERS = {"lightgbm": read_lightgbm, "xgboost": read_xgboost}

Rows = tuple[NDArray[np.float32], NDArray[np.float64]]


@pytest.fixture(params=MEMBERS, ids=lambda member: member.name)
def member(request: pytest.FixtureRequest) -> Member:
    return request.param


@pytest.fixture
def made_up(member: Member) -> Rows:
    """Noise of which the first feature alone says something of the label; the last is constant."""
    random = np.random.default_rng(3)
    rows = random.normal(size=(N_ROWS, len(FEATURE_SETS[member.feature_set].names)))
    rows[:, -1] = 1.0
    up = (rows[:, 0] + 0.5 * random.normal(size=N_ROWS) > 0).astype(np.float64)
    return rows.astype(np.float32), up


def binned(member: Member, rows: NDArray[np.float32]) -> Binned:
    return member.bin(rows, FIRST_BLOCK, FEATURE_SETS[member.feature_set].names)


def fit(member: Member, made_up: Rows, seed: int = 7) -> Model:
    return binned(member, made_up[0]).fit(TRAIN, made_up[1], seed)


def altered(values: NDArray, where: slice | NDArray[np.int64]) -> NDArray:
    """A copy whose values at `where` are of quite another size."""
    copy = values.copy()
    copy[where] = copy[where] * 50.0 - 20.0
    return copy


def test_it_learns_what_can_be_learnt(member: Member, made_up: Rows) -> None:
    rows, up = made_up
    assert auc(fit(member, made_up).predict(rows[TEST]), up[TEST]) > 0.9


def test_it_answers_one_probability_a_row(member: Member, made_up: Rows) -> None:
    probability = fit(member, made_up).predict(made_up[0][TEST])
    assert probability.shape == (N_ROWS - N_TRAIN - 100,)
    assert probability.dtype == np.float64
    assert ((probability > 0) & (probability < 1)).all()


def test_a_row_gets_the_same_answer_alone_and_among_others(member: Member, made_up: Rows) -> None:
    model, rows = fit(member, made_up), made_up[0][TEST]
    alone = np.concatenate([model.predict(rows[number : number + 1]) for number in range(20)])
    assert alone.tobytes() == model.predict(rows)[:20].tobytes()


def test_bin_edges_know_no_row_after_the_first_block(member: Member, made_up: Rows) -> None:
    """The fold of the first block is trained twice, with all later rows altered in between."""
    rows, up = made_up
    before = binned(member, rows).fit(FIRST_BLOCK, up, 7)
    later = slice(N_FIRST, N_ROWS)
    after = binned(member, altered(rows, later)).fit(FIRST_BLOCK, altered(up, later), 7)
    assert after.content() == before.content()
    assert after.predict(rows).tobytes() == before.predict(rows).tobytes()


def test_bin_edges_know_no_tested_row_in_a_later_fold(member: Member, made_up: Rows) -> None:
    rows, up = made_up
    before = fit(member, made_up).predict(rows)
    after = fit(member, (altered(rows, TEST), altered(up, TEST))).predict(rows)
    assert after.tobytes() == before.tobytes()


def test_what_lies_beyond_the_first_block_is_not_told_apart(member: Member, made_up: Rows) -> None:
    """Later training rows have other values, and labels that hang on them: no edge parts them."""
    rows, up = made_up
    shifted, hanging = rows.copy(), up.copy()
    shifted[N_FIRST:, 0] = np.random.default_rng(9).uniform(10.0, 12.0, N_ROWS - N_FIRST)
    hanging[N_FIRST:] = shifted[N_FIRST:, 0] > 11.0
    low, high = np.repeat(shifted[-1:], 2, axis=0)
    low[0], high[0] = 10.5, 11.5
    model = binned(member, shifted).fit(np.arange(N_ROWS), hanging, 7)
    said = model.predict(np.stack([low, high]))
    assert said[0] == said[1]


def test_a_row_of_the_first_block_changes_the_edges(member: Member, made_up: Rows) -> None:
    """The control of the two tests above: what may change the model does."""
    rows, up = made_up
    some = np.arange(0, N_FIRST, 2)
    before, after = fit(member, made_up), fit(member, (altered(rows, some), up))
    assert after.predict(rows[TEST]).tobytes() != before.predict(rows[TEST]).tobytes()


def test_a_training_label_changes_the_model(member: Member, made_up: Rows) -> None:
    rows, up = made_up
    other = up.copy()
    other[:200] = 1.0 - other[:200]
    before, after = fit(member, made_up), fit(member, (rows, other))
    assert after.predict(rows[TEST]).tobytes() != before.predict(rows[TEST]).tobytes()


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(
    member: Member, made_up: Rows
) -> None:
    assert fit(member, made_up).content() == fit(member, made_up).content()
    assert fit(member, made_up, seed=8).content() != fit(member, made_up).content()


def test_a_fold_leaves_no_trace_in_the_next(member: Member, made_up: Rows) -> None:
    rows, up = made_up
    shared = binned(member, rows)
    alone = shared.fit(TRAIN, up, 7)
    shared.fit(np.arange(N_ROWS), 1.0 - up, 9)
    assert shared.fit(TRAIN, up, 7).content() == alone.content()


def test_gains_name_the_feature_that_matters(member: Member, made_up: Rows) -> None:
    gains = fit(member, made_up).gains()
    assert gains.shape == (len(FEATURE_SETS[member.feature_set].names),)
    assert (gains >= 0).all()
    assert gains.argmax() == 0
    assert gains[-1] == 0.0


def test_the_live_side_reads_the_content_and_says_the_same(member: Member, made_up: Rows) -> None:
    model, rows = fit(member, made_up), made_up[0][TEST]
    columns = columns_of(member.feature_set)
    names = FEATURE_SETS[member.feature_set].names
    trees = READERS[member.kind](member.name, model.content(), names, columns)
    whole = np.zeros((len(rows), len(ROW_NAMES)), dtype=np.float32)
    whole[:, columns] = rows
    np.testing.assert_allclose(trees.probability(whole), model.predict(rows), rtol=0, atol=1e-6)


def test_a_model_read_again_is_the_same_to_the_last_bit(member: Member, made_up: Rows) -> None:
    model, rows = fit(member, made_up), made_up[0][TEST]
    again = member.load(model.content())
    assert again.predict(rows).tobytes() == model.predict(rows).tobytes()
    assert again.content() == model.content()
    assert again.gains().tobytes() == model.gains().tobytes()


def test_members_have_names_of_their_own_and_known_feature_sets() -> None:
    assert len({member.name for member in MEMBERS}) == len(MEMBERS)
    assert {member.feature_set for member in MEMBERS} <= set(FEATURE_SETS)


@pytest.mark.parametrize("member", [TUNABLE], ids=["lgb"])
def test_other_parameters_make_another_model_and_leave_the_defaults_alone(
    member: LightGBMMember, made_up: Rows
) -> None:
    default = fit(member, made_up).content()
    small = fit(member.with_parameters({"n_trees": 3, "num_leaves": 2}), made_up).content().decode()
    assert small.count("\nnum_leaves=2\n") == 3
    assert small.count("\nnum_leaves=") == 3
    assert fit(member, made_up).content() == default
