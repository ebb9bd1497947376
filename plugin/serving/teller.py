"""What does the live process tell those who watch it: one line a bar, and what is in force and why?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from plugin.answer import Answer
from plugin.clock import utc_minute, utc_text
from plugin.decision import permission
from plugin.serving.notify import Notifier
from plugin.serving.status_report import installed_version, missing_gates, n_absent, resident_bytes
from plugin.settings import LIVE_KEYS

if TYPE_CHECKING:
    from plugin.serving.metrics import Metrics
    from plugin.serving.service import Service

_log = structlog.get_logger()


class LastAnswer(NamedTuple):
    """The newest answer on a symbol, and the seconds from the close of its bar until it was out."""

    answer: Answer
    lag_s: float


class Teller:
    """Speaks when nobody waits: after the answers are out, or once a second."""

    def __init__(self, service: Service, notifier: Notifier, metrics: Metrics | None) -> None:
        self._service = service
        self._notifier = notifier
        self._metrics = metrics
        self._told_mode: tuple[object, ...] = ()

    def bars(self, answers: Sequence[Answer], answered_ms: int) -> None:
        """One line for each bar that was answered; `answered_ms` is when the answers were out."""
        length_ms = self._service.flags.current.timeframe.length_ms
        lags_s = []
        for answer in answers:
            lag_s = (answered_ms - answer.bar.open_time_ms - length_ms) / 1000
            lags_s.append(lag_s)
            if answer.is_new:
                self._service.last[answer.bar.symbol] = LastAnswer(answer, lag_s)
            _tell(answer, lag_s)
        if self._metrics is not None:
            self._metrics.answered(answers, lags_s)

    def in_force(self) -> None:
        """Once, when the process begins to answer."""
        service, flags = self._service, self._service.flags.current
        mode, reason = permission(flags, service.serving())
        roles = service.app.reloader.roles()
        _log.info(
            "in_force",
            version=installed_version(),
            mode=mode,
            reason=reason,
            champion=roles["champion"].bundle,
            challenger=roles["challenger"].bundle,
            source=flags.source,
            symbols=flags.symbols,
            followed=tuple(set(service.app.pipeline.buffers) - set(flags.symbols)),
            timeframe=flags.timeframe.name,
            socket=str(flags.socket),
            shadow_dir=str(flags.shadow_dir),
        )
        self.mode()

    def mode(self) -> None:
        """When the mode has changed, or what keeps it from being live."""
        flags, serving = self._service.flags.current, self._service.serving()
        mode, reason = permission(flags, serving)
        now = mode, reason, flags.enable_stacking, missing_gates(serving)
        if now == self._told_mode:
            return
        if self._told_mode and self._told_mode[:2] != now[:2]:
            _log.info("mode_changed", was=self._told_mode[0], now=mode, reason=reason)
        self._told_mode = now
        if flags.enable_stacking and mode != "live":
            _log.warning(
                "not_live",
                reason=reason,
                mode=mode,
                missing_gates=list(missing_gates(serving)),
                stays="decisions are recorded and steer nothing",
            )

    def systemd(self) -> None:
        """The line that `systemctl status` shows."""
        service = self._service
        mode, reason = permission(service.flags.current, service.serving())
        champion = service.app.reloader.champion
        newest_ms = max((b.newest_open_ms for b in service.app.pipeline.buffers.values()), default=0)
        bar = f"newest bar {utc_minute(newest_ms)} UTC" if newest_ms else "no bar yet"
        serves = champion.bundle.bundle_id if champion else "no bundle"
        self._notifier.status(f"{mode} ({reason}), {serves}, {bar}")

    def gauges(self) -> None:
        """How things stand, for Prometheus."""
        if self._metrics is None:
            return
        service, recorder = self._service, self._service.app.recorder
        flags, reloader = service.flags, service.app.reloader
        roles = reloader.roles()
        mode, _ = permission(flags.current, service.serving())
        self._metrics.sample(
            gauges={
                "live": mode == "live",
                "records_waiting": recorder.n_waiting,
                "resident_memory_bytes": resident_bytes(),
                "start_time_seconds": service.started_ms / 1000,
                "bundle_refused": any(state.refusal for state in roles.values()),
                "settings_refused": flags.complaint is not None,
                "audit_difference": service.self_audit.difference or 0.0,
            },
            audits=service.self_audit.results,
            totals={
                "records_written": recorder.n_written,
                "records_lost": recorder.n_lost,
                "reloads": service.n_reloads,
                "faults": service.n_faults,
            },
            flags={key: text for key, text in flags.current.as_text().items() if key in LIVE_KEYS},
            source=service.app.source.state(),
            bundles={role: state.bundle for role, state in roles.items()},
            windows={
                symbol: (
                    (buffer.newest_open_ms + buffer.timeframe.length_ms) / 1000,
                    buffer.n_bars,
                    n_absent(buffer),
                )
                for symbol, buffer in service.app.pipeline.buffers.items()
                if buffer.n_bars
            },
        )


def _tell(answer: Answer, lag_s: float) -> None:
    decision, prediction = answer.decision, answer.asked.prediction
    _log.info(
        "bar_answered",
        symbol=decision.symbol,
        bar=utc_text(decision.open_time_ms),
        mode=decision.mode,
        action=decision.action,
        p=prediction.meta_p if prediction else None,
        reason=decision.reason,
        latency_us=round(decision.latency_us, 1),
        lag_s=round(lag_s, 3),
        bundle=decision.bundle_id,
        **({} if answer.is_new else {"came_again": True}),
        **({"error": answer.asked.error} if answer.asked.error else {}),
    )
