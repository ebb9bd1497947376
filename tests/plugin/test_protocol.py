"""A request is read whole and exact, or refused."""

import json
import string

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.protocol import (
    MAX_BARS,
    AnyRequest,
    Ask,
    Bars,
    Hello,
    History,
    PushedBar,
    RequestRefused,
    Status,
    id_of,
    read_request,
)

BAR = PushedBar(
    symbol="BTC/USDT", timeframe="1h", open_time_ms=3_600_000, open=1, high=3, low=1, close=2, volume=7
)
REQUESTS: list[AnyRequest] = [
    Hello(id=1),
    Status(id=2),
    Ask(id=3, expires_ms=9, symbol="BTC/USDT", timeframe="1h", open_time_ms=0),
    History(id=4, symbol="BTC/USDT", timeframe="1h", bars=((1, 1.0, None, 1.0, 1.0, 0.0),)),
    Bars(id=5, expires_ms=9, bars=(BAR, msgspec.structs.replace(BAR, host_signal="long"))),
    Bars(id=6, expires_ms=9, bars=(msgspec.structs.replace(BAR, host_signal=None, close=None),)),
]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_every_request_is_read_as_it_was_written(request_):
    line = msgspec.json.encode(request_)
    assert read_request(line) == request_
    assert read_request(msgspec.json.format(line, indent=0).replace(b"/", b"\\/") + b" \r") == request_
    assert read_request(json.dumps(json.loads(line)).encode()) == request_


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_no_key_may_stand_there_twice(request_):
    content = msgspec.to_builtins(request_)
    objects = [content, *(bar for bar in content.get("bars", ()) if isinstance(bar, dict))]
    for one in objects:
        for key, value in list(one.items()):
            plain = json.dumps(content)
            place = f"{json.dumps(key)}: {json.dumps(value)}"
            twice = plain.replace(place, f"{place}, {place}", 1)
            assert twice != plain
            with pytest.raises(RequestRefused, match="twice"):
                read_request(twice.encode())


@given(st.text(st.sampled_from(string.printable + '"\\é€\0'), max_size=32), st.booleans())
def test_a_text_may_hold_any_character(signal, ensure_ascii):
    bar = {**msgspec.to_builtins(BAR), "host_signal": signal}
    line = json.dumps(
        {"type": "bars", "id": 1, "expires_ms": 1, "bars": [bar]}, ensure_ascii=ensure_ascii
    )
    request = read_request(line.encode())
    assert isinstance(request, Bars)
    assert request.bars[0].host_signal == signal
    twice = line.replace('"id": 1', '"id": 1, "id": 1')
    with pytest.raises(RequestRefused):
        read_request(twice.encode())


@pytest.mark.parametrize(
    "changes",
    [
        {"symbol": ""},
        {"symbol": "S" * 65},
        {"symbol": None},
        {"timeframe": 1},
        {"open_time_ms": 1.5},
        {"open_time_ms": -1},
        {"open_time_ms": 2**53},
        {"open_time_ms": True},
        {"close": "2"},
        {"close": True},
        {"host_signal": "s" * 33},
        {"more": 1},
    ],
    ids=str,
)
def test_a_bar_of_another_shape_is_refused(changes):
    bar = {**msgspec.to_builtins(BAR), **changes}
    line = json.dumps({"type": "bars", "id": 8, "expires_ms": 1, "bars": [bar]}).encode()
    with pytest.raises(RequestRefused) as refused:
        read_request(line)
    assert refused.value.reason == "malformed"
    assert id_of(line) == 8


@pytest.mark.parametrize("field", msgspec.to_builtins(BAR))
def test_a_bar_that_lacks_a_field_is_refused(field):
    bar = {name: value for name, value in msgspec.to_builtins(BAR).items() if name != field}
    with pytest.raises(RequestRefused):
        read_request(json.dumps({"type": "bars", "id": 1, "expires_ms": 1, "bars": [bar]}).encode())


def test_a_request_has_at_most_so_many_bars():
    read_request(msgspec.json.encode(Bars(id=1, expires_ms=1, bars=(BAR,) * MAX_BARS)))
    with pytest.raises(RequestRefused):
        read_request(msgspec.json.encode(Bars(id=1, expires_ms=1, bars=(BAR,) * (MAX_BARS + 1))))


@pytest.mark.parametrize(
    "line", [b"", b"{", b'{"id":-1}', b'{"id":"1"}', b"[" * 100_000, b'{"id":NaN}']
)
def test_where_no_id_can_be_read_it_is_zero(line):
    assert id_of(line) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_refused(line):
    try:
        read_request(line)
    except RequestRefused as refused:
        assert refused.reason == "malformed"
