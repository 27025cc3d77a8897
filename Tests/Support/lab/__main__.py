"""python3 -m lab COMMAND

  image        make the guest's kernel and initrd (kept in the cache)
  selftest     bring the lab up, boot a guest on one volume of each kind, read back what it wrote
  sweep DIR    end and remove what an interrupted run left in its directory
"""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

from .guest_image import guest_image
from .lab import Lab
from .processes import Workspace

KINDS = ("file", "nfs", "loop", "nbd", "iscsi", "luks", "rbd")


def check_kind(lab: Lab, kind: str) -> None:
    """Boots a guest on a volume of this kind and finds everything that it reported on the volume."""
    began = time.monotonic()
    volume = getattr(lab.volumes, kind)(fill=True)
    guest = lab.guest({"vdb": volume}).wait_ready()
    guest.console.wait_written("vdb", 256)
    reported = guest.written()
    if volume.kind in ("rbd", "luks"):
        guest.stop()  # these are read through a copy, so the guest stands still for it
    lost = volume.missing_writes(reported)
    assert not lost, f"{kind}: reported sectors are missing: {lost[:5]}"
    print(f"ok {kind}: {reported} sectors reported, {volume.newest()} found, {time.monotonic() - began:.1f} s", flush=True)
    guest.stop()
    volume.close()


def selftest() -> None:
    """Tries every part of the lab but the daemon."""
    began = time.monotonic()
    with Lab() as lab:
        print(f"ok broker and libvirt up, {time.monotonic() - began:.1f} s", flush=True)
        for kind in KINDS:
            check_kind(lab, kind)
        guest = lab.guest({"vdb": lab.volumes.file()}).wait_ready()
        lab.libvirt.restart_hard()
        assert guest.running(), "the guest is gone after kill -9 of libvirtd"
        lab.rabbit.restart_hard()
        print("ok kill -9 and restart of libvirtd and RabbitMQ", flush=True)


def main(arguments: list[str]) -> int:
    match arguments:
        case ["image"]:
            guest_image()
        case ["selftest"]:
            selftest()
        case ["sweep", directory]:
            for undo in [*Path(directory).glob("*/undo"), *Path(directory).glob("undo")]:
                Workspace(undo.parent).sweep()
            shutil.rmtree(directory, ignore_errors=True)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
