"""The whole lab: broker, hypervisor, volumes, guests and daemons."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from .daemon import Pivotd
from .guest import Guest
from .guest_image import guest_image
from .libvirt import Libvirt
from .processes import Workspace
from .rabbit import Rabbit
from .volumes import Volume, Volumes


def lab_directory() -> Path:
    """$PIVOTD_LAB when it is set (so that who set it can sweep it), else a fresh directory; below it one per pytest worker."""
    base = Path(os.environ.get("PIVOTD_LAB") or tempfile.mkdtemp(prefix="pivotd-lab-"))
    return base / os.environ.get("PYTEST_XDIST_WORKER", "")


class Lab:
    """Everything that a test needs, up when entered and gone when left; `tracing` as of `Rabbit`."""

    def __init__(self, root: Path | None = None, tracing: bool = False):
        self.workspace = Workspace(root or lab_directory())
        self.rabbit, self.libvirt = Rabbit(self.workspace, tracing), Libvirt(self.workspace)
        self.volumes = Volumes(self.workspace, self.libvirt)
        self.guests: list[Guest] = []
        self.daemons: list[Pivotd] = []

    def __enter__(self) -> Lab:
        try:
            guest_image()
            self.rabbit.start(wait=False)
            self.libvirt.start()
            self.rabbit.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        ends = [*self.daemons, *self.guests, self.volumes, self.libvirt, self.rabbit]
        for part in ends:
            with contextlib.suppress(Exception):
                part.stop()
        self.workspace.sweep()

    def guest(self, disks: dict[str, Volume], **options) -> Guest:
        """Boots a guest with these volumes; it is not waited for."""
        self.guests.append(Guest(self.workspace, self.libvirt, disks, **options))
        return self.guests[-1]

    def remove(self, guest: Guest) -> None:
        """Removes a guest and its volumes."""
        guest.stop()
        self.guests.remove(guest)
        for volume in guest.disks.values():
            volume.close()

    def daemon(self, name: str = "pivotd", **options) -> Pivotd:
        """A pivotd of this broker and this libvirtd, unless told otherwise; not started."""
        where = {"transport_url": self.rabbit.url, "libvirt_uri": self.libvirt.uri} | options
        self.daemons.append(Pivotd(self.workspace, name=name, **where))
        return self.daemons[-1]
