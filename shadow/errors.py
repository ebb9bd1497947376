"""What can go wrong with a shadow log, and the base of all that goes wrong on purpose.

    ShadowgateError
    ├── LogInUse      another process writes this folder already
    ├── LogUnusable   the folder or a file of it can not be read or written
    └── …             the errors of the live process, in `plugin.errors`

The base stands here because `shadow` is the leaf of the imports.
"""

import msgspec

NOT_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not the JSON that was asked for."""


class ShadowgateError(Exception):
    """Catch this to catch everything that shadowgate raises on purpose.

    An error keeps the facts and words itself: what was expected, what it was, what to do.
    """

    def __init__(self, expected: str, was: object, remedy: str) -> None:
        super().__init__(expected, was, remedy)
        self.expected = expected
        self.was = was
        self.remedy = remedy

    def __str__(self) -> str:
        return f"expected {self.expected}, was {self.was}; {self.remedy}"


class LogInUse(ShadowgateError):
    """Two writers would tear each other's lines, so the second is refused."""


class LogUnusable(ShadowgateError):
    """The folder or a file of it can not be read or written."""
