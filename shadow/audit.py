"""Can every recorded decision be had again? `python -m shadow.audit --days 2`

Features and bundles belong to `plugin`, which nothing in `shadow` may import: this process becomes
`python -m plugin audit`, which does the work.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Hand over the arguments of the command line; does not return."""
    os.execv(sys.executable, [sys.executable, "-m", "plugin", "audit", *sys.argv[1:]])  # noqa: S606


if __name__ == "__main__":
    main()
