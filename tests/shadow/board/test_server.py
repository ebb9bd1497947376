"""Who may look at the dashboard, over real HTTP?"""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from shadow.board.connections import HEADERS, MAX_CONNECTIONS
from tests.support.dashboard import Dashboard
from tests.support.evidence_log import evidence_log
from tests.support.replays import ROOT

EXPECTED = {name.lower(): text for name, text in HEADERS.items()}


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("board")
    evidence_log(folder / "dir", n_bars=100)
    with Dashboard(folder) as one:
        yield one


@pytest.mark.parametrize(
    "path", ["", "style.css", "board.css", "board.js", "api/state.json", "healthz"]
)
def test_each_page_is_there_for_get_and_head(dashboard, path):
    status, headers, body = dashboard.ask(path)
    assert (status, bool(body)) == (200, True)
    assert EXPECTED.items() <= headers.items()
    status, headers, body = dashboard.ask(path, "HEAD")
    assert (status, body) == (200, b"")
    assert EXPECTED.items() <= headers.items()


def test_the_policy_lets_nothing_in_from_elsewhere():
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy.pop("img-src") == "'self' data:"
    assert policy["default-src"] == "'none'"
    assert set(policy.values()) == {"'none'", "'self'"}


def test_the_state_is_the_log(dashboard):
    _, headers, body = dashboard.ask("api/state.json")
    state = json.loads(body)
    assert headers["content-type"] == "application/json"
    assert float(headers["age"]) < 30
    assert {one["symbol"] for one in state["log"]["newest"]} == {"BTC/USDT", "ETH/USDT"}
    assert len(state["log"]["decisions"]) == 50
    assert state["comparison"]["challenger"]


@pytest.mark.parametrize(
    ("path", "method", "headers", "status"),
    [
        ("", "POST", {}, 405),
        ("api/state.json", "PUT", {}, 405),
        ("", "DELETE", {}, 405),
        ("", "OPTIONS", {}, 405),
        ("nothing", "GET", {}, 404),
        ("board.py", "GET", {}, 404),
        ("../../etc/passwd", "GET", {}, 404),
        ("..%2f..%2fetc/passwd", "GET", {}, 404),
        ("%2e%2e/%2e%2e/etc/passwd", "GET", {}, 404),
        ("style.css/../../state.py", "GET", {}, 404),
        ("board.js%00.html", "GET", {}, 404),
        ("", "GET", {"Host": "evil.example"}, 421),
        ("", "GET", {"Host": "evil.example:80"}, 421),
        ("", "GET", {"Host": "127.0.0.1"}, 421),
        ("", "GET", {"Host": "127.0.0.1.evil.example:8787"}, 421),
        ("nothing", "GET", {"Host": "evil.example"}, 421),
        ("api/state.json", "GET", {"Sec_Fetch_Site": "cross-site"}, 403),
        ("api/state.json", "GET", {"Sec_Fetch_Site": "same-site"}, 403),
    ],
)
def test_what_is_refused_is_refused_with_the_same_headers(dashboard, path, method, headers, status):
    code, answered, body = dashboard.ask(path, method, **headers)
    assert code == status
    assert EXPECTED.items() <= answered.items()
    assert len(body) < 100
    if status == 405:
        assert answered["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "raw",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
def test_what_is_no_request_is_refused_with_the_same_headers(dashboard, raw):
    status, headers, _ = said_to(dashboard, raw)
    assert status == 400
    assert EXPECTED.items() <= headers.items()


def test_a_request_for_two_hosts_is_refused(dashboard):
    own = f"127.0.0.1:{dashboard.port}"
    raw = f"GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n"
    assert said_to(dashboard, raw.encode())[0] in {400, 421}


def test_a_request_without_a_host_is_refused(dashboard):
    assert said_to(dashboard, b"GET / HTTP/1.0\r\n\r\n")[0] == 421


def said_to(dashboard, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    with socket.create_connection(("127.0.0.1", dashboard.port), 30) as there:
        there.sendall(raw)
        answer = b""
        while block := there.recv(65_536):
            answer += block
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): text for name, text in fields.items()}, body


@pytest.mark.parametrize("name", ["localhost", "LOCALHOST", "127.0.0.1", "[::1]"])
def test_the_names_of_this_host_will_do(dashboard, name):
    assert dashboard.ask("healthz", Host=f"{name}:{dashboard.port}")[0] == 200


def test_it_listens_on_loopback_alone(dashboard):
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/{dashboard.child.pid}/net/{table}").read_text().splitlines()[1:]
        if line.split()[3] == "0A" and line.split()[1].endswith(f":{dashboard.port:04X}")
    ]
    loopback = {"0100007F", "00000000000000000000000001000000"}
    assert {one.split(":")[0] for one in listening} <= loopback
    assert listening


def test_it_steps_back_behind_the_live_process(dashboard):
    assert os.getpriority(os.PRIO_PROCESS, dashboard.child.pid) >= 10


def test_a_thousand_connections_that_say_nothing_do_not_stop_it(dashboard):
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    idle = []
    try:
        for n in range(1000):
            one = socket.create_connection(("127.0.0.1", dashboard.port), 30)
            one.sendall(b"GET / HTTP/1.1\r\nHost: " if n % 2 else b"G")
            idle.append(one)
        assert dashboard.ask("api/state.json")[0] == 200
        n_open = len(list(Path(f"/proc/{dashboard.child.pid}/fd").iterdir()))
        assert n_open < MAX_CONNECTIONS + 40
        assert dashboard.ask("healthz")[0] == 200
    finally:
        for one in idle:
            one.close()


def test_one_connection_has_one_answer(dashboard):
    host = f"Host: 127.0.0.1:{dashboard.port}\r\n\r\n"
    raw = f"GET /healthz HTTP/1.1\r\n{host}" * 3
    status, headers, body = said_to(dashboard, raw.encode())
    assert (status, headers["connection"], body) == (200, "close", b"ok\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(tmp_path, number):
    dashboard = Dashboard(tmp_path)
    dashboard.__enter__()
    assert dashboard.end(number) == 0


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "shadow.dashboard", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--limits", "/nonexistent/limits.toml"], "a file of limits"),
        (["--port", "65536"], "a port from 0 to 65535"),
        (["--days", "0"], "a whole number of days"),
        (["--host", "192.0.2.1"], "unrecognized"),
    ],
)
def test_wrong_use_is_said_without_a_traceback_and_exit_code_2(arguments, says):
    ended = run(*arguments)
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_is_one_line_and_exit_code_2(dashboard):
    ended = run("--port", str(dashboard.port))
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert "--port" in ended.stderr


def test_json_prints_the_state_once_and_no_secret_of_the_environment(tmp_path):
    evidence_log(tmp_path, n_bars=30)
    ended = run("--json", "--dir", str(tmp_path), BINANCE_API_SECRET="hidden-s3cret")  # noqa: S106  (no secret)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["folder"] == str(tmp_path)
    assert "hidden-s3cret" not in ended.stdout


def test_help_shows_an_example():
    assert "python -m shadow.dashboard --days 7" in run("--help").stdout
