"""One exchange of ccxt without the hundred others: the real class, and little memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from plugin.errors import WrongUse
from plugin.sources.exchange_class import exchange_class, exchange_names, make_exchange

_CHILD = """
import sys
from plugin.sources.exchange_class import exchange_class, exchange_names
def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6
import aiohttp, cryptography.hazmat.primitives.serialization, requests
before = megabytes()
kind = exchange_class("{name}")
made = kind()
lean = megabytes() - before
n_lean = sum(name.startswith("ccxt") for name in sys.modules)
import ccxt, ccxt.pro, ccxt.async_support
assert issubclass(kind, ccxt.async_support.Exchange) and made.id == "{name}"
assert ccxt.pro.{name} is kind and isinstance(ccxt.async_support.{name}, type)
assert ccxt.NetworkError is ccxt.base.errors.NetworkError
assert set(ccxt.exchanges) == set(exchange_names())  # this executes the whole package after all
assert ccxt.kraken().id == "kraken" and ccxt.async_support.okx.__name__ == "okx"
assert ccxt.pro.{name} is kind
print(lean, n_lean)
"""


@pytest.mark.parametrize("name", ["binance", "binanceusdm", "kraken"])
def test_it_is_the_real_class_and_the_rest_of_ccxt_still_works(name: str) -> None:
    program = _CHILD.format(name=name)
    child = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    lean, n_modules = map(float, child.stdout.split())
    assert n_modules < 40, "of more than three hundred"
    assert lean < 45, "megabytes, where all of ccxt takes eighty"


def test_every_exchange_of_ccxt_can_be_had() -> None:
    assert {"binance", "kraken", "okx", "bybit"} <= set(exchange_names())
    assert exchange_class("zaif")({}).has["watchOHLCV"] is None  # ccxt has no websocket for it
    assert exchange_class("okx")({}).has["watchOHLCV"] is True


def test_an_unknown_exchange_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(WrongUse, match="did you mean binance"):
        exchange_class("binanse")


def test_a_mirror_takes_the_place_of_every_host() -> None:
    exchange = make_exchange(exchange_class("binance"), "https://mirror.example", ["BTC/USDT"])
    assert exchange.urls["api"]["public"] == "https://mirror.example/api/v3"
    assert exchange.urls["api"]["ws"]["spot"] == "wss://mirror.example/ws"


@pytest.mark.parametrize(
    ("symbols", "types"),
    [
        (["BTC/USDT"], ["spot"]),
        (["BTC/USDT:USDT"], ["linear"]),
        (["BTC/USD:BTC", "ETH/USDT"], ["spot", "inverse"]),
    ],
)
def test_binance_is_asked_only_for_the_markets_that_are_followed(
    symbols: list[str], types: list[str]
) -> None:
    exchange = make_exchange(exchange_class("binance"), "", symbols)
    assert exchange.options["fetchMarkets"]["types"] == types
