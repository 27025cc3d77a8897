"""What a swap costs beyond its copy, and what a worker costs that has nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterator

from bed import Bed, Timing
from figures import cpu_ticks, wakeups
from lab.processes import MIB
from report import Figure

SIZE = 32 * MIB
IDLE_SECONDS = 5


def measure(bed: Bed, repeat: int) -> Iterator[Figure]:
    """Small volumes of a persistent guest, there and back, by both strategies in turns; then a rest."""
    here, there = bed.lab.volumes.file(SIZE, fill=True), bed.lab.volumes.file(SIZE)
    guest = bed.guest(here)
    timings: dict[str, list[Timing]] = {"copy": [], "rebase": []}
    for number in range(4 * repeat):
        strategy = ("copy", "rebase")[number // 2 % 2]
        timings[strategy].append(bed.swap(guest, here if number % 2 else there, {"strategy": strategy}))
    for strategy, done in timings.items():
        yield milliseconds(f"swap beyond its copy, {strategy}", [timing.overhead for timing in done], "< 60")
        yield milliseconds(f"READY to the pivot call, {strategy}", [timing.ready_to_pivot for timing in done], "< 10")
    accepts = [timing.accept for done in timings.values() for timing in done]
    yield milliseconds("arrival of a swap to its acknowledgement", accepts, "< 10")
    bed.lab.remove(guest)
    yield from idle(bed, repeat)


def milliseconds(what: str, seconds: list[float], wanted: str) -> Figure:
    """A figure in milliseconds."""
    return Figure(what, "ms", [value * 1000 for value in seconds], wanted=wanted)


def idle(bed: Bed, repeat: int) -> Iterator[Figure]:
    """CPU time and context switches of the worker, in a second of doing nothing."""
    pid, cpu, switches = bed.daemon.process.pid, [], []
    for _ in range(repeat):
        before = cpu_ticks(pid), wakeups(pid)
        time.sleep(IDLE_SECONDS)
        cpu.append((cpu_ticks(pid) - before[0]) * 10 / IDLE_SECONDS)
        switches.append(sum(count - before[1].get(thread, 0) for thread, count in wakeups(pid).items()) / IDLE_SECONDS)
    yield Figure("idle worker, CPU", "ms/s", cpu, wanted="0")
    yield Figure("idle worker, context switches", "1/s", switches)
