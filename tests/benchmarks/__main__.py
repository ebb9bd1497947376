"""`python -m tests.benchmarks`: how far from the bare runtime calls is each part?"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import structlog
from rich.console import Console

from plugin.errors import WrongUse
from plugin.registry import Registry
from tests.benchmarks import (
    bar_close,
    client_faults,
    history,
    memory,
    networks,
    report,
    round_trip,
    training,
)
from tests.benchmarks.market import Market
from tests.benchmarks.setting import FULL, QUICK, Setting
from tests.benchmarks.timing import Machine

BENCHMARKS: dict[str, Any] = {
    "bar_close": bar_close,
    "round_trip": round_trip,
    "client_faults": client_faults,
    "memory": memory,
    "history": history,
    "report": report,
    "networks": networks,
}
NAMES = ("training", *BENCHMARKS)
_EPILOG = """\
examples:
  python -m tests.benchmarks
  python -m tests.benchmarks --only bar_close --models-dir models --json bench/latency.json
  python -m tests.benchmarks --only training --whole-training

Real bars come from --market or MARKET_DATA; without either the market is simulated.
docs/performance.md says how the figures are measured.
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the chosen benchmarks, print tables, write JSON."""
    options = _parser().parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))  # errors
    console = Console(highlight=False)
    before, started = Machine.here(), time.monotonic()
    try:
        with TemporaryDirectory() as scratch:
            results, is_simulated = _run(options, Path(scratch), console)
    except WrongUse as error:
        sys.stderr.write(f"{error}\n")
        return 2
    answer = {
        "machine": before,
        "load_after": Machine.here().load,
        "minutes": round((time.monotonic() - started) / 60, 2),
        "simulated": is_simulated,
        "quick": options.quick,
        "results": results,
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_bytes(msgspec.json.format(msgspec.json.encode(answer), indent=1) + b"\n")
    console.print(
        f"load of {before.n_cores} cores {before.load:.1f} before, {answer['load_after']:.1f} after; "
    )
    console.print(f"written to {options.json}")
    return 0


def _run(options: argparse.Namespace, scratch: Path, console: Console) -> tuple[dict[str, Any], bool]:
    scale = QUICK if options.quick else FULL
    market = _market(options.market, scratch / "candles", scale.history_bars + 600)
    if market.is_simulated:
        console.print("SIMULATED market: no real prices", style="bold yellow")
    results: dict[str, Any] = {}
    models_dir = options.models_dir
    if models_dir is None or "training" in options.only:
        trained_in = scratch / "models"
        with console.status("training"):
            outcome = training.train(market, trained_in, whole=options.whole_training)
        models_dir = models_dir or trained_in
        if "training" in options.only:
            results["training"] = training.figures(outcome)
            console.print(*training.tables(results["training"]))
    registry = Registry(models_dir)
    pointer = registry.champion()
    if pointer is None:
        raise WrongUse("a champion to serve", f"none in {models_dir}", "leave --models-dir out")
    setting = Setting(market, registry.bundle_folder(pointer), scratch, scale)
    for name, benchmark in BENCHMARKS.items():
        if name in options.only:
            with console.status(name.replace("_", " ")):
                results[name] = benchmark.measure(setting)
            console.print(*benchmark.tables(results[name]))
    return results, market.is_simulated


def _market(named: Path | None, scratch: Path, n_bars: int) -> Market:
    folder = named or (Path(os.environ["MARKET_DATA"]) if os.environ.get("MARKET_DATA") else None)
    return Market.at(folder) if folder else Market.simulated(scratch, n_bars)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks",
        description="Measure the product against the bare calls that it is made of.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("bench/benchmarks.json"),
        help="(default: bench/benchmarks.json)",
    )
    parser.add_argument("--market", type=Path, help="folder of stored bars (default: MARKET_DATA)")
    parser.add_argument(
        "--models-dir", type=Path, help="serve its champion (default: train one on BTC/USDT)"
    )
    parser.add_argument(
        "--whole-training", action="store_true", help="train with all folds and assets, not a short one"
    )
    parser.add_argument(
        "--quick", action="store_true", help="very few repetitions, to see that it runs"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
