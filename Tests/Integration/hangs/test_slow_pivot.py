"""The new volume's flush hangs while the disk is pivoted: nobody knows which volume it will be, so nobody is told one."""

import signal
from contextlib import nullcontext

import pytest
from expectations import assert_outcome
from lab.hangs import hung
from lab.processes import end, until


@pytest.fixture
def pivoting(lab, stage, pool):
    """A scene in the middle of its pivot, until `new.gate` is opened."""
    new = lab.volumes.nbd(gated=True)
    scene = stage.scene(pool.one(), new, strategy="copy")
    new.gate.close(after=1)  # the first one comes before READY
    scene.send()
    until(lambda: scene.guest.mirror() == "pivot", 30, lambda: f"no pivot: {stage.daemon.log()[-500:]}")
    yield scene
    new.gate.open()


def test_libvirtd_is_killed(lab, pivoting):
    lab.libvirt.restart_hard()
    pivoting.assert_unanswered(8)
    assert pivoting.task()["state"] == "pivoting"
    pivoting.new.gate.open()
    pivoting.succeed()


def test_pivotd_is_restarted_too_and_cannot_abort(lab, stage, pivoting):
    """A pivot is found to be one again, also by who has not begun it."""
    stage.daemon.kill()
    lab.libvirt.restart_hard()
    stage.daemon.start()
    until(lambda: pivoting.task()["state"] == "pivoting", 30, lambda: f"no pivot: {pivoting.task()}")
    refusal = stage.caller.refusal("abort_swap", task_id=pivoting.task()["task_id"])
    assert refusal["class"] == "InvalidInput", refusal
    pivoting.assert_unanswered(5)
    pivoting.new.gate.open()
    pivoting.succeed(repeats=True)
    assert pivoting.task()["state"] == "completed"


def test_a_time_out_does_not_end_a_pivot(lab, stage, pool):
    """The whole time is over and the remaining bytes have not shrunk for long, but it is too late."""
    new = lab.volumes.nbd(gated=True)
    scene = stage.scene(pool.one(), new, strategy="copy", timeout_s=6, stall_timeout_s=3)
    new.gate.close(after=1)
    scene.send()
    until(lambda: scene.guest.mirror() == "pivot", 30, lambda: f"no pivot: {stage.daemon.log()[-500:]}")
    try:
        scene.assert_unanswered(12)
    finally:
        new.gate.open()
    scene.succeed()


@pytest.mark.long
def test_libvirtd_hangs(lab, pivoting):
    with hung(lab.libvirt.process.pid):
        pivoting.assert_unanswered(45)
    pivoting.assert_unanswered(5)
    pivoting.new.gate.open()
    pivoting.succeed()


def test_the_guest_dies_in_it(lab, pivoting):
    """QEMU is gone before the destination has answered: the disk never was on the new volume."""
    guest = pivoting.guest
    guest.kill_qemu()
    failure = pivoting.refusal()
    assert failure["class"] == "VolumeRebaseFailed"
    assert_outcome(failure["kwargs"], "guest_gone", in_use="none")
    assert guest.disks["vdb"].named_by(guest.disk(inactive=True))
    assert not guest.disks["vdb"].missing_writes(guest.written()), "writes are lost with the guest"


@pytest.mark.parametrize("pivotd_lives", [True, False])
def test_a_guest_that_has_moved_unseen_is_started_again(lab, stage, pool, pivoting, pivotd_lives):
    """Its writes since the pivot are on the new volume alone, and it runs on the old one: nobody may delete either."""
    guest, new = pivoting.guest, pivoting.new
    qemu = guest.qemu_pid()
    lab.libvirt.kill()
    if not pivotd_lives:
        stage.daemon.kill()
    with hung(stage.daemon.process.pid) if pivotd_lives else nullcontext():
        new.gate.open()
        guest.write_on("vdb", 200)
        end(qemu, signal.SIGKILL)
        lab.libvirt.start()
        lab.libvirt.virsh("start", guest.uuid, timeout=120)
    if not pivotd_lives:
        stage.daemon.start()
    failure = pivoting.refusal()
    assert_outcome(failure["kwargs"], "guest_gone", in_use="unknown")
    assert "keep both volumes" in failure["message"]
    assert guest.disks["vdb"].named_by(guest.disk()), "the guest does not run on the old volume"
    pool.retire(guest)  # its disk lacks writes
