"""How does a message stand on an MQTT topic only as long as it is true, whatever dies first?

Three things take it back: the end of its time, here; the broker's own expiry of what it keeps; and the
last will, which the broker publishes when this process is gone or silent. A connection has one last
will, so each topic has a connection of its own.
"""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from plugin.clock import Clock

_log = structlog.get_logger()
KEEPALIVE_S = 5
"""The broker takes a silent connection for dead after one and a half of these."""
_LONGEST_PAUSE_S = 30
# Once a connection stands, everything is said anew, so that nothing has to be kept and said twice: a
# message which waits for its acknowledgement would be sent again after its time.
_AT_MOST_ONCE = 0


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and how it knows us. `tls` says whose certificates count, if any."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class StandingSignal:
    """A retained message on `topic`: `neutral`, or one that is shown for a time.

    Within its `with` block only; before, after, and whenever in doubt it is `neutral`.
    """

    def __init__(self, broker: Broker, topic: str, neutral: bytes, clock: Clock) -> None:
        self._broker = broker
        self._topic = topic
        self._neutral = neutral
        self._clock = clock
        self._lock = threading.Lock()
        self._is_connected = False
        self._payload, self._until_ms = neutral, 0
        self._mqtt = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._mqtt.on_connect = self._connected
        self._mqtt.on_connect_fail = self._unreachable
        self._mqtt.on_disconnect = self._disconnected
        self._mqtt.will_set(topic, neutral, qos=1, retain=True)
        self._mqtt.username_pw_set(broker.username, broker.password)
        if broker.tls is not None:
            self._mqtt.tls_set_context(broker.tls)
        self._mqtt.reconnect_delay_set(1, _LONGEST_PAUSE_S)

    def __enter__(self) -> StandingSignal:
        """Connects beside the caller, and again for as long as it takes."""
        self._mqtt.connect_async(self._broker.host, self._broker.port, KEEPALIVE_S)
        self._mqtt.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            self._payload, self._until_ms = self._neutral, 0
        # The broker says the last word: what we sent ourselves might be lost with the connection.
        self._mqtt.disconnect(ReasonCode(PacketTypes.DISCONNECT, "Disconnect with will message"))
        self._mqtt.loop_stop()

    def show(self, payload: bytes, until_ms: int) -> None:
        """Let `payload` stand until then, by the clock."""
        with self._lock:
            self._payload, self._until_ms = payload, until_ms
            self._say()

    def take_back(self) -> None:
        """Let `neutral` stand."""
        self.show(self._neutral, 0)

    def take_back_expired(self) -> None:
        """To be called often: at the end of its time a message is taken back."""
        with self._lock:
            if 0 < self._until_ms <= self._clock.now_ms():
                self._payload, self._until_ms = self._neutral, 0
                self._say()

    def _say(self) -> None:
        if not self._is_connected:
            return
        left_s = (self._until_ms - self._clock.now_ms()) // 1000
        if left_s < 1:
            self._mqtt.publish(self._topic, self._neutral, _AT_MOST_ONCE, retain=True)
            return
        expiry = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        expiry.MessageExpiryInterval = left_s
        self._mqtt.publish(self._topic, self._payload, _AT_MOST_ONCE, retain=True, properties=expiry)

    def _connected(
        self,
        _mqtt: Client,
        _userdata: Any,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            _log.error("broker_refused", topic=self._topic, reason=str(reason))
            return
        with self._lock:
            self._is_connected = True
            self._say()
        _log.info("broker_connected", topic=self._topic)

    def _unreachable(self, _mqtt: Client, _userdata: Any) -> None:
        _log.warning("broker_unreachable", host=self._broker.host, port=self._broker.port)

    def _disconnected(
        self,
        _mqtt: Client,
        _userdata: Any,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._lock:
            self._is_connected = False
        _log.info("broker_disconnected", topic=self._topic, reason=str(reason))
