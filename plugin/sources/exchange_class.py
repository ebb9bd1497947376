"""How is one exchange of ccxt made without the hundred others?

`import ccxt` imports every exchange, about 80 MB of memory for one that is needed. Here the package
modules are put in their places without being executed. What a package lacks is looked up when somebody
asks for it: first among its submodules, for every exchange has one of its own name; then its `__init__`
is executed after all, so that nothing can be missing, and the memory is spent.

The trap: `import ccxt.pro.binance` makes a *module* of the attribute `binance`, while the classes of
ccxt inherit from `ccxt.async_support.binance` as a class. `_LeanPackage` keeps the class.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import structlog

from plugin.candle_store import did_you_mean
from plugin.errors import WrongUse
from plugin.sources.exchange_answers import moved, one_line

_log = structlog.get_logger()
TIMEOUT_S = 15.0
_CLOSING_S = 10.0

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
_NO_EXCHANGES = ("abstract", "base", "test")
_HELD_BARS = 20  # of each symbol that a websocket follows; ccxt would hold a thousand


def _is_inverse(symbol: str) -> bool:
    return symbol.partition(":")[2].partition("-")[0] == symbol.partition("/")[0]


# Binance's class asks three hosts for their markets where one has what is followed.
_BINANCE_MARKETS: dict[str, Callable[[str], bool]] = {
    "spot": lambda symbol: ":" not in symbol,
    "linear": lambda symbol: ":" in symbol and not _is_inverse(symbol),
    "inverse": _is_inverse,
}


class _LeanPackage(ModuleType):
    """A package of ccxt whose `__init__` runs only if nothing else helps."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        errors = importlib.import_module("ccxt.base.errors")
        if hasattr(errors, name):
            return getattr(errors, name)
        if self.__name__ == "ccxt" and name == "Exchange":
            return importlib.import_module("ccxt.base.exchange").Exchange
        if importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            importlib.import_module(f"{self.__name__}.{name}")
            return self.__dict__[name]
        self.__class__ = ModuleType  # type: ignore[assignment]  # an ordinary package from now on
        self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]  # it has one, see below
        return getattr(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and isinstance(vars(value).get(name), type):
            value = vars(value)[name]
        super().__setattr__(name, value)


def exchange_names() -> list[str]:
    """The exchanges that ccxt knows, in alphabetical order."""
    _lay_packages()
    found = pkgutil.iter_modules(sys.modules["ccxt.async_support"].__path__)
    return sorted(one.name for one in found if one.name not in _NO_EXCHANGES)


def exchange_class(name: str) -> Any:
    """The asynchronous class of an exchange: with websockets where ccxt has them, else REST alone.

    Raises WrongUse with near names for an exchange that ccxt does not know.
    """
    if name not in exchange_names():
        raise WrongUse("an exchange that ccxt knows", name, did_you_mean(name, exchange_names()))
    has_websockets = importlib.util.find_spec(f"ccxt.pro.{name}") is not None
    package = "ccxt.pro" if has_websockets else "ccxt.async_support"
    return getattr(importlib.import_module(f"{package}.{name}"), name)


def make_exchange(kind: Any, url: str, symbols: Sequence[str]) -> Any:
    """An object of an exchange's class, without keys. `url` replaces its hosts unless it is empty."""
    exchange = kind({"timeout": int(TIMEOUT_S * 1000), "enableRateLimit": False})
    # ccxt's own pacing goes by the time of day and hangs when that is set back.
    exchange.enableLastJsonResponse = True
    exchange.enableLastResponseHeaders = True
    exchange.options["OHLCVLimit"] = _HELD_BARS
    if exchange.id == "binance":
        exchange.options["fetchMarkets"] = {
            "types": [name for name, fits in _BINANCE_MARKETS.items() if any(map(fits, symbols))]
        }
    if url:
        exchange.urls["api"] = moved(exchange.urls["api"], url)
    return exchange


async def close_exchange(exchange: Any) -> None:
    """Close what an exchange object has open; a server that does not answer can not hold this up."""
    try:
        async with asyncio.timeout(_CLOSING_S):
            await exchange.close()
    except Exception as error:  # whatever ccxt trips over here, we are done with the object
        _log.info("exchange_not_closed", reason=one_line(error))


def _lay_packages() -> None:
    for name in _PACKAGES:
        if name in sys.modules:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ImportError(name)
        package = importlib.util.module_from_spec(spec)
        package.__class__ = _LeanPackage
        sys.modules[name] = package
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, package)
