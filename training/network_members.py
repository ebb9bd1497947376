"""Which networks can be members, and how does each learn?

Chosen on bars before 2021 alone; see docs/networks.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from training.models.network import NetworkMember
from training.models.torch_fit import FitSettings

_SETTINGS = FitSettings(epochs=20, patience=4, per_epoch=20_000)
_DISTILLED = 0.7
_LEARNING_RATES = {"lstm": 1e-3, "tft": 5e-4, "tcn": 1e-3, "transformer": 5e-4}
NETWORKS = {
    name: NetworkMember(
        name=name,
        architecture=name,
        settings=replace(_SETTINGS, learning_rate=rate),
        distilled=_DISTILLED,
    )
    for name, rate in _LEARNING_RATES.items()
}


def chosen(names: Sequence[str], *, quick: bool) -> tuple[NetworkMember, ...]:
    """The networks of these names; `quick` ones learn for a moment."""
    members = (NETWORKS[name] for name in names)
    return tuple(_quick(member) if quick else member for member in members)


def _quick(member: NetworkMember) -> NetworkMember:
    return replace(member, settings=replace(member.settings, epochs=2, per_epoch=2_000))
