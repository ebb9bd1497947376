"""How do the members' probabilities become one?

By a model for each horizon, on the log odds of the members and the 20-bar realised volatility. There
are three kinds (`plugin.meta_kinds`); all of them answer members that say nothing with one half. It is
kept in JSON, and fitted in `training.stacking`; here it is only answered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from plugin.features.compiled import compiled
from plugin.meta_kinds import BoostedModel, LogisticModel, NetworkModel

# Further out a member's log odds say nothing that is true of markets, and could drown the others.
_LOG_ODDS_LIMIT = 4.0
_LEAST_VOLATILITY = 1e-8
_LONGEST_WORDS = 200  # of what stands in a file that may hold anything

HorizonModel = LogisticModel | BoostedModel | NetworkModel


def meta_inputs(
    probabilities: NDArray[np.float64], realised_vol: NDArray[np.float32]
) -> NDArray[np.float64]:
    """The rows of the meta-model, (n, members + 1), from `probabilities` (members, n) and volatility.

    The one definition for fitting and for answering.
    """
    inputs = np.empty((probabilities.shape[1], probabilities.shape[0] + 1))
    _write_inputs(np.ascontiguousarray(probabilities), realised_vol.astype(np.float64), inputs)
    return inputs


@compiled
def _write_inputs(
    probabilities: NDArray[np.float64], realised_vol: NDArray[np.float64], inputs: NDArray[np.float64]
) -> None:
    # Limits by comparison, because NaN fails each of them and so stays NaN.
    for i in range(inputs.shape[0]):
        for member in range(probabilities.shape[0]):
            p = probabilities[member, i]
            log_odds = math.log(p) - math.log1p(-p)
            if abs(log_odds) > _LOG_ODDS_LIMIT:
                log_odds = math.copysign(_LOG_ODDS_LIMIT, log_odds)
            inputs[i, member] = log_odds
        too_low = realised_vol[i] < _LEAST_VOLATILITY
        inputs[i, -1] = math.log(_LEAST_VOLATILITY if too_low else realised_vol[i])


class MetaModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model per horizon (in bars, as text), over `members` in this order.

    Where a bundle has networks, `without_networks` are the models over the other members, which stand
    first: they answer where a network can not.
    """

    members: tuple[str, ...]
    horizons: Mapping[str, HorizonModel]
    without_networks: Mapping[str, HorizonModel] = {}

    @classmethod
    def from_json(
        cls,
        text: bytes,
        horizons: Sequence[int],
        row_members: Sequence[str],
        networks: Sequence[str] = (),
    ) -> MetaModel:
        """Raises ValueError or MsgspecError where it is not a finite model of these members."""
        model = msgspec.json.decode(text, type=cls)
        expected = {str(horizon) for horizon in horizons}
        of_rows = expected if networks else set()
        found = set(model.horizons), set(model.without_networks)
        if model.members != (*row_members, *networks) or found != (expected, of_rows):
            was = f"members {model.members} at horizons {sorted(model.horizons)}"
            raise ValueError(was[:_LONGEST_WORDS])
        for one in model.horizons.values():
            one.check(len(model.members))
        for one in model.without_networks.values():
            one.check(len(row_members))
        return model
