"""One line of the log: written whole, read whole, or known to be neither."""

import json
import math
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shadow.record import (
    SCHEMA,
    RecordDamaged,
    RecoveredRecord,
    RevisionRecord,
    decode_line,
    encode_line,
    is_whole,
)
from tests.support.records import bar, member

RECORDS = [
    bar(seq=1, written_at="2025-01-01T01:00:00.005Z"),
    RevisionRecord(
        seq=2,
        written_at="2025-01-01T01:00:00.005Z",
        symbol="BTC/USDT",
        timeframe="1h",
        open_time_ms=0,
        seen=(1.0, 2.0, 0.5, 1.5, 10.0),
        revised=(1.0, 2.0, 0.5, 1.6, 11.0),
    ),
    RecoveredRecord(seq=3, written_at="2025-01-01T01:00:00.005Z", dropped_bytes=17),
]
LINE = encode_line(RECORDS[0])


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_a_record_reads_as_it_was_written(record):
    line = encode_line(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_line(line[:-1]) == record


@given(
    text=st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    p=st.floats(0, 1),
    close=st.floats(1e-9, 1e9),
)
def test_any_text_and_number_survives(text, p, close):
    record = bar(ml_reason=text, ml_error=text, close=close, meta_p=p, members={text: member(p)})
    line = encode_line(record)
    assert line.count(b"\n") == 1
    assert decode_line(line[:-1]) == record


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=3000))
def test_the_crc_is_that_of_everybody_elses_zlib(text):
    body, tail = encode_line(bar(ml_error=text)).split(b',"crc32":')
    assert zlib.crc32(body + b"}") == int(json.loads(tail.removesuffix(b"}\n")), 16)


def test_a_line_separator_within_a_text_does_not_end_the_line():
    record = bar(ml_error="one\u2028two\u2029three\x85four\nfive\rsix")
    assert decode_line(encode_line(record)[:-1]) == record


def test_a_probability_that_is_nan_is_read_as_none():
    record = bar(
        members={"lgb": member(math.nan, "nan")}, meta_p=math.nan, probabilities={"5": math.nan}
    )
    read = decode_line(encode_line(record)[:-1])
    assert (read.meta_p, read.probabilities, read.members["lgb"].p) == (None, {"5": None}, None)
    assert read.members["lgb"].horizons == {"5": None}


@given(at=st.integers(0, len(LINE) - 2), flip=st.integers(1, 255))
def test_any_flipped_byte_is_noticed(at, flip):
    line = bytearray(LINE[:-1])
    line[at] ^= flip
    with pytest.raises(RecordDamaged):
        decode_line(bytes(line))


def test_a_line_cut_at_any_byte_is_damaged():
    for n_bytes in range(len(LINE) - 1):
        with pytest.raises(RecordDamaged):
            decode_line(LINE[:n_bytes])


def _sealed(body: bytes) -> bytes:
    """A line whose crc32 is right, whatever it says."""
    line = encode_line(msgspec.Raw(body))  # type: ignore[arg-type]
    assert is_whole(line[:-1])
    return line[:-1]


@pytest.mark.parametrize(
    "body",
    [
        b'{"schema":1}',
        b'{"type":"bar","schema":1,"seq":"one"}',
        b'{"type":"weather","schema":1,"seq":1,"written_at":""}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"bar\xff"}',
    ],
    ids=["no type", "wrong type of seq", "unknown kind", "deep nesting", "not UTF-8"],
)
def test_a_sealed_line_that_is_no_record_is_damaged(body):
    with pytest.raises(RecordDamaged):
        decode_line(_sealed(body))


def test_a_newer_schema_is_refused_by_its_number():
    line = encode_line(replace(RECORDS[2], schema=SCHEMA + 1))
    with pytest.raises(RecordDamaged, match=f"schema {SCHEMA + 1} is newer"):
        decode_line(line[:-1])
