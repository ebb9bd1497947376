"""What does a training hand over to whoever makes a bundle of it?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gates.out_of_fold import OutOfFoldRows
from plugin.candles import Candles
from plugin.meta_model import HorizonModel
from training.dataset import Dataset
from training.models.base import Member, Model
from training.regime import LearntRegime
from training.settings import TrainingSettings

if TYPE_CHECKING:  # torch takes seconds to import, and trees alone go without it
    from training.serving_networks import ServingNetworks


@dataclass(frozen=True)
class Trained:
    """All that training hands over. `models` and the two of `meta` are keyed by horizon; `evidence` are
    the rows that all were judged on, `adds` what each member adds to the stack."""

    settings: TrainingSettings
    candles: Mapping[str, Candles]
    dataset: Dataset
    members: Sequence[Member]
    models: Mapping[int, Mapping[str, Model]]
    meta: Mapping[int, HorizonModel]
    metrics: dict[str, Any]
    evidence: OutOfFoldRows
    oof_rows: int
    adds: dict[str, Any] = field(default_factory=dict)
    networks: ServingNetworks | None = None
    regime: LearntRegime | None = None
    meta_without_networks: Mapping[int, HorizonModel] = field(default_factory=dict)

    @property
    def member_names(self) -> tuple[str, ...]:
        """Those over rows, then the networks."""
        networks = self.networks.models if self.networks else ()
        return (*(member.name for member in self.members), *networks)
