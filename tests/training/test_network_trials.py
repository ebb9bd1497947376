"""A trial of a network looks at the first block alone, and its parameters reach the network."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import msgspec
import pytest

from plugin.candles import SIMULATED_VENUE, Candles
from plugin.settings import SEQUENCE_MEMBERS
from tests.support.altered_candles import altered
from training.material import first_block, rows_and_labels
from training.models.torch_fit import FitSettings
from training.network_members import DEFAULTS, NETWORKS, chosen
from training.network_trials import EPOCHS, SPACE, network_subject
from training.settings import TrainingSettings
from training.trials import Subject
from training.tuning import Tuning

SETTINGS = TrainingSettings(venue=SIMULATED_VENUE, n_folds=2, networks=("lstm",))
OTHERS = {"width": 16, "dropout": 0.2, "learning_rate": 0.004, "weight_decay": 0.05}


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """The LSTM learns in a second."""
    with pytest.MonkeyPatch.context() as patched:
        few = FitSettings(epochs=20, per_epoch=300, batch_size=64)
        patched.setitem(NETWORKS, "lstm", replace(NETWORKS["lstm"], n_steps=6, settings=few))
        yield


def subject_of(candles: Mapping[str, Candles], words: list[str] | None = None) -> Subject:
    word = (words if words is not None else []).append
    return network_subject(SETTINGS, rows_and_labels(SETTINGS, candles), 5, word)


@pytest.fixture(scope="module")
def subject(candles: Mapping[str, Candles]) -> Subject:
    return subject_of(candles)


def test_its_rows_are_those_of_the_first_block_that_have_a_window(
    candles: Mapping[str, Candles], subject: Subject
) -> None:
    rows = first_block(SETTINGS, rows_and_labels(SETTINGS, candles))
    assert subject.block.rows.known_from_ms[-1] == rows.known_from_ms[-1]
    assert subject.block.rows.n_rows == rows.n_rows - 5 * len(rows.symbols)


def test_no_bar_after_the_block_changes_what_a_trial_is_worth_and_one_in_it_does(
    candles: Mapping[str, Candles], subject: Subject
) -> None:
    worth = subject.areas(OTHERS)
    assert len(worth) == SETTINGS.n_folds
    labels = subject.block.rows.labels.values()
    end_ms = int(max(own.label_end_ms.max() for own in labels))
    assert subject_of(altered(candles, end_ms)).areas(OTHERS) == worth
    start_ms = subject.block.folds[-1].test_start_ms
    assert subject_of(altered(candles, start_ms)).areas(OTHERS) != worth


@pytest.mark.parametrize("name", list(SPACE))
def test_each_parameter_changes_what_a_trial_is_worth(subject: Subject, name: str) -> None:
    assert subject.areas({**OTHERS, name: DEFAULTS["lstm"][name]}) != subject.areas(OTHERS)


def test_epochs_are_few_and_told(candles: Mapping[str, Candles]) -> None:
    words: list[str] = []
    subject_of(candles, words).areas(OTHERS)
    assert words[0].startswith(f"lstm, fold 1: epoch 1 of {EPOCHS}, loss ")
    assert len(words) <= EPOCHS


@pytest.mark.parametrize("name", SEQUENCE_MEMBERS)
def test_every_network_takes_what_was_found_and_no_other_does(name: str) -> None:
    found = Tuning(
        study="x",
        member=name,
        horizon=5,
        seen_until_ms=0,
        parameters=OTHERS,
        trials=1,
        auc=0.5,
        default_auc=0.5,
    )
    plain = msgspec.structs.replace(SETTINGS, networks=SEQUENCE_MEMBERS)
    tuned = msgspec.structs.replace(plain, tuning=found)
    for before, after in zip(chosen(plain), chosen(tuned), strict=True):
        if before.name != name:
            assert after == before
            continue
        network, _ = after.build(n_features=3, n_heads=3, seed=0)
        assert network.n_parameters < before.build(3, 3, seed=0)[0].n_parameters
        assert after.shape["dropout"] == network.dropout.share == 0.2
        assert (after.settings.learning_rate, after.settings.weight_decay) == (0.004, 0.05)
        assert after.settings.epochs == before.settings.epochs, "it learns as long as ever"


def test_the_defaults_lie_in_the_space() -> None:
    assert list(DEFAULTS) == list(SEQUENCE_MEMBERS)
    for defaults in DEFAULTS.values():
        for name, distribution in SPACE.items():
            assert distribution._contains(defaults[name])
