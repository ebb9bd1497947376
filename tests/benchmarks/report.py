"""How long does the report on a million records take, and how much memory?"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from msgspec.structs import replace
from rich.table import Table

from shadow.files import cut_lines, day_files, utc_text
from shadow.record import BarRecord, DecisionRecord, MemberRecord, encode_line
from tests.benchmarks.child import ReportRun, run_child
from tests.benchmarks.market import HOURLY
from tests.benchmarks.setting import Setting
from tests.benchmarks.showing import table_of

_START_MS = 1_704_067_200_000  # 2024-01-01
_DAY_MS = 86_400_000
_MEMBERS = ("lgb", "xgb", "cross")
_HORIZONS = ("5", "12", "24")


class Report(msgspec.Struct, frozen=True):
    """`bare_s` is msgspec decoding the same lines into BarRecord, one after the other."""

    n_records: int
    line_bytes: float
    bare_s: float
    run: ReportRun
    to_bare: float


def measure(setting: Setting) -> Report:
    """Read and weigh records of the shape that the live side writes, in a process of its own."""
    n_symbols = setting.scale.n_recorded_symbols
    n_hours = setting.scale.n_records // n_symbols
    with TemporaryDirectory(dir=setting.scratch) as name:
        folder = Path(name)
        _write_log(folder, n_symbols, n_hours)
        n_bytes = sum(path.stat().st_size for path in day_files(folder))
        bare_s = _bare_s(folder)
        now_ms = _START_MS + n_hours * HOURLY.length_ms
        days = -(-n_hours * HOURLY.length_ms // _DAY_MS)
        one_thread = {"OPENBLAS_NUM_THREADS": "1"}  # as the command itself
        run = run_child("report", [str(folder), str(now_ms), str(days)], ReportRun, one_thread)
    n_records = n_symbols * n_hours
    to_bare = (run.read_s + run.find_s) / bare_s
    return Report(n_records, n_bytes / n_records, bare_s, run, to_bare)


def _write_log(folder: Path, n_symbols: int, n_hours: int) -> None:
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.006, (n_hours, n_symbols)), axis=0))
    said = random.uniform(0.4, 0.6, (n_hours, n_symbols, len(_MEMBERS) + 1, len(_HORIZONS)))
    pattern = _pattern()
    seq = 0
    for hour in range(n_hours):
        open_time_ms = _START_MS + hour * HOURLY.length_ms
        written_at = utc_text(open_time_ms + HOURLY.length_ms)
        lines = []
        for symbol, (price, answers) in enumerate(
            zip(close[hour].tolist(), said[hour].tolist(), strict=True)
        ):
            *members, stacked = [dict(zip(_HORIZONS, answer, strict=True)) for answer in answers]
            seq += 1
            record = replace(
                pattern,
                seq=seq,
                written_at=written_at,
                symbol=f"SIM{symbol}/USDT",
                open_time_ms=open_time_ms,
                high=price * 1.003,
                low=price * 0.997,
                close=price,
                members={
                    name: MemberRecord(by_horizon["5"], "ok", 12.5, by_horizon)
                    for name, by_horizon in zip(_MEMBERS, members, strict=True)
                },
                meta_p=stacked["5"],
                probabilities=stacked,
            )
            lines.append(encode_line(record))
        with open(folder / f"{written_at[:10]}.jsonl", "ab") as file:
            file.write(b"".join(lines))


def _pattern() -> BarRecord:
    return BarRecord(
        seq=0,
        written_at="",
        symbol="",
        timeframe=HOURLY.name,
        open_time_ms=0,
        close=0.0,
        mode="shadow",
        ml_stacking_mode="active",
        ml_reason="ok",
        ml_error=None,
        members={},
        meta_p=None,
        probabilities={},
        decision=DecisionRecord("flat", _START_MS, 1.0, 2.0, "mid", "stacking_off"),
        host_signal=None,
        champion="20240101T000000Z-0123456789ab",
        challenger=None,
        flags={
            "ML_ENABLED": "1",
            "ML_ENABLE_STACKING": "0",
            "ML_REQUIRE_SHADOW_PASS": "1",
            "ML_STACKING_MIN_SAMPLES": "10000",
            "ML_AUTO_PROMOTE": "0",
            "ML_DECISION_TIMEOUT_MS": "250",
            "ML_EXCHANGE": "simulated",
            "ML_SOURCE": "replay",
        },
        feature_hash="0123456789abcdef",
        latency_us=100.0,
    )


def _bare_s(folder: Path) -> float:
    decoder = msgspec.json.Decoder(BarRecord)
    seconds = 0.0
    for path in day_files(folder):
        lines = list(cut_lines(path))
        started = time.perf_counter()
        for line in lines:
            decoder.decode(line)
        seconds += time.perf_counter() - started
    return seconds


def tables(report: Report) -> Iterator[Table]:
    """One row a figure."""
    rows = [
        ("bare decoding", f"{report.bare_s:.2f} s"),
        ("read_window", f"{report.run.read_s:.2f} s"),
        ("find, all that it says", f"{report.run.find_s:.2f} s"),
        ("both, to bare decoding", f"{report.to_bare:.2f}"),
        ("peak memory", f"{report.run.peak_mib:.0f} MiB"),
    ]
    title = f"Report over {report.n_records:,} records of {report.line_bytes:,.0f} bytes"
    yield table_of(title, ("", ""), rows)
