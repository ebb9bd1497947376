"""How does Binance spell what the local exchange knows: REST answers, and frames of the websocket?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plugin.bar import Timeframe
from tests.support.exchange import market
from tests.support.live_market import Kline

if TYPE_CHECKING:
    from tests.support.live_exchange import LiveExchange

_PAGE = 500
_LONGEST_PAGE = 1000
_SPREAD = 0.0001
_DAY_MS = 86_400_000
_FUTURES = ("/fapi/", "/dapi/", "/eapi/")


def answer(exchange: LiveExchange, path: str, query: dict[str, str]) -> tuple[int, object]:
    """Status and JSON of a REST request without a fault."""
    if path.startswith(_FUTURES):
        return 200, {"symbols": []}
    named = {name.replace("/", ""): name for name in exchange.markets}
    chosen = list(named.values())
    if "symbol" in query:
        chosen = [named[query["symbol"]]] if query["symbol"] in named else []
        if not chosen or chosen[0] in exchange.delisted:
            return 400, {"code": -1121, "msg": "Invalid symbol."}
    endpoint = path.removeprefix("/api/v3/")
    if endpoint == "klines" and query.get("interval") != exchange.timeframe.name:
        return 400, {"code": -1120, "msg": "Invalid interval."}
    said = _said(exchange, endpoint, chosen, query)
    return (200, said) if said is not None else (404, {"code": -1, "msg": f"{path} is not served here"})


def frame(symbol: str, timeframe: Timeframe, kline: Kline, now_ms: int) -> dict[str, object]:
    """A bar as the websocket tells it: `x` says whether it has closed."""
    opening, high, low, close, volume = map(repr, kline.ohlcv)
    name = symbol.replace("/", "")
    return {
        "e": "kline",
        "E": now_ms,
        "s": name,
        "k": {
            "t": kline.open_time_ms,
            "T": kline.open_time_ms + timeframe.length_ms - 1,
            "s": name,
            "i": timeframe.name,
            "f": 100,
            "L": 200,
            "o": opening,
            "c": close,
            "h": high,
            "l": low,
            "v": volume,
            "n": 100,
            "x": kline.is_closed,
            "q": "0",
            "V": "0",
            "Q": "0",
            "B": "0",
        },
    }


def _said(
    exchange: LiveExchange, endpoint: str, symbols: list[str], query: dict[str, str]
) -> object | None:
    """What there is to say of these symbols; None for what is not known here."""
    said: object = None
    match endpoint:
        case "ping":
            said = {}
        case "time":
            said = {"serverTime": exchange.now_ms()}
        case "exchangeInfo":
            said = {"timezone": "UTC", "symbols": [_listed(exchange, name) for name in symbols]}
        case "ticker/24hr" | "ticker/price" | "ticker/bookTicker":
            tickers = [_ticker(exchange, name) for name in symbols]
            said = tickers[0] if "symbol" in query else tickers
        case "klines":
            said = _klines(exchange, symbols[0], query)
        case "depth":
            said = _depth(exchange, symbols[0], int(query.get("limit", 100)))
        case "trades" | "aggTrades":
            said = []
    return said


def _listed(exchange: LiveExchange, symbol: str) -> dict[str, object]:
    status = "BREAK" if symbol in exchange.delisted else "TRADING"
    return market(symbol) | {"status": status}


def _klines(exchange: LiveExchange, symbol: str, query: dict[str, str]) -> list[list[object]]:
    since_ms = int(query["startTime"]) if "startTime" in query else None
    limit = min(int(query.get("limit", _PAGE)), _LONGEST_PAGE)
    now_ms = exchange.now_ms()
    until_ms = int(query.get("endTime", now_ms))
    page = exchange.markets[symbol].page(since_ms, until_ms, limit, now_ms)
    return [_row(kline, exchange.timeframe) for kline in page]


def _row(kline: Kline, timeframe: Timeframe) -> list[object]:
    opened_ms = kline.open_time_ms
    values = map(repr, kline.ohlcv)
    return [opened_ms, *values, opened_ms + timeframe.length_ms - 1, "0", 1, "0", "0", "0"]


def _price(exchange: LiveExchange, symbol: str) -> float:
    newest = exchange.markets[symbol].newest(exchange.now_ms())
    return newest.ohlcv[3] if newest else 1.0


def _ticker(exchange: LiveExchange, symbol: str) -> dict[str, object]:
    """What the three tickers say, in one."""
    price, now_ms = _price(exchange, symbol), exchange.now_ms()
    text = f"{price:.2f}"
    prices = ("price", "lastPrice", "prevClosePrice", "openPrice", "highPrice", "lowPrice")
    return {
        "symbol": symbol.replace("/", ""),
        **dict.fromkeys((*prices, "weightedAvgPrice"), text),
        "bidPrice": f"{price * (1 - _SPREAD):.2f}",
        "askPrice": f"{price * (1 + _SPREAD):.2f}",
        "bidQty": "10",
        "askQty": "10",
        "lastQty": "1",
        "priceChange": "0",
        "priceChangePercent": "0",
        "volume": "1000",
        "quoteVolume": f"{1000 * price:.2f}",
        "openTime": now_ms - _DAY_MS,
        "closeTime": now_ms,
        "firstId": 1,
        "lastId": 2,
        "count": 2,
    }


def _depth(exchange: LiveExchange, symbol: str, levels: int) -> dict[str, object]:
    price = _price(exchange, symbol)
    steps = [_SPREAD * (level + 1) for level in range(min(levels, 20))]
    return {
        "lastUpdateId": 1,
        "bids": [[f"{price * (1 - step):.2f}", "10"] for step in steps],
        "asks": [[f"{price * (1 + step):.2f}", "10"] for step in steps],
    }
