"""What is kept of a training run, whatever became of its bundle?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gates.promotion import Standing
from plugin.durable import replace_file
from plugin.features.joined import FEATURE_SETS
from plugin.manifest import MANIFEST_FILE, GateReport
from training.models.base import Described, Model
from training.trained import Trained
from training.tuning import Tuning


class Minutes:
    """Where the time of a run went."""

    def __init__(self) -> None:
        self.by_part: dict[str, float] = {}
        self._since = time.monotonic()

    def took(self, part: str) -> None:
        """Book the time since the last call to `part`."""
        now = time.monotonic()
        self.by_part[part] = round((now - self._since) / 60, 3)
        self._since = now


@dataclass(frozen=True)
class Walk:
    """How a training went. `number` counts all candidates; `reused` are the pieces that were there when
    it was resumed, `damaged` those that had to be made again."""

    number: int
    trigger: str
    role: Standing
    reused: Sequence[str]
    damaged: Sequence[str]
    minutes: Minutes


def write_run_record(
    models_dir: Path, bundle: Path, trained: Trained, report: GateReport, walk: Walk
) -> dict[str, Any]:
    """Write `models/runs/<bundle id>.json` and return what stands in it."""
    manifest = msgspec.json.decode((bundle / MANIFEST_FILE).read_bytes())
    from_manifest = (
        "content_hash",
        "created",
        "git_revision",
        "bars",
        "libraries",
        "settings",
        "metrics",
    )
    serving = trained.networks
    described: list[Described] = [*trained.members, *(serving.networks.members if serving else ())]
    record = {
        "bundle_id": bundle.name,
        "candidate": walk.number,
        "trigger": walk.trigger,
        "role": walk.role,
        **{name: manifest[name] for name in from_manifest},
        "members": {
            member.name: {
                "kind": member.kind,
                "feature_set": member.feature_set,
                "parameters": dict(member.parameters),
            }
            for member in described
        },
        "adds": trained.adds,
        "networks": serving.learning() if serving else {},
        "regime": trained.regime.figures if trained.regime else {},
        "tuning": _tuning(trained.settings.tuning),
        "importances": {
            str(horizon): {
                member.name: _importances(models[member.name], member.feature_set)
                for member in trained.members
            }
            for horizon, models in trained.models.items()
        },
        "gate_report": msgspec.to_builtins(report),
        "resumed": {"reused": sorted(walk.reused), "damaged": sorted(walk.damaged)},
        "minutes": walk.minutes.by_part,
    }
    place = models_dir / "runs" / f"{bundle.name}.json"
    place.parent.mkdir(mode=0o700, exist_ok=True)
    if serving:
        from training.curves import loss_curves  # where there are networks, there is matplotlib

        replace_file(place.with_suffix(".png"), loss_curves(serving.learning()))
    replace_file(place, msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
    return record


def _tuning(tuning: Tuning | None) -> dict[str, Any] | None:
    """Of how many trials the parameters were the best: the more, the less their AUC says."""
    if tuning is None:
        return None
    return {
        "study": tuning.study,
        "member": tuning.member,
        "n_trials": tuning.trials,
        "auc": tuning.auc,
    }


def _importances(model: Model, feature_set: str) -> dict[str, float]:
    """The share of the gain that each feature brought, the largest first."""
    gains = model.gains()
    total = float(gains.sum()) or 1.0
    shares = zip(FEATURE_SETS[feature_set].names, (gains / total).tolist(), strict=True)
    return dict(sorted(shares, key=lambda share: -share[1]))
