"""What can go wrong with a shadow log, as one tree.

    ShadowError
    ├── LogInUse      another process writes this folder already
    └── LogUnusable   the folder or a file of it can not be read or written

`shadow` is the leaf of the imports, so this tree is not a branch of the live process's.
"""


class ShadowError(Exception):
    """The base: what was expected, what it was, what to do."""

    def __init__(self, expected: str, was: object, remedy: str) -> None:
        super().__init__(expected, was, remedy)
        self.expected = expected
        self.was = was
        self.remedy = remedy

    def __str__(self) -> str:
        return f"expected {self.expected}, was {self.was}; {self.remedy}"


class LogInUse(ShadowError):
    """Two writers would tear each other's lines, so the second is refused."""


class LogUnusable(ShadowError):
    """The folder or a file of it can not be read or written."""
