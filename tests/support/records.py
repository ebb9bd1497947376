"""Records of the shadow log to test with, and logs made of them by the real writer."""

from pathlib import Path

from msgspec.structs import replace

from shadow.record import BarRecord, ChallengerRecord, DecisionRecord, MemberRecord
from shadow.writer import ShadowWriter

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
START_MS = 1_735_689_600_000  # 2025-01-01T00:00:00Z


class HandClock:
    """A clock that stands where it was put."""

    def __init__(self, now_ms: int = START_MS) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def member(p: float | None = 0.52, status: str = "ok") -> MemberRecord:
    return MemberRecord(p=p, status=status, us=40.0, horizons={"5": p})  # type: ignore[arg-type]


CHAMPION = "20250101T000000Z-0123456789ab"
CHALLENGER = "20250102T000000Z-ba9876543210"


def challenger(p: float | None = 0.52, bundle: str = CHALLENGER, **fields: object) -> ChallengerRecord:
    """What a challenger says of a bar; without a `p`, that it could not."""
    told = ChallengerRecord(
        bundle=bundle,
        reason="ok" if p is not None else "member_nan:lgb",
        error=None,
        members={"lgb": member(p), "xgb": member(p)},
        meta_p=p,
        probabilities={} if p is None else {"5": p},
        us=300.0,
    )
    return replace(told, **fields)


_BAR = BarRecord(
    seq=0,
    written_at="",
    symbol="BTC/USDT",
    timeframe="1h",
    open_time_ms=START_MS,
    close=100.0,
    mode="shadow",
    ml_stacking_mode="active",
    ml_reason="ok",
    ml_error=None,
    members={"lgb": member(), "xgb": member()},
    meta_p=0.52,
    probabilities={"5": 0.52},
    decision=DecisionRecord("long", START_MS, 1.0, 2.0, "middle", "shadow"),
    host_signal=None,
    champion=CHAMPION,
    challenger=None,
    flags={"ML_ENABLED": "1", "ML_EXCHANGE": "binance"},
    feature_hash="0123456789abcdef",
    latency_us=800.0,
)


def bar(n: int = 0, **fields: object) -> BarRecord:
    """The bar that opens `n` bars after START_MS, its fields as named."""
    return replace(_BAR, open_time_ms=START_MS + n * HOUR_MS, **fields)


def silent_bar(n: int, reason: str, **fields: object) -> BarRecord:
    """A bar whose ensemble said nothing."""
    silence = {"members": {}, "meta_p": None, "probabilities": {}}
    return bar(n, ml_stacking_mode="inactive", ml_reason=reason, **silence, **fields)


def write_log(folder: Path, records: list[BarRecord]) -> None:
    """Write bars as the live side would, each a moment after its close."""
    clock = HandClock()
    with ShadowWriter(folder, clock) as writer:
        for record in records:
            clock.now_ms = record.open_time_ms + HOUR_MS + 5
            assert writer.write_bar(record), writer.last_error
