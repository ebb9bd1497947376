"""Ways in which a file of a bundle can be spoilt, chosen by a seed."""

import random
import re
from collections.abc import Callable

_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_HUGE = (b"1e999", b"-1e308", b"9" * 40, b"9" * 5000, b"2147483648", b"-1", b"nan", b"1e-320")


def _flip(text: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 3, 20))):
        text[rng.randrange(len(text))] ^= 1 << rng.randrange(8)


def _cut_end(text: bytearray, rng: random.Random) -> None:
    del text[rng.randrange(len(text)) :]


def _cut_out(text: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(text))
    del text[start : start + rng.randrange(1, 4000)]


def _repeat(text: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(text))
    text[start:start] = text[start : start + rng.randrange(1, 4000)]


def _repeat_lines(text: bytearray, rng: random.Random) -> None:
    lines = bytes(text).split(b"\n")
    start = rng.randrange(len(lines))
    lines[start:start] = lines[start : start + rng.randrange(1, 60)]
    text[:] = b"\n".join(lines)


def _glue(text: bytearray, rng: random.Random) -> None:
    text[:] = text + text[rng.choice((0, 0, len(text) // 2)) :]


def _random_bytes(text: bytearray, rng: random.Random) -> None:
    start = rng.choice((0, rng.randrange(len(text))))
    length = rng.choice((8, 200, len(text)))
    text[start : start + length] = rng.randbytes(len(text[start : start + length]))


def _fill(text: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(text))
    length = rng.randrange(1, 4000)
    text[start : start + length] = bytes([rng.choice((0, 0x20, 0x30, 0x5B))]) * length


def _swap_numbers(text: bytearray, rng: random.Random) -> None:
    first, second = sorted(rng.sample(_some_numbers(text, rng), 2))
    here, there = bytes(text[slice(*first)]), bytes(text[slice(*second)])
    text[slice(*second)] = here
    text[slice(*first)] = there


def _put_number(text: bytearray, rng: random.Random) -> None:
    text[slice(*rng.choice(_some_numbers(text, rng)))] = rng.choice(_HUGE)


def _line_ends(text: bytearray, rng: random.Random) -> None:
    text[:] = bytes(text).replace(b"\n", b"\r\n", rng.randrange(1, 500))


def _some_numbers(text: bytearray, rng: random.Random) -> list[tuple[int, int]]:
    """Where about fifty neighbouring numbers stand; the ends of the stretch may cut one."""
    start = rng.randrange(len(text) - 600)
    return [found.span() for found in _NUMBER.finditer(text, start, start + 600)]


_FAULTS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _cut_end,
    _cut_out,
    _repeat,
    _repeat_lines,
    _fill,
    _swap_numbers,
    _put_number,
    _line_ends,
    _glue,
    _random_bytes,
)


def damaged(content: bytes, seed: int) -> bytes:
    """`content` with one fault, never as it was; other seeds give other faults at other places."""
    rng = random.Random(seed)
    spoilt = bytearray(content)
    try:
        _FAULTS[seed % len(_FAULTS)](spoilt, rng)
    except ValueError:  # no two numbers where it looked
        _flip(spoilt, rng)
    while spoilt == content:  # nothing there that this fault could have spoilt, or spoilt twice
        _flip(spoilt, rng)
    return bytes(spoilt)
