"""What a guest feels of a move by pivotd, `virsh blockcopy` and nova, in turns: its rate, latencies and longest wait."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bed import Bed, empty
from lab.guest import Guest
from lab.processes import MIB, LabError
from lab.volumes import Volume
from report import Figure
from slow_device import throttled

PEERS = Path(__file__).with_name("peers")
SIZE = 512 * MIB
SLOW = 20 * MIB
"""bytes/s of the slow places."""
PAUSE = 500
"""Microseconds that the guest waits between two writes."""
ALONE_SECONDS = 4
REPORT = re.compile(r"^L vdb \d+ w ([\d ]+) r ([\d ]+)\r?$", re.M)

Move = Callable[[], object]
Mover = Callable[[Bed, Guest, Volume], Move]
"""Prepares a move and returns what carries it out."""


@dataclass
class Feeling:
    """What a guest reported in some time: latencies in ms, and requests a second."""

    writes: list[float]
    reads: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Writes a second."""
        return len(self.writes) / self.seconds


@contextlib.contextmanager
def feeling(guest: Guest) -> Iterator[list[Feeling]]:
    """Collects what the guest reports meanwhile; there when it is left."""
    found: list[Feeling] = []
    start, began = guest.console.path.stat().st_size, time.monotonic()
    yield found
    seconds = time.monotonic() - began
    text = guest.console.path.read_bytes()[start:].decode(errors="replace")
    writes, reads = [], []
    for written, read in REPORT.findall(text):
        writes += [int(number) / 1000 for number in written.split()]
        reads += [int(number) / 1000 for number in read.split()]
    if not writes:
        raise LabError(f"the guest reported nothing in {seconds:.1f} s")
    found.append(Feeling(writes, reads, seconds))


def by_pivotd(bed: Bed, guest: Guest, new: Volume) -> Move:
    return lambda: bed.swap(guest, new, {})


def by_polite_pivotd(bed: Bed, guest: Guest, new: Volume) -> Move:
    return lambda: bed.swap(guest, new, {"guest_latency_budget": "1.5x"})


def by_virsh(bed: Bed, guest: Guest, new: Volume) -> Move:
    words = ["--dest", new.raw, "--format", "raw", "--reuse-external", "--transient-job", "--wait", "--pivot"]
    return lambda: bed.lab.libvirt.virsh("blockcopy", guest.name, "vdb", *words, timeout=900)


def by_nova(bed: Bed, guest: Guest, new: Volume) -> Move:
    """Loading nova takes seconds, which are no part of the move."""
    words = [sys.executable, PEERS / "nova_swap.py", bed.lab.libvirt.uri, guest.name, "vdb", new.raw]
    child = subprocess.Popen([str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if child.stdout.readline() != "ready\n":
        raise LabError(f"nova cannot be loaded: exit code {child.wait()}")

    def move() -> None:
        child.communicate("go\n", timeout=900)
        if child.returncode:
            raise LabError(f"nova's swap: exit code {child.returncode}")

    return move


MOVERS: dict[str, Mover] = {
    "pivotd": by_pivotd,
    "pivotd, budget 1.5x": by_polite_pivotd,
    "virsh blockcopy": by_virsh,
    "nova": by_nova,
}


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of all lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def figures(place: str, felt: dict[str, list[tuple[Feeling, Feeling]]]) -> Iterator[Figure]:
    """Of each mover: the guest alone and during the move."""
    for mover, pairs in felt.items():
        moved = [during for _, during in pairs]
        yield Figure(f"{place}: the guest's rate, {mover}", "of alone", [during.rate / alone.rate for alone, during in pairs])
        for kind in ("writes", "reads"):
            times = [getattr(during, kind) for during in moved]
            yield Figure(f"{place}: {kind}, median, {mover}", "ms", [statistics.median(each) for each in times])
            yield Figure(f"{place}: {kind}, p99, {mover}", "ms", [percentile(each, 0.99) for each in times])
        yield Figure(f"{place}: longest write, {mover}", "ms", [max(during.writes) for during in moved])
        yield Figure(f"{place}: the move, {mover}", "s", [during.seconds for during in moved])


def measure_place(bed: Bed, place: str, slow: bool, repeat: int) -> Iterator[Figure]:
    """There and back on two files; every mover in each round, another one first each time."""
    here, there = bed.lab.volumes.file(SIZE, fill=True), bed.lab.volumes.file(SIZE)
    guest = bed.lab.guest({"vdb": here}, delay=PAUSE, measure=True).wait_ready()
    felt: dict[str, list[tuple[Feeling, Feeling]]] = {mover: [] for mover in MOVERS}
    limit = throttled(guest.qemu_pid(), bed.lab.workspace.root, SLOW) if slow else contextlib.nullcontext()
    with limit:
        for number in range(repeat):
            names = list(MOVERS)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                new = there if guest.disks["vdb"] is here else here
                empty(new)
                os.sync()
                with feeling(guest) as alone:
                    time.sleep(ALONE_SECONDS)
                move = MOVERS[name](bed, guest, new)
                with feeling(guest) as during:
                    move()
                guest.disks["vdb"] = new
                felt[name].append((alone[0], during[0]))
    yield from figures(place, felt)
    bed.lab.remove(guest)


def measure(bed: Bed, repeat: int) -> Iterator[Figure]:
    """On the machine's own disk, and on one slow device that source and destination share."""
    yield from measure_place(bed, "own disk", False, repeat)
    yield from measure_place(bed, f"one device of {SLOW // MIB} MiB/s", True, repeat)
