"""The real freqtrade, in its own environment, with a local exchange in the place of Binance."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import feather

from plugin.candles import ABSENT, Candles
from tests.support.host_environment import host_python

ROOT = Path(__file__).parents[2]
_COLUMNS = ("open", "high", "low", "close", "volume")
_DATA_FOLDER = "data/binance"
_BACKTEST_SECONDS = 300

Trade = dict[str, Any]


def write_config(folder: Path, exchange_url: str, strategy: str, pairs: list[str]) -> Path:
    """Hourly candles, a dry-run wallet, 5,000 USDT a trade, one trade a pair."""
    api = dict.fromkeys(("public", "private"), f"{exchange_url}/api/v3")
    others = {name: f"{exchange_url}/sapi/{name}" for name in ("sapi", "sapiV2", "sapiV3", "sapiV4")}
    ccxt = {
        "urls": {"api": {**api, **others, "v1": f"{exchange_url}/api/v1"}},
        "enableRateLimit": False,
        "timeout": 36_000_000,  # a fast clock makes short work of ten seconds
        "options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}},
    }
    pricing = {"price_side": "other", "use_order_book": True, "order_book_top": 1}
    config = {
        "bot_name": "beside",
        "strategy": strategy,
        "timeframe": "1h",
        "dry_run": True,
        "dry_run_wallet": 100_000,
        "trading_mode": "spot",
        "margin_mode": "",
        "max_open_trades": len(pairs),
        "stake_currency": "USDT",
        "stake_amount": 5_000,
        "fiat_display_currency": "",
        "dataformat_ohlcv": "feather",
        "exchange": {
            "name": "binance",
            "key": "",
            "secret": "",
            "enable_ws": False,
            "ccxt_config": ccxt,
            "ccxt_async_config": {"aiohttp_trust_env": False},
            "pair_whitelist": pairs,
            "pair_blacklist": [],
        },
        "entry_pricing": pricing,
        "exit_pricing": pricing,
        "pairlists": [{"method": "StaticPairList"}],
        "telegram": {"enabled": False, "token": "", "chat_id": ""},
        "internals": {"process_throttle_secs": 60},
        "initial_state": "running",
    }
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    return path


def write_candles(userdir: Path, candles: Candles) -> None:
    """As freqtrade keeps downloaded candles."""
    present = candles.bars[ABSENT] == 0
    dates = pa.array(candles.open_time_ms[present], pa.timestamp("ms", tz="UTC"))
    columns = dict(zip(_COLUMNS, candles.bars[:ABSENT, present], strict=True))
    table = pa.table({"date": dates, **{name: pa.array(column) for name, column in columns.items()}})
    folder = userdir / _DATA_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    name = candles.symbol.replace("/", "_").replace("-", "_")
    feather.write_feather(table, folder / f"{name}-{candles.timeframe.name}.feather", compression="lz4")


def write_strategies(userdir: Path, source: Path) -> None:
    """Give the bot the strategies of a file, whose FOLDER becomes `userdir`."""
    (userdir / "strategies").mkdir()
    text = source.read_text().replace('os.environ["SHADOWGATE_TEST_FOLDER"]', repr(str(userdir)))
    (userdir / "strategies" / source.name).write_text(text)


def environment(**more: str) -> dict[str, str]:
    """What the bot sees: the checkout to import the mixin from, and no settings of shadowgate."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("ML_", "PYTHON"))}
    return {**ours, "PYTHONPATH": str(ROOT), "TZ": "UTC", **more}


def backtest(
    config: Path, userdir: Path, strategies: list[str], since_ms: int, until_ms: int
) -> tuple[dict[str, list[Trade]], str]:
    """The trades of each strategy, entered in `[since_ms, until_ms)`, and what the bot has logged."""
    command = [
        *(host_python("freqtrade"), "-m", "freqtrade", "backtesting"),
        *("--config", config, "--userdir", userdir, "--datadir", userdir / _DATA_FOLDER),
        *("--strategy-list", *strategies, "--timerange", f"{since_ms // 1000}-{until_ms // 1000}"),
        *("--export", "trades", "--cache", "none"),
    ]
    ended = subprocess.run(
        command,
        cwd=userdir,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=_BACKTEST_SECONDS,
        check=False,
    )
    log = ended.stderr + ended.stdout
    assert ended.returncode == 0, log[-5_000:]
    results = userdir / "backtest_results"
    name = json.loads((results / ".last_result.json").read_text())["latest_backtest"]
    with zipfile.ZipFile(results / name) as archive:
        said = json.loads(archive.read(name.replace(".zip", ".json")))
    return {strategy: said["strategy"][strategy]["trades"] for strategy in strategies}, log
