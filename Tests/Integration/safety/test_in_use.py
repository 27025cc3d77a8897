"""A volume that somebody uses is never written, whatever it is called; nor is one that the path policy does not allow."""

import copy
import os
import uuid

import pytest
from expectations import assert_moved, assert_outcome, assert_runs_on, assert_stayed, swap_arguments
from lab.hangs import Opens
from lab.processes import run
from nova import exception
from steering import FAST, wait_for_state


def refused(
    rpc, arguments: dict, code: str = "new_volume_in_use", kind: type = exception.InvalidVolume, in_use: str = "old"
) -> None:
    """This swap has to end in a failure of this class, for this cause."""
    with pytest.raises(kind) as raised:
        rpc.call("swap_volume", **arguments)
    assert_outcome(raised.value.kwargs, code, in_use)


def onto(guest, info: dict, **more) -> dict:
    """The arguments of a swap onto what this connection_info says."""
    return swap_arguments(guest, guest.disks["vdb"], new_connection_info=info, new_volume_id=info["serial"]) | more


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1"])
def test_two_swaps_at_once_onto_one_volume(lab, rpc, pool, host):
    """Nothing but the place tells that it is one; the first is still under way when the second comes."""
    guests, new = pool.take(2), lab.volumes.nbd()
    names = [new.info, new.other_name(host=host)]
    options = {"strategy": "copy", "bandwidth_mib_s": 4}
    calls = [rpc.later("swap_volume", **onto(guest, info, options=options)) for guest, info in zip(guests, names)]
    outcomes = []
    for call in calls:
        try:
            outcomes.append(call.result(60))
        except exception.InvalidVolume as refusal:
            assert_outcome(refusal.kwargs, "new_volume_in_use")
            outcomes.append(None)
    assert sorted(outcome is None for outcome in outcomes) == [False, True], outcomes
    loser = outcomes.index(None)
    assert_moved(guests[1 - loser], new)
    assert_runs_on(guests[loser], guests[loser].disks["vdb"])


def test_a_volume_that_a_queued_swap_is_promised(lab, rpc, pool):
    """The reservation lasts from the first look to the outcome, and no longer: a swap that was aborted gives it back."""
    (first, second), new = pool.take(2), lab.volumes.file()
    slow = {"strategy": "copy", "bandwidth_mib_s": 1}
    call = rpc.later("swap_volume", **swap_arguments(first, new, options=slow))
    task = wait_for_state(rpc, first, "copying")["task_id"]
    refused(rpc, swap_arguments(second, new))
    rpc.call("abort_swap", task_id=task)
    assert_outcome(call.error().kwargs, "aborted")
    rpc.call("swap_volume", **swap_arguments(second, new, options={"strategy": "copy", "bandwidth_mib_s": FAST}))
    assert_moved(second, new)
    assert_runs_on(first, first.disks["vdb"])


@pytest.fixture(scope="module")
def occupant(lab):
    """A guest on a file, an nbd export, an iSCSI unit and a loop device."""
    kinds = {"vdb": lab.volumes.file, "vdc": lab.volumes.nbd, "vdd": lab.volumes.iscsi, "vde": lab.volumes.loop}
    guest = lab.guest({target: kind(fill=True) for target, kind in kinds.items()}).wait_ready()
    yield guest
    lab.remove(guest)


def hard_link(volume):
    """Another name of the file."""
    link = volume.path.with_name(f"{uuid.uuid4()}.img")
    os.link(volume.path, link)
    return volume.other_name(device_path=str(link))


def linked_directory(volume):
    """The file by way of a link to its directory."""
    link = volume.path.parent / f"dir-{uuid.uuid4()}"
    link.symlink_to(volume.path.parent)
    return volume.other_name(device_path=str(link / volume.path.name))


def second_node(volume):
    """Another device node of the same device."""
    node = volume.path.with_name(f"loop-{uuid.uuid4()}")
    os.mknod(node, 0o60600, os.stat(volume.path).st_rdev)
    return volume.other_name(device_path=str(node))


def short_portal(volume):
    """The target's portal by a shorter address."""
    return volume.other_name(target_portal=volume.info["data"]["target_portal"].replace("127.0.0.1", "127.1"))


ALIASES = {
    "hard link": ("vdb", hard_link),
    "linked directory": ("vdb", linked_directory),
    "nbd 127.1": ("vdc", lambda volume: volume.other_name(host="127.1")),
    "nbd localhost": ("vdc", lambda volume: volume.other_name(host="localhost")),
    "another portal": ("vdd", short_portal),
    "another node": ("vde", second_node),
}


@pytest.mark.parametrize("alias", ALIASES)
def test_another_guest_s_volume_by_another_name(lab, rpc, guest, occupant, alias):
    target, rename = ALIASES[alias]
    volume = occupant.disks[target]
    content, info = volume.bulk(), rename(volume)
    try:
        refused(rpc, onto(guest, info))
    finally:
        if alias == "another node":
            os.unlink(info["data"]["device_path"])
    assert_runs_on(guest, guest.disks["vdb"])
    assert_runs_on(occupant, volume, target)
    assert volume.bulk() == content, "it was overwritten"


def test_another_guest_s_volume_by_its_id(lab, rpc, guest, occupant):
    """A disk's serial is the id of its volume, whatever the place is called."""
    new = lab.volumes.file()
    new.info["serial"] = occupant.disks["vdd"].id
    refused(rpc, swap_arguments(guest, new))
    assert_stayed(guest, new)


def test_a_stopped_guest_s_volume(lab, rpc, guest):
    volume = lab.volumes.file(fill=True)
    stopped, content = lab.guest({"vdb": volume}, start=False), volume.bulk()
    refused(rpc, onto(guest, volume.other_name()))
    assert_runs_on(guest, guest.disks["vdb"])
    assert volume.bulk() == content, "it was overwritten"
    lab.remove(stopped)


@pytest.mark.parametrize("rename", [None, hard_link], ids=["as it is", "hard link"])
def test_what_is_below_a_stopped_guest_s_image(lab, rpc, guest, rename):
    """libvirt names no backing chain in a stored configuration: only the image itself does."""
    base, image = lab.volumes.file(fill=True), lab.volumes.qcow2()
    run("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", base.path, image.path)
    stopped, content = lab.guest({"vdb": image}, start=False), base.bulk()
    refused(rpc, onto(guest, rename(base) if rename else base.other_name()))
    assert_runs_on(guest, guest.disks["vdb"])
    assert base.bulk() == content, "it was overwritten"
    lab.remove(stopped)


@pytest.mark.parametrize("kind", ["hard link", "nbd 127.1"])
def test_old_and_new_are_one_volume(lab, rpc, kind):
    """A copy onto oneself, with discard=unmap, would leave zeroes: it is refused, or a success that has copied nothing."""
    old = lab.volumes.nbd(fill=True) if kind.startswith("nbd") else lab.volumes.file(fill=True)
    guest, content = lab.guest({"vdb": old}).wait_ready(), old.bulk()
    info = ALIASES[kind][1](old)
    try:
        result = rpc.call("swap_volume", **onto(guest, info, options={"strategy": "copy", "detect_zeroes": True}))
    except exception.InvalidVolume as refusal:
        assert_outcome(refusal.kwargs, "new_volume_in_use")
    else:
        assert result["copied_bytes"] == 0
    assert_runs_on(guest, old)
    assert old.bulk() == content, "it was overwritten"
    refused(rpc, swap_arguments(guest, lab.volumes.file(), new_volume_id=old.id), "invalid_argument", exception.InvalidInput)
    lab.remove(guest)


def test_what_the_host_has_mounted(lab, rpc, guest):
    volume = lab.volumes.loop()
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", volume.path)
    directory = lab.workspace.directory("mounts", f"host-{volume.id}")
    lab.workspace.note("mounts", str(directory))
    run("mount", volume.path, directory)
    (directory / "precious").write_text("kept")
    try:
        run("sync", "-f", directory)
        for strategy in ("copy", "rebase"):
            refused(rpc, swap_arguments(guest, volume, options={"strategy": strategy}))
        run("sync", "-f", directory)
        assert volume.newest() == 0, "it was overwritten"
    finally:
        run("umount", "-l", directory)
    assert_stayed(guest, volume)


@pytest.mark.parametrize("is_mounted", [False, True], ids=["attached", "mounted"])
def test_a_file_of_a_loop_device_of_the_host(lab, rpc, guest, is_mounted):
    """Nobody has locked the file, and nothing but the loop device tells that it is in use."""
    volume = lab.volumes.file()
    run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", volume.path)
    device, directory = lab.volumes.attach_loop(volume.path), lab.workspace.directory("mounts", f"host-{volume.id}")
    try:
        if is_mounted:
            lab.workspace.note("mounts", str(directory))
            run("mount", device, directory)
        for info in volume.other_name(), hard_link(volume):
            refused(rpc, onto(guest, info))
        assert volume.newest() == 0, "it was overwritten"
    finally:
        if is_mounted:
            run("umount", "-l", directory)
        run("losetup", "-d", device)
    assert_stayed(guest, volume)


def test_a_forbidden_device_is_not_even_opened(lab, rpc, guest):
    """A decoy: the node of a device that is the lab's own, in a place that is not allowed."""
    volume = lab.volumes.loop()
    node = lab.workspace.directory("forbidden") / "vda"
    os.mknod(node, 0o60600, os.stat(volume.path).st_rdev)
    with Opens(node) as opens:
        refused(rpc, onto(guest, volume.other_name(device_path=str(node))), "path_not_allowed", exception.InvalidInput)
    assert not opens.seen, "it was opened"
    node.unlink()
    assert_stayed(guest, volume)


def test_a_disk_that_guests_see_as_a_lun(lab, rpc):
    """QEMU's mirror passes no commands on: every write of the guest would fail while it runs."""
    guest = lab.guest({"sda": lab.volumes.iscsi()}, buses={"sda": "scsi"}, kinds={"sda": "lun"})
    new = lab.volumes.iscsi()
    refused(rpc, swap_arguments(guest, new, "sda"), "disk_not_movable")
    assert guest.job("sda") is None and guest.disks["sda"].named_by(guest.disk("sda"))
    lab.remove(guest)
    new.close()


def test_an_old_volume_known_by_its_serial(lab, rpc):
    """Another portal is no contradiction, another target is one."""
    guest = lab.guest({"vdb": lab.volumes.iscsi(fill=True)}).wait_ready()
    old, new = guest.disks["vdb"], lab.volumes.file()
    elsewhere, other = copy.deepcopy(old.info), copy.deepcopy(old.info)
    elsewhere["data"]["target_portal"] = "192.0.2.1:3260"
    other["data"]["target_iqn"] = lab.volumes.iscsi().info["data"]["target_iqn"]
    refused(rpc, swap_arguments(guest, new, old_connection_info=other), "old_volume_mismatch", in_use="unknown")
    rpc.call("swap_volume", **swap_arguments(guest, new, old_connection_info=elsewhere))
    assert_moved(guest, new)
    lab.remove(guest)
