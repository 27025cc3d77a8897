"""Growing on the move, sizes that do not fit, and volumes that stay thin."""

import json
import os

import pytest
from expectations import assert_moved, assert_runs_on, assert_stayed, shape, swap_arguments
from lab.processes import MIB, until
from lab.volumes.volume import fill_with_pattern
from nova import exception

GIB = 1024 * MIB
LUKS_HEADER = 2068480
"""Bytes of the header of a LUKS volume as qemu-img makes it."""


@pytest.mark.parametrize("kind", ["file", "loop", "rbd", "luks"])
def test_grow(lab, rpc, pool, guest, kind):
    new = getattr(lab.volumes, kind)(size=GIB)
    result = rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=1))
    assert result["capacity_bytes"] == GIB and result["strategy"] == "copy"
    assert all(warning.startswith("slice:") for warning in result["warnings"])
    until(lambda: guest.console.size() == GIB, 20, lambda: f"the guest sees {guest.console.size()} bytes")
    assert guest.disk(inactive=True).find(".//slices") is None
    same_bytes = kind != "rbd"  # reading 1 GiB of rbd for 32 MiB of content takes too long
    assert_moved(guest, new, same_bytes=same_bytes)
    pool.retire(guest)


def test_growing_onto_an_encrypted_volume_of_that_size(lab, rpc, pool, guest):
    """Cinder's volume of 1 GiB is 1 GiB with its LUKS header: the guest gets the rest."""
    new = lab.volumes.luks(size=GIB - LUKS_HEADER)
    result = rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=1))
    assert result["capacity_bytes"] == GIB - LUKS_HEADER
    until(lambda: guest.console.size() == GIB - LUKS_HEADER, 20, lambda: f"the guest sees {guest.console.size()} bytes")
    assert_moved(guest, new)
    pool.retire(guest)


@pytest.mark.parametrize("kind", ["file", "luks"])
def test_a_larger_volume_that_is_not_to_grow(lab, rpc, pool, guest, kind):
    old, new = guest.disks["vdb"], getattr(lab.volumes, kind)(size=GIB)
    result = rpc.call("swap_volume", **swap_arguments(guest, new))
    assert result["warnings"], "the stored size differs from the running one: that is worth a warning"
    assert guest.console.size() == old.size
    assert guest.disk(inactive=True).find(".//slices") is None
    assert_moved(guest, new)
    pool.retire(guest)


@pytest.mark.parametrize("resize_to", [0, 1])
def test_a_larger_encrypted_volume_of_the_network(lab, rpc, guest, resize_to):
    """Only QEMU can read how long its header is, so no window onto the guest's part of it can be made."""
    new = lab.volumes.luks_over_nbd(size=GIB)
    refused = exception.InvalidVolume if resize_to else exception.VolumeRebaseFailed
    with pytest.raises(refused, match="must leave the guest exactly") as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=resize_to))
    assert raised.value.kwargs["reason_code"] == "not_supported", raised.value.kwargs
    assert_stayed(guest, new)


def test_shrinking(lab, rpc):
    guest = lab.guest({"vdb": lab.volumes.file(size=2 * GIB)}).wait_ready()
    new = lab.volumes.file(size=2 * GIB)
    with pytest.raises(exception.InvalidInput):
        rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=1))
    assert_stayed(guest, new)
    lab.remove(guest)


def test_growing_beyond_the_new_volume(lab, rpc, guest):
    new = lab.volumes.file(size=GIB)
    with pytest.raises((exception.InvalidInput, exception.InvalidVolume)):
        rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=2))
    assert_stayed(guest, new)


def test_growing_without_monitor_commands(lab, guest, second_worker):
    _, rpc = second_worker({"allow_monitor_commands": False})
    new = lab.volumes.file(size=GIB)
    with pytest.raises((exception.InvalidVolume, exception.InvalidInput, exception.VolumeRebaseFailed), match="monitor"):
        rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=1))
    assert new.allocated() == 0, "the copy was started"
    assert_stayed(guest, new)


def test_thin_stays_thin(lab, rpc):
    """64 MiB of content in 1 GiB, the rest of it zeroes that are really there."""
    old, new = lab.volumes.file(size=GIB), lab.volumes.file(size=GIB)
    fill_with_pattern(old.path, 64 * MIB, 5)
    with open(old.path, "r+b") as file:
        os.truncate(old.path, GIB)
        file.seek(64 * MIB)
        for _ in range(128):
            file.write(bytes(MIB))
    guest = lab.guest({"vdb": old}).wait_ready()
    rpc.call("swap_volume", **swap_arguments(guest, new, options={"detect_zeroes": True}))
    assert new.allocated() < 80 * MIB
    assert_moved(guest, new)
    lab.remove(guest)


def zero_handling(guest) -> str:
    """What QEMU does with zeroes that the guest writes to vdb."""
    index = guest.disk().find("source").get("index")
    answer = guest.libvirt.virsh("qemu-monitor-command", guest.uuid, '{"execute": "query-named-block-nodes"}')
    found = {node["node-name"]: node["detect_zeroes"] for node in json.loads(answer)["return"]}
    return next(found[name] for kind in ("slice-sto", "format", "storage") if (name := f"libvirt-{index}-{kind}") in found)


@pytest.mark.parametrize(
    ("driver_extra", "size"), [("", 32 * MIB), ("", GIB), (" discard='unmap' detect_zeroes='on'", GIB)]
)
def test_zeroes_of_the_guest_are_handled_as_before(lab, rpc, driver_extra, size):
    """Also with a window onto a larger volume, and on a disk that does not pass discards on."""
    old, new = lab.volumes.file(fill=True), lab.volumes.file(size=size)
    old.driver_extra = driver_extra
    guest = lab.guest({"vdb": old}).wait_ready()
    before = zero_handling(guest)
    assert before == ("on" if "detect_zeroes" in driver_extra else "off")
    result = rpc.call("swap_volume", **swap_arguments(guest, new, resize_to=size // GIB, options={"detect_zeroes": True}))
    assert all(warning.startswith("slice: libvirt keeps the old size") for warning in result["warnings"])
    assert zero_handling(guest) == before
    until(lambda: guest.console.size() == size, 20, lambda: f"the guest sees {guest.console.size()} bytes")
    assert_moved(guest, new)
    lab.remove(guest)


def test_what_else_a_disk_has_is_kept(lab, rpc):
    """On sata and scsi too, with as much as a <disk> can have."""
    extra = "<iotune><total_iops_sec>20000</total_iops_sec></iotune>"
    guest = lab.guest(
        {"vdb": lab.volumes.file(fill=True), "sda": lab.volumes.file(fill=True), "sdb": lab.volumes.loop(fill=True)},
        buses={"sda": "sata", "sdb": "scsi"},
        disk_extra=extra,
    ).wait_ready()
    for target in ("vdb", "sda", "sdb"):
        old, new = guest.disks[target], lab.volumes.file()
        before = shape(guest, target)
        rpc.call("swap_volume", **swap_arguments(guest, new, target))
        assert shape(guest, target) == before
        if target == "vdb":
            assert_moved(guest, new, target)
        else:
            assert new.named_by(guest.disk(target)) and new.named_by(guest.disk(target, inactive=True))
            assert new.bulk() == old.bulk()
            guest.disks[target] = new
    assert_runs_on(guest, guest.disks["vdb"])
    lab.remove(guest)
