import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.env_file import MAX_BYTES, Entry, parse_env, read_env_file
from plugin.errors import WrongUse

PATH = Path(".env")


def parsed(text: str) -> dict[str, str]:
    return {key: entry.text for key, entry in parse_env(text.encode(), PATH).items()}


@pytest.mark.parametrize(
    ("text", "entries"),
    [
        ("", {}),
        ("\n  \n\t\n", {}),
        ("# ML_A=1\n", {}),
        ("ML_A=1\n", {"ML_A": "1"}),
        ("ML_A=\n", {"ML_A": ""}),
        ("ML_A=''\n", {"ML_A": ""}),
        ("ML_A='1'\nML_B=\"2\"\n", {"ML_A": "1", "ML_B": "2"}),
        ("ML_A=17 3 * * 0\n", {"ML_A": "17 3 * * 0"}),
        ("ML_A=a=b\n", {"ML_A": "a=b"}),
        ("ML_A='$HOME \\n # \"x\"'\n", {"ML_A": '$HOME \\n # "x"'}),
        ('ML_A="it\'s"\n', {"ML_A": "it's"}),
        ("ML_A=a#b\n", {"ML_A": "a#b"}),
        ("ML_A=grün\u2028x\n", {"ML_A": "grün\u2028x"}),
        ("_SECRET=a b $c\nBOT=x\nML_A=1\n", {"ML_A": "1"}),
    ],
)
def test_what_every_reader_reads_alike_is_read(text, entries):
    assert parsed(text) == entries


def test_an_entry_knows_its_line():
    assert parse_env(b"\n# x\nML_A=1\n", PATH) == {"ML_A": Entry(3, "1")}


@pytest.mark.parametrize(
    ("content", "line", "about"),
    [
        (b"ML_A=1 # on\n", 1, "comment"),
        (b"export ML_A=1\n", 1, "export"),
        (b"\xef\xbb\xbfML_A=1\n", 1, "byte order mark"),
        (b"X=1\nML_B=${ML_A}\n", 2, "outside single quotes"),
        (b'ML_B="${ML_A}"\n', 1, "outside single quotes"),
        (b"ML_B=`id`\n", 1, "outside single quotes"),
        (b"ML_B=a\\\n", 1, "outside single quotes"),
        (b"\nML_B='open\n", 2, "one ' at either end"),
        (b"ML_B=\"open'\n", 1, 'one " at either end'),
        (b"ML_B='\n", 1, "one ' at either end"),
        (b"ML_B='a'b'\n", 1, "one ' at either end"),
        (b"ML_B='1' # on\n", 1, "one ' at either end"),
        (b"BOT='open\nML_A=1\n'\n", 1, "one ' at either end"),
        (b"ML_B=a'b\n", 1, "stray quote"),
        (b"A=1\nB=2\nC=\xff\n", 3, "UTF-8"),
        (b"A=1\nML_B=\x00\n", 2, "0x00"),
        (b"A=1\r\n", 1, "carriage return"),
        (b"A=1\rML_B=2\n", 1, "carriage return"),
        (b";ML_A=1\n", 1, "KEY=value"),
        (b" ML_A=1\n", 1, "KEY=value"),
        (b"ML_A =1\n", 1, "KEY=value"),
        (b"ML_A= 1\n", 1, "outer spaces"),
        (b"ML_A=1 \n", 1, "outer spaces"),
        (b"ml_a=1\n", 1, "capitals"),
        (b"ML_A\n", 1, "KEY=value"),
        (b"<<<<<<< HEAD\nML_A=1\n", 1, "KEY=value"),
        (b"ML_A=1\nX=2\nML_A=1\n", 3, "ML_A, set on line 1"),
        (b"ML_A=1\nML_ENABL", 2, "cut off"),
        (b"ML_MIN=1000", 1, "cut off"),
    ],
)
def test_what_readers_read_differently_is_refused_with_its_line(content, line, about):
    with pytest.raises(WrongUse, match=f"on line {line} of .env") as refused:
        parse_env(content, PATH)
    assert about in str(refused.value)


def test_other_programs_may_repeat_their_own_keys():
    assert parsed("BOT=1\nBOT=2\n") == {}


@pytest.mark.parametrize("line", ["KEY='hunter2", "export KEY=hunter2", "key=hunter2", "hunter2"])
def test_the_values_of_other_programs_never_stand_in_an_error(line):
    with pytest.raises(WrongUse) as refused:
        parsed(line + "\n")
    assert "hunter2" not in str(refused.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_read_or_refused(content):
    try:
        entries = parse_env(content, PATH)
    except WrongUse:
        return
    assert all(key.startswith("ML_") for key in entries)


VALUE = st.text(st.characters(codec="utf-8", exclude_characters="'\x7f", min_codepoint=32), max_size=20)


@given(st.dictionaries(st.from_regex(r"ML_[A-Z0-9_]{1,8}", fullmatch=True), VALUE))
def test_values_in_single_quotes_come_back_as_they_were(values):
    assert parsed("".join(f"{key}='{value}'\n" for key, value in values.items())) == values


@given(st.integers(0, 40))
def test_a_file_cut_off_anywhere_is_refused_or_a_whole_number_of_its_lines(n_bytes):
    lines = ["ML_MIN=10000\n", "ML_ENABLED=1\n", "ML_B=abcdefgh\n"]
    cut = "".join(lines)[:n_bytes]
    try:
        entries = parsed(cut)
    except WrongUse:
        return
    assert entries == parsed("".join(lines[: cut.count("\n")]))


def test_a_missing_file_is_empty(tmp_path):
    assert read_env_file(tmp_path / ".env") == b""


def test_a_file_of_the_largest_size_is_read_and_a_longer_one_refused(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"#" * MAX_BYTES)
    assert len(read_env_file(path)) == MAX_BYTES
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(WrongUse, match="longer than 65536 bytes"):
        read_env_file(path)


def test_a_symbolic_link_is_not_followed(tmp_path):
    (tmp_path / "real").write_text("ML_A=1\n", encoding="utf-8")
    (tmp_path / ".env").symlink_to("real")
    with pytest.raises(WrongUse, match="was a symbolic link"):
        read_env_file(tmp_path / ".env")


def test_a_folder_and_a_pipe_are_refused_without_waiting(tmp_path):
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(WrongUse, match="was a folder, a pipe or a device"):
            read_env_file(tmp_path / name)


def test_a_path_through_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WrongUse, match="no folder"):
        read_env_file(tmp_path / "file" / ".env")
