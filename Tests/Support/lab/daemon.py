"""The daemon under test."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from .processes import LabError, Process, Workspace, free_port, until

HOST = "lab-host"


def clean_environment(more: dict | None = None) -> dict[str, str]:
    """This process's environment less the variables that pivotd would take for its own settings, and with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIVOTD")}
    return kept | (more or {})


def binary() -> list[str]:
    """The command under test: $PIVOTD, the path of the pivotd binary (or a command line)."""
    command = os.environ.get("PIVOTD", "").split()
    if not command or not os.access(command[0], os.X_OK):
        raise LabError("PIVOTD does not name the pivotd binary")
    return command


def run_client(argv: list, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Runs a command of the binary to its end."""
    words = [str(word) for word in argv]
    nothing = subprocess.DEVNULL
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, stdin=nothing, env=clean_environment())


class Pivotd:
    """A pivotd with a state directory, topic and configuration file of its own; it can be killed and started again."""

    def __init__(
        self,
        workspace: Workspace,
        transport_url: str,
        libvirt_uri: str,
        name: str = "pivotd",
        topic: str | None = None,
        config: dict | None = None,
        state: Path | None = None,
        host: str = HOST,
    ):
        self.workspace, self.transport_url, self.libvirt_uri = workspace, transport_url, libvirt_uri
        self.name, self.topic, self.host = name, topic or name, host
        self.directory = workspace.directory("daemons", name)
        self.state = state or workspace.directory("daemons", name, "state")
        self.http = free_port()
        self.log_path = workspace.path("log", f"{name}.err")
        self.process: Process | None = None
        keys = {
            "transport_url": transport_url,
            "allowed_paths": [str(workspace.path("volumes")), str(workspace.path("mounts")), "/dev/loop*"],
            "progress_interval_s": 1,
            "notifications": True,
            "log_format": "json",
            **(config or {}),
        }
        self.config = self.directory / "pivotd.yaml"
        self.config.write_text("".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items()))  # JSON is YAML
        self.config.chmod(0o600)

    def _common(self) -> list[str]:
        return ["--config", str(self.config), "--topic", self.topic, "--host", self.host]

    def start(self, ready: bool = True, timeout: float = 30, env: dict | None = None) -> Pivotd:
        """Starts it, or starts it again; `env` is added to the environment."""
        where = ["--libvirt-uri", self.libvirt_uri, "--state-dir", self.state, "--http-address", f"127.0.0.1:{self.http}"]
        argv = [*binary(), "run", *self._common(), *where]
        self.process = self.workspace.start(self.name, argv, clean_environment(env), self.log_path)
        if ready:
            self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout: float = 30) -> None:
        """Waits until /readyz is 200."""
        until(
            lambda: self.get("/readyz")[0] == 200 or not self.running(),
            timeout,
            lambda: f"{self.name} is not ready: {self.log()[-800:]}",
        )
        if not self.running():
            raise LabError(f"{self.name} ended with {self.process.child.returncode}: {self.log()[-800:]}")

    def get(self, path: str) -> tuple[int, str]:
        """(status, body) of a page of its HTTP server; status 0 when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode(errors="replace")
        except OSError as error:
            return 0, str(error)

    def metrics(self) -> dict[str, float]:
        """{series: value} of /metrics."""
        samples = re.findall(r"^([a-z_][^\s{]*(?:\{[^}]*\})?) (\S+)", self.get("/metrics")[1], re.M)
        return {series: float(value) for series, value in samples}

    def running(self) -> bool:
        """Whether its process runs."""
        return bool(self.process and self.process.running())

    def log(self) -> str:
        """Everything that it has logged, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def terminate(self, wait: float = 20) -> int:
        """SIGTERM; returns the exit code (a LabError when it does not end in time)."""
        self.process.child.send_signal(signal.SIGTERM)
        try:
            return self.process.child.wait(wait)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise LabError(f"{self.name} did not end within {wait} s of SIGTERM: {self.log()[-800:]}") from None

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()

    def restart_hard(self, **options) -> Pivotd:
        """kill -9 and a new start."""
        self.kill()
        return self.start(**options)

    def stop(self) -> None:
        """Ends it whatever it does."""
        if self.running():
            with contextlib.suppress(LabError):
                self.terminate()

    def client_argv(self, name: str, *arguments) -> list[str]:
        """The command line of a client command."""
        return [*binary(), name, *self._common(), *map(str, arguments)]

    def command(self, name: str, *arguments, timeout: float = 60) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of a client command of the same binary and configuration."""
        argv = self.client_argv(name, *arguments)
        done = run_client(argv, timeout)
        return done.returncode, done.stdout, done.stderr
