"""A log as weeks of bars leave it: two symbols, a challenger, a bot with signals, and holes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shadow.findings import Findings, Terms, find
from shadow.record import BarRecord, DecisionRecord, MemberRecord
from shadow.window import Window, read_window
from tests.support.records import CHALLENGER, HOUR_MS, START_MS, bar, challenger, silent_bar, write_log

SYMBOLS = ("BTC/USDT", "ETH/USDT")
MEMBERS = ("cross", "lgb", "xgb")
_REGIMES = {"low": (1.0, 1.5), "mid": (1.0, 2.0), "high": (0.5, 3.0)}
_SIGNALS = ("buy", "sell", "hold", None)


def evidence_log(
    folder: Path,
    n_bars: int = 600,
    symbols: tuple[str, ...] = SYMBOLS,
    seed: int = 1,
    skill: float = 0.001,
    **fields: object,
) -> int:
    """Write it; when its last bar closes. `skill` is how much of a move the members know of."""
    random = np.random.default_rng(seed)
    steps = random.normal(0.0, 0.006, (len(symbols), n_bars + 6))
    closes = 100.0 * np.exp(np.cumsum(steps, axis=1))
    records: list[BarRecord] = []
    for n in range(n_bars):
        for at, symbol in enumerate(symbols):
            ahead = float(np.log(closes[at, n + 5] / closes[at, n]))
            if n % 97 == 40:
                records.append(
                    silent_bar(n, "gap", symbol=symbol, close=float(closes[at, n]), **fields)
                )
            elif n % 211 != 100:
                close = float(closes[at, n])
                records.append(_bar(n, symbol, close, ahead * skill / 0.013, random, fields))
    write_log(folder, records)
    return START_MS + n_bars * HOUR_MS


def _bar(
    n: int,
    symbol: str,
    close: float,
    known: float,
    random: np.random.Generator,
    fields: dict[str, object],
) -> BarRecord:
    said = {
        name: np.clip(0.5 + 10 * known + random.normal(0, 0.03, 3), 0.05, 0.95).tolist()
        for name in MEMBERS
    }
    p = np.mean(list(said.values()), axis=0).tolist()
    regime = str(random.choice(list(_REGIMES)))
    action = "long" if p[0] >= 0.52 else "short" if p[0] <= 0.48 else "flat"
    return bar(
        n,
        **{
            "symbol": symbol,
            "close": close,
            "high": close * (1 + abs(random.normal(0, 0.003))),
            "low": close * (1 - abs(random.normal(0, 0.003))),
            "members": {
                name: MemberRecord(
                    each[0],
                    "nan" if random.random() < 0.01 else "ok",
                    float(random.gamma(4, 6)),
                    dict(zip(("5", "12", "24"), each, strict=True)),
                )
                for name, each in said.items()
            },
            "meta_p": p[0],
            "probabilities": dict(zip(("5", "12", "24"), p, strict=True)),
            "decision": DecisionRecord(
                action,  # type: ignore[arg-type]  (one of the three)
                START_MS + (n + 2) * HOUR_MS,
                *_REGIMES[regime],
                regime,
                "stacking_off",
            ),
            "host_signal": _SIGNALS[int(random.integers(4))],
            "challenger": challenger(float(np.clip(p[0] + random.normal(0, 0.01), 0.0, 1.0))),
            **fields,
        },
    )


def found(folder: Path, now_ms: int, days: float = 30, **terms: object) -> tuple[Findings, Window]:
    """What the report finds in a log of any kind."""
    window = read_window(folder, now_ms, days)
    return find(folder, window, Terms(**{"models": folder / "models", **terms})), window  # type: ignore[arg-type]


__all__ = ["CHALLENGER", "MEMBERS", "SYMBOLS", "evidence_log", "found"]
