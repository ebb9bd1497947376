"""Price models find what can be foreseen, and know nothing of the test block."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.price_markets import market_of
from training.price.models import LinearRegression, NoChange, PriceModel, RandomForest
from training.price.networks import Recurrent, RecurrentModel, networks
from training.price.rows import N_FEATURES, PriceRows, price_rows

WINDOW, PERSISTENCE = 8, 0.6
LEARNING: tuple[PriceModel, ...] = (
    LinearRegression(),
    RandomForest(n_trees=20),
    RecurrentModel("simple RNN", "RNN", (8,), epochs=30, per_epoch=2_000),
    RecurrentModel("GRU", "GRU", (8,), epochs=30, per_epoch=2_000),
    RecurrentModel("stacked LSTM", "LSTM", (8, 4), epochs=30, per_epoch=2_000),
    RecurrentModel("bidirectional LSTM", "LSTM", (8, 4), 30, 2_000, bidirectional=True),
)


def names(model: PriceModel) -> str:
    return model.name


@pytest.fixture(scope="module")
def foreseeable() -> PriceRows:
    """Every return is 0.6 of the one before, and noise."""
    return price_rows(market_of(3_000, PERSISTENCE), WINDOW, horizon=1)


def forecast(model: PriceModel, rows: PriceRows, numbers: np.ndarray, seed: int = 7) -> np.ndarray:
    return model.learn(rows, seed, lambda _: None).forecast(numbers)


@pytest.mark.parametrize("model", LEARNING, ids=names)
def test_what_can_be_foreseen_is_found(model: PriceModel, foreseeable: PriceRows) -> None:
    said = forecast(model, foreseeable, foreseeable.test)
    came = foreseeable.targets(foreseeable.test)
    explained = 1.0 - np.mean((said - came) ** 2) / came.var()
    # The share that the best forecast of all would explain is the square of the persistence.
    assert 0.5 * PERSISTENCE**2 < explained < 1.3 * PERSISTENCE**2


@pytest.mark.parametrize("model", LEARNING, ids=names)
def test_the_test_block_changes_nothing_that_was_learnt(
    model: PriceModel, foreseeable: PriceRows
) -> None:
    first = foreseeable.test[0]
    values, returns = foreseeable.values.copy(), foreseeable.forward_return.copy()
    values[foreseeable.end[first] :] = 9.0
    returns[first:] = -0.5
    otherwise = replace(foreseeable, values=values, forward_return=returns)
    numbers = foreseeable.validation
    np.testing.assert_array_equal(
        forecast(model, foreseeable, numbers), forecast(model, otherwise, numbers)
    )


@pytest.mark.parametrize("model", LEARNING, ids=names)
def test_one_seed_is_one_forecast(model: PriceModel, foreseeable: PriceRows) -> None:
    again = [forecast(model, foreseeable, foreseeable.test) for _ in range(2)]
    np.testing.assert_array_equal(again[0], again[1])
    if model.name != "linear":
        other = forecast(model, foreseeable, foreseeable.test, seed=8)
        assert not np.array_equal(again[0], other)


def test_no_change_says_no_change(foreseeable: PriceRows) -> None:
    learnt = NoChange().learn(foreseeable, 7, lambda _: None)
    np.testing.assert_array_equal(learnt.forecast(foreseeable.test), 0.0)
    assert learnt.n_parameters == 0


def test_the_ridge_is_chosen_by_the_validation_block(foreseeable: PriceRows) -> None:
    """Where the validation block says the contrary of what was learnt, as little as may be is said."""
    returns = foreseeable.forward_return.copy()
    returns[foreseeable.validation] *= -1.0
    contrary = replace(foreseeable, forward_return=returns)
    ridges = [
        LinearRegression().learn(rows, 7, lambda _: None).chosen["ridge"]
        for rows in (foreseeable, contrary)
    ]
    assert ridges[0] < ridges[1]


def test_a_network_sets_out_from_no_change() -> None:
    generator = torch.Generator().manual_seed(1)
    network = Recurrent("GRU", (6, 4), generator, bidirectional=True)
    assert torch.equal(network(torch.randn(3, WINDOW, N_FEATURES)), torch.zeros(3, 1))


@pytest.mark.parametrize("bar", [0, WINDOW - 1])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_oldest_and_the_newest_bar_both_count(bar: int, bidirectional: bool) -> None:
    torch.manual_seed(1)
    network = Recurrent("LSTM", (6, 4), torch.Generator(), bidirectional=bidirectional).eval()
    torch.nn.init.ones_(network.out.weight)
    window = torch.randn(1, WINDOW, N_FEATURES)
    changed = window.clone()
    changed[:, bar] += 1.0
    assert not torch.equal(network(window), network(changed))


def test_who_reads_backwards_has_read_the_newest_bar_when_it_ends() -> None:
    """The half that reads backwards is taken at the oldest bar, where it has seen all others."""
    torch.manual_seed(1)
    network = Recurrent("LSTM", (4,), torch.Generator(), bidirectional=True).eval()
    with torch.no_grad():
        network.out.weight[:, 4:] = 1.0  # the backward half alone
    window = torch.randn(1, WINDOW, N_FEATURES)
    changed = window.clone()
    changed[:, 0] += 1.0
    assert not torch.equal(network(window), network(changed))


def test_the_networks_are_those_of_the_tutorials() -> None:
    one_way, both_ways = (networks(2, bidirectional=ways) for ways in (False, True))
    assert [one.name for one in one_way] == ["simple RNN", "GRU", "stacked LSTM"]
    assert one_way[-1].widths == (128, 64, 32)
    assert both_ways[-1].name == "bidirectional LSTM"
    assert both_ways[-1].bidirectional and not one_way[-1].bidirectional
