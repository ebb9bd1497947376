"""Which limits hold for what is shown of a log: the built-in ones, or some that a file changes?"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from shadow.checklist import LIMITS, Limits
from shadow.compare import PAIR_LIMITS, PairLimits
from shadow.limits_file import changed_by, changed_limits, read_limits_file


class ReportLimits(NamedTuple):
    """Those of the checklist and those of a pair; `changed` says in words which are not built in."""

    checklist: Limits = LIMITS
    pair: PairLimits = PAIR_LIMITS
    changed: dict[str, str] = {}  # noqa: RUF012  (never changed, as the tuple itself)


def read_report_limits(path: Path | None) -> ReportLimits:
    """The built-in limits with what a file says; without a `path`, `limits.toml` if it is there.

    Raises LimitsRefused.
    """
    file = read_limits_file(path)
    limits = changed_by(LIMITS, file.tables.get("shadow", {}), file, "shadow.")
    own = {name: file.tables[name] for name in PAIR_LIMITS.__struct_fields__ if name in file.tables}
    pair = changed_by(PAIR_LIMITS, own, file)
    changed = changed_limits(limits, LIMITS, "shadow.") | changed_limits(pair, PAIR_LIMITS)
    return ReportLimits(limits, pair, changed)
