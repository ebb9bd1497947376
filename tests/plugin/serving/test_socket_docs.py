"""What docs/socket.md shows is what a real service says, and its tables have every word."""

import asyncio
import gc
import json
import re
from pathlib import Path
from typing import Any

import pytest

from plugin import protocol
from plugin.serving import connection, desk, reception
from plugin.serving.connection import Limits
from plugin.sources import pushed
from tests.support.socket_side import SINCE_MS, SocketSide

PAGE = (Path(__file__).parents[3] / "docs" / "socket.md").read_text()
EXAMPLES = [
    tuple(map(json.loads, block.splitlines()))
    for block in re.findall(r"```json\n(.*?)\n```", PAGE, re.DOTALL)
]
OF_THE_TRAINING = ("action", "regime", "bundle_id", "feature_hash")


def shape(value: Any, key: str = "") -> Any:
    """What must agree: every name, every text but those of the training, the kind of all else."""
    if isinstance(value, dict):
        return {name: shape(one, name) for name, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value]
    if isinstance(value, str) and key not in OF_THE_TRAINING:
        return value
    if key.endswith("_ms") or key in ("id", "n_bars", "n_absent", "lookback", "version"):
        return value
    return type(value)


def test_every_example_is_answered_as_shown(small_training, tmp_path):
    side = SocketSide(small_training, tmp_path)

    async def story() -> None:
        async with side.running():
            async with side.bot() as giver:
                await side.give_history(giver)
            side.close_of(0)
            assert side.open_ms(0) == SINCE_MS == 1_735_545_600_000, "the close of the examples"
            async with side.bot() as bot:
                for request, reply in EXAMPLES:
                    bot.send(request)
                    assert shape(await bot.hear()) == shape(reply)

    asyncio.run(story())
    gc.unfreeze()
    shown = {request["type"] for request, _ in EXAMPLES}
    assert shown == {"hello", "history", "bars", "ask", "status"}


def table(heading: str) -> set[str]:
    part = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (`.*?) \|", part, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`(\w+)`", cell)}


def source_of(*modules: Any) -> str:
    return "".join(Path(module.__file__).read_text() for module in modules)


def test_the_tables_have_every_reason():
    refusals = re.findall(
        r"(?:RequestRefused\(\s*|_refuse\(\s*(?:0|id_of\(line\)), )\"(\w+)\"",
        source_of(connection, reception, protocol),
    )
    assert table("Refusals") == set(refusals)
    told = re.findall(r"(?:return|else|,) \"(\w+)\"", source_of(desk, pushed))
    assert table("Reasons given here") == set(told)


@pytest.mark.parametrize(
    ("what", "limit"),
    [
        ("a request", f"{protocol.MAX_REQUEST_BYTES:,} bytes, {protocol.MAX_BARS:,} bars"),
        ("bars that wait to be decided on", f"{pushed.ROOM_BARS:,}"),
        ("connections", f"{Limits().max_connections}"),
        ("a request from its first byte to its last", f"{Limits().read_s:g} s"),
    ],
)
def test_the_limits_are_those_of_the_code(what, limit):
    assert f"| {what} | {limit} |" in PAGE
