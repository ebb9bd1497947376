"""Which arguments do several commands have in common?"""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_store(parser: argparse.ArgumentParser) -> None:
    """The argument --store: where bars are stored."""
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("ML_CANDLES_DIR", "data/candles")),
        help="folder of stored bars (default: ML_CANDLES_DIR, or else data/candles)",
    )
