"""QEMU's own monitor, for what happens while libvirtd, whose socket it is, is dead."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from .processes import LabError, until


class QMP:
    """The monitor of one guest; only one client at a time is heard."""

    def __init__(self, libvirt_directory: Path, guest_name: str):
        [path] = (libvirt_directory / "lib/qemu").glob(f"domain-*-{guest_name}/monitor.sock")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("r")
        self.lines.readline()  # the greeting
        self.ask("qmp_capabilities")

    def __enter__(self) -> QMP:
        return self

    def __exit__(self, *_) -> None:
        self.lines.close()
        self.socket.close()

    def ask(self, command: str, **arguments):
        """One command; its `return`."""
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        while True:
            answer = json.loads(self.lines.readline())
            if "error" in answer:
                raise LabError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]

    def wait_for_job(self, status: str) -> str:
        """Waits until the one job has this status; returns its name."""

        def found() -> str | None:
            jobs = self.ask("query-jobs")
            return jobs[0]["id"] if jobs and jobs[0]["status"] == status else None

        return until(found, 30, lambda: f"no job is {status}: {self.ask('query-jobs')}")
