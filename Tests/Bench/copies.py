"""The copy's throughput beside that of `qemu-img convert`, on the same pair of volumes and in turns."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from bed import Bed, empty
from lab.guest import Guest
from lab.processes import MIB, run
from lab.volumes import Volume, Volumes
from report import Figure

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


def compare(bed: Bed, guest: Guest, new: Volume, repeat: int, options: dict[str, object]) -> dict[str, list[float]]:
    """Rates in MiB/s of the copy, of the whole swap and of the reference, `repeat` times each; who goes first changes."""
    old = guest.disks["vdb"]
    rates: dict[str, list[float]] = {"copy": [], "swap": [], REFERENCE: []}

    def convert_it() -> None:
        settled(new)
        rates[REFERENCE].append(old.size / convert(old, new) / MIB)

    def swap_it() -> None:
        settled(new)
        timing = bed.swap(guest, new, options)
        rates["copy"].append(old.size / timing.copy / MIB)
        rates["swap"].append(old.size / timing.whole / MIB)
        bed.swap(guest, old, {})

    for number in range(repeat):
        for turn in (convert_it, swap_it) if number % 2 else (swap_it, convert_it):
            turn()
    return rates


def measure(bed: Bed, size: int, repeat: int, options: dict[str, object]) -> Iterator[Figure]:
    """Copies a full volume from a file to each kind of destination."""
    guest = bed.guest(bed.lab.volumes.file(size, fill=True))
    for kind, new, wanted in destinations(bed.lab.volumes, size):
        rates = compare(bed, guest, new, repeat, options)
        new.close()
        yield Figure(f"copy: file to {kind}", "MiB/s", rates["copy"], REFERENCE, rates[REFERENCE], wanted)
        yield Figure(f"whole swap: file to {kind}", "MiB/s", rates["swap"], REFERENCE, rates[REFERENCE])
    bed.lab.remove(guest)
