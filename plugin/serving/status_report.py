"""What does the live process say of itself to an operator?"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plugin.buffer import BarBuffer
from plugin.candles import ABSENT
from plugin.clock import utc_text
from plugin.decision import Serving, permission
from plugin.registry import Role
from plugin.settings import LIVE_KEYS

if TYPE_CHECKING:
    from plugin.serving.service import Service

_STALE_AFTER_BARS = 2


def status_of(service: Service) -> dict[str, object]:
    """Plain values, as `python -m plugin status --json` prints them; `faults` says what is not well."""
    flags = service.flags.current
    mode, reason = permission(flags, service.serving())
    now_ms = service.clock.now_ms()
    symbols = {symbol: _symbol(service, buffer, now_ms) for symbol, buffer in _buffers(service)}
    uptime_ms = now_ms - service.started_ms
    report: dict[str, Any] = {
        "pid": os.getpid(),
        "version": installed_version(),
        "started": utc_text(service.started_ms),
        "uptime_s": uptime_ms / 1000,
        "memory_bytes": resident_bytes(),
        "source": flags.source,
        "exchange": flags.exchange,
        "timeframe": flags.timeframe.name,
        "mode": mode,
        "reason": reason,
        "missing_gates": list(missing_gates(service.serving())),
        "champion": _role(service, "champion"),
        "challenger": _role(service, "challenger"),
        "flags": _flags(service),
        "settings_refused": service.flags.complaint,
        "symbols": symbols,
        "source_state": dict(service.app.source.state()),
        "batch_under_way_s": _busy_s(service),
        "socket": {
            "address": str(flags.socket),
            "waiting_for_a_bar": service.desk.n_waiting,
            **service.server.state(),
        },
        "records": _records(service),
        "audit": service.self_audit.state(),
        "n_reloads": service.n_reloads,
        "n_faults": service.n_faults,
    }
    report["faults"] = _faults(report, uptime_ms, flags.timeframe.length_ms)
    report["healthy"] = not report["faults"]
    return report


def missing_gates(serving: Serving | None) -> tuple[str, ...]:
    """The gates that stand between the bundle and `live`."""
    return serving.missing_gates if serving is not None else ()


def installed_version() -> str:
    """Of the package; `unknown` in a checkout that was never installed."""
    try:
        return version("shadowgate")
    except PackageNotFoundError:
        return "unknown"


def resident_bytes() -> int:
    """The memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def n_absent(buffer: BarBuffer) -> int:
    """Slots of the window that no bar came for."""
    newest = buffer.newest + 1
    return int(buffer.bars[ABSENT, newest - buffer.n_bars : newest].sum())


def _buffers(service: Service) -> list[tuple[str, BarBuffer]]:
    return list(service.app.pipeline.buffers.items())


def _symbol(service: Service, buffer: BarBuffer, now_ms: int) -> dict[str, Any]:
    said: dict[str, Any] = {
        "served": buffer.symbol in service.flags.current.symbols,
        "n_bars": buffer.n_bars,
        "n_absent": n_absent(buffer),
        "window_full": buffer.n_bars >= service.app.pipeline.lookback,
        "newest_bar": None,
        "age_s": None,
    }
    if buffer.newest >= 0:
        close_ms = buffer.newest_open_ms + buffer.timeframe.length_ms
        said["newest_bar"] = utc_text(buffer.newest_open_ms)
        said["age_s"] = (now_ms - close_ms) / 1000
    last = service.last.get(buffer.symbol)
    if last is not None:
        decision = last.answer.decision
        said["last_answer"] = {
            "bar": utc_text(decision.open_time_ms),
            "mode": decision.mode,
            "action": decision.action,
            "reason": decision.reason,
            "latency_us": decision.latency_us,
            "lag_s": last.lag_s,
        }
    return said


def _role(service: Service, role: Role) -> dict[str, Any]:
    reloader = service.app.reloader
    state = reloader.roles()[role]
    said: dict[str, Any] = {
        "bundle": state.bundle,
        "appointed": state.pointer.bundle_id if state.pointer else None,
        "refusal": state.refusal,
    }
    if role == "champion" and reloader.champion is not None:
        said["verdict"] = reloader.champion.serving.verdict
    return said


def _flags(service: Service) -> dict[str, dict[str, Any]]:
    flags = service.flags
    return {
        key: {
            "value": text,
            "live": key in LIVE_KEYS,
            "held_by_environment": key in flags.held,
            "after_restart": flags.waiting.get(key),
        }
        for key, text in flags.current.as_text().items()
    }


def _busy_s(service: Service) -> float | None:
    since_ns = service.app.busy_since_ns
    return None if since_ns is None else (service.clock.monotonic_ns() - since_ns) / 1e9


def _records(service: Service) -> dict[str, Any]:
    recorder = service.app.recorder
    return {
        "written": recorder.n_written,
        "lost": recorder.n_lost,
        "waiting": recorder.n_waiting,
        "last_error": recorder.writer.last_error,
        "folder": str(service.flags.current.shadow_dir),
    }


def _faults(report: dict[str, Any], uptime_ms: int, length_ms: int) -> list[str]:
    faults = []
    limit_s = _STALE_AFTER_BARS * length_ms / 1000
    for symbol, one in report["symbols"].items():
        if not one["served"]:
            continue
        if one["age_s"] is None and uptime_ms / 1000 > limit_s:
            faults.append(f"{symbol}: no bar since the start")
        elif one["age_s"] is not None and one["age_s"] > limit_s and uptime_ms / 1000 > limit_s:
            faults.append(f"{symbol}: no bar for longer than {_STALE_AFTER_BARS} bars")
    for role in ("champion", "challenger"):
        if report[role]["refusal"]:
            faults.append(f"{role} refused: {report[role]['refusal']}")
    if report["champion"]["bundle"] is None:
        faults.append("no bundle serves: train one, or appoint one")
    if report["audit"]["last_different"]:
        faults.append(
            f"an answer came out otherwise when recomputed: {report['audit']['last_different']}"
        )
    if report["settings_refused"]:
        faults.append(f"the flags are not followed: {report['settings_refused']}")
    return faults
