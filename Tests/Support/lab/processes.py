"""Processes and files of one lab, kept together in a directory so that all of them can be ended and removed."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MIB = 1 << 20


class LabError(Exception):
    """Something of the lab itself, not of what it tests, went wrong."""


def run(*argv, timeout: float = 240, check: bool = True, **options) -> str:
    """Runs a command to its end and returns its standard output; a failure is a LabError that quotes its last words."""
    words = [str(word) for word in argv]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode:
        words_said = (done.stderr or done.stdout).strip()[-600:]
        raise LabError(f"{' '.join(words)[:200]}: exit code {done.returncode}: {words_said}")
    return done.stdout


# Limits, in seconds on a quiet machine, only tell a hang from an end; a busy one gets this many times as long.
PATIENCE = 4


def until(condition: Callable, timeout: float, what: str | Callable[[], str], step: float = 0.05):
    """Waits for `condition()` to be true and returns its value; else raises a LabError that says `what`."""
    deadline = time.monotonic() + PATIENCE * timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"timed out after {PATIENCE * timeout} s: {what() if callable(what) else what}")
        time.sleep(step)


def port_open(port: int) -> bool:
    """Whether something listens on this TCP port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the command's name; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def start_time(pid: int) -> str | None:
    """When the process started, in clock ticks: with the id it names one process for ever."""
    fields = stat_fields(pid)
    return fields[19] if fields else None


def alive(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    fields = stat_fields(pid)
    return bool(fields) and fields[0] not in "ZX"


def descendants(pid: int) -> list[int]:
    """Children, grandchildren and so on of a process."""
    children: dict[int, list[int]] = {}
    for path in glob.glob("/proc/[0-9]*"):
        child = int(path.rpartition("/")[2])
        fields = stat_fields(child)
        if fields:
            children.setdefault(int(fields[1]), []).append(child)
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def send_signal(pid: int, number: int) -> None:
    """Signals a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end(pid: int, number: int = signal.SIGTERM, wait: float = 5) -> None:
    """Signals a process and, when it is still there after `wait` seconds, kills it."""
    send_signal(pid, number)
    deadline = time.monotonic() + wait
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    if alive(pid):
        send_signal(pid, signal.SIGKILL)


class Process:
    """A child in a session of its own, with its output in a log file of the workspace."""

    def __init__(self, name: str, argv: Iterable, log: Path, env: dict | None = None, cwd: Path | None = None):
        self.name, self.log = name, log
        with open(log, "ab") as output:
            self.child = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )
        self.pid = self.child.pid

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.child.poll() is None

    def tail(self, count: int = 1500) -> str:
        """The last characters of its log."""
        return self.log.read_text(errors="replace")[-count:]

    def stop(self, number: int = signal.SIGTERM, wait: float = 10) -> int | None:
        """Ends it and what it started; returns its exit code."""
        if self.running():
            below = descendants(self.pid)
            send_signal(self.pid, number)
            try:
                self.child.wait(wait)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(5)
            for pid in below:
                if alive(pid):
                    end(pid, signal.SIGKILL, 2)
        return self.child.returncode

    def kill(self) -> None:
        """Ends it alone, as kill -9 does: what it started lives on."""
        self.child.kill()
        self.child.wait(10)


class Workspace:
    """The lab's directory: what is started and made through it is ended and removed with it.

    What was started is also written down in the directory, so that `sweep` can clean up after a run that was killed.
    """

    def __init__(self, root: Path):
        self.root = Path(root)
        (self.root / "log").mkdir(parents=True, exist_ok=True)
        self.processes: list[Process] = []

    def path(self, *parts: str) -> Path:
        """A path below the directory."""
        return self.root.joinpath(*parts)

    def directory(self, *parts: str) -> Path:
        """A directory below, made when it is missing."""
        made = self.path(*parts)
        made.mkdir(parents=True, exist_ok=True)
        return made

    def start(self, name: str, argv: Iterable, env: dict | None = None, log: Path | None = None) -> Process:
        """Starts a process of the lab."""
        process = Process(name, argv, log or self.path("log", f"{name}.log"), env)
        self.processes.append(process)
        self.note("pids", f"{process.pid} {start_time(process.pid)}")
        return process

    def note(self, kind: str, line: str) -> None:
        """Writes down what `sweep` has to undo (`pids`, `loops`, `mounts`)."""
        with open(self.directory("undo") / kind, "a") as notes:
            notes.write(line + "\n")

    def notes(self, kind: str) -> list[str]:
        """What was written down of this kind, newest first."""
        notes = self.path("undo", kind)
        return notes.read_text().splitlines()[::-1] if notes.exists() else []

    def sweep(self) -> None:
        """Ends every process, frees every mount and loop device that was written down, and removes the directory."""
        for process in reversed(self.processes):
            process.stop(signal.SIGKILL)
        for line in self.notes("pids"):
            pid, _, started = line.partition(" ")
            if started == start_time(int(pid)):
                below = descendants(int(pid))
                for child in [int(pid), *below]:
                    end(child, signal.SIGKILL, 5)
        for pid_file in glob.glob(str(self.root / "**/run/qemu/*.pid"), recursive=True):
            with contextlib.suppress(OSError, ValueError):
                pid = int(Path(pid_file).read_text())
                if str(self.root) in Path(f"/proc/{pid}/cmdline").read_text():
                    end(pid, signal.SIGKILL)
        for mount in self.notes("mounts"):
            run("umount", "-l", mount, check=False)
        for line in self.notes("loops"):
            device, _, backing = line.partition(" ")
            if backing in run("losetup", device, check=False):
                run("losetup", "-d", device, check=False)
        shutil.rmtree(self.root, ignore_errors=True)
