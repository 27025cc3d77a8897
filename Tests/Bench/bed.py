"""What the benchmarks run on: the lab, one pivotd with its usual settings, and swaps that tell how long they took."""

from __future__ import annotations

import json
from dataclasses import dataclass

from lab.daemon import Pivotd, run_client
from lab.guest import Guest
from lab.lab import Lab
from lab.processes import LabError, run
from lab.volumes import Volume

QUIET = 20_000
"""Microseconds between two writes of a guest that should not be what is measured."""


@dataclass
class Timing:
    """One swap, in seconds.

    accept: from the message's arrival until it is acknowledged.  whole: from the swap's start to its outcome.
    copy: from the call that starts the job to READY.  ready_to_pivot: from READY to the call of the pivot.
    """

    accept: float
    whole: float
    copy: float
    ready_to_pivot: float

    @property
    def overhead(self) -> float:
        """What is no copying."""
        return self.whole - self.copy


class Bed:
    """A lab with a pivotd, which is up when this is made."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.daemon = lab.daemon("bench", config={"log_level": "notice"}).start()

    def guest(self, volume: Volume, **options) -> Guest:
        """A guest on this volume that writes a little."""
        return self.lab.guest({"vdb": volume}, delay=QUIET, **options).wait_ready()

    def swap(self, guest: Guest, new: Volume, options: dict[str, object]) -> Timing:
        """Moves the guest's disk to `new` and reads how long it took from pivotd's own metrics."""
        before = self.daemon.metrics()
        done = run_client(swap_command(self.daemon, guest, guest.disks["vdb"], new, options), timeout=600)
        if done.returncode:
            raise LabError(f"pivotd swap: exit code {done.returncode}: {done.stderr[-600:]}")
        guest.disks["vdb"] = new
        after = self.daemon.metrics()

        def spent(what: str) -> float:
            name = f"pivotd_{what}_seconds_sum"
            return after.get(name, 0) - before.get(name, 0)

        whole = spent("swap_duration")
        return Timing(spent("accept"), whole, whole - spent("swap_overhead"), spent("ready_to_pivot"))


def swap_command(daemon: Pivotd, guest: Guest, old: Volume, new: Volume, options: dict[str, object], *more: str) -> list[str]:
    """The command that asks for a swap."""
    words = ["--instance", guest.uuid, "--disk", "vdb", "--old", json.dumps(old.info), "--new", json.dumps(new.info)]
    given = [word for name, value in options.items() for word in ("--option", f"{name}={value}")]
    return daemon.client_argv("swap", *words, *given, "--no-progress", *more)


def empty(volume: Volume) -> None:
    """Makes a file or loop device (or the file behind a server) as sparse as a new one."""
    if volume.source_type == "block":
        run("blkdiscard", "-f", volume.raw)
    else:
        run("fallocate", "--punch-hole", "--offset", 0, "--length", volume.size, volume.raw)
