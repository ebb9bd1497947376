"""May the ensemble steer, and where to? A pure function of what is known at the bar close.

docs/decisions.md holds the same rules as tables, for the author of a bot.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from plugin.bar import BarClosed, Timeframe
from plugin.regime import Regime
from plugin.settings import Settings
from shadow.record import Action, Mode

EDGE = 0.02
"""How far from one half a probability must lie to be acted on, either way."""

SHADOW_EVIDENCE = "shadow_evidence"
"""The gate that `ML_REQUIRE_SHADOW_PASS=0` lets pass unproven; no other can be waived."""

_SIZE_AND_STOP: dict[Regime, tuple[float, float]] = {
    "low": (1.0, 1.5),
    "mid": (1.0, 2.0),
    "high": (0.5, 3.0),
    "unknown": (0.0, 0.0),
}


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    """The bundle that answers, and what its gates allow it.

    `verdict` is the level its gates gave, `missing_gates` the gates that stand between it and `live`,
    `primary_horizon` the horizon, in bars as text, whose probability is acted on.
    """

    bundle_id: str
    feature_hash: str
    primary_horizon: str
    verdict: Literal["none", "shadow", "live"]
    missing_gates: tuple[str, ...]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the bot is told for one bar. It steers only with mode `live`, before `valid_until_ms`.

    `probabilities` maps a horizon in bars, as text, to the probability that the close is higher then.
    `size_multiplier` scales the bot's own position size; `stop_atr` is the distance of the stop in
    average true ranges. Both are 0 where the action is `abstain`.
    """

    symbol: str
    timeframe: str
    open_time_ms: int
    valid_until_ms: int
    mode: Mode
    action: Action
    probabilities: dict[str, float]
    size_multiplier: float
    stop_atr: float
    regime: Regime
    bundle_id: str | None
    feature_hash: str | None
    reason: str
    latency_us: float


def decide(
    bar: BarClosed,
    timeframe: Timeframe,
    flags: Settings,
    serving: Serving | None,
    *,
    probabilities: Mapping[str, float | None] | None,
    abstain_reason: str | None,
    regime: Regime,
    latency_us: float,
) -> Decision:
    """The decision for `bar`, valid until one bar after its close.

    `probabilities` maps a horizon to the probability of "up"; `abstain_reason` says why there is no
    prediction, and is None where there is one. In shadow the action is the one that would be taken
    live.
    """
    mode, barrier = permission(flags, serving)
    stated = probabilities or {}
    sound = {horizon: p for horizon, p in stated.items() if p is not None and 0.0 <= p <= 1.0}
    action: Action = "abstain"
    reason = barrier
    if mode != "off" and serving is not None and serving.verdict != "none":
        if abstain_reason is not None:
            reason = abstain_reason
        elif len(sound) < len(stated) or serving.primary_horizon not in sound:
            reason = "not_finite"
        elif regime == "unknown":
            reason = "unknown_regime"
        else:
            action = action_of(sound[serving.primary_horizon])
    size_multiplier, stop_atr = size_and_stop("unknown" if action == "abstain" else regime)
    return Decision(
        symbol=bar.symbol,
        timeframe=bar.timeframe,
        open_time_ms=bar.open_time_ms,
        valid_until_ms=bar.open_time_ms + 2 * timeframe.length_ms,
        mode=mode,
        action=action,
        probabilities=sound,
        size_multiplier=size_multiplier,
        stop_atr=stop_atr,
        regime=regime,
        bundle_id=None if serving is None else serving.bundle_id,
        feature_hash=None if serving is None else serving.feature_hash,
        reason=reason,
        latency_us=latency_us,
    )


def refusal(
    symbol: str,
    timeframe_name: str,
    open_time_ms: int,
    *,
    timeframe: Timeframe,
    flags: Settings,
    serving: Serving | None,
    reason: str,
) -> Decision:
    """What whoever waits for a bar is told where there is no bar to decide on: `abstain`, and why.

    `timeframe` is that of the service, `timeframe_name` that of the question.
    """
    return Decision(
        symbol=symbol,
        timeframe=timeframe_name,
        open_time_ms=open_time_ms,
        valid_until_ms=open_time_ms + 2 * timeframe.length_ms,
        mode=permission(flags, serving)[0],
        action="abstain",
        probabilities={},
        size_multiplier=0.0,
        stop_atr=0.0,
        regime="unknown",
        bundle_id=None if serving is None else serving.bundle_id,
        feature_hash=None if serving is None else serving.feature_hash,
        reason=reason,
        latency_us=0.0,
    )


def permission(flags: Settings, serving: Serving | None) -> tuple[Mode, str]:
    """The mode, and the first thing that keeps it from being live: `ok` where nothing does.

    A verdict that contradicts its own list of missing gates allows nothing.
    """
    if not flags.enabled:
        return "off", "disabled"
    if serving is None:
        return "shadow", "no_bundle"
    gate = _missing_gate(flags, serving)
    if serving.verdict != "none" and not flags.enable_stacking:
        return "shadow", "stacking_off"
    return ("live", "ok") if gate is None else ("shadow", f"gate_{gate}")


def size_and_stop(regime: Regime) -> tuple[float, float]:
    """The multiplier of the position's size, and the distance of its stop in average true ranges."""
    return _SIZE_AND_STOP[regime]


def _missing_gate(flags: Settings, serving: Serving) -> str | None:
    """The first gate that keeps the bundle from being live, once those that may be are waived."""
    missing = serving.missing_gates
    if serving.verdict == "live" and not missing:
        return None
    waivable = serving.verdict == "shadow" and missing == (SHADOW_EVIDENCE,)
    if waivable and not flags.require_shadow_pass:
        return None
    return missing[0] if missing else "report_missing"


def action_of(p: float) -> Action:
    """What the probability at the primary horizon says."""
    if p >= 0.5 + EDGE:
        return "long"
    return "short" if p <= 0.5 - EDGE else "flat"
