"""What a swap without bytes costs over the broker, beside a server of oslo.messaging that does nothing, in turns."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from captures import swap
from lab.daemon import HOST
from lab.lab import Lab
from lab.processes import LabError, Process, run, until
from lab.rabbit import BROKER_PASSWORD
from report import Figure

PEERS = Path(__file__).with_name("peers")
REFERENCE = "oslo.messaging, no-op"
ID = "a1b2c3d4a1b2c3d4a1b2c3d4@NUMBER@"
"""As load.c wants it."""
WINDOWS = {1: 500, 64: 6000, 512: 6000}
"""Calls at a time, and how many in all."""


def body(path: Path) -> Path:
    """A request whose ids, volumes and instance the load generator makes different in each call."""
    made = swap(7)
    text = json.dumps(made)
    marks = {"instance": "a1b2c3d4-a1b2-4dee-a1b2-c3d4@NUMBER@", "old_volume_id": f"0{ID}", "new_volume_id": f"1{ID}"}
    for name, mark in marks.items():
        text = text.replace(made[name], mark)
    inner = {"method": "swap_volume", "args": json.loads(text), "version": "1.0", "_unique_id": ID, "_msg_id": ID}
    inner |= {"_reply_q": "@QUEUE@", "_timeout": None}
    path.write_text(json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)}))
    return path


class Load:
    """The load generator, compiled."""

    def __init__(self, lab: Lab):
        self.lab, self.program = lab, lab.workspace.root / "load"
        run("cc", "-O2", "-o", self.program, PEERS / "load.c", "-lrabbitmq")
        self.body = body(lab.workspace.root / "call.json")

    def rate(self, topic: str, calls: int, window: int) -> float:
        """Calls a second, of so many in all, and so many at a time."""
        broker = ["127.0.0.1", self.lab.rabbit.port, "pivot", BROKER_PASSWORD, "lab", "openstack"]
        told = json.loads(run(self.program, *broker, f"{topic}.{HOST}", self.body, calls, window, timeout=300))
        if told["failures"]:
            raise LabError(f"{told['failures']} of {calls} calls failed")
        return calls / told["seconds"]


def oslo_server(lab: Lab, topic: str) -> Process:
    """The reference, ready."""
    argv = [sys.executable, PEERS / "oslo_server.py", lab.rabbit.url, topic, HOST]
    server = lab.workspace.start("oslo-server", argv, dict(os.environ))

    def consumes() -> bool:
        return f"{topic}.{HOST}\t1" in lab.rabbit.control("list_queues", "--quiet", "-p", "lab", "name", "consumers")

    until(lambda: not server.running() or consumes(), 30, lambda: f"the server does not start: {server.tail()}", step=1)
    if not server.running():
        raise LabError(f"the oslo.messaging server ended: {server.tail()}")
    return server


def measure(lab: Lab, repeat: int) -> Iterator[Figure]:
    """Calls one at a time, and 64 and 512 at a time."""
    load = Load(lab)
    quiet = {"log_level": "warning", "notifications": False, "max_concurrent_swaps": 64}
    worker = lab.daemon("dispatch", libvirt_uri="dry-run:", config=quiet).start()
    server = oslo_server(lab, "reference")
    for window, calls in WINDOWS.items():
        rates: dict[str, list[float]] = {"dispatch": [], "reference": []}
        for number in range(repeat):
            for topic in ("dispatch", "reference") if number % 2 else ("reference", "dispatch"):
                rates[topic].append(load.rate(topic, calls, window))
        at_once = "one at a time" if window == 1 else f"{window} at a time"
        yield Figure(f"swaps of no bytes over the broker, {at_once}", "1/s", rates["dispatch"], REFERENCE, rates["reference"])
    server.stop()
    worker.stop()
