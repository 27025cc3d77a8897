"""Volumes that are a path: files, NFS-style shares, loop devices, and files on a small filesystem of their own."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

from ..processes import MIB, run
from .volume import Volume, fill_with_pattern


class LocalVolumes:
    """Part of `Volumes`."""

    def file(self, size: int = 32 * MIB, fill: bool = False, driver: str = "local", path: Path | None = None) -> Volume:
        """A raw file; `path` puts it somewhere else than among the others."""
        made, volume_id = self.new_file(size, fill, path=path)
        return self.keep(
            Volume(
                "file", size, self.info(driver, volume_id, device_path=str(made)), "file", f"<source file='{made}'/>",
                (str(made),), raw=made, on_close=lambda: made.unlink(missing_ok=True),
            )
        )  # fmt: skip

    def qcow2(self, size: int = 32 * MIB) -> Volume:
        """An empty qcow2 file."""
        path, volume_id = self.new_file(size, False, "qcow2")
        run("qemu-img", "create", "-q", "-f", "qcow2", path, size)
        info = self.info("local", volume_id, device_path=str(path), format="qcow2")
        return self.keep(
            Volume(
                "file", size, info, "file", f"<source file='{path}'/>", (str(path),), image=["-f", "qcow2", str(path)],
                format="qcow2", on_close=lambda: path.unlink(missing_ok=True),
            )
        )  # fmt: skip

    def overlay(self, size: int = 32 * MIB) -> Volume:
        """A qcow2 file over a filled raw one: something to pull from."""
        volume, (base, _) = self.qcow2(size), self.new_file(size, True)
        run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base, volume.path)
        return volume

    def nfs(self, size: int = 32 * MIB, fill: bool = False) -> Volume:
        """A file where nova mounts an NFS export: BASE/md5(export)/name (nothing is mounted, the directory is plain)."""
        volume_id, export = str(uuid.uuid4()), "127.0.0.1:/export/lab"
        base = self.directory / "mnt"
        share = base / hashlib.md5(export.encode()).hexdigest()
        share.mkdir(parents=True, exist_ok=True)
        path = share / f"volume-{volume_id}"
        if fill:
            fill_with_pattern(path, size, 77)
        else:
            with open(path, "wb") as file:
                file.truncate(size)
        data = {"export": export, "name": path.name, "options": None, "format": "raw", "mount_point_base": str(base)}
        return self.keep(
            Volume(
                "file", size, self.info("nfs", volume_id, **data), "file", f"<source file='{path}'/>", (str(path),), raw=path,
                on_close=lambda: path.unlink(missing_ok=True),
            )
        )  # fmt: skip

    def loop(self, size: int = 32 * MIB, fill: bool = False) -> Volume:
        """A loop device."""
        path, volume_id = self.new_file(size, fill)
        device = self.attach_loop(path)

        def close() -> None:
            run("losetup", "-d", device, check=False)
            path.unlink(missing_ok=True)

        info = self.info("block", volume_id, device_path=device)
        source = f"<source dev='{device}'/>"
        return self.keep(Volume("block", size, info, "block", source, (device,), raw=Path(device), on_close=close))

    def attach_loop(self, path: Path) -> str:
        """Makes a loop device of a file."""
        device = run("losetup", "--show", "-f", path).strip()
        self.workspace.note("loops", f"{device} {path}")
        return device

    def small_filesystem(self, size: int) -> tuple[Path, str]:
        """A mounted ext4 of this many bytes and its device, for what runs full."""
        image, name = self.new_file(size, False, "ext4")
        run("mkfs.ext4", "-q", "-F", "-m", "0", image)
        device, directory = self.attach_loop(image), self.workspace.directory("mounts", name)
        self.libvirt.mount(device, directory)
        return directory, device

    def file_without_room(self, size: int = 32 * MIB, room: int = 16 * MIB) -> Volume:
        """A sparse file on a filesystem that has room for a part of it only: writes end in ENOSPC."""
        directory, device = self.small_filesystem(room)
        volume = self.file(size, path=directory / "volume.img")

        def close() -> None:
            self.libvirt.unmount(directory)
            run("losetup", "-d", device, check=False)

        volume.on_close = close
        return volume
