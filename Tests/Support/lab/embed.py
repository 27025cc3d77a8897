"""A guest of the QEMU driver inside pivotd (`qemu:///embed?root=DIR`), which no other client can reach while pivotd runs.

Such a root belongs to one process at a time, so the guest is put there as a stored configuration with an autostart link:
the first one to open the URI starts it.
"""

from __future__ import annotations

import contextlib
import signal
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

from .guest import WRITE_DELAY, Console, domain_xml, root_disk
from .libvirt import QEMU_CONF
from .processes import Workspace, end
from .volumes import Volume


class EmbeddedGuest:
    """One guest with the data disk vdb, in an embed root of its own; it starts when pivotd opens `uri`."""

    def __init__(self, workspace: Workspace, volume: Volume, name: str = "guest", delay: int = WRITE_DELAY):
        self.workspace, self.volume = workspace, volume
        self.name, self.uuid = name, str(uuid.uuid4())
        self.root = workspace.directory("embed")
        directory = workspace.directory("guests", name)
        self.console = Console(directory / "serial.log")
        stored = workspace.directory("embed", "etc", "qemu")
        (self.root / "etc/qemu.conf").write_text(QEMU_CONF)
        disks = [root_disk(directory), volume.disk_xml("vdb", f"<serial>{volume.id}</serial>")]
        self.stored = stored / f"{name}.xml"
        self.stored.write_text(domain_xml(name, self.uuid, disks, self.console.path, delay))
        workspace.directory("embed", "etc", "qemu", "autostart").joinpath(f"{name}.xml").symlink_to(self.stored)

    @property
    def uri(self) -> str:
        """The URI that pivotd opens."""
        return f"qemu:///embed?root={self.root}"

    def stored_disk(self, target: str = "vdb") -> ET.Element | None:
        """The <disk> in the configuration that is on disk."""
        for disk in ET.parse(self.stored).getroot().iter("disk"):
            if disk.find("target").get("dev") == target:
                return disk
        return None

    def qemu_pid(self) -> int | None:
        """Its QEMU process, when it runs."""
        with contextlib.suppress(OSError, ValueError, StopIteration):
            return int(next(self.root.glob(f"**/run/qemu/{self.name}.pid")).read_text())
        return None

    def has_open(self, path: Path) -> bool:
        """Whether its QEMU has this file open."""
        for link in Path(f"/proc/{self.qemu_pid()}/fd").iterdir():
            with contextlib.suppress(OSError):
                if link.readlink() == path:
                    return True
        return False

    def stop(self) -> None:
        """Ends its QEMU, which outlives pivotd."""
        pid = self.qemu_pid()
        if pid:
            end(pid, signal.SIGKILL)
