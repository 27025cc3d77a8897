"""The replay of a large capture against a simulated hypervisor."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from captures import line, request, swap
from lab.daemon import binary, clean_environment
from lab.processes import MIB, LabError
from report import Figure


def write_capture(path: Path, inner: Iterator[dict]) -> Path:
    """A capture file of these requests, ten milliseconds apart."""
    with open(path, "w") as file:
        for index, message in enumerate(inner):
            file.write(json.dumps(line(message, at=index % 300_000 / 100)) + "\n")
    return path


def timed(argv: list, log: Path) -> tuple[float, float]:
    """(seconds, peak resident bytes) of a command whose output nobody reads."""
    with open(log, "wb") as errors:
        began = time.monotonic()
        child = subprocess.Popen(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=clean_environment(),
        )
        _, status, usage = os.wait4(child.pid, 0)
        took = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise LabError(f"{argv[1]}: exit code {child.returncode}: {log.read_text(errors='replace')[-600:]}")
    return took, usage.ru_maxrss * 1024


def measure(directory: Path, calls: int, repeat: int) -> Iterator[Figure]:
    """Replays a capture of `calls` different swaps as fast as it goes."""
    capture = write_capture(directory / "swaps.jsonl", (request("swap_volume", swap(number)) for number in range(1, calls + 1)))
    argv = [*binary(), "replay", "--libvirt-uri", "dry-run:", "--speed", "max", capture]
    runs = [timed(argv, directory / "log" / "replay.err") for _ in range(repeat)]
    capture.unlink()
    full = calls == 100_000
    yield Figure(f"replay of {calls} swaps", "s", [took for took, _ in runs], wanted="< 15" if full else "")
    yield Figure("its peak memory", "MiB", [peak / MIB for _, peak in runs], wanted="< 150" if full else "")
