"""What can go wrong here, as one tree.

    ShadowgateError
    ├── WrongUse         a flag, a setting, a path or a file that a person gave; exit code 2
    ├── BarRejected      a bar that breaks an invariant of a bar; it never reaches the buffer
    └── BundleRefused    a bundle that is damaged, incomplete, foreign or unable to repeat its answers

The base, which keeps the facts and words itself, stands in `shadow.errors`.
"""

from shadow.errors import NOT_JSON, ShadowgateError

__all__ = ["NOT_JSON", "BarRejected", "BundleRefused", "ShadowgateError", "WrongUse"]


class WrongUse(ShadowgateError):
    """A flag, a setting, a path or a file that a person gave can not be used."""


class BarRejected(ShadowgateError):
    """A bar breaks an invariant; `reason` is the short word that logs and records carry."""

    def __init__(self, reason: str, expected: str, was: object) -> None:
        super().__init__(expected, was, "the bar is dropped")
        self.reason = reason


class BundleRefused(ShadowgateError):
    """A bundle must not serve; `file` is the file of it that is wrong."""

    def __init__(self, file: str, expected: str, was: object) -> None:
        super().__init__(expected, was, "the bundle is refused")
        self.file = file

    def __str__(self) -> str:
        return f"{self.file}: {super().__str__()}"
