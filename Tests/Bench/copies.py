"""The copy's throughput beside that of `qemu-img convert`, on the same pair of volumes and in turns."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from bed import Bed, empty
from lab.processes import run
from lab.volumes import Volume, Volumes
from report import Figure

MIB = 1 << 20
REFERENCE = "qemu-img convert"


def destinations(volumes: Volumes, size: int) -> Iterator[tuple[str, Volume, float]]:
    """(kind, volume, the wanted share of qemu-img's throughput)."""
    yield "file", volumes.file(size), 0.9
    yield "loop device", volumes.loop(size), 0.9
    yield "nbd, writes 10 ms late", volumes.nbd(size, filters=["delay"], parameters=["wdelay=10ms"]), 0.85


def convert(old: Volume, new: Volume) -> float:
    """Copies with qemu-img, cached as little as the guest's disk is; returns the seconds it took."""
    began = time.monotonic()
    uncached = ["-t", "none", "-T", "none"]
    run("qemu-img", "convert", "-U", "-n", "-W", "-m", 8, *uncached, "-f", "raw", "-O", "raw", old.raw, image(new), timeout=600)
    return time.monotonic() - began


def image(volume: Volume) -> str:
    """What qemu-img calls the volume."""
    data = volume.info["data"]
    return f"nbd://{data['host']}:{data['port']}/{data['export']}" if volume.kind == "nbd" else str(volume.raw)


def settled(volume: Volume) -> None:
    """Empties the destination and lets the machine write what it owes, so that nobody pays for the one before."""
    empty(volume)
    os.sync()


def measure(bed: Bed, size: int, repeat: int, options: dict[str, object]) -> Iterator[Figure]:
    """Copies a full volume from a file to each kind of destination, `repeat` times by both."""
    old = bed.lab.volumes.file(size, fill=True)
    guest = bed.guest(old)
    for kind, new, wanted in destinations(bed.lab.volumes, size):
        ours, whole, theirs = [], [], []
        for _ in range(repeat):
            settled(new)
            theirs.append(size / convert(old, new) / MIB)
            settled(new)
            timing = bed.swap(guest, new, options)
            ours.append(size / timing.copy / MIB)
            whole.append(size / timing.whole / MIB)
            bed.swap(guest, old, {})
        new.close()
        yield Figure(f"copy: file to {kind}", "MiB/s", ours, REFERENCE, theirs, wanted)
        yield Figure(f"whole swap: file to {kind}", "MiB/s", whole, REFERENCE, theirs)
    bed.lab.remove(guest)
