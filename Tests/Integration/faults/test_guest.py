"""The guest goes away in the middle of a copy: the reply says so, and the stored configuration names the old volume."""

import json

import pytest
from faults.scene import MIDDLING
from lab.processes import until


def assert_gone_and_safe(scene, *told: str) -> None:
    """The reply names the cause; what is stored is on the old volume, and so is everything that the guest has written."""
    failure = json.loads(scene.reply()["failure"])
    assert failure["class"] == "VolumeRebaseFailed"
    assert any(text in failure["message"] for text in told), failure["message"]
    guest, old = scene.guest, scene.guest.disks["vdb"]
    assert not old.missing_writes(guest.written())
    if not guest.persistent:
        assert not guest.exists(), "a transient domain has come back"
        return
    assert guest.is_persistent() and guest.info()["State"] == "shut off"
    assert old.named_by(guest.disk(inactive=True)), "the stored configuration names another volume"
    guest.libvirt.virsh("start", guest.uuid, timeout=60)
    guest.console.wait_ready(["vdb"])


GONE = ("guest", "domain", "QEMU", "shut", "stopped", "crash", "destroyed")
WAYS = {
    "QEMU killed": lambda guest: guest.kill_qemu(),
    "destroyed": lambda guest: guest.libvirt.virsh("destroy", guest.uuid),
}


@pytest.mark.parametrize("persistent", [True, False], ids=["persistent", "transient"])
@pytest.mark.parametrize("strategy", ["copy", "rebase"])
@pytest.mark.parametrize("way", WAYS)
def test_the_guest_goes_away(stage, pool, way, strategy, persistent):
    guest = pool.one(persistent)
    scene = stage.scene(guest, strategy=strategy, bandwidth_mib_s=1).send().wait_copying()
    WAYS[way](guest)
    assert_gone_and_safe(scene, *GONE)


@pytest.mark.parametrize("strategy", ["copy", "rebase"])
def test_the_guest_powers_itself_off(lab, stage, strategy):
    guest = lab.guest({"vdb": lab.volumes.file(fill=True)}, poweroff=6).wait_ready()
    scene = stage.scene(guest, strategy=strategy, bandwidth_mib_s=1).send().wait_copying()
    until(lambda: not guest.running(), 60, "the guest does not power itself off")
    assert_gone_and_safe(scene, *GONE)
    lab.remove(guest)


def test_the_guest_goes_away_while_pivotd_is_dead(stage, pool):
    guest = pool.one()
    scene = stage.scene(guest, strategy="rebase", bandwidth_mib_s=MIDDLING).send().wait_copying()
    stage.daemon.kill()
    guest.kill_qemu()
    until(lambda: not guest.running(), 20, "libvirt has not seen QEMU's end")
    stage.daemon.start()
    failure = json.loads(scene.reply(repeats=True)["failure"])
    assert failure["class"] == "VolumeRebaseFailed"
    assert guest.is_persistent(), "the domain is lost"
    assert guest.disks["vdb"].named_by(guest.disk(inactive=True))
