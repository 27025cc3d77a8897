"""After a move onto a larger volume nothing brings the old size back: not a resize, not a managed save, not a saved file."""

import re
import shutil
from pathlib import Path

import pytest
from expectations import assert_moved, swap_arguments
from lab.processes import MIB, until

GIB = 1024 * MIB
HOOK = Path(__file__).parents[2] / "deploy/libvirt/pivotd-slices"


@pytest.fixture(scope="module")
def hook(lab):
    """The hook of deploy/, installed in the lab's libvirt."""
    directory = lab.libvirt.directory / "etc/hooks/qemu.d"
    directory.mkdir(parents=True)
    shutil.copy(HOOK, directory)
    lab.libvirt.restart_hard()
    yield
    shutil.rmtree(directory.parent)
    lab.libvirt.restart_hard()


def capacity(guest) -> int:
    """What QEMU gives the guest, in bytes."""
    told = guest.libvirt.virsh("domblkinfo", guest.uuid, "vdb")
    return int(re.search(r"^Capacity:\s+(\d+)", told, re.M).group(1))


@pytest.mark.parametrize("resize_to", [0, 1])
@pytest.mark.parametrize("kind", ["file", "loop", "rbd", "iscsi", "nbd"])
def test_the_whole_volume_after_a_managed_save(lab, hook, rpc, pool, guest, kind, resize_to):
    new = getattr(lab.volumes, kind)(size=GIB)
    rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=resize_to))
    assert_moved(guest, new, same_bytes=False)
    # As `cinder extend` of an attached volume ends.
    guest.libvirt.virsh("blockresize", guest.uuid, "vdb", f"{GIB}B")
    until(lambda: guest.console.size() == GIB, 20, lambda: f"the guest sees {guest.console.size()} bytes")

    guest.libvirt.virsh("managedsave", guest.uuid, timeout=120)
    guest.libvirt.virsh("start", guest.uuid, timeout=120)
    assert guest.disk().find(".//slices") is None
    assert capacity(guest) == GIB
    guest.write_on()
    assert not guest.console.errors()
    pool.retire(guest)
