"""Only a live decision stands where Hummingbot reads, and never longer than it is valid."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from plugin.bar import Timeframe
from plugin.clock import SystemClock
from plugin.hosts.client import Client
from plugin.hosts.hummingbot import PASSWORD_VARIABLE, Wanted, bridge, main
from plugin.hosts.mqtt_signal import Broker
from tests.support.mqtt_broker import Message, Subscriber, mqtt_broker
from tests.support.scripted_service import (
    HOUR_MS,
    Reply,
    Request,
    ScriptedService,
    changed,
    decision_of,
    hang_up,
    line_of,
    raw,
    stopped,
)

TOPIC = "hbot/predictions/btc_usdt/ML_SIGNALS"
NEUTRAL = [0.0, 1.0, 0.0]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with mqtt_broker(tmp_path) as broker:
        yield broker


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ScriptedService]:
    with ScriptedService(tmp_path / "plugin.sock") as service:
        yield service


@contextmanager
def bridge_process(
    tmp_path: Path, broker: Broker, *options: str, environ: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The command, with the socket of the test; killed at the end, if it still lives."""
    (tmp_path / ".env").write_text(f"ML_SOCKET={tmp_path / 'plugin.sock'}\n")
    address = f"{broker.host}:{broker.port}"
    command = ["--broker", address, "--env", str(tmp_path / ".env"), *options]
    with subprocess.Popen(
        [sys.executable, "-m", "plugin.hosts.hummingbot", *command],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environ or {})},
        cwd=Path(__file__).parents[3],
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def signal_of(message: Message) -> int:
    """What the controller makes of a message, with its default thresholds."""
    short, _, long = message.body["probabilities"]
    return -1 if short > 0.5 else int(long > 0.5)


def stands(wanted: int) -> Callable[[list[Message]], bool]:
    """Whether this signal is the one that the controller has now."""
    return lambda messages: bool(messages) and signal_of(messages[-1]) == wanted


def valid_for(seconds: float) -> Reply:
    """A live decision that expires so soon."""

    def reply(connection: socket.socket, request: Request) -> None:
        until_ms = time.time_ns() // 1_000_000 + int(seconds * 1000)
        decision = decision_of(request, valid_until_ms=until_ms)
        answer = {"type": "decisions", "id": request["id"], "decisions": [decision]}
        connection.sendall(line_of(answer))

    return reply


@pytest.mark.parametrize(("action", "wanted"), [("long", 1), ("short", -1)])
def test_a_live_decision_stands_in_the_controllers_topic_until_it_expires(
    tmp_path: Path, broker: Broker, service: ScriptedService, action: str, wanted: int
) -> None:
    service.reply = changed(action=action)
    with Subscriber(broker, TOPIC) as heard, bridge_process(tmp_path, broker):
        last = heard.wait_for(stands(wanted))[-1]

    asked = service.asked("ask")[-1]
    assert last.body == {
        "id": f"BTC-USDT-{asked['open_time_ms']}",
        "trading_pair": "BTC-USDT",
        "probabilities": [0.0, 0.0, 1.0] if wanted == 1 else [1.0, 0.0, 0.0],
        "target_pct": pytest.approx(3.0 * 0.005),
    }
    assert last.expiry_s is not None
    assert 0 < last.expiry_s <= (asked["open_time_ms"] + 2 * HOUR_MS - time.time() * 1000) / 1000 + 60


def test_a_controller_that_starts_later_hears_what_stands(
    tmp_path: Path, broker: Broker, service: ScriptedService
) -> None:
    with bridge_process(tmp_path, broker):
        with Subscriber(broker, TOPIC) as first:
            first.wait_for(stands(1))
        with Subscriber(broker, TOPIC, by_version_5=False) as later:
            assert later.wait_for(stands(1))[-1].is_retained


@pytest.mark.parametrize(
    "reply",
    [
        changed(mode="shadow"),
        changed(mode="off", action="abstain"),
        changed(action="abstain"),
        changed(action="flat"),
        valid_for(-1),
        hang_up,
        raw(b"garbage\n"),
        changed(symbol="ETH/USDT"),
    ],
)
def test_whatever_is_not_to_be_followed_is_neutral(
    tmp_path: Path, broker: Broker, service: ScriptedService, reply: Reply
) -> None:
    service.reply = reply
    with Subscriber(broker, TOPIC) as heard, bridge_process(tmp_path, broker) as process:
        heard.wait_for(stands(0))
        assert process.stderr is not None
        said = next(json.loads(line) for line in process.stderr if '"action"' in line)
        assert said["event"] == "neutral"
        time.sleep(0.2)

    assert {signal_of(message) for message in heard.messages} == {0}
    assert {message.expiry_s for message in heard.messages} == {None}
    assert all(message.body["target_pct"] > 0 for message in heard.messages)


def test_without_a_service_it_is_neutral(tmp_path: Path, broker: Broker) -> None:
    with Subscriber(broker, TOPIC) as heard, bridge_process(tmp_path, broker) as process:
        assert heard.wait_for(stands(0))[-1].body["probabilities"] == NEUTRAL
        assert process.stderr is not None
        assert any('"no_service"' in line for line in process.stderr)


def test_an_expired_decision_is_taken_back(
    tmp_path: Path, broker: Broker, service: ScriptedService
) -> None:
    service.reply = valid_for(4)
    with Subscriber(broker, TOPIC) as heard, bridge_process(tmp_path, broker):
        heard.wait_for(stands(1))
        heard.wait_for(stands(0))
        with Subscriber(broker, TOPIC) as later:
            later.wait_for(stands(0))


def test_a_killed_bridge_leaves_no_signal(
    tmp_path: Path, broker: Broker, service: ScriptedService
) -> None:
    with Subscriber(broker, TOPIC) as heard, bridge_process(tmp_path, broker) as process:
        heard.wait_for(stands(1))
        process.kill()
        heard.wait_for(stands(0))
    with Subscriber(broker, TOPIC) as later:
        assert later.wait_for(stands(0))[-1].is_retained


@pytest.mark.slow
def test_a_stopped_bridge_leaves_no_signal(
    tmp_path: Path, broker: Broker, service: ScriptedService
) -> None:
    """The broker hears nothing from it, and publishes its last will."""
    with (
        Subscriber(broker, TOPIC) as heard,
        bridge_process(tmp_path, broker) as process,
    ):
        heard.wait_for(stands(1))
        with stopped(process):
            heard.wait_for(stands(0))


def test_what_a_stopped_bridge_left_behind_expires_in_the_broker(
    tmp_path: Path, broker: Broker, service: ScriptedService
) -> None:
    """Also where the last will is not due for long: here for a minute and a half."""
    service.reply = valid_for(4)
    program = (
        "import sys; from plugin.hosts import hummingbot, mqtt_signal\n"
        "mqtt_signal.KEEPALIVE_S = 60; sys.exit(hummingbot.main())"
    )
    (tmp_path / ".env").write_text(f"ML_SOCKET={tmp_path / 'plugin.sock'}\n")
    command = ["--broker", f"{broker.host}:{broker.port}", "--env", str(tmp_path / ".env")]
    with (
        Subscriber(broker, TOPIC) as heard,
        subprocess.Popen(
            [sys.executable, "-c", program, *command], stderr=subprocess.DEVNULL
        ) as process,
    ):
        heard.wait_for(stands(1))
        with stopped(process):
            time.sleep(5)
            with Subscriber(broker, TOPIC) as later:
                time.sleep(0.5)
                assert later.messages == []
        process.kill()


def test_a_bridge_that_is_told_to_stop_takes_its_signal_back(
    tmp_path: Path, broker: Broker, service: ScriptedService
) -> None:
    with Subscriber(broker, TOPIC) as heard, bridge_process(tmp_path, broker) as process:
        heard.wait_for(stands(1))
        process.send_signal(signal.SIGTERM)
        heard.wait_for(stands(0))
        assert process.wait(timeout=60) == 0


def test_after_a_restart_of_the_broker_the_signal_stands_again(
    tmp_path: Path, service: ScriptedService
) -> None:
    with mqtt_broker(tmp_path) as broker:
        bridging = bridge_process(tmp_path, broker)
        process = bridging.__enter__()
        with Subscriber(broker, TOPIC) as heard:
            heard.wait_for(stands(1))
    with mqtt_broker(tmp_path, broker.port), Subscriber(broker, TOPIC) as heard:
        heard.wait_for(stands(1))
        assert process.poll() is None
    bridging.__exit__(None, None, None)
    assert len(service.asked("ask")) == 1, "what stands was known and not asked for again"


class SetClock(SystemClock):
    """The host's clock, put forward."""

    ahead_ms = 0

    def now_ms(self) -> int:
        return super().now_ms() + self.ahead_ms


def test_at_every_close_it_is_neutral_until_the_next_decision_is_there(
    tmp_path: Path, broker: Broker, service: ScriptedService
) -> None:
    clock, stop = SetClock(), threading.Event()
    wanted = Wanted("BTC/USDT:USDT", Timeframe.parse("1h"), "hbot/predictions", 10, 0.005)
    client = Client(service.path)
    thread = threading.Thread(target=bridge, args=(client, broker, wanted, clock, stop))
    with Subscriber(broker, TOPIC) as heard:
        thread.start()
        heard.wait_for(stands(1))
        service.reply = changed(action="short")
        clock.ahead_ms += HOUR_MS
        heard.wait_for(stands(-1))
        service.reply = changed(mode="shadow")
        clock.ahead_ms += HOUR_MS
        heard.wait_for(stands(0))
        give_up_at = time.monotonic() + 30
        while len(service.asked("ask")) < 3 and time.monotonic() < give_up_at:
            time.sleep(0.01)  # it is neutral before it asks
        stop.set()
        thread.join()

    signals = [signal_of(message) for message in heard.messages]
    changes = [one for n, one in enumerate(signals) if n == 0 or one != signals[n - 1]]
    # The first decision may be there before the broker is: then nothing was said before it.
    assert changes[changes.index(1) :] == [1, 0, -1, 0]
    assert set(changes[: changes.index(1)]) <= {0}
    asked = [request["open_time_ms"] for request in service.asked("ask")]
    assert [later - asked[0] for later in asked] == [0, HOUR_MS, 2 * HOUR_MS]


# Who may listen and speak.


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker that wants TLS, a user and a password."""
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    for command in (
        [*request, "-keyout", str(key), "-out", str(certificate)],
        ["mosquitto_passwd", "-b", "-c", str(tmp_path / "users"), "bridge", "s3cret"],
    ):
        try:
            subprocess.run(command, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip(f"needs {command[0]}")
    settings = [f"certfile {certificate}", f"keyfile {key}", f"password_file {tmp_path / 'users'}"]
    with mqtt_broker(tmp_path, settings=[*settings, "allow_anonymous false"]) as open_:
        tls = ssl.create_default_context(cafile=certificate)
        yield Broker(open_.host, open_.port, tls, "bridge", "s3cret")


def test_it_speaks_to_a_broker_with_tls_and_a_password(
    tmp_path: Path, guarded: Broker, service: ScriptedService
) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    options = ("--ca-file", str(tmp_path / "cert.pem"), "--username", "bridge")
    for more, environ in (
        (["--password-file", str(file)], {}),
        ([], {PASSWORD_VARIABLE: "s3cret"}),
    ):
        with (
            Subscriber(guarded, TOPIC) as heard,
            bridge_process(tmp_path, guarded, *options, *more, environ=environ),
        ):
            heard.wait_for(stands(1))


def test_a_password_that_is_refused_is_told_and_not_shown(
    tmp_path: Path, guarded: Broker, service: ScriptedService
) -> None:
    options = ("--ca-file", str(tmp_path / "cert.pem"), "--username", "bridge")
    environ = {PASSWORD_VARIABLE: "wr0ng"}
    with bridge_process(tmp_path, guarded, *options, environ=environ) as process:
        assert process.stderr is not None
        lines = [next(process.stderr) for _ in range(3)]
        while not any("broker_refused" in line for line in lines):
            lines.append(next(process.stderr))
        process.terminate()
        lines += process.stderr.readlines()

    assert "wr0ng" not in "".join(lines)
    assert "s3cret" not in repr(guarded)


def test_a_broker_with_a_certificate_of_somebody_else_hears_nothing(
    tmp_path: Path, guarded: Broker, service: ScriptedService
) -> None:
    options = ("--tls", "--username", "bridge")
    environ = {PASSWORD_VARIABLE: "s3cret"}
    with bridge_process(tmp_path, guarded, *options, environ=environ) as process:
        assert process.stderr is not None
        assert any("broker_unreachable" in line for line in process.stderr)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--broker", "localhost:port"], "localhost:1883"),
        (["--broker", ":1883"], "localhost:1883"),
        (["--broker", "localhost:123456"], "localhost:1883"),
        (["--broker", "localhost", "--password-file", "missing"], "a file with a password"),
        (["--broker", "localhost", "--password-file", "open"], "chmod 600"),
        (["--broker", "localhost", "--password-file", "password"], "--username"),
        (["--broker", "far.example", "--username", "u", "--password-file", "password"], "--tls"),
        (["--broker", "localhost", "--ca-file", "password"], "certificates"),
        (["--broker", "localhost", "--env", "twice"], "a topic for each symbol"),
        (["--broker", "localhost", "--env", "wrong"], "line 1"),
    ],
)
def test_wrong_use_is_told_with_its_remedy(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    Path("twice").write_text("ML_SYMBOLS=BTC/USDT,BTC/USDT:USDT\n")
    Path("wrong").write_text("ML_SYMBOLS=\n")
    for name, mode in (("password", 0o600), ("open", 0o644)):
        Path(name).write_text("s3cret")
        Path(name).chmod(mode)

    assert main(options) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "s3cret" not in error


def test_help_shows_an_example_and_no_way_to_name_a_password(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "python -m plugin.hosts.hummingbot --broker localhost:1883" in said
    assert "--password " not in said


def test_without_an_mqtt_client_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['paho'] = None\n"
        "from plugin.hosts.hummingbot import main; sys.exit(main(['--broker', 'localhost']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert (done.returncode, "pip install 'shadowgate[mqtt]'" in done.stderr) == (2, True)
