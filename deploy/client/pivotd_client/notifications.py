"""volume_swap.end and .error, which wake those who wait for them."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import oslo_messaging
from oslo_config import cfg

LOG = logging.getLogger(__name__)
START_S = 10
"""Seconds to wait for the listener's start, so that it hears of what is submitted next."""


class End:
    """The end of one task, once a notification reports it."""

    def __init__(self) -> None:
        self.payload: Mapping[str, Any] | None = None
        self._reported = threading.Event()

    def report(self, payload: Mapping[str, Any]) -> None:
        """Wakes the waiter."""
        self.payload = payload
        self._reported.set()

    def wait(self, seconds: float) -> None:
        """Waits until it is reported, at most so long."""
        self._reported.wait(seconds)


class Notifications:
    """A listener with a queue of its own; trouble with it is a warning, since polling finds every outcome too.

    The queue is named by the pool and stays when the listener ends, as oslo.messaging's pools do.  Clients that share a pool
    share its messages: give each process its own.
    """

    filter_rule = oslo_messaging.NotificationFilter(event_type=r"^volume_swap\.(end|error)$")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, list[End]] = {}
        self._server: Any = None
        self._transport: Any = None

    def listen(self, conf: cfg.ConfigOpts, url: str | None, exchange: str, topic: str, pool: str | None) -> None:
        """Starts the listener; without a broker it goes on trying in the background."""
        target = oslo_messaging.Target(exchange=exchange, topic=topic)
        pool = pool or f"pivotd-client.{socket.gethostname()}"

        def start() -> None:
            try:
                self._transport = oslo_messaging.get_notification_transport(conf, url=url)
                self._server = oslo_messaging.get_notification_listener(
                    self._transport, [target], [self], executor="threading", pool=pool
                )
                self._server.start()
            except Exception as trouble:  # noqa: BLE001  (optional)
                LOG.warning("no notifications, polling instead: %s", trouble)

        starting = threading.Thread(target=start, daemon=True)
        starting.start()
        starting.join(START_S)

    @contextlib.contextmanager
    def of(self, task: str) -> Iterator[End]:
        """The end of a task, if it is reported within the block."""
        end = End()
        with self._lock:
            self._waiting.setdefault(task, []).append(end)
        try:
            yield end
        finally:
            with self._lock:
                self._waiting[task].remove(end)
                if not self._waiting[task]:
                    del self._waiting[task]

    def info(self, context: Any, publisher: str, event: str, payload: Mapping[str, Any], metadata: Any) -> None:
        """Called by oslo.messaging for volume_swap.end."""
        with self._lock:
            for end in self._waiting.get(payload.get("task_id", ""), ()):
                end.report(payload)

    error = info

    def close(self) -> None:
        """Ends the listener."""
        with contextlib.suppress(Exception):
            if self._server:
                self._server.stop()
                self._server.wait()
        with contextlib.suppress(Exception):
            if self._transport:
                self._transport.cleanup()
