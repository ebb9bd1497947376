"""Which arguments do several commands have in common?"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

_LARGEST_SEED = 2**31 - 1  # the libraries read it as a C integer


def add_store(parser: argparse.ArgumentParser) -> None:
    """The argument --store: where bars are stored."""
    parser.add_argument(
        "--store",
        type=Path,
        default=Path(os.environ.get("ML_CANDLES_DIR", "data/candles")),
        help="folder of stored bars (default: ML_CANDLES_DIR, or else data/candles)",
    )


def add_models_dir(parser: argparse.ArgumentParser) -> None:
    """The argument --models-dir: where is kept what was learnt."""
    parser.add_argument(
        "--models-dir",
        type=Path,
        default=Path(os.environ.get("ML_MODELS_DIR", "models")),
        help="(default: ML_MODELS_DIR, or else models)",
    )


def seed(text: str) -> int:
    """A seed that all libraries can read."""
    if not text.isdecimal() or int(text) > _LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"expected a seed from 0 to {_LARGEST_SEED}, was {text!r}")
    return int(text)
