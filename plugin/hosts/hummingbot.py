"""`python -m plugin.hosts.hummingbot`: decisions in the words of Hummingbot's `ai_livestream`."""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import ssl
import stat
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from plugin.bar import Timeframe
from plugin.clock import Clock, SystemClock, utc_minute
from plugin.command_line import NO, WRONG_USE, YES
from plugin.errors import ShadowgateError, WrongUse
from plugin.hosts.client import Client, Decision
from plugin.logs import configure_logs
from plugin.settings import load_settings

if TYPE_CHECKING:
    from plugin.hosts.mqtt_signal import Broker

_log = structlog.get_logger()
PASSWORD_VARIABLE = "SHADOWGATE_MQTT_PASSWORD"  # noqa: S105 - the name of the variable
_EPILOG = f"""\
example:
  python -m plugin.hosts.hummingbot --broker localhost:1883

Symbols, timeframe and socket are those of .env. The password, if there is one, stands in a file of its
own or in the environment as {PASSWORD_VARIABLE}; never on the command line, which all can read.
exit codes: 0 stopped by SIGINT or SIGTERM, 1 stopped by a fault, 2 wrong use
"""
_LOOK_AGAIN_S = 1.0
_PORT, _TLS_PORT = 1883, 8883
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MID_STOP_ATR = 2.0
_PROBABILITIES = {"short": [1.0, 0.0, 0.0], "long": [0.0, 0.0, 1.0]}
_NEUTRAL = [0.0, 1.0, 0.0]


@dataclass(frozen=True)
class Wanted:
    """What is asked about one symbol, and told. `atr_share` is an average true range, as a share."""

    symbol: str
    timeframe: Timeframe
    topic_prefix: str
    wait_s: float
    atr_share: float

    @property
    def pair(self) -> str:
        """As Hummingbot writes it: BTC-USDT."""
        return self.symbol.partition(":")[0].replace("/", "-")

    @property
    def topic(self) -> str:
        """Where the controller of this pair listens."""
        return f"{self.topic_prefix}/{self.pair.replace('-', '_').lower()}/ML_SIGNALS"


def message_of(wanted: Wanted, decision: Decision | None) -> bytes:
    """What the controller reads; for None the neutral message.

    It compares the probabilities of short and long with thresholds of its own, which must not become a
    second judgement beside the one that was recorded and gated: the action is told as a certainty.
    """
    stop_atr = _MID_STOP_ATR if decision is None else decision.stop_atr
    return json.dumps(
        {
            "id": f"{wanted.pair}-{'neutral' if decision is None else decision.open_time_ms}",
            "trading_pair": wanted.pair,
            "probabilities": _NEUTRAL if decision is None else _PROBABILITIES[decision.action],
            # Of a neutral message too: the controller takes the signal and this one after the other.
            "target_pct": stop_atr * wanted.atr_share,
        }
    ).encode()


def bridge(client: Client, broker: Broker, wanted: Wanted, clock: Clock, stop: threading.Event) -> None:
    """Ask at every bar close and let a live decision stand until it expires; until `stop`."""
    from plugin.hosts.mqtt_signal import StandingSignal

    asked_ms = None
    with StandingSignal(broker, wanted.topic, message_of(wanted, None), clock) as standing:
        while not stop.is_set():
            length_ms = wanted.timeframe.length_ms
            open_time_ms = wanted.timeframe.floor(clock.now_ms()) - length_ms
            if open_time_ms != asked_ms:
                asked_ms = open_time_ms
                standing.take_back()
                decision = client.decision(
                    wanted.symbol, wanted.timeframe.name, open_time_ms, wanted.wait_s
                )
                is_shown = decision.follow_at(clock.now_ms()) and decision.action in _PROBABILITIES
                if is_shown:
                    standing.show(message_of(wanted, decision), decision.valid_until_ms)
                _tell(decision, is_shown)
            standing.take_back_expired()
            next_close_ms = open_time_ms + 2 * length_ms
            stop.wait(min(_LOOK_AGAIN_S, max(0, next_close_ms - clock.now_ms()) / 1000))


def _tell(decision: Decision, is_shown: bool) -> None:
    _log.info(
        "signal" if is_shown else "neutral",
        symbol=decision.symbol,
        bar=utc_minute(decision.open_time_ms),
        mode=decision.mode,
        action=decision.action,
        reason=decision.reason,
    )


def main(arguments: list[str] | None = None) -> int:
    """Bridge every symbol until told to stop; the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "paho":
            raise
        remedy = "pip install 'shadowgate[mqtt]'"
        sys.stderr.write(f"{WrongUse('an MQTT client', f'no {error.name}', remedy)}\n")
        return WRONG_USE
    except ShadowgateError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_USE if isinstance(error, WrongUse) else NO


def _run(options: argparse.Namespace) -> int:
    clock = SystemClock()
    configure_logs(clock, as_json=options.json or not sys.stderr.isatty())
    settings = load_settings(options.env, os.environ)
    broker = _broker(options, os.environ)
    client = Client(settings.socket)
    wanted = [
        Wanted(symbol, settings.timeframe, options.topic, options.wait, options.atr_share)
        for symbol in settings.symbols
    ]
    if len({one.topic for one in wanted}) < len(wanted):
        names = " and ".join(settings.symbols)
        raise WrongUse("a topic for each symbol", f"one for two of {names}", "start a bridge for each")
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with ThreadPoolExecutor(len(wanted)) as threads:
        bridges = [threads.submit(bridge, client, broker, one, clock, stop) for one in wanted]
        _log.info("bridging", broker=broker.host, port=broker.port, symbols=settings.symbols)
        ended, _ = wait(bridges, return_when=FIRST_EXCEPTION)
        stop.set()  # one that failed takes the others with it: their last wills say the rest
    faults = [one.exception() for one in ended if one.exception() is not None]
    for fault in faults:
        _log.error("bridge_failed", error=repr(fault))
    return NO if faults else YES


def _broker(options: argparse.Namespace, environ: Mapping[str, str]) -> Broker:
    from plugin.hosts.mqtt_signal import Broker

    host, _, port = options.broker.partition(":")
    if not host or not re.fullmatch("|[1-9][0-9]{0,4}", port):
        raise WrongUse("a broker such as localhost:1883", repr(options.broker), "correct it")
    tls = _tls(options.ca_file) if options.tls or options.ca_file is not None else None
    password = _password(options.password_file, environ)
    if password is not None and options.username is None:
        raise WrongUse("a user beside the password", "none", "name it with --username")
    if password is not None and tls is None and host not in _LOOPBACK:
        raise WrongUse(
            "a password that nobody can overhear", f"no encryption on the way to {host}", "use --tls"
        )
    port_number = int(port) if port else _PORT if tls is None else _TLS_PORT
    return Broker(host, port_number, tls, options.username, password)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise WrongUse("a file of certificates", f"{ca_file}: {error}", "name one") from error


def _password(file: Path | None, environ: Mapping[str, str]) -> str | None:
    if file is None:
        return environ.get(PASSWORD_VARIABLE)
    try:
        with file.open("rb") as opened:
            if stat.S_IMODE(os.fstat(opened.fileno()).st_mode) & 0o077:
                raise WrongUse("a file that its owner alone can read", str(file), f"chmod 600 {file}")
            return opened.read(4096).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUse("a file with a password", f"{file}: {error}", "correct it") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m plugin.hosts.hummingbot",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--broker", required=True, metavar="HOST[:PORT]", help="the port is 1883, with TLS 8883")
    add("--tls", action="store_true", help="encrypt, and check the broker's certificate")
    add(
        "--ca-file", type=Path, metavar="FILE", help="who signs it, if no public authority; means --tls"
    )
    add("--username", metavar="NAME", help="how the broker knows the bridge")
    add("--password-file", type=Path, metavar="FILE", help=f"else from {PASSWORD_VARIABLE}")
    add("--topic", default="hbot/predictions", help="as in the controller (%(default)s)")
    add("--wait", type=_above_0, default=10.0, metavar="SECONDS", help="for a decision (10)")
    add(
        "--atr-share",
        type=_above_0,
        default=0.005,
        metavar="SHARE",
        help="average true range of a bar as a share of the price (0.005): "
        "target_pct is the decision's stop_atr times this",
    )
    add("--env", type=Path, default=Path(".env"), help="(default: .env)")
    add("--json", action="store_true", help="log lines are JSON also on a terminal")
    return parser


def _above_0(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 3600:
        raise argparse.ArgumentTypeError(f"expected a number above 0, was {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
