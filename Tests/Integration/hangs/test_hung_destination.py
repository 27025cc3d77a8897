"""The new volume's server says nothing any more: the caller is answered all the same, and the roll-back goes on by itself."""

import contextlib
import time

import pytest
from expectations import assert_outcome, assert_runs_on, assert_stayed
from faults.scene import MIDDLING
from lab.hangs import hung
from lab.processes import MIB, until

PATIENCE = 30
"""Seconds after a time-out within which the caller has its answer, says the contract."""

SLACK = 30
"""More, for a machine that is busy."""

NO_YANK = {"allow_monitor_commands": False}


def test_the_caller_is_answered_and_the_copy_is_ended_later(lab, own_stage, pool):
    """One swap stalls, one runs out of time, one is aborted; behind the first waits another one of the same instance."""
    stage = own_stage(NO_YANK)
    ways = {"stalled": {"stall_timeout_s": 2}, "timed_out": {"timeout_s": 6}, "aborted": {}}
    guests, scenes = pool.take(len(ways)), {}
    behind = stage.scene(guests[0], strategy="copy")
    with contextlib.ExitStack() as hangs:
        for (code, options), guest in zip(ways.items(), guests):
            scene = stage.scene(guest, lab.volumes.nbd(), strategy="copy", bandwidth_mib_s=4, **options)
            scenes[code] = scene.send().wait_copying()
            hangs.enter_context(hung(scene.new.server.pid))
        began = time.monotonic()
        stage.caller.call("abort_swap", task_id=scenes["aborted"].task()["task_id"])
        behind.send()
        for code, scene in scenes.items():
            failure = scene.refusal()
            assert failure["class"] == "VolumeRebaseFailed"
            assert_outcome(failure["kwargs"], code, left_behind="vdb")
            status = scene.task()
            assert (status["state"], status["in_use"], status["reason_code"]) == ("finishing", "old", code), status
            assert status["failure"] and status["finished_at"] is None
        assert time.monotonic() - began < 6 + PATIENCE + SLACK
        assert stage.daemon.metrics()["pivotd_rollbacks_pending"] == len(scenes)
        assert behind.task()["state"] == "queued", "the instance's queue is open while a copy is on its disk"
        stage.daemon.restart_hard()
        until(lambda: stage.daemon.metrics().get("pivotd_rollbacks_pending") == len(scenes), 30, "a roll-back is forgotten")
        assert behind.task()["state"] == "queued"
    for code, scene in scenes.items():
        status = scene.settled()
        assert status["state"] == ("aborted" if code == "aborted" else "failed")
        assert_outcome(status["failure"]["kwargs"], code)  # nothing is left behind any more
        assert "keeps trying" not in status["failure"]["message"] and status["in_use"] == "old"
        assert len(stage.caller.finals(scene.message)) == 1, "answered again"
        if scene.guest is not behind.guest:
            assert_stayed(scene.guest, scene.new)
    behind.succeed(repeats=True)
    assert stage.daemon.metrics()["pivotd_rollbacks_pending"] == 0


def test_yank_ends_it_at_once(lab, stage, pool):
    """QEMU can be told to give a connection up; then nothing is left, though the server still says nothing."""
    scene = stage.scene(pool.one(), lab.volumes.nbd(), strategy="copy", bandwidth_mib_s=MIDDLING, stall_timeout_s=2)
    scene.send().wait_copying()
    with hung(scene.new.server.pid):
        failure = scene.refusal()
        assert_outcome(failure["kwargs"], "stalled")
        assert scene.settled()["state"] == "failed"
        assert_runs_on(scene.guest, scene.guest.disks["vdb"])
        again = stage.scene(scene.guest).send()
        assert again.reply()["failure"] is None
    again.conclude()
    scene.new.close()


@pytest.mark.parametrize("code", ["aborted", "timed_out"])
def test_a_copy_that_hangs_as_it_starts(lab, stage, pool, code):
    """QEMU waits for the server of the volume that it opens, and the domain answers nothing: the caller need not wait."""
    options = {"timeout_s": 5} if code == "timed_out" else {}
    scene = stage.scene(pool.one(), lab.volumes.nbd(), strategy="copy", **options)
    with hung(scene.new.server.pid):
        scene.send()
        until(lambda: scene.task()["state"] == "preparing", 60, "the swap does not begin")
        time.sleep(3)  # for the looks before the copy
        if code == "aborted":
            stage.caller.call("abort_swap", task_id=scene.task()["task_id"])
        failure = scene.refusal()
        assert_outcome(failure["kwargs"], code, left_behind="vdb")
    assert scene.settled()["state"] == ("aborted" if code == "aborted" else "failed")
    assert_stayed(scene.guest, scene.new)


def test_a_copy_in_step_is_cancelled_under_a_busy_guest(lab, stage):
    """QEMU's plain cancel of a copy that was READY waits until it is in step again, which here it never is."""
    size = 4 * MIB
    slow = lab.volumes.nbd(size, filters=["noparallel", "delay"], parameters=["wdelay=50ms"])
    guest = lab.guest({"vdb": lab.volumes.file(size, fill=True)}, delay=0).wait_ready()
    lab.libvirt.virsh("suspend", guest.uuid)
    with lab.libvirt.xml_file(f"<disk type='network'><driver type='raw'/>{slow.source}</disk>") as xml:
        lab.libvirt.virsh("blockcopy", guest.uuid, "vdb", "--xml", xml, "--reuse-external", "--transient-job")
    until(lambda: guest.mirror() == "yes", 60, "the copy is not in step")
    lab.libvirt.virsh("resume", guest.uuid)
    time.sleep(1)
    stage.scene(guest, lab.volumes.file(size), strategy="copy").send().succeed()
    lab.remove(guest)
    slow.close()
