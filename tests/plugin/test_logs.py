import ast
import json
import logging
import re
from pathlib import Path

import pytest
import structlog

from plugin.clock import ReplayClock
from plugin.logs import configure_logs

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}


@pytest.fixture(autouse=True)
def _fresh_structlog():
    yield
    structlog.reset_defaults()


def test_a_line_is_one_json_object_stamped_by_the_given_clock(capsys):
    configure_logs(ReplayClock(1_735_689_600_000), as_json=True)
    structlog.get_logger().info("bar_closed", symbol="BTC/USDT", close=1.5)
    assert json.loads(capsys.readouterr().err) == {
        "event": "bar_closed",
        "symbol": "BTC/USDT",
        "close": 1.5,
        "level": "info",
        "timestamp": "2025-01-01T00:00:00.000Z",
    }


def test_a_line_follows_the_clock_of_the_latest_set_up(capsys):
    log = structlog.get_logger()
    for start_ms in (0, 1_735_689_600_000):
        configure_logs(ReplayClock(start_ms), as_json=True)
        log.info("started")
    stamps = [json.loads(line)["timestamp"] for line in capsys.readouterr().err.splitlines()]
    assert stamps == ["1970-01-01T00:00:00.000Z", "2025-01-01T00:00:00.000Z"]


def test_what_json_has_no_word_for_still_makes_a_valid_line(capsys):
    configure_logs(ReplayClock(0), as_json=True)
    structlog.get_logger().info("odd", p=float("nan"), folder=Path("models"), text='a "b"\nc', thing=1j)
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert json.loads(line, parse_constant=pytest.fail)["p"] is None


def test_stdout_stays_free_for_the_answer_of_a_command(capsys):
    for as_json in (True, False):
        configure_logs(ReplayClock(0), as_json=as_json)
        structlog.get_logger().warning("something")
    assert capsys.readouterr().out == ""


def test_lines_for_people_name_event_and_values(capsys):
    configure_logs(ReplayClock(0), as_json=False)
    structlog.get_logger().warning("source_silent", seconds=90)
    line = capsys.readouterr().err
    assert "source_silent" in line
    assert "seconds=90" in line


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_is_logged_without_local_variables(capsys, as_json):
    configure_logs(ReplayClock(0), as_json=as_json)
    api_key = "-".join(["very", "secret"])
    try:
        raise RuntimeError("broken " + str(len(api_key)))
    except RuntimeError:
        structlog.get_logger().exception("member_failed")
    line = capsys.readouterr().err
    assert "RuntimeError: broken 11" in line
    assert api_key not in line


def test_events_below_the_level_are_not_written(capsys):
    configure_logs(ReplayClock(0), as_json=True, level=logging.WARNING)
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert "quiet" not in (err := capsys.readouterr().err)
    assert "loud" in err


@pytest.mark.parametrize("package", ["plugin", "shadow", "gates", "training"])
def test_every_event_has_a_fixed_lower_snake_name(package):
    strange = [
        f"{path.relative_to(ROOT)}:{call.lineno}"
        for path in (ROOT / package).rglob("*.py")
        if path.parent != ROOT / "plugin" / "hosts"  # there the bot's own logging speaks
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if is_log_call(call) and not has_event_name(call)
    ]
    assert strange == []


def is_log_call(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and ast.unparse(node.func.value).endswith("_log")
    )


def has_event_name(call: ast.Call) -> bool:
    event = call.args[0] if call.args else None
    return isinstance(event, ast.Constant) and bool(
        re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", str(event.value))
    )


@pytest.mark.parametrize(
    ("source", "sound"), [("_log.info('bar_closed')", True), ("_log.info(f'bar {n}')", False)]
)
def test_the_check_of_event_names_tells_good_from_bad(source, sound):
    (call,) = (node for node in ast.walk(ast.parse(source)) if is_log_call(node))
    assert has_event_name(call) is sound
