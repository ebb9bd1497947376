"""What the dashboard makes of logs and files in any shape."""

import json
import os

import msgspec
import pytest

from shadow.board.around import read_process
from shadow.board.state import Board, Places
from shadow.files import day_files
from shadow.process import began_ticks
from tests.support.evidence_log import evidence_log
from tests.support.live_service import wait_until
from tests.support.records import bar, write_log


def places(folder) -> Places:
    return Places(folder / "log", folder / "models", folder / "run")


def board(folder, **options) -> Board:
    return Board(places(folder), days=3650, **options)


def told(folder, **options) -> dict:
    return json.loads(msgspec.json.encode(board(folder, **options).state()))


def test_nothing_at_all_is_a_page_that_says_so(tmp_path):
    state = told(tmp_path)
    assert "there is no log" in state["troubles"][0]
    assert (state["process"]["alive"], state["log"]["ready"]) == (False, None)
    assert (state["log"]["newest"], state["log"]["decisions"], state["moves"]) == ([], [], [])


def test_an_empty_log_is_not_enough_evidence(tmp_path):
    (tmp_path / "log").mkdir()
    state = told(tmp_path)
    assert (state["log"]["ready"], state["troubles"], state["log"]["decisions"]) == (None, [], [])


def test_the_newest_come_first_and_only_those_asked_for(tmp_path):
    evidence_log(tmp_path / "log", n_bars=80)
    state = told(tmp_path, symbols=frozenset({"ETH/USDT"}))
    assert {one["symbol"] for one in state["log"]["decisions"]} == {"ETH/USDT"}
    closed = [one["closed"] for one in state["log"]["decisions"]]
    assert closed == sorted(closed, reverse=True)
    [newest] = state["log"]["newest"]
    assert newest["closed"] == closed[0]
    assert len(newest["trail"]) == 48


def test_a_symbol_that_fell_silent_long_ago_is_still_shown(tmp_path):
    write_log(tmp_path / "log", [bar(n, symbol="OLD/USDT") for n in range(2)])
    write_log(tmp_path / "log", [bar(n) for n in range(2, 80)])
    by_symbol = {one["symbol"]: one for one in told(tmp_path)["log"]["newest"]}
    older, newer = by_symbol["OLD/USDT"], by_symbol["BTC/USDT"]
    assert older["age_bars"] == pytest.approx(newer["age_bars"] + 78, abs=0.02)


def test_a_symbol_that_was_never_recorded_is_said(tmp_path):
    write_log(tmp_path / "log", [bar()])
    assert told(tmp_path, symbols=frozenset({"BTC/USD"}))["troubles"] == ["no record is of BTC/USD"]


def test_what_was_told_is_what_was_recorded(tmp_path):
    record = bar(host_signal="buy")
    write_log(tmp_path / "log", [record])
    [one] = told(tmp_path)["log"]["decisions"]
    assert (one["action"], one["p"], one["host_signal"]) == ("long", {"5": 0.52}, "buy")
    assert (one["size_multiplier"], one["stop_atr"], one["regime"]) == (1.0, 2.0, "middle")


def test_a_new_line_and_a_new_day_are_seen(tmp_path):
    write_log(tmp_path / "log", [bar(n) for n in range(30)])
    one = board(tmp_path)
    assert one.state().log.decisions[0].closed == "2025-01-02T06:00:00.000Z"
    for n in (30, 60):
        write_log(tmp_path / "log", [bar(n)])
        wait_until(lambda n=n: one.state().log.decisions[0].closed == told_of(n))


def told_of(n: int) -> str:
    return f"2025-01-{1 + (n + 1) // 24:02d}T{(n + 1) % 24:02d}:00:00.000Z"


def test_an_unchanged_log_is_not_read_again_and_still_grows_older(tmp_path, monkeypatch):
    write_log(tmp_path / "log", [bar(n) for n in range(30)])
    one = board(tmp_path)
    begin_ns = 1_736_000_400 * 10**9
    monkeypatch.setattr("time.time_ns", lambda: begin_ns)
    first = one.state().log
    monkeypatch.setattr("shadow.board.state.read_window", None)
    monkeypatch.setattr("time.time_ns", lambda: begin_ns + 180 * 10**9)
    later = one.state().log
    assert later.decisions == first.decisions
    assert later.newest[0].age_bars == pytest.approx(first.newest[0].age_bars + 0.05, abs=0.011)


def test_a_replay_is_as_old_as_its_own_clock_says(tmp_path):
    write_log(tmp_path / "log", [bar(n, flags={"ML_SOURCE": "replay"}) for n in range(30)])
    log = told(tmp_path)["log"]
    assert (log["is_replay"], log["newest"][0]["age_bars"]) == (True, 0.0)


@pytest.mark.parametrize(
    "spoilt", [b"", b"\x00" * 500, b"{", b"[]", b'{"pid": "x"}', b'{"pid": 1, "began_ticks": 7}']
)
def test_files_that_can_not_be_understood_are_said(tmp_path, spoilt):
    for name in ("run/serving.json", "models/champion", "models/history.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(spoilt)
    state = told(tmp_path)
    assert state["process"]["alive"] is False
    assert state["appointed"]["champion"] is None
    if not spoilt.startswith(b'{"'):
        assert "pointer champion can not be understood" in state["troubles"]


@pytest.mark.parametrize("name", ["run/serving.json", "models/champion", "models/history.jsonl"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_waited_for(tmp_path, name, make):
    (tmp_path / name).parent.mkdir()
    make(tmp_path / name)
    state = told(tmp_path)
    assert (state["process"]["alive"], state["appointed"]["champion"]) == (False, None)
    assert "not a regular file" in json.dumps(state)


def serving(folder, **fields) -> None:
    (folder / "run").mkdir(exist_ok=True)
    (folder / "run" / "serving.json").write_text(json.dumps(fields))


def test_a_process_is_alive_while_its_id_is_its_own(tmp_path):
    role = {"bundle": "one", "pointer": None, "refusal": None}
    refused = {"bundle": None, "pointer": None, "refusal": "golden answers differ"}
    own = {"pid": os.getpid(), "began_ticks": began_ticks(os.getpid()), "started": "now"}
    serving(tmp_path, **own, champion=role, challenger=refused)
    process = told(tmp_path)["process"]
    assert (process["alive"], process["champion"], process["challenger"]) == (True, "one", None)
    assert process["refusals"] == {"challenger": "golden answers differ"}


@pytest.mark.parametrize(
    "fields",
    [
        {"pid": os.getpid(), "began_ticks": 1},
        {"pid": 2**22 + 5, "began_ticks": 1},
        {"pid": 2**22 + 5},
        {"pid": 2**22 + 5, "began_ticks": None},
        {"pid": -1, "began_ticks": 1},
        {"pid": 10**30, "began_ticks": 1},
        {"began_ticks": 1},
    ],
)
def test_a_process_that_has_ended_is_not_alive(tmp_path, fields):
    serving(tmp_path, **fields)
    process = read_process(tmp_path / "run")
    assert (process.alive, process.trouble) == (False, "the process that served last has ended")


def history(folder, text: str) -> None:
    (folder / "models").mkdir()
    (folder / "models" / "history.jsonl").write_text(text)


def test_moves_are_told_newest_first_with_who_and_why(tmp_path):
    moves = [
        {"kind": "appointed", "bundle_id": str(at), "at": f"2025-01-{at:02d}", "who": "me", "why": "so"}
        for at in range(1, 40)
    ]
    history(tmp_path, "".join(json.dumps(move) + "\n" for move in moves) + "torn")
    state = told(tmp_path)
    assert [one["bundle_id"] for one in state["moves"]][:2] == ["39", "38"]
    assert len(state["moves"]) == 29
    newest = state["moves"][0]
    assert (newest["who"], newest["why"], newest["role"]) == ("me", "so", "")
    assert "1 lines can not be read" in state["troubles"][-1]


def test_of_a_long_history_only_the_end_is_read(tmp_path):
    line = json.dumps({"kind": "appointed", "bundle_id": "x", "why": "y" * 150}) + "\n"
    history(tmp_path, "z" * 10_000_000 + "\n" + line * 300)
    state = told(tmp_path)
    assert (len(state["moves"]), state["troubles"][1:]) == (30, [])


def test_damage_is_counted_and_shown(tmp_path):
    evidence_log(tmp_path / "log", n_bars=80)
    path = day_files(tmp_path / "log")[1]
    content = bytearray(path.read_bytes())
    content[200:260] = b"\x00" * 60
    path.write_bytes(content)
    log = told(tmp_path)["log"]
    assert log["damage"]["broken_lines"] == 1
    [check] = [one for one in log["checklist"] if one["name"] == "damage"]
    assert check["verdict"] == "not enough evidence"
    assert len(log["decisions"]) == 50


def test_a_record_without_a_timeframe_is_a_sentence(tmp_path):
    write_log(tmp_path / "log", [bar(n, timeframe="weekly") for n in range(3)])
    assert "weekly" in told(tmp_path)["troubles"][0]


def test_whatever_goes_wrong_in_reading_is_a_sentence_too(tmp_path, monkeypatch):
    write_log(tmp_path / "log", [bar()])
    monkeypatch.setattr("shadow.board.state.weigh", lambda _: 1 / 0)
    assert told(tmp_path)["troubles"] == [
        "the log can not be read: ZeroDivisionError: division by zero"
    ]


def test_a_pair_is_compared_on_all_its_bars_not_only_those_of_the_window(tmp_path):
    evidence_log(tmp_path / "log", n_bars=200, flags={"ML_SOURCE": "replay"})
    state = Board(places(tmp_path), days=2).state()
    assert state.comparison is not None
    assert state.comparison.n_bars > 150
    assert state.log.outcomes["5"].n < 100
