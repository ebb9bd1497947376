"""How does a network learn? The one loop for all of them.

It takes batches in an order drawn from its seed, clips gradients, stops when the validation block has
not become better for a while, and leaves the network with the weights that were best there. On a GPU it
computes in BF16 where that is asked for nothing else; on a CPU in float32, with one thread: networks
are trained side by side, and their bits must not depend on how many cores a machine has.
"""

from __future__ import annotations

import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plugin.errors import WrongUse
from training.checkpoint import Epochs

Loss = Callable[[Tensor, Tensor], Tensor]
EpochDone = Callable[[str], None]
Augment = Callable[[Tensor, torch.Generator], Tensor]
_NUMBERS = ("epoch", "best_epoch", "best", "patience_left", "seconds")


class Examples(Protocol):
    """What is learnt from: numbered examples, made into tensors batch by batch."""

    def __len__(self) -> int: ...

    def batch(self, numbers: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Inputs (n, ...) and targets (n, k), float32, of the examples of these numbers."""
        ...


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How long and how boldly to learn.

    An epoch takes `per_epoch` examples drawn without replacement, or all there are; windows of
    neighbouring bars are nearly the same, and looking back after fewer of them stops in time.
    `patience` is in epochs, `learning_rate` of AdamW falls to a tenth by a cosine over all `epochs`.
    """

    epochs: int = 30
    patience: int = 5
    per_epoch: int = 50_000
    batch_size: int = 256
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    clip_norm: float = 1.0
    seed: int = 7


@dataclass(frozen=True)
class Fitted:
    """How it went: losses of every epoch, (epochs, 2) of training and validation; the best is kept.

    `seconds` are those of all epochs, whichever process they were learnt in.
    """

    curves: NDArray[np.float64]
    best_epoch: int
    seconds: float


def best_device() -> torch.device:
    """A GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def fit(
    network: nn.Module,
    train: Examples,
    validation: Examples,
    loss: Loss,
    settings: FitSettings,
    *,
    generator: torch.Generator,
    augment: Augment | None = None,
    epochs: Epochs | None = None,
    epoch_done: EpochDone | None = None,
) -> Fitted:
    """Learn from `train` until `validation` gets no better; the network ends on the CPU, at its best.

    `generator` is the one that the network's dropout draws from; its device is where the network
    learns. With `epochs` each one is kept there, and a fit that was cut off goes on from it to the same
    weights. `epoch_done` gets a word for people after each. Raises WrongUse where there is nothing to
    learn from, or where the loss is never finite.
    """
    if not len(train) or not len(validation):
        was = f"{len(train)} and {len(validation)}"
        raise WrongUse("examples to learn from and to stop by", was, "use a longer history")
    torch.set_num_threads(1)  # for this thread: it is not inherited
    run = _Run(network, train, settings, loss, augment, generator)
    if epochs is not None and (kept := epochs.read()) is not None:
        run.restore(kept)
    while run.epoch < settings.epochs and run.patience_left > 0:
        run.learn_one_epoch(validation)
        if epochs is not None:
            epochs.write(run.state())
        if epoch_done is not None:
            learnt, stopped_by = run.curves[-1]
            epoch_done(f"epoch {run.epoch} of {settings.epochs}, loss {learnt:.4f}, {stopped_by:.4f}")
    if not math.isfinite(run.best):
        raise WrongUse("a finite loss", "none in any epoch", "use a lower learning rate")
    run.take_best()
    return Fitted(np.array(run.curves), run.best_epoch, run.seconds)


def predict(network: nn.Module, examples: Examples, batch_size: int = 1024) -> NDArray[np.float32]:
    """What the network says of every example, on the CPU, (n, k)."""
    torch.set_num_threads(1)
    network.eval()
    numbers = np.arange(len(examples))
    with torch.inference_mode():
        parts = [
            network(examples.batch(numbers[first : first + batch_size])[0])
            for first in range(0, len(examples), batch_size)
        ]
    return torch.cat(parts).float().numpy()


class _Run:
    """One fit under way."""

    def __init__(
        self,
        network: nn.Module,
        train: Examples,
        settings: FitSettings,
        loss: Loss,
        augment: Augment | None,
        generator: torch.Generator,
    ) -> None:
        self.device = generator.device
        self.network, self.train, self.settings = network.to(self.device), train, settings
        self.loss, self.augment, self.generator = loss, augment, generator
        self.optimizer = torch.optim.AdamW(
            network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.order = np.random.default_rng(settings.seed)
        self.curves: list[tuple[float, float]] = []
        self.epoch = self.best_epoch = 0
        self.best, self.seconds = math.inf, 0.0
        self.best_weights = _copy(network)
        self.patience_left = settings.patience

    def learn_one_epoch(self, validation: Examples) -> None:
        started = time.monotonic()
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = _learning_rate(self.settings, self.epoch)
        drawn = self.order.permutation(len(self.train))[: self.settings.per_epoch]
        losses = []
        for first in range(0, drawn.size, self.settings.batch_size):
            inputs, targets = self._batch(self.train, drawn[first : first + self.settings.batch_size])
            if self.augment is not None:
                inputs = self.augment(inputs, self.generator)
            self.optimizer.zero_grad(set_to_none=True)
            cost = self._cost(inputs, targets)
            cost.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip_norm)
            self.optimizer.step()
            losses.append(float(cost.detach()))
        self.epoch += 1
        stopped_by = self._validate(validation)
        self.curves.append((float(np.mean(losses)), stopped_by))
        if stopped_by < self.best:  # NaN is not
            self.best, self.best_epoch = stopped_by, self.epoch
            self.best_weights = _copy(self.network)
            self.patience_left = self.settings.patience
        else:
            self.patience_left -= 1
        self.seconds += time.monotonic() - started

    def take_best(self) -> None:
        self.network.load_state_dict(self.best_weights)
        self.network.to("cpu").eval()

    def state(self) -> bytes:
        """All that the next epoch depends on, as a numpy archive."""
        numbers = {name: getattr(self, name) for name in _NUMBERS}
        order, device = self.order.bit_generator.state, self.device.type
        text = json.dumps({**numbers, "order": order, "device": device})
        arrays: dict[str, Any] = {
            "numbers": np.frombuffer(text.encode(), dtype=np.uint8),
            "curves": np.array(self.curves),
            "generator": self.generator.get_state().numpy(),
        }
        of_parameters = self.optimizer.state_dict()["state"]
        parts = {
            "network": self.network.state_dict(),
            "best": self.best_weights,
            **{f"optimizer {number}": of_one for number, of_one in of_parameters.items()},
        }
        for part, tensors in parts.items():
            arrays |= {f"{part}/{name}": one.cpu().numpy() for name, one in tensors.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        return buffer.getvalue()

    def restore(self, content: bytes) -> None:
        """Go back to where `state` was taken; not where that was on a device of another kind, which has
        other random numbers and rounds otherwise."""
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            kept = {name: archive[name] for name in archive.files}
        numbers = json.loads(kept.pop("numbers").tobytes())
        if numbers.pop("device") != self.device.type:
            return
        self.order.bit_generator.state = numbers.pop("order")
        for name, value in numbers.items():
            setattr(self, name, value)
        self.curves = [(learnt, stopped_by) for learnt, stopped_by in kept.pop("curves").tolist()]
        self.generator.set_state(torch.from_numpy(kept.pop("generator")))
        parts: dict[str, dict[str, Tensor]] = {}
        for name, array in kept.items():
            part, _, of_part = name.partition("/")
            parts.setdefault(part, {})[of_part] = torch.from_numpy(array).to(self.device)
        self.network.load_state_dict(parts.pop("network"))
        self.best_weights = parts.pop("best")
        state = {int(part.partition(" ")[2]): of_one for part, of_one in parts.items()}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})

    def _batch(self, examples: Examples, numbers: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        inputs, targets = examples.batch(numbers)
        return inputs.to(self.device), targets.to(self.device)

    def _cost(self, inputs: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16, enabled=self.device.type == "cuda"):
            said = self.network(inputs)
        return self.loss(said.float(), targets)

    def _validate(self, validation: Examples) -> float:
        self.network.eval()
        numbers, costs, counts = np.arange(len(validation)), [], []
        with torch.inference_mode():
            for first in range(0, numbers.size, 1024):
                inputs, targets = self._batch(validation, numbers[first : first + 1024])
                costs.append(float(self._cost(inputs, targets)))
                counts.append(len(inputs))
        return float(np.average(costs, weights=counts))


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: one.detach().clone() for name, one in network.state_dict().items()}


def _learning_rate(settings: FitSettings, epoch: int) -> float:
    lowest = settings.learning_rate / 10
    share = 0.5 * (1.0 + math.cos(math.pi * epoch / settings.epochs))
    return lowest + (settings.learning_rate - lowest) * share
