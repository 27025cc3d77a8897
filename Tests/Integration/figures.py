"""Figures that the run prints at its end.  None is asserted: a busy machine must not fail a test."""

from __future__ import annotations

import re
import time
from pathlib import Path

from lab.daemon import Pivotd


def histogram(metrics: dict[str, float], name: str) -> str:
    """Count, mean and, as far as its buckets or quantiles tell, median of a histogram or summary of seconds."""
    count = sum(value for series, value in metrics.items() if re.match(rf"{name}_count\b", series))
    total = sum(value for series, value in metrics.items() if re.match(rf"{name}_sum\b", series))
    if not count:
        return "no samples"
    text = f"{count:.0f} samples, mean {total / count * 1000:.1f} ms"
    quantile = [value for series, value in metrics.items() if re.match(rf'{name}{{.*quantile="0.5"', series)]
    if quantile:
        return f"{text}, median {quantile[0] * 1000:.1f} ms"
    bound = median_bound(metrics, name, count)
    return text if bound is None else f"{text}, median at most {bound * 1000:g} ms"


def median_bound(metrics: dict[str, float], name: str, count: float) -> float | None:
    """The upper bound of the bucket that the median falls into."""
    buckets: dict[float, float] = {}
    for series, value in metrics.items():
        match = re.match(rf'{name}_bucket{{.*le="([^"]+)"', series)
        if match:
            bound = float(match.group(1).replace("+Inf", "inf"))
            buckets[bound] = buckets.get(bound, 0) + value
    return next((bound for bound, below in sorted(buckets.items()) if below >= count / 2), None)


def wakeups(pid: int) -> dict[str, int]:
    """{thread: how often it has been switched to} of a process."""
    threads = {}
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        threads[status.parent.name] = sum(int(number) for number in re.findall(r"ctxt_switches:\s+(\d+)", status.read_text()))
    return threads


def cpu_ticks(pid: int) -> int:
    """The CPU time of a process, in clock ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def idle_cost(daemon: Pivotd, seconds: float = 10) -> str:
    """CPU time and context switches of a daemon that has nothing to do."""
    pid = daemon.process.pid
    before = cpu_ticks(pid), wakeups(pid)
    time.sleep(seconds)
    ticks = cpu_ticks(pid) - before[0]
    switches = sum(count - before[1].get(thread, 0) for thread, count in wakeups(pid).items())
    return f"{ticks * 10} ms CPU and {switches} context switches in {seconds:g} s"


class Figures:
    """Collects lines for the end of the run."""

    def __init__(self):
        self.lines: list[str] = []

    def take(self, daemon: Pivotd) -> None:
        """Reads the figures of a daemon that is about to be ended."""
        metrics = daemon.metrics()
        self.lines += [
            f"READY to the pivot call: {histogram(metrics, 'pivotd_ready_to_pivot_seconds')} (wanted: under 10 ms)",
            f"swap beyond its copy:    {histogram(metrics, 'pivotd_swap_overhead_seconds')} (wanted: under 60 ms)",
            f"idle daemon:             {idle_cost(daemon)} (wanted: no polling)",
        ]
