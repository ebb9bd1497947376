"""A bot in a container: `python asking_bot.py CLIENT WAIT_S` tells made-up bars and prints the answer.

CLIENT is plugin/hosts/client.py; nothing else is imported, as in a bot that was installed by itself.
"""

from __future__ import annotations

import importlib.util
import json
import math
import sys
import time

SOCKET = "/run/shadowgate/plugin.sock"
SERVED, COMPANIONS = "BTC/USDT", ("ETH/USDT", "XRP/USDT", "LTC/USDT")
HOUR_MS = 3_600_000
N_HISTORY = 512


def main(client_file: str, wait_s: float) -> None:
    """Sync the history, tell the bar that closed last; one JSON object: action, reason and so on."""
    spec = importlib.util.spec_from_file_location("client", client_file)
    client_module = importlib.util.module_from_spec(spec)
    sys.modules["client"] = client_module  # dataclasses look there
    spec.loader.exec_module(client_module)
    client = client_module.Client(SOCKET, wait_s)
    open_ms = int(time.time() * 1000) // HOUR_MS * HOUR_MS - HOUR_MS
    for symbol in (SERVED, *COMPANIONS):
        older = [[open_ms - n * HOUR_MS, *bar(symbol, -n)] for n in range(N_HISTORY, 0, -1)]
        client.sync_history(symbol, "1h", older)
    beside = [(symbol, *bar(symbol, 0)) for symbol in COMPANIONS]
    decision = client.bar_closed(SERVED, "1h", open_ms, *bar(SERVED, 0), companions=beside)
    said = {name: getattr(decision, name) for name in ("mode", "action", "reason", "bundle_id")}
    print(json.dumps({**said, "n_horizons": len(decision.probabilities)}))


def bar(symbol: str, number: int) -> tuple[float, float, float, float, float]:
    """Open, high, low, close and volume of an uneventful market."""
    at = number * 0.7 + len(symbol) + ord(symbol[0])
    opened, closed = (100 + math.sin(at) + 0.3 * math.sin(at * 3.1) for at in (at - 0.7, at))
    return opened, max(opened, closed) + 0.4, min(opened, closed) - 0.4, closed, 10 + math.cos(at)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
