"""Are closed bars told from open ones in what exchanges really sent, through ccxt's own handlers?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plugin.sources.exchange_class import exchange_class
from plugin.sources.exchange_stream import Heard, listening

Frames = dict[str, list[dict[str, Any]]]


class Wire:
    """What a handler of ccxt needs of a connection: where it goes to, and somewhere to put results."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.subscriptions: dict[str, object] = {}

    def resolve(self, result: object, message_hash: str) -> None:
        """Nobody waits."""


@pytest.fixture(scope="module")
def frames(market: Path) -> Frames:
    by_venue: Frames = {}
    path = market / "recorded_frames" / "kline_frames.jsonl"
    for line in path.read_text().splitlines():
        frame = json.loads(line)
        by_venue.setdefault(frame["src"], []).append(frame["raw"])
    return by_venue


def listener(name: str, kind: dict[str, Any], ids: set[str], hear: Any) -> Any:
    """An exchange that knows markets with these ids, listening to bars of one minute."""
    exchange = listening(exchange_class(name), hear, "1m")({"enableRateLimit": False})
    markets = [
        {"id": id_, "lowercaseId": id_.lower(), "symbol": f"{id_}/X", "base": id_, "quote": "X"} | kind
        for id_ in sorted(ids)
    ]
    exchange.set_markets(markets)
    return exchange


SPOT = {"type": "spot", "spot": True, "contract": False, "inverse": None, "linear": None}
LINEAR = {"type": "swap", "spot": False, "swap": True, "contract": True, "linear": True}
INVERSE = {"type": "swap", "spot": False, "swap": True, "contract": True, "inverse": True}


@pytest.mark.market
@pytest.mark.parametrize(
    ("source", "name", "kind", "url", "n_closed"),
    [
        ("binance", "binance", SPOT, "wss://stream.binance.com:9443/ws/0", 0),
        ("binance_us", "binanceus", SPOT, "wss://stream.binance.us:9443/ws/0", 1),
        ("binance_futures", "binanceusdm", LINEAR, "wss://fstream.binance.com/market/ws/0", 4),
        ("binance_delivery", "binancecoinm", INVERSE, "wss://dstream.binance.com/ws/0", 0),
    ],
)
def test_binance_says_itself_which_bars_have_closed(
    frames: Frames, source: str, name: str, kind: dict[str, Any], url: str, n_closed: int
) -> None:
    heard: list[Heard] = []
    klines = [raw["data"] for raw in frames[source]]
    exchange = listener(name, kind, {kline["s"] for kline in klines}, heard.append)
    for raw in frames[source]:
        exchange.handle_message(Wire(url), raw)
    assert len(heard) == len(klines)
    assert [one.is_closed for one in heard] == [kline["k"]["x"] for kline in klines]
    assert sum(bool(one.is_closed) for one in heard) == n_closed
    for one, kline in zip(heard, klines, strict=True):
        assert one.sent_ms == kline["E"]
        assert one.open_time_ms == kline["k"]["t"]
        # A bar is never said to be closed by a message sent before its close.
        assert not one.is_closed or kline["E"] >= kline["k"]["T"]
        volume = kline["k"]["q" if kind.get("inverse") else "v"]
        prices = [float(kline["k"][key]) for key in "ohlc"]
        assert one.ohlcv == (*prices, float(volume))


@pytest.mark.market
@pytest.mark.parametrize(
    ("source", "name", "kind"),
    [("kucoin", "kucoin", SPOT), ("gateio", "gate", SPOT), ("phemex", "phemex", INVERSE)],
)
def test_others_tell_times_that_lie_on_the_grid_and_nothing_of_the_end_of_a_bar(
    frames: Frames, source: str, name: str, kind: dict[str, Any]
) -> None:
    heard: list[Heard] = []
    messages = [raw for raw in frames[source] if _names(raw)]
    exchange = listener(name, kind, {_names(raw) for raw in messages}, heard.append)
    for raw in messages:
        exchange.handle_message(Wire("wss://elsewhere.example"), raw)
    assert heard == [], "nothing is taken from the raw messages of other exchanges"
    rows = [row for by_frame in exchange.ohlcvs.values() for row in by_frame["1m"]]
    assert rows
    assert all(row[0] % 60_000 == 0 and len(row) >= 6 for row in rows)


def _names(raw: dict[str, Any]) -> str:
    """The market that a message with bars is about."""
    if "kline" in raw:
        return str(raw["symbol"])
    if str(raw.get("topic", "")).startswith("/market/candles"):
        return str(raw["data"]["symbol"])
    if raw.get("event") == "update":
        return str(raw["result"]["n"]).removeprefix("1m_")
    return ""
