"""Guests whose QEMU stands still: each holds up itself alone."""

import time

import features
import pytest
from faults.scene import MIDDLING
from lab.hangs import hung
from lab.processes import until


def names(text: str, guests: list) -> bool:
    """Whether a text tells of each of these guests, by UUID or by name."""
    return all(guest.uuid in text or guest.name in text for guest in guests)


def test_five_of_them_hold_up_nobody(lab, own_stage, pool):
    """As many as libvirtd serves calls of one connection: a sixth swap finishes, and pivotd becomes ready again beside them."""
    stage = own_stage()
    *sick, well = pool.take(6)
    scenes = []
    for number, guest in enumerate(sick):
        strategy = "rebase" if number % 2 else "copy"
        scenes.append(stage.scene(guest, strategy=strategy, bandwidth_mib_s=1).send().wait_copying())
    pids = [guest.qemu_pid() for guest in sick]
    with hung(*pids):
        time.sleep(3)
        stage.scene(well).send().succeed()
        stage.daemon.kill()
        stage.daemon.start(timeout=60)
        stage.scene(well).send().succeed()
        until(lambda: names(stage.daemon.get("/readyz")[1], sick), 60, lambda: stage.daemon.get("/readyz")[1])
        assert stage.daemon.get("/readyz")[0] == 200
        assert stage.daemon.metrics()["pivotd_hung_domains"] == len(sick)
        for scene in scenes:
            assert not stage.caller.answered(scene.message), "answered, though its guest cannot be asked"
    for scene in scenes:
        until(lambda one=scene: one.task()["state"] == "copying", 90, lambda one=scene: f"not gone on with: {one.task()}")
        stage.caller.call("set_bandwidth", task_id=scene.task()["task_id"], bandwidth_mib_s=1024)
    for scene in scenes:
        scene.succeed(repeats=True)
    until(lambda: stage.daemon.metrics()["pivotd_hung_domains"] == 0, 30, "a guest that answers still counts as hung")


@pytest.mark.long
@pytest.mark.parametrize("strategy", ["copy", "rebase"])
def test_one_for_longer_than_libvirt_waits(stage, pool, strategy):
    """libvirt gives its lock up after 30 s with an error that says nothing about the copy."""
    guest = pool.one()
    scene = stage.scene(guest, strategy=strategy, bandwidth_mib_s=MIDDLING).send().wait_copying()
    with hung(guest.qemu_pid()):
        scene.assert_unanswered(75)
    scene.succeed()


def test_none_says_what_its_qemu_can_do(lab, own_stage, pool):
    """The host says what it has anyway, and asks again once they answer."""
    stage = own_stage()
    guest = pool.one()
    with hung(*lab.libvirt.qemu_pids()):
        told = stage.caller.call("get_capabilities", timeout=120)["features"]
        assert told == features.of_the_host(lab.libvirt, "asked"), told
    here = features.with_a_guest(guest)
    until(lambda: stage.caller.call("get_capabilities", timeout=120)["features"] == here, 60, "still not asked")


def test_one_that_is_asked_for_a_swap(lab, own_stage, pool):
    """A swap of a guest that hangs already: it waits or fails, and it can be given up."""
    stage = own_stage()
    guest = pool.one()
    with hung(guest.qemu_pid()):
        scene = stage.scene(guest, strategy="copy", timeout_s=3).send()
        failure = scene.refusal()
        assert failure["class"] == "VolumeRebaseFailed" and failure["kwargs"]["reason_code"] == "timed_out", failure
        assert failure["kwargs"]["in_use"] in ("old", "unknown")
    scene.settled(90)
    again = stage.scene(guest).send()
    again.succeed()
    scene.new.close()


def test_one_keeps_no_call_of_another_s(own_stage, pool):
    """libvirt's client may not send one thread's call while another's is out: each has a connection of its own."""
    stage = own_stage()
    sick, well = pool.take(2)
    copying = stage.scene(sick, strategy="copy", bandwidth_mib_s=MIDDLING).send().wait_copying()
    with hung(sick.qemu_pid()):
        until(lambda: f"domain {sick.name} does not answer" in stage.daemon.log(), 60, "no call of the hung guest is out")
        for _ in range(3):
            stage.scene(well).send().succeed()
        log = stage.daemon.log()
    copying.succeed()
    assert f"domain {well.name} does not answer" not in log, "a healthy guest is called hung"
