"""Tiny TCG guests whose only work is to write to their data disks and to say what they wrote."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import signal
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

from .guest_image import guest_image
from .processes import MIB, LabError, Workspace, alive, end, until

if TYPE_CHECKING:
    from .libvirt import Libvirt
    from .volumes import Volume

METADATA = "<lab:note xmlns:lab='http://pivotd.example/lab'><lab:owner>Zoë &amp; co</lab:owner></lab:note>"


class Console:
    """What a guest's writer has said on its serial console."""

    def __init__(self, path: Path):
        self.path = path

    def text(self) -> str:
        """Everything so far."""
        return self.path.read_text(errors="replace") if self.path.exists() else ""

    def _last(self, tag: str, disk: str) -> int:
        numbers = re.findall(rf"^{tag} {disk} (\d+)\r?$", self.text(), re.M)
        return int(numbers[-1]) if numbers else 0

    def written(self, disk: str = "vdb") -> int:
        """The number up to which every sector has been acknowledged by the disk."""
        return self._last("W", disk)

    def size(self, disk: str = "vdb") -> int:
        """The disk's size in bytes, as the guest sees it."""
        return self._last("S", disk)

    def errors(self, disk: str = "vdb") -> list[str]:
        """The write errors that the guest has met."""
        return re.findall(rf"^E {disk} .*", self.text(), re.M)

    def wait_ready(self, disks: list[str], timeout: float = 90) -> None:
        """Waits until the guest is up and writes to every one of these disks."""
        until(lambda: "GUEST-READY" in self.text(), timeout, lambda: f"the guest did not boot: {self.text()[-300:]!r}")
        for disk in disks:
            self.wait_written(disk, 32, timeout)

    def wait_written(self, disk: str, number: int, timeout: float = 60) -> None:
        """Waits until the guest has reported sector `number`."""
        until(
            lambda: self.written(disk) >= number,
            timeout,
            lambda: f"the guest wrote {self.written(disk)} of {number} sectors on {disk}: {self.text()[-200:]!r}",
        )


WRITE_DELAY = 5000
"""The pause between a guest's writes in microseconds: one write takes an emulated processor half a millisecond."""


def domain_xml(
    name: str, uid: str, disks: list[str], serial: Path, delay: int = WRITE_DELAY, memory: int = 112, extra: str = ""
) -> str:
    """A domain that boots the lab's image with these devices; `delay` is the writer's pause in microseconds."""
    kernel, initrd = guest_image()
    return f"""\
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uid}</uuid>
  <description>A guest of the lab: keep &amp; carry</description>
  <metadata>{METADATA}</metadata>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='q35'>hvm</type>
    <kernel>{kernel}</kernel>
    <initrd>{initrd}</initrd>
    <cmdline>console=ttyS0 quiet panic=1 pivot.delay={delay} {extra}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='custom'><model>qemu64</model></cpu>
  <on_poweroff>destroy</on_poweroff>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    {"".join(disks)}
    <serial type='file'><source path='{serial}'/></serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def root_disk(directory: Path) -> str:
    """A small disk named vda, so that the guest's names of the others agree with libvirt's."""
    image = directory / "vda.img"
    with open(image, "wb") as file:
        file.truncate(4 * MIB)
    return (
        "<disk type='file' device='disk'><driver name='qemu' type='raw' cache='none'/>"
        f"<source file='{image}'/><target dev='vda' bus='virtio'/></disk>"
    )


class Guest:
    """A domain of the private libvirtd.

    Parameters: `disks` is {target: Volume}; a test that moves a disk keeps it up to date.  `poweroff` makes the guest power
    itself off after so many seconds.  With `start` false a persistent domain is only defined.  In `lockstep` it writes one
    sequence of numbers to all disks, one after the other. With `measure` its writer also reads, and
    reports the latency of each request.
    `buses` is {target: bus} for disks that are not virtio, `kinds` {target: what the <disk> calls its device}, `devices` more
    devices as XML.
    """

    def __init__(
        self,
        workspace: Workspace,
        libvirt: Libvirt,
        disks: dict[str, Volume],
        persistent: bool = True,
        delay: int = WRITE_DELAY,
        disk_extra: str = "",
        shareable: bool = False,
        poweroff: int | None = None,
        measure: bool = False,
        start: bool = True,
        buses: dict[str, str] | None = None,
        kinds: dict[str, str] | None = None,
        devices: str = "",
        lockstep: bool = False,
    ):
        self.workspace, self.libvirt, self.disks, self.persistent = workspace, libvirt, dict(disks), persistent
        self.uuid, self.name = str(uuid.uuid4()), f"instance-{random.getrandbits(32):08x}"
        self.directory = workspace.directory("guests", self.name)
        self.console = Console(self.directory / "serial.log")
        elements = [root_disk(self.directory)]
        for target, volume in disks.items():
            bus, kind = (buses or {}).get(target, "virtio"), (kinds or {}).get(target, "disk")
            serial = "" if kind == "lun" else f"<serial>{volume.id}</serial>"  # that is the unit's own affair
            extra = f"{disk_extra}{'<shareable/>' if shareable else ''}{serial}"
            elements.append(volume.disk_xml(target, extra, bus, kind))
        elements.append(devices)
        modes = {"pivot.lockstep": lockstep, "pivot.measure": measure, f"pivot.poweroff={poweroff}": poweroff}
        extra = " ".join(word for word, is_wanted in modes.items() if is_wanted)
        xml = domain_xml(self.name, self.uuid, elements, self.console.path, delay, extra=extra)
        with libvirt.xml_file(xml) as file:
            libvirt.virsh("define" if persistent else "create", file, timeout=120)
        if persistent and start:
            libvirt.virsh("start", self.name, timeout=120)

    def wait_ready(self, timeout: float = 90) -> Guest:
        """Waits until it is up and writes to all its virtio disks (its kernel has no other drivers)."""
        self.console.wait_ready([target for target in self.disks if target.startswith("vd")], timeout)
        return self

    def written(self, disk: str = "vdb") -> int:
        """The last sector number that it has reported."""
        return self.console.written(disk)

    def write_on(self, disk: str = "vdb", more: int = 64) -> int:
        """Waits until it has written `more` sectors and returns the number it has reached."""
        self.console.wait_written(disk, self.written(disk) + more)
        return self.written(disk)

    def dumpxml(self, inactive: bool = False) -> ET.Element:
        """Its live or its stored configuration."""
        return ET.fromstring(self.libvirt.virsh("dumpxml", "--security-info", self.uuid, *(["--inactive"] if inactive else [])))

    def disk(self, target: str = "vdb", inactive: bool = False) -> ET.Element:
        """A <disk> of its live or its stored configuration."""
        for element in self.dumpxml(inactive).iter("disk"):
            if element.find("target").get("dev") == target:
                return element
        raise LabError(f"{self.name} has no disk {target}")

    def info(self) -> dict[str, str]:
        """What `virsh dominfo` says; empty when there is no such domain."""
        return dict(re.findall(r"^([\w ()]+?):\s+(.*)$", self.libvirt.virsh("dominfo", self.uuid, check=False), re.M))

    def exists(self) -> bool:
        """Whether libvirt knows it."""
        return bool(self.info())

    def is_persistent(self) -> bool:
        """Whether its configuration is stored."""
        return self.info().get("Persistent") == "yes"

    def running(self) -> bool:
        """Whether it runs (a paused guest does not)."""
        return self.info().get("State") == "running"

    def job(self, target: str = "vdb") -> str | None:
        """The type of the block job on a disk: `Block Copy`, `Block Pull`, ..."""
        told = self.libvirt.virsh("blockjob", self.uuid, target, "--raw", check=False)
        match = re.search(r"^\s*type=(.*)$", told, re.M)
        return match.group(1) if match else None

    def qemu_pid(self) -> int | None:
        """Its QEMU process."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.libvirt.directory / f"run/qemu/{self.name}.pid").read_text())
        return None

    def mirror(self, target: str = "vdb") -> str | None:
        """What the disk's <mirror> says of its readiness (`no`, `yes`, `pivot`, `abort`); None without one."""
        mirror = self.disk(target).find("mirror")
        return None if mirror is None else mirror.get("ready", "no")

    def visible_size(self, target: str = "vdb") -> int:
        """The size of a disk in bytes as QEMU shows it to the guest."""
        asked = json.dumps({"execute": "query-block"})
        blocks = json.loads(self.libvirt.virsh("qemu-monitor-command", self.uuid, asked))["return"]
        alias = self.disk(target).find("alias").get("name")
        [found] = [block for block in blocks if f"/{alias}/" in block.get("qdev", "") or block.get("qdev") == alias]
        return found["inserted"]["image"]["virtual-size"]

    def open_files(self) -> set[str]:
        """The paths that its QEMU has open."""
        found = set()
        for link in Path(f"/proc/{self.qemu_pid()}/fd").iterdir():
            with contextlib.suppress(OSError):
                found.add(str(link.readlink()))
        return found

    def kill_qemu(self) -> None:
        """kill -9 of its QEMU."""
        end(self.qemu_pid(), signal.SIGKILL)

    def stop(self) -> None:
        """Removes it with all that belongs to it."""
        pid = self.qemu_pid()
        self.libvirt.virsh("destroy", self.uuid, check=False)
        everything = ["--nvram", "--snapshots-metadata", "--checkpoints-metadata", "--managed-save"]
        self.libvirt.virsh("undefine", self.uuid, *everything, check=False)
        if pid and alive(pid) and self.name in Path(f"/proc/{pid}/cmdline").read_text():
            end(pid, signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)
