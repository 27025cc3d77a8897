"""What a thin volume takes up on its new place."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

from bed import Bed
from copies import REFERENCE, convert, settled
from lab.processes import MIB, run
from lab.volumes import Volume
from report import Figure

SIZE = 1024 * MIB
DATA = 64 * MIB
EXTENT = 4 * MIB
FULL = 256 * MIB
OPTIONS = {"strategy": "copy", "detect_zeroes": "true"}


def scatter(path: Path) -> None:
    """Writes DATA bytes in extents all over a volume whose other bytes are zeroes that take up space."""
    run("dd", "if=/dev/zero", f"of={path}", f"bs={EXTENT}", f"count={SIZE // EXTENT}", "conv=notrunc", "status=none")
    with open(path, "r+b") as file:
        for index in range(DATA // EXTENT):
            file.seek((index + 1) * (SIZE // (DATA // EXTENT)) - EXTENT)
            file.write(random.Random(index).randbytes(EXTENT))


def measure(bed: Bed, make: Callable[[int], Volume]) -> Iterator[Figure]:
    """Moves a volume that is zeroes for the most part onto a sparse one, with `detect_zeroes`."""
    old, new = bed.lab.volumes.file(SIZE), make(SIZE)
    scatter(old.path)
    guest = bed.guest(old)
    bed.swap(guest, new, OPTIONS)
    what = f"{SIZE // MIB} MiB with {DATA // MIB} MiB of data onto a sparse {new.kind}, detect_zeroes"
    yield Figure(what, "MiB taken", [allocated(new) / MIB], wanted="< 80")
    bed.lab.remove(guest)
    old.close()


def starts(bed: Bed, repeat: int) -> Iterator[Figure]:
    """Whether the first copy with `detect_zeroes` after QEMU's start takes longer than the next, and than another program's."""
    first, second, reference = [], [], []
    for _ in range(repeat):
        volumes = [bed.lab.volumes.file(FULL, fill=count == 0) for count in range(3)]
        settled(volumes[1])
        reference.append(convert(volumes[0], volumes[1]))
        settled(volumes[1])
        guest = bed.guest(volumes[0])
        first.append(bed.swap(guest, volumes[1], OPTIONS).copy)
        second.append(bed.swap(guest, volumes[2], OPTIONS).copy)
        bed.lab.remove(guest)
        for volume in volumes[:2]:
            volume.close()
    what = f"{FULL // MIB} MiB, detect_zeroes"
    yield Figure(f"{what}: the first copy of a QEMU", "s", first, REFERENCE, reference, "at most 0.5 s")
    yield Figure(f"{what}: its next one", "s", second, REFERENCE, reference)


def allocated(volume: Volume) -> int:
    """The bytes that a file or an rbd image takes up."""
    if volume.kind != "rbd":
        return volume.allocated()
    (config,) = [word.partition("conf=")[2].partition(":")[0] for word in volume.image if "conf=" in word]
    (name,) = volume.names
    told = json.loads(run("rbd", "-c", config, "diff", name, "--format", "json"))
    return sum(extent["length"] for extent in told if extent["exists"] == "true")
