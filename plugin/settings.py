"""What did the operator set, and which of it may change while the service runs?

The table of all flags is docs/settings.md. A value of the environment goes before the same flag in the
file. What can not be understood is refused as a whole: half of the operator's will is not his will.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast, get_type_hints

import structlog

from plugin.bar import Timeframe
from plugin.env_file import PREFIX, parse_env, read_env_file
from plugin.errors import WrongUse

_log = structlog.get_logger()
_HOURLY = Timeframe.parse("1h")
_MAX_SOCKET_BYTES = 107  # sockaddr_un.sun_path, less its closing NUL


class Kind(NamedTuple):
    """How one kind of flag is read and written. `read` returns None for text that it refuses."""

    expected: str
    read: Callable[[str], object]
    write: Callable[[Any], str] = str


def _whole(lowest: int, highest: int) -> Kind:
    def read(text: str) -> int | None:
        plain = re.fullmatch(r"0|[1-9][0-9]{0,17}", text)
        return int(text) if plain and lowest <= int(text) <= highest else None

    return Kind(f"a whole number from {lowest} to {highest}", read)


def _matching(pattern: str, expected: str) -> Kind:
    return Kind(expected, lambda text: text if re.fullmatch(pattern, text) else None)


def _path(longest: int) -> Kind:
    def read(text: str) -> Path | None:
        return Path(text) if 0 < len(text.encode()) <= longest else None

    return Kind(f"a path of 1 to {longest} bytes", read)


def _read_symbols(text: str) -> tuple[str, ...] | None:
    symbols = tuple(part.strip() for part in text.split(","))
    well_formed = all(re.fullmatch(r"[A-Z0-9]+/[A-Z0-9]+(:[A-Z0-9]+)?", symbol) for symbol in symbols)
    return symbols if well_formed and len(set(symbols)) == len(symbols) else None


def _read_networks(text: str) -> tuple[str, ...] | None:
    names = tuple(text.split(",")) if text else ()
    return names if len(set(names)) == len(names) and set(names) <= set(SEQUENCE_MEMBERS) else None


def without_password(url: str) -> str:
    """An address as it may be shown."""
    return re.sub(r"(?<=://)[^/@]*@", "***@", url)


def _read_timeframe(text: str) -> Timeframe | None:
    try:
        return Timeframe.parse(text)
    except WrongUse:
        return None


_SWITCH = Kind("0 or 1", {"0": False, "1": True}.get, lambda on: str(int(on)))
_FOLDER = _path(4095)
_SYMBOLS = Kind("different symbols such as BTC/USDT,ETH/USDT", _read_symbols, ",".join)
_TIMEFRAME = Kind("a timeframe such as 15m, 1h or 1d", _read_timeframe, lambda frame: frame.name)
_SOURCE = _matching("ccxt|socket|redis|replay", "ccxt, socket, redis or replay")
_EXCHANGE = _matching("[a-z][a-z0-9]*", "the name of an exchange in ccxt, such as binance")
_MAYBE_A_PATH = Kind(
    "nothing, or a path of at most 4095 bytes",
    lambda text: text if len(text.encode()) <= 4095 else None,
)
_URL = Kind(
    "nothing, or an address such as https://mirror.example",
    lambda text: text if re.fullmatch(r"|https?://[^\s]+", text) else None,
    without_password,
)
_REDIS_URL = Kind(
    "an address such as redis://127.0.0.1:6379/0",
    lambda text: text if re.fullmatch(r"(rediss?|unix)://[^\s]+", text) else None,
    without_password,
)
_CRON = _matching(r"[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}", "five cron fields such as 17 3 * * 0")

SEQUENCE_MEMBERS = ("lstm", "tft", "tcn", "transformer")
"""The networks that a training can have; `training.network_members` makes them."""
_NETWORKS = Kind(
    f"nothing, or different ones of {','.join(SEQUENCE_MEMBERS)}", _read_networks, ",".join
)

SourceName = Literal["ccxt", "socket", "redis", "replay"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All flags. The field `enabled` is the flag `ML_ENABLED`, and so on."""

    enabled: Annotated[bool, _SWITCH] = True
    enable_stacking: Annotated[bool, _SWITCH] = False
    require_shadow_pass: Annotated[bool, _SWITCH] = True
    stacking_min_samples: Annotated[int, _whole(1, 1_000_000_000)] = 10_000
    auto_promote: Annotated[bool, _SWITCH] = False
    recalibrate: Annotated[bool, _SWITCH] = False
    symbols: Annotated[tuple[str, ...], _SYMBOLS] = ("BTC/USDT",)
    timeframe: Annotated[Timeframe, _TIMEFRAME] = _HOURLY
    exchange: Annotated[str, _EXCHANGE] = "binance"
    exchange_url: Annotated[str, _URL] = ""
    source: Annotated[SourceName, _SOURCE] = "ccxt"
    redis_url: Annotated[str, _REDIS_URL] = "redis://127.0.0.1:6379/0"
    models_dir: Annotated[Path, _FOLDER] = Path("models")
    public_key: Annotated[str, _MAYBE_A_PATH] = ""
    shadow_dir: Annotated[Path, _FOLDER] = Path("data/shadow")
    candles_dir: Annotated[Path, _FOLDER] = Path("data/candles")
    socket: Annotated[Path, _path(_MAX_SOCKET_BYTES)] = Path("run/plugin.sock")
    decision_timeout_ms: Annotated[int, _whole(1, 60_000)] = 250
    retrain_cron: Annotated[str, _CRON] = "17 3 * * 0"
    sequence_members: Annotated[tuple[str, ...], _NETWORKS] = ()
    metrics_port: Annotated[int, _whole(0, 65_535)] = 0
    audit_every: Annotated[int, _whole(0, 1_000_000)] = 24

    def as_text(self) -> dict[str, str]:
        """Every flag as it would stand in the file, by its key."""
        return {flag_key(name): kind.write(getattr(self, name)) for name, kind in _KINDS.items()}

    def live_as_text(self) -> dict[str, str]:
        """The flags that may change while the service runs, as a shadow record carries them."""
        return {flag_key(name): _KINDS[name].write(getattr(self, name)) for name in LIVE_FIELDS}


LIVE_FIELDS = (
    "enabled",
    "enable_stacking",
    "require_shadow_pass",
    "stacking_min_samples",
    "auto_promote",
    "recalibrate",
    "decision_timeout_ms",
)


def flag_key(name: str) -> str:
    """The flag of a field."""
    return PREFIX + name.upper()


_KINDS: dict[str, Kind] = {
    name: cast("Kind", hint.__metadata__[0])
    for name, hint in get_type_hints(Settings, include_extras=True).items()
}
FLAGS = {flag_key(name): name for name in _KINDS}
"""Each flag, and the field that it sets."""
LIVE_KEYS = frozenset(map(flag_key, LIVE_FIELDS))


def load_settings(path: Path, environ: Mapping[str, str]) -> Settings:
    """Read the file at `path` and the `ML_` variables of `environ`, which go before it.

    A missing file means the defaults. Raises WrongUse, naming the line, for anything not understood.
    """
    return settings_from(read_env_file(path), path, environ)


def settings_from(content: bytes, path: Path, environ: Mapping[str, str]) -> Settings:
    """As `load_settings`, of a file with this `content`."""
    given = [
        (key, entry.text, f"line {entry.line} of {path}")
        for key, entry in parse_env(content, path).items()
    ]
    given += [
        (key, environ[key], "the environment") for key in sorted(environ) if key.startswith(PREFIX)
    ]
    values: dict[str, Any] = {
        _field(key, place): _value(key, text, place) for key, text, place in given
    }
    return Settings(**values)


def from_environment(environ: Mapping[str, str]) -> Settings:
    """As `load_settings` where there is no file."""
    return settings_from(b"", Path(), environ)


def check_flag(key: str, text: str | None, place: str) -> None:
    """Raise WrongUse unless `key` is a flag and `text`, where it is given, a value of it."""
    _field(key, place)
    if text is not None:
        _value(key, text, place)


def _field(key: str, place: str) -> str:
    if key not in FLAGS:
        nearest = difflib.get_close_matches(key, FLAGS, n=1)
        remedy = f"did you mean {nearest[0]}?" if nearest else "docs/settings.md has them all"
        raise WrongUse(f"a known flag in {place}", key, remedy)
    return FLAGS[key]


def _value(key: str, text: str, place: str) -> object:
    kind = _KINDS[FLAGS[key]]
    value = kind.read(text)
    if value is None:
        was = repr(without_password(text))
        raise WrongUse(f"{kind.expected} for {key} in {place}", was, "correct it or remove it")
    return value
