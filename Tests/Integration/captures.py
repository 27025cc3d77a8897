"""Recordings of a worker's traffic, and messages written by hand in the same form."""

from __future__ import annotations

import contextlib
import gzip
import json
import signal
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from lab.daemon import HOST, Pivotd, binary, clean_environment
from lab.processes import LabError, until

FIXTURES = Path(__file__).parents[1] / "Fixtures"

# What the broker's tracing tells of all that is published.
EVERYTHING = ("--exchange", "amq.rabbitmq.trace", "--routing-key", "publish.#")


class Capture:
    """`pivotd capture` of a worker's own queue (or of what `words` say), at work."""

    def __init__(self, worker: Pivotd, path: Path, *words: str):
        self.path = path
        tapped = words if "--queue" in words or "--routing-key" in words else ("--queue", f"{worker.topic}.{HOST}", *words)
        argv = worker.client_argv("capture", *tapped, "--out", path)
        self.errors = path.with_name(path.name + ".err")
        with open(self.errors, "wb") as errors:
            nothing = subprocess.DEVNULL
            self.child = subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=errors, env=clean_environment())
        try:
            until(lambda: "capturing" in self.said() or self.child.poll() is not None, 20, lambda: self.said())
            if self.child.poll() is not None:
                raise LabError(f"capture ended with {self.child.returncode}: {self.said()}")
        except BaseException:
            self.child.kill()
            self.child.wait()
            raise

    def said(self) -> str:
        """Its standard error."""
        return self.errors.read_text(errors="replace")

    def lines(self) -> list[dict]:
        """What is in the file."""
        return list(read(self.path))

    def wait_for(self, condition, timeout: float = 20) -> list[dict]:
        """Waits until the captured lines are as they should be; returns them."""

        def found() -> list[dict] | None:
            lines = self.lines()
            return lines if condition(lines) else None

        return until(found, timeout, lambda: f"{len(self.lines())} lines captured: {self.said()}")

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ends it; returns its exit code."""
        if self.child.poll() is None:
            self.child.send_signal(number)
        try:
            return self.child.wait(20)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            raise LabError(f"capture did not end: {self.said()}") from None

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(LabError):
            self.stop()


def read(path: Path) -> Iterator[dict]:
    """The lines of a capture file that are whole."""
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        with contextlib.suppress(EOFError):
            for line in file:
                if line.endswith(b"\n"):
                    yield json.loads(line)


def content(line: dict) -> dict | None:
    """The content of a captured envelope; None for anything else."""
    try:
        return json.loads(line["body"]["oslo.message"])
    except (KeyError, TypeError, ValueError):
        return None


def requests(lines: Iterable[dict]) -> list[dict]:
    """The contents of those that are requests."""
    return [inner for inner in map(content, lines) if inner and "method" in inner]


def finals(lines: Iterable[dict]) -> list[dict]:
    """The contents of those that are final replies."""
    return [inner for inner in map(content, lines) if inner and "method" not in inner and inner.get("ending")]


def line(inner: dict | None = None, body: object = None, at: float = 0) -> dict:
    """A line of a capture file, `at` seconds after the full hour."""
    envelope = {"oslo.version": "2.0", "oslo.message": json.dumps(inner)}
    return {
        "captured_at": f"2026-11-23T10:{int(at // 60):02}:{at % 60:09.6f}Z",
        "exchange": "openstack",
        "routing_key": "pivotd.elsewhere",
        "redelivered": False,
        "properties": {"content_type": "application/json", "content_encoding": "utf-8", "headers": {}, "delivery_mode": 2},
        "body": envelope if body is None else body,
    }


def request(method: str, arguments: dict, call: bool = True, **more) -> dict:
    """The content of a request with ids of its own."""
    made = {"method": method, "args": arguments, "version": "1.0", "namespace": None, "_unique_id": uuid.uuid4().hex}
    if call:
        made |= {"_msg_id": uuid.uuid4().hex, "_reply_q": "reply_recorded", "_timeout": None}
    return made | more


def swap(number: int = 1, **more) -> dict:
    """Valid arguments of a swap that a dry run carries out; equal numbers are equal swaps."""
    instance, old, new = (str(uuid.UUID(int=(kind << 64) + number)) for kind in (1, 2, 3))
    volumes = {
        f"{name}_connection_info": {
            "driver_volume_type": "iscsi",
            "serial": volume,
            "data": {"device_path": f"/dev/disk/by-id/{volume}", "auth_password": f"s3cret-{name}"},
        }
        for name, volume in (("old", old), ("new", new))
    }
    ids = {"old_volume_id": old, "new_volume_id": new}
    return {"instance": instance, "mountpoint": "/dev/vdb", **volumes, **ids} | more


def write(path: Path, lines: Iterable[dict | str]) -> Path:
    """A capture file of these lines; a text is written as it is."""
    path.write_text("".join((text if isinstance(text, str) else json.dumps(text)) + "\n" for text in lines))
    return path


def pivotd(*words, timeout: float = 60, **environment: str) -> subprocess.CompletedProcess:
    """Runs a command that needs no worker."""
    argv = [*binary(), *map(str, words)]
    options = {"capture_output": True, "text": True, "timeout": timeout, "stdin": subprocess.DEVNULL}
    return subprocess.run(argv, env=clean_environment(environment), **options)


def replay(*words, **options) -> subprocess.CompletedProcess:
    """`pivotd replay` against a dry run, as fast as it goes."""
    return pivotd("replay", "--libvirt-uri", "dry-run:", "--speed", "max", *words, **options)
