"""What did a study of parameters find, and may a training use it?

`python -m training tune` writes it as JSON beside the study; `python -m training run --tuned` reads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from plugin.clock import utc_minute
from plugin.durable import replace_file
from plugin.errors import NOT_JSON, WrongUse
from plugin.settings import SEQUENCE_MEMBERS

_Share = Annotated[float, Meta(gt=0.0, le=1.0)]
_YEAR_2200_MS = 7_258_118_400_000
_Count = Annotated[int, Meta(ge=1, le=100_000)]


class _OfLightGBM(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is searched of the parameters of `training.models.lgb`; all others keep their values."""

    n_trees: _Count
    learning_rate: _Share
    num_leaves: Annotated[int, Meta(ge=2, le=4096)]
    min_data_in_leaf: _Count
    feature_fraction: _Share
    bagging_fraction: _Share
    lambda_l2: Annotated[float, Meta(ge=0.0, le=1e6)]


class _OfNetwork(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is searched of the networks of `training.network_members`."""

    width: Annotated[int, Meta(ge=4, le=1024, multiple_of=4)]
    dropout: Annotated[float, Meta(ge=0.0, lt=1.0)]
    learning_rate: _Share
    weight_decay: Annotated[float, Meta(ge=0.0, le=1.0)]


_PARAMETERS = {"lgb": _OfLightGBM} | dict.fromkeys(SEQUENCE_MEMBERS, _OfNetwork)
TUNABLE_MEMBERS = tuple(_PARAMETERS)


class Tuning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The best of the `trials` ever run in a study of one member, at one horizon.

    `auc` is its mean over the folds inside the first block, `default_auc` that of the defaults on the
    same folds. No label that a trial saw ends after `seen_until_ms`.
    """

    study: str
    member: str
    horizon: int
    seen_until_ms: Annotated[int, Meta(ge=0, le=_YEAR_2200_MS)]
    parameters: dict[str, int | float]
    trials: Annotated[int, Meta(ge=1)]
    auc: float
    default_auc: float

    def __post_init__(self) -> None:
        """Raises what msgspec raises for parameters that the member has not or can not have."""
        if self.member not in _PARAMETERS:
            raise ValueError(f"Expected a member of {', '.join(_PARAMETERS)}, got `{self.member}`")
        msgspec.convert(self.parameters, _PARAMETERS[self.member])

    def check_unseen(self, first_test_ms: int, embargo_ms: int) -> None:
        """Raises WrongUse where a trial has seen a label of a test block or of the embargo before."""
        if self.seen_until_ms + embargo_ms >= first_test_ms:
            raise WrongUse(
                f"a study that ends before the first test block, {utc_minute(first_test_ms)}",
                f"study {self.study}, whose trials saw labels up to {utc_minute(self.seen_until_ms)}",
                "tune with the same --since, --until and --hold-out-days as the training",
            )


def write_tuning(path: Path, found: Tuning) -> None:
    """Put it at `path`, whole."""
    replace_file(path, msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


def read_tuning(path: Path) -> Tuning:
    """What `write_tuning` wrote. Raises WrongUse for anything else."""
    expected = f"in {path} what `python -m training tune` has found"
    remedy = "name the .json beside the study"
    try:
        return msgspec.json.decode(path.read_bytes(), type=Tuning)
    except OSError as error:
        raise WrongUse(expected, error.strerror or str(error), remedy) from error
    except NOT_JSON as error:
        raise WrongUse(expected, str(error), remedy) from error
