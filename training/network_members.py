"""Which networks can be members, and how does each learn?

Chosen on bars before 2021 alone; see docs/networks.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from training.models.network import NetworkMember
from training.models.torch_fit import FitSettings
from training.settings import TrainingSettings

_SETTINGS = FitSettings(epochs=20, patience=4, per_epoch=20_000)
_DISTILLED = 0.7
_WINDOW_ROWS = {"15m": 192}
"""Two days where bars are that long; elsewhere as many rows as make two days of hourly bars."""
_WIDTH = {"lstm": "hidden", "tft": "width", "tcn": "channels", "transformer": "width"}
"""What each architecture calls its width."""
DEFAULTS: dict[str, dict[str, float]] = {
    name: {"width": width, "dropout": dropout, "learning_rate": rate, "weight_decay": 0.01}
    for name, width, dropout, rate in (
        ("lstm", 64, 0.4, 1e-3),
        ("tft", 32, 0.3, 5e-4),
        ("tcn", 48, 0.4, 1e-3),
        ("transformer", 48, 0.3, 5e-4),
    )
}
"""The parameters that `python -m training tune` searches."""


def with_parameters(member: NetworkMember, changed: Mapping[str, float]) -> NetworkMember:
    """The same member with other values of those that are searched."""
    shape = {_WIDTH[member.architecture]: changed["width"], "dropout": changed["dropout"]}
    settings = replace(
        member.settings,
        learning_rate=changed["learning_rate"],
        weight_decay=changed["weight_decay"],
    )
    return replace(member, shape={**member.shape, **shape}, settings=settings)


NETWORKS = {
    name: with_parameters(
        NetworkMember(name=name, architecture=name, settings=_SETTINGS, distilled=_DISTILLED), defaults
    )
    for name, defaults in DEFAULTS.items()
}


def chosen(settings: TrainingSettings) -> tuple[NetworkMember, ...]:
    """The networks of a training, over windows as long as its bars ask for.

    A tuned one has its parameters; `quick` ones learn for a moment.
    """
    tuning = settings.tuning
    members = (
        with_parameters(NETWORKS[name], tuning.parameters)
        if tuning and tuning.member == name
        else NETWORKS[name]
        for name in settings.networks
    )
    windows = (
        replace(member, n_steps=_WINDOW_ROWS.get(settings.timeframe, member.n_steps))
        for member in members
    )
    return tuple(_quick(member) if settings.quick else member for member in windows)


def _quick(member: NetworkMember) -> NetworkMember:
    return replace(member, settings=replace(member.settings, epochs=2, per_epoch=2_000))
