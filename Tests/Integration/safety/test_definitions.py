"""What becomes of a domain's stored configuration: nothing is lost of it, and nothing comes back that somebody has taken away."""

import json
import time

import pytest
from expectations import assert_moved, assert_outcome, assert_runs_on, swap_arguments
from faults.scene import MIDDLING
from lab.processes import until
from nova import exception
from steering import FAST, SLOW, wait_for_copy, wait_for_state

STRATEGIES = pytest.mark.parametrize("strategy", ["copy", "rebase"])


def stored_targets(guest) -> set[str]:
    """The disks of the stored configuration."""
    return {disk.find("target").get("dev") for disk in guest.dumpxml(inactive=True).iter("disk")}


@pytest.fixture
def own_guest(lab):
    """Boots guests of the test's own, which are gone after it, however it ends."""
    booted = []

    def boot(*targets: str, **options):
        booted.append(lab.guest({target: lab.volumes.file(fill=True) for target in targets}, **options))
        return booted[-1].wait_ready()

    yield boot
    for guest in booted:
        lab.remove(guest)


@STRATEGIES
def test_a_disk_that_only_the_running_domain_has(lab, rpc, own_guest, strategy):
    """It is moved, and it stays out of the stored configuration."""
    guest, new = own_guest("vdb", "vdc"), lab.volumes.file()
    lab.libvirt.virsh("detach-disk", guest.uuid, "vdb", "--config")
    rpc.call("swap_volume", **swap_arguments(guest, new, options={"strategy": strategy}))
    assert guest.is_persistent() and stored_targets(guest) == {"vda", "vdc"}
    assert new.named_by(guest.disk()) and guest.job() is None
    guest.write_on()
    assert not new.missing_writes(guest.written())


def test_such_a_disk_when_pivotd_starts(lab, stage, own_guest):
    """An unfinished swap of one never ends the start, and is finished like any other."""
    guest = own_guest("vdb", "vdc")
    lab.libvirt.virsh("detach-disk", guest.uuid, "vdb", "--config")
    scene = stage.scene(guest, strategy="rebase", bandwidth_mib_s=MIDDLING).send().wait_copying()
    stage.daemon.restart_hard()
    assert scene.reply(repeats=True)["failure"] is None
    assert guest.is_persistent() and stored_targets(guest) == {"vda", "vdc"}
    assert scene.new.named_by(guest.disk())


def test_what_is_attached_meanwhile_is_stored_too(lab, rpc, guest):
    """While a rebase has taken the definition away, one can attach to the running domain only."""
    lab.libvirt.virsh("autostart", guest.uuid)
    new, more = lab.volumes.file(), lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options={**SLOW, "strategy": "rebase"}))
    task = wait_for_copy(rpc, guest)
    assert not guest.is_persistent()
    lab.libvirt.virsh("attach-disk", guest.uuid, more.path, "vdx", "--live")
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    call.result()
    assert stored_targets(guest) == {"vda", "vdb", "vdx"}
    assert guest.info()["Autostart"] == "enable"
    assert_runs_on(guest, new)
    lab.libvirt.virsh("detach-disk", guest.uuid, "vdx", "--live", "--config")
    lab.libvirt.virsh("autostart", "--disable", guest.uuid)
    guest.disks["vdb"] = new


def test_devices_of_other_kinds_are_stored_too(lab, rpc, pool, guest, tmp_path):
    new, device = lab.volumes.file(), tmp_path / "rng.xml"
    device.write_text(
        "<rng model='virtio'><backend model='random'>/dev/urandom</backend><alias name='ua-plugged'/></rng>"
    )
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options={**SLOW, "strategy": "rebase"}))
    task = wait_for_copy(rpc, guest)
    lab.libvirt.virsh("attach-device", guest.uuid, device, "--live")
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    assert call.result()["warnings"] == []
    aliases = [rng.find("alias").get("name") for rng in guest.dumpxml(inactive=True).iter("rng") if rng.find("alias") is not None]
    assert aliases == ["ua-plugged"]
    assert_moved(guest, new)
    pool.retire(guest)


@pytest.mark.parametrize("restart", [False, True], ids=["pivotd lives", "pivotd is restarted"])
def test_a_deleted_instance_stays_deleted(lab, stage, own_guest, restart):
    """nova destroys and undefines: nothing that pivotd has saved of it may come back."""
    guest = own_guest("vdb")
    scene = stage.scene(guest, strategy="copy", bandwidth_mib_s=1).send().wait_copying()
    if restart:
        stage.daemon.kill()
    lab.libvirt.virsh("destroy", guest.uuid)
    lab.libvirt.virsh("undefine", guest.uuid, "--nvram")
    if restart:
        stage.daemon.start()
    failure = json.loads(scene.reply(repeats=True)["failure"])
    assert_outcome(failure["kwargs"], "guest_gone", in_use="none")
    time.sleep(2)
    assert not guest.exists(), "it has come back"
    stage.daemon.restart_hard()
    time.sleep(1)
    assert not guest.exists(), "it has come back after a restart"
    scene.new.close()


def test_no_secret_is_left_where_every_client_reads(lab, rpc, worker, own_guest):
    """What rebase saves lies in the live domain's metadata, and read-only clients see that."""
    graphics = "<graphics type='vnc' autoport='yes' listen='127.0.0.1' passwd='vncS3cr8'/><video><model type='vga'/></video>"
    guest, new = own_guest("vdb", devices=graphics), lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options={**SLOW, "strategy": "rebase"}))
    task = wait_for_copy(rpc, guest)
    assert "vncS3cr8" not in lab.libvirt.virsh("dumpxml", guest.uuid)
    worker.restart_hard()
    assert wait_for_state(rpc, guest, "copying")["task_id"] == task
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    call.result()
    assert guest.dumpxml(inactive=True).find(".//graphics").get("passwd") == "vncS3cr8", "the password is lost"
    assert "vncS3cr8" not in worker.log()
    assert_runs_on(guest, new)


def test_one_instance_whatever_it_is_called(lab, rpc, guest):
    """By UUID and by name it is one queue, and the second swap starts from where the first has ended."""
    first, second = lab.volumes.file(), lab.volumes.file()
    slow = rpc.later("swap_volume", **swap_arguments(guest, first, options=SLOW))
    task = wait_for_copy(rpc, guest)
    by_name = {"uuid": "6c4c4e0c-6ef9-4a4f-8a8c-000000000000", "name": guest.name}
    arguments = swap_arguments(guest, second, instance=by_name, old_connection_info=first.info, old_volume_id=first.id)
    later = rpc.later("swap_volume", **arguments)
    queued = until(
        lambda: [swap for swap in rpc.call("list_swaps")["swaps"] if swap["new_volume_id"] == second.id], 20, "not accepted"
    )
    time.sleep(2)
    assert not later.done() and guest.job() == "Block Copy"
    assert first.named_by(guest.disk().find("mirror")), "another copy runs"
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    slow.result()
    assert later.result()["instance_uuid"] == guest.uuid
    assert rpc.call("get_swap", task_id=queued[0]["task_id"])["instance_uuid"] == guest.uuid
    assert_runs_on(guest, second)
    guest.disks["vdb"] = second


def test_a_malformed_swap_of_a_busy_instance_is_answered_at_once(lab, rpc, guest):
    """It waits for nobody, and it does not hide the swap that is under way."""
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)
    with pytest.raises(exception.InvalidInput) as raised:
        rpc.call("swap_volume", timeout=20, **swap_arguments(guest, lab.volumes.file(), options={"strategy": "teleport"}))
    assert_outcome(raised.value.kwargs, "invalid_argument", in_use="unknown")
    assert not call.done()
    assert rpc.call("get_swap", instance=guest.uuid, mountpoint="/dev/vdb")["task_id"] == task
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    call.result()
    assert_runs_on(guest, new)
    guest.disks["vdb"] = new
