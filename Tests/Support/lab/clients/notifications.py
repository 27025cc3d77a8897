"""A stock oslo.messaging notification listener."""

from __future__ import annotations

import contextlib
import time
from typing import NamedTuple

import oslo_messaging

from .rpc import oslo_configuration


class Notification(NamedTuple):
    """One notification as the listener's endpoint got it."""

    priority: str
    publisher_id: str
    event_type: str
    payload: dict
    at: float


class Notifications:
    """Collects what is sent to a notification topic."""

    def __init__(self, transport_url: str, topic: str = "versioned_notifications", exchange: str = "openstack"):
        self.received: list[Notification] = []
        self.transport = oslo_messaging.get_notification_transport(oslo_configuration(), url=transport_url)
        target = oslo_messaging.Target(exchange=exchange, topic=topic)
        self.listener = oslo_messaging.get_notification_listener(self.transport, [target], [self], executor="threading")
        self.listener.start()

    def info(self, ctxt, publisher_id, event_type, payload, metadata) -> None:
        """Called by oslo.messaging."""
        self.received.append(Notification("info", publisher_id, event_type, payload, time.monotonic()))

    def error(self, ctxt, publisher_id, event_type, payload, metadata) -> None:
        """Called by oslo.messaging."""
        self.received.append(Notification("error", publisher_id, event_type, payload, time.monotonic()))

    def of(self, **payload) -> list[Notification]:
        """Those whose payload has these values."""
        return [one for one in list(self.received) if payload.items() <= one.payload.items()]

    def close(self) -> None:
        """Stops listening."""
        with contextlib.suppress(Exception):
            self.listener.stop()
            self.listener.wait()
        with contextlib.suppress(Exception):
            self.transport.cleanup()
