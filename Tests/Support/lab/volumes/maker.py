"""Makes volumes of every kind and removes them again."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path

from ..libvirt import Libvirt
from ..processes import MIB, Workspace
from .iscsi import IscsiVolumes
from .local import LocalVolumes
from .luks import LuksVolumes
from .nbd import NbdVolumes
from .rbd import RbdVolumes
from .volume import Volume, fill_with_pattern

SIZE = 32 * MIB


class Volumes(LocalVolumes, NbdVolumes, IscsiVolumes, LuksVolumes, RbdVolumes):
    """The lab's volumes.  Every method that makes one takes its size in bytes and whether to fill it with content."""

    def __init__(self, workspace: Workspace, libvirt: Libvirt):
        self.workspace, self.libvirt = workspace, libvirt
        self.directory = workspace.directory("volumes")
        self.count, self.open = 0, []
        self.target_daemon = self.cluster = None

    def new_file(self, size: int, fill: bool, suffix: str = "img", path: Path | None = None) -> tuple[Path, str]:
        """A file, below the volumes' directory unless told otherwise, and a fresh volume id."""
        self.count += 1
        path, volume_id = path or self.directory / f"v{self.count}.{suffix}", str(uuid.uuid4())
        if fill:
            fill_with_pattern(path, size, self.count)
        else:
            with open(path, "wb") as file:
                file.truncate(size)
        return path, volume_id

    def keep(self, volume: Volume) -> Volume:
        """Remembers a volume for `close_all`."""
        self.open.append(volume)
        return volume

    def info(self, kind: str, serial: str, /, **data) -> dict:
        """Cinder's connection_info."""
        common = {"access_mode": "rw", "encrypted": False, "qos_specs": None}
        return {"driver_volume_type": kind, "serial": serial, "data": {**common, **data}}

    def close_all(self) -> None:
        """Removes every volume."""
        for volume in reversed(self.open):
            with contextlib.suppress(Exception):
                volume.close()
        self.open.clear()

    def stop(self) -> None:
        """Removes every volume and ends the servers behind them."""
        self.close_all()
        if self.target_daemon:
            self.target_daemon.stop()
        if self.cluster:
            self.cluster.stop()
