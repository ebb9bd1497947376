"""`python -m gates`: judge a bundle."""

from __future__ import annotations

import sys

from gates import check
from plugin.command_line import run_command

if __name__ == "__main__":
    sys.exit(run_command("python -m gates", __doc__ or "", (check,)))
