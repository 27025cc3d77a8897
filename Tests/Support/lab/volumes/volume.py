"""One volume, and the reading of what guests wrote on it."""

from __future__ import annotations

import copy
import hashlib
import random
import struct
import tempfile
import uuid
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..guest_image import RING
from ..hangs import FlushGate
from ..processes import MIB, LabError, Process, run

SECTOR = 512


def fill_with_pattern(path: Path, size: int, seed: int) -> None:
    """Fills a file with incompressible content after the guest's ring, so that a whole copy can be told by its hash."""
    block = random.Random(seed).randbytes(MIB)
    with open(path, "wb") as file:
        file.truncate(size)
        for index in range(1, size // MIB):
            file.seek(index * MIB)
            file.write(struct.pack("<QQ", seed, index))
            file.write(block[16:])


def scan_ring(data: bytes) -> dict[int, int]:
    """{slot: number} of the sectors that a guest wrote; a sector with a wrong checksum is a LabError."""
    found = {}
    for slot in range(min(RING, len(data) // SECTOR)):
        sector = data[slot * SECTOR : (slot + 1) * SECTOR]
        if not sector.startswith(b"PVT1 "):
            continue
        if struct.unpack("<I", sector[-4:])[0] != zlib.crc32(sector[:-4]):
            raise LabError(f"sector {slot}: wrong checksum")
        found[slot] = int(sector[:64].rstrip(b"\0").split()[2])
    return found


@dataclass
class Volume:
    """A volume.

    kind: what the lab calls it; also `block` or `file` for what libvirt and nova distinguish.
    info: Cinder's connection_info.  source_type, source: libvirt's <disk type=…> and <source>.
    names: texts that a <source> of this volume contains.
    raw: a path at which the content can be read, else image: qemu-img's arguments for it.
    gate: what makes its server's flushes hang.
    driver_extra: further attributes of a <disk>'s <driver>.
    """

    kind: str
    size: int
    info: dict
    source_type: str
    source: str
    names: tuple[str, ...]
    raw: Path | None = None
    image: list[str] = field(default_factory=list)
    format: str = "raw"
    server: Process | None = None
    gate: FlushGate | None = None
    driver_extra: str = " discard='unmap'"
    on_close: Callable[[], None] | None = None

    @property
    def id(self) -> str:
        """Cinder's volume id."""
        return self.info["serial"]

    @property
    def path(self) -> Path:
        """The path of a file or block device."""
        return Path(self.info["data"]["device_path"])

    def disk_xml(self, target: str, extra: str = "", bus: str = "virtio", device: str = "disk") -> str:
        """A <disk> of a domain with this volume as its source."""
        io = " io='native'" if self.source_type in ("file", "block") else ""
        return (
            f"<disk type='{self.source_type}' device='{device}'>"
            f"<driver name='qemu' type='{self.format}' cache='none'{io}{self.driver_extra}/>{self.source}"
            f"<target dev='{target}' bus='{bus}'/>{extra}</disk>"
        )

    def other_name(self, **data) -> dict:
        """Its connection_info under another id, with this data: what a second entry of a catalogue says of the same volume."""
        info = copy.deepcopy(self.info)
        info["serial"] = str(uuid.uuid4())
        if "volume_id" in info["data"]:
            info["data"]["volume_id"] = info["serial"]
        info["data"] |= data
        return info

    def named_by(self, disk: ET.Element) -> bool:
        """Whether this <disk> has this volume as its source."""
        source = disk.find("source")
        return source is not None and all(name in ET.tostring(source, encoding="unicode") for name in self.names)

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the content as a guest sees it."""
        if self.raw:
            with open(self.raw, "rb") as file:
                file.seek(offset)
                return file.read(count)
        with tempfile.NamedTemporaryFile() as copy:
            run("qemu-img", "convert", "-U", *self.image, "-O", "raw", copy.name, timeout=120)
            with open(copy.name, "rb") as file:
                file.seek(offset)
                return file.read(count)

    def ring(self) -> dict[int, int]:
        """{slot: number} of what guests wrote here."""
        for _ in range(3):
            try:
                return scan_ring(self.read(0, MIB))
            except LabError:
                continue  # read while the guest was writing this very sector
        return scan_ring(self.read(0, MIB))

    def missing_writes(self, reported: int) -> list[int]:
        """The sector numbers up to `reported` that a guest has said to be written and that are not here (nor newer ones)."""
        ring = self.ring()
        return [number for number in range(max(1, reported - RING + 1), reported + 1) if ring.get(number % RING, 0) < number]

    def newest(self) -> int:
        """The newest sector number on it; 0 when no guest wrote here."""
        return max(self.ring().values(), default=0)

    def bulk(self, size: int | None = None) -> str:
        """A hash of what lies after the ring, up to `size` bytes."""
        return hashlib.sha256(self.read(MIB, (size or self.size) - MIB)).hexdigest()

    def allocated(self) -> int:
        """Bytes that the file behind it takes up."""
        return self.raw.stat().st_blocks * 512

    def close(self) -> None:
        """Removes it."""
        if self.on_close:
            self.on_close()
            self.on_close = None
