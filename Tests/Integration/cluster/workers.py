"""The workers of the storm, half of them on quorum queues and half on classic durable ones."""

from __future__ import annotations

import json
import time

from bus.dry import SETTINGS
from cluster.brokers import SLOW, Brokers
from lab.daemon import Pivotd
from lab.processes import Workspace, until

EXCHANGE = "storm"
TOPICS = {
    "quorum": {"rabbit_quorum_queue": True, "rabbit_transient_quorum_queue": True},
    "classic": {"amqp_durable_queues": True},
}
"""{topic: how its queues are declared, by workers and by callers}"""
HEARTBEAT = 10
"""Seconds of `heartbeat_timeout_threshold`: shorter than the longest freeze."""
EACH = 5
"""Workers of a topic."""


class Worker:
    """A pivotd that is killed now and then; its log is kept apart by its lives."""

    def __init__(self, workspace: Workspace, brokers: Brokers, topic: str, number: int):
        settings = {
            **SETTINGS,
            **TOPICS[topic],
            "exchange": EXCHANGE,
            "heartbeat_timeout_threshold": HEARTBEAT,
            "notifications": False,
        }
        name = f"{topic}{number}"
        self.daemon = Pivotd(
            workspace, brokers.url(), "dry-run:?rate=600", name=name, topic=topic, config=settings, host=name
        )
        self.killed: list[float] = []
        """When each life but the last has ended (monotonic)."""
        self._ends: list[int] = []
        """Where in the log."""
        self.daemon.start(ready=False)

    def kill(self, pause: float) -> None:
        """kill -9, and a new start after so many seconds."""
        assert self.daemon.running(), f"{self.daemon.name} ended by itself: {self.daemon.process.tail()}"
        self.daemon.kill()
        self.killed.append(time.monotonic())
        self._ends.append(self.daemon.log_path.stat().st_size)
        time.sleep(pause)
        self.daemon.start(ready=False)

    def lives(self) -> list[list[dict]]:
        """The lines of its log, life by life.  What was not written yet when it was killed is missing."""
        log = self.daemon.log_path.read_bytes()
        bounds = [0, *self._ends, len(log)]
        return [_lines(log[begin:end]) for begin, end in zip(bounds, bounds[1:])]

    def wait_ready(self) -> None:
        """Waits until it consumes from all its queues."""

        def ready() -> bool:
            status, body = self.daemon.get("/readyz")
            return status == 200 and "home node down" not in body

        until(ready, SLOW, lambda: f"{self.daemon.name}: {self.daemon.get('/readyz')}: {self.daemon.process.tail()}", 0.5)


def _lines(log: bytes) -> list[dict]:
    """The last one may be cut off."""
    found = []
    for line in log.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found
