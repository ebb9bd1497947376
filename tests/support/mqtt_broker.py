"""A real mosquitto on a port of its own, and a real subscriber that keeps what it hears.

with mqtt_broker(folder) as broker, Subscriber(broker, "hbot/#") as heard:
    heard.wait_for(lambda messages: len(messages) == 1)
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from plugin.hosts.mqtt_signal import Broker

_LONGEST_WAIT_S = 60.0


class Message(NamedTuple):
    """What a subscriber heard; `expiry_s` is None where it never expires."""

    topic: str
    body: dict[str, Any]
    is_retained: bool
    expiry_s: int | None


@contextmanager
def mqtt_broker(
    folder: Path, port: int | None = None, settings: Sequence[str] = ("allow_anonymous true",)
) -> Iterator[Broker]:
    """On the port, or on a free one; `settings` are lines of its configuration."""
    program = shutil.which("mosquitto", path="/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin")
    if program is None:
        pytest.skip("needs mosquitto")
    port = port or _free_port()
    config = folder / "mosquitto.conf"
    # Started by root it would become a user that can not read the folder.
    config.write_text("\n".join([f"listener {port} 127.0.0.1", "user root", *settings, ""]))
    command = [program, "-c", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            _wait_until_open(port, process)
            yield Broker("127.0.0.1", port)
        finally:
            process.terminate()


class Subscriber:
    """Hears what is published on `topic`, retained first; `by_version_5` or by version 3.1.1."""

    def __init__(self, broker: Broker, topic: str, *, by_version_5: bool = True) -> None:
        self.messages: list[Message] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        version = MQTTProtocolVersion.MQTTv5 if by_version_5 else MQTTProtocolVersion.MQTTv311
        self._mqtt = Client(CallbackAPIVersion.VERSION2, protocol=version)
        self._mqtt.username_pw_set(broker.username, broker.password)
        if broker.tls is not None:
            self._mqtt.tls_set_context(broker.tls)
        self._mqtt.on_connect = lambda mqtt, *_: mqtt.subscribe(topic, 1)
        self._mqtt.on_subscribe = lambda *_: self._subscribed.set()
        self._mqtt.on_message = self._heard
        self._address = (broker.host, broker.port)

    def __enter__(self) -> Subscriber:
        self._mqtt.connect(*self._address)
        self._mqtt.loop_start()
        assert self._subscribed.wait(_LONGEST_WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._mqtt.disconnect()
        self._mqtt.loop_stop()

    def wait_for(self, is_there: Callable[[list[Message]], bool]) -> list[Message]:
        """All messages so far, once `is_there` says so of them."""
        with self._changed:
            came = self._changed.wait_for(lambda: is_there(self.messages), _LONGEST_WAIT_S)
            assert came, f"heard {self.messages}"
            return list(self.messages)

    def _heard(self, _mqtt: Client, _userdata: Any, message: Any) -> None:
        expiry = getattr(message.properties, "MessageExpiryInterval", None)
        body = json.loads(message.payload)
        with self._changed:
            self.messages.append(Message(message.topic, body, bool(message.retain), expiry))
            self._changed.notify_all()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _LONGEST_WAIT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            assert process.stderr is not None
            raise AssertionError(process.stderr.read().decode())
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError("mosquitto does not listen")
