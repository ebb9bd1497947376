"""What does Prometheus see of the live process?

A registry of its own, served on loopback by a thread of its own. Counters move when the answers are
out, gauges about once a second: a scrape reads numbers and touches nothing that a bar needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    start_http_server,
)

from plugin.answer import Answer
from plugin.beside import beside
from plugin.errors import WrongUse

HOST = "127.0.0.1"
_LATENCIES_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_LAGS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
_MEMBER_STATES = ("ok", "constant", "nan")


class Metrics:
    """All that is exposed. `port` 0 is none: then nothing is served, and the numbers move for nobody.

    Within its `async with` block they are served.
    """

    def __init__(self, port: int) -> None:
        """Raises WrongUse where the port is taken."""
        disable_created_metrics()  # type: ignore[no-untyped-call]  # nobody asks when a count began
        self.registry = CollectorRegistry()
        self._counted: dict[str, float] = {}
        self._make_counters()
        self._make_gauges()
        try:
            self._server = start_http_server(port, HOST, self.registry)[0] if port else None
        except OSError as error:
            was = error.strerror or str(error)
            raise WrongUse(
                f"to serve metrics on {HOST}:{port}", was, "choose another ML_METRICS_PORT"
            ) from error

    def _make_counters(self) -> None:
        of = self.registry
        self._bars = Counter(
            "shadowgate_bars_answered",
            "Bars answered",
            ["symbol", "mode", "action", "reason"],
            registry=of,
        )
        self._latency = Histogram(
            "shadowgate_decision_latency_seconds",
            "From the arrival of a bar to its decision",
            buckets=_LATENCIES_S,
            registry=of,
        )
        self._lag = Histogram(
            "shadowgate_answer_lag_seconds",
            "From the close of a bar to its answer",
            buckets=_LAGS_S,
            registry=of,
        )
        self._audits = Counter(
            "shadowgate_audits", "Decided bars that were recomputed", ["result"], registry=of
        )
        self._challenged = Counter(
            "shadowgate_challenger_answers",
            "Bars about which the challenger was asked",
            ["reason"],
            registry=of,
        )
        self._rising = {
            name: Counter(f"shadowgate_{name}", text, registry=of)
            for name, text in {
                "records_written": "Lines written into the shadow log",
                "records_lost": "Records that could not be written or found no room",
                "reloads": "Looks at the registry that were asked for by a signal",
                "faults": "Exceptions that no other place caught",
            }.items()
        }

    def _make_gauges(self) -> None:
        of = self.registry
        self._gauges = {
            name: Gauge(f"shadowgate_{name}", text, registry=of)
            for name, text in {
                "live": "1 while decisions may steer",
                "records_waiting": "Answers that are not on disk yet",
                "resident_memory_bytes": "Memory of the process",
                "start_time_seconds": "When the process began, since the epoch",
                "bundle_refused": "1 while a bundle that was appointed is refused",
                "settings_refused": "1 while the flags in the file can not be understood",
                "audit_difference": "How far the last recomputed probability lay from what was said",
            }.items()
        }
        self._flags = Gauge("shadowgate_flag", "Numeric flags in force", ["flag"], registry=of)
        self._source = Gauge(
            "shadowgate_source", "What the source says of itself in numbers", ["field"], registry=of
        )
        self._newest = Gauge(
            "shadowgate_newest_bar_close_seconds",
            "When the newest bar closed, since the epoch",
            ["symbol"],
            registry=of,
        )
        self._held = Gauge("shadowgate_bars_held", "Bars in the window", ["symbol"], registry=of)
        self._absent = Gauge(
            "shadowgate_bars_absent", "Absent bars in the window", ["symbol"], registry=of
        )
        self._member = Gauge(
            "shadowgate_member_health",
            "1 for the state that a member was in when it was asked last",
            ["symbol", "member", "state"],
            registry=of,
        )
        self._bundle = Gauge(
            "shadowgate_bundle_info", "1 for what is in service", ["role", "bundle"], registry=of
        )

    async def __aenter__(self) -> None:
        return

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await beside(self.close, "metrics")

    def close(self) -> None:
        """Give the port back."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def answered(self, answers: Sequence[Answer], lags_s: Sequence[float]) -> None:
        """Count answers that are out; `lags_s` has for each the seconds since its close."""
        for answer, lag_s in zip(answers, lags_s, strict=True):
            decision = answer.decision
            self._bars.labels(decision.symbol, decision.mode, decision.action, decision.reason).inc()
            if answer.is_decided:
                self._latency.observe(decision.latency_us / 1e6)
                self._lag.observe(lag_s)
            if answer.challenger is not None:
                self._challenged.labels(answer.challenger.reason).inc()
            prediction = answer.asked.prediction
            if prediction is not None:
                for name, state in zip(prediction.asking.members, prediction.statuses, strict=True):
                    for one in _MEMBER_STATES:
                        self._member.labels(decision.symbol, name, one).set(one == state)

    def sample(
        self,
        *,
        gauges: Mapping[str, float],
        totals: Mapping[str, float],
        audits: Mapping[str, int],
        flags: Mapping[str, str],
        source: Mapping[str, object],
        bundles: Mapping[str, str | None],
        windows: Mapping[str, tuple[float, int, int]],
    ) -> None:
        """Take over how things stand. `windows` has the newest close in seconds, the bars held and
        those absent of each symbol."""
        for name, value in gauges.items():
            self._gauges[name].set(value)
        rising = {name: (self._rising[name], total) for name, total in totals.items()}
        rising |= {f"audits {one}": (self._audits.labels(one), n) for one, n in audits.items()}
        for name, (counter, total) in rising.items():
            counter.inc(max(0.0, total - self._counted.get(name, 0.0)))
            self._counted[name] = max(total, self._counted.get(name, 0.0))
        for key, text in flags.items():
            self._flags.labels(key).set(float(text))
        for field, number in _numbers(source):
            self._source.labels(field).set(number)
        self._bundle.clear()
        for role, bundle in bundles.items():
            if bundle is not None:
                self._bundle.labels(role, bundle).set(1)
        for symbol, (close_s, n_bars, n_absent) in windows.items():
            self._newest.labels(symbol).set(close_s)
            self._held.labels(symbol).set(n_bars)
            self._absent.labels(symbol).set(n_absent)


def _numbers(state: Mapping[str, object], prefix: str = "") -> list[tuple[str, float]]:
    """The numbers and switches of a source's state, those inside it too, by dotted names."""
    found: list[tuple[str, float]] = []
    for name, value in state.items():
        if isinstance(value, Mapping):
            found += _numbers(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float):
            found.append((f"{prefix}{name}", float(value)))
    return found
