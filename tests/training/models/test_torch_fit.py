"""The one loop in which networks learn."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plugin.errors import WrongUse
from training.checkpoint import Checkpoint, Epochs
from training.models.networks.base import Dropout
from training.models.torch_fit import FitSettings, Fitted, fit

SETTINGS = FitSettings(epochs=8, patience=3, batch_size=32, learning_rate=0.02, seed=3)


@dataclass(frozen=True)
class MadeUp:
    """Inputs (n, 4); the target is a line through the first two of them, and noise."""

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, numbers: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return self.inputs[numbers], self.targets[numbers]


def made_up(n: int, seed: int) -> MadeUp:
    drawn = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 4, generator=drawn)
    noise = torch.randn(n, 1, generator=drawn)
    return MadeUp(inputs, inputs[:, :1] - 2 * inputs[:, 1:2] + 0.1 * noise)


TRAIN, VALIDATION = made_up(400, 1), made_up(200, 2)


def squared(said: Tensor, target: Tensor) -> Tensor:
    return (said - target).square().mean()


def network(seed: int = 1) -> tuple[nn.Module, torch.Generator]:
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    return nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), Dropout(0.2, generator), nn.Linear(8, 1)
    ), generator


def fitted(
    epochs: Epochs | None = None, settings: FitSettings = SETTINGS, **more: object
) -> tuple[Fitted, nn.Module]:
    one, generator = network()
    how = fit(
        one,
        TRAIN,
        VALIDATION,
        squared,
        settings,
        generator=generator,
        epochs=epochs,
        **more,  # type: ignore[arg-type]
    )
    return how, one


def bits(one: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in one.state_dict().values())


def test_it_learns() -> None:
    how, one = fitted()
    assert how.curves[-1, 1] < 0.3 * how.curves[0, 1]
    assert not one.training


def test_the_best_weights_are_restored() -> None:
    # So bold that it gets worse again: what it ends with is not what was best.
    wild = FitSettings(epochs=12, patience=12, batch_size=8, learning_rate=0.3, seed=3)
    how, one = fitted(settings=wild)
    assert how.best_epoch < len(how.curves)
    assert how.curves[how.best_epoch - 1, 1] == how.curves[:, 1].min()
    with torch.inference_mode():
        at_end = float(squared(one(VALIDATION.inputs), VALIDATION.targets))
    assert at_end == pytest.approx(how.curves[:, 1].min(), rel=1e-4)


def test_patience_ends_it() -> None:
    nothing_to_learn = FitSettings(epochs=50, patience=2, learning_rate=0.0, weight_decay=0.0)
    how, _ = fitted(settings=nothing_to_learn)
    assert (len(how.curves), how.best_epoch) == (3, 1)


def test_the_same_seed_leads_to_the_same_bits_and_another_to_others() -> None:
    again = bits(fitted()[1])
    assert bits(fitted()[1]) == again
    assert bits(fitted(settings=FitSettings(**{**SETTINGS.__dict__, "seed": 4}))[1]) != again


class Killed(Exception):
    pass


@pytest.mark.parametrize("epoch", [1, 4, 7])
def test_a_fit_that_was_cut_off_goes_on_to_the_same_weights(tmp_path: Path, epoch: int) -> None:
    def kill(word: str) -> None:
        if word.startswith(f"epoch {epoch} "):
            raise Killed

    epochs = Checkpoint(tmp_path).epochs("net")
    with pytest.raises(Killed):
        fitted(epochs, epoch_done=kill)
    seen: list[str] = []
    how, one = fitted(epochs, epoch_done=seen.append)
    undisturbed_how, undisturbed = fitted()
    assert bits(one) == bits(undisturbed)
    np.testing.assert_array_equal(how.curves, undisturbed_how.curves)
    assert len(seen) == len(how.curves) - epoch


def test_epochs_that_were_learnt_on_another_kind_of_device_are_learnt_again(tmp_path: Path) -> None:
    epochs = Checkpoint(tmp_path).epochs("net")
    undisturbed_how, undisturbed = fitted(epochs)
    kept = epochs.read()
    assert kept is not None
    with np.load(io.BytesIO(kept)) as archive:
        arrays = {name: archive[name] for name in archive.files}
    elsewhere = arrays["numbers"].tobytes().replace(b'"device": "cpu"', b'"device": "cuda"')
    arrays["numbers"] = np.frombuffer(elsewhere, dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    epochs.write(buffer.getvalue())
    seen: list[str] = []
    how, one = fitted(epochs, epoch_done=seen.append)
    assert bits(one) == bits(undisturbed)
    assert len(seen) == len(how.curves) == len(undisturbed_how.curves)


def test_gradients_are_clipped() -> None:
    steps: list[float] = []

    def steep(said: Tensor, target: Tensor) -> Tensor:
        return 1e6 * squared(said, target)

    one, generator = network()
    before = [parameter.detach().clone() for parameter in one.parameters()]
    clipped = FitSettings(epochs=1, batch_size=400, clip_norm=1e-12, weight_decay=0.0, seed=3)
    fit(one, TRAIN, VALIDATION, steep, clipped, generator=generator)
    for old, new in zip(before, one.parameters(), strict=True):
        steps.append(float((old - new.detach()).abs().max()))
    # AdamW divides by the gradient's size, and by 1e-8: a gradient clipped to nothing moves nothing.
    assert max(steps) < 1e-6


def test_nothing_to_learn_from_is_refused() -> None:
    one, generator = network()
    with pytest.raises(WrongUse, match="examples to learn from"):
        fit(one, made_up(0, 1), VALIDATION, squared, SETTINGS, generator=generator)


def test_a_loss_that_is_never_finite_is_refused() -> None:
    one, generator = network()

    def not_a_number(said: Tensor, target: Tensor) -> Tensor:
        return (said * float("nan")).sum()

    with pytest.raises(WrongUse, match="finite loss"):
        fit(one, TRAIN, VALIDATION, not_a_number, SETTINGS, generator=generator)
