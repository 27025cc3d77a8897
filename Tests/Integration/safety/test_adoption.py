"""Copies that are there already: whose they are, what they write, and how they are found again."""

import json

from expectations import assert_outcome, assert_runs_on
from faults.scene import MIDDLING
from lab.processes import run, until
from steering import FAST


def test_a_copy_in_another_format_is_not_adopted(lab, stage, pool):
    """A raw copy onto what is to be a qcow2 volume: whatever becomes of the swap, live and stored format agree."""
    guest, new = pool.one(), lab.volumes.qcow2()
    run("truncate", "-s", guest.disks["vdb"].size, new.path)
    words = ["--reuse-external", "--transient-job", "--format", "raw", "--bandwidth", 1]
    lab.libvirt.virsh("blockcopy", guest.uuid, "vdb", "--dest", new.path, *words)
    scene = stage.scene(guest, new, strategy="copy").send()
    reply = scene.reply()
    volume = guest.disks["vdb"] if reply["failure"] else new
    for inactive in (False, True):
        disk = guest.disk(inactive=inactive)
        assert volume.named_by(disk) and disk.find("driver").get("type") == volume.format
    assert_runs_on(guest, volume)
    if reply["failure"]:
        assert json.loads(reply["failure"])["kwargs"]["in_use"] == "old"
        new.close()
    else:
        pool.retire(guest)


def test_ready_that_nobody_heard(stage, pool):
    """The copy is in step while pivotd is dead; from then on something always remains, since its bandwidth is small."""
    guest = pool.one()
    scene = stage.scene(guest, strategy="copy", bandwidth_mib_s=MIDDLING, stall_timeout_s=4).send().wait_copying()
    stage.daemon.kill()
    until(lambda: guest.mirror() == "yes", 60, "the copy is not in step")
    stage.daemon.start()
    scene.succeed(repeats=True)


def test_an_adopted_copy_gets_the_plan_s_bandwidth(stage, pool):
    """detect_zeroes starts slowly; pivotd may die right then."""
    scene = stage.scene(pool.one(), strategy="copy", bandwidth_mib_s=3).send().wait_copying()
    stage.daemon.kill()
    scene.lab.libvirt.virsh("blockjob", scene.guest.uuid, "vdb", "--bandwidth", 100_000, "--bytes")
    stage.daemon.start()

    def bandwidth() -> str:
        return scene.lab.libvirt.virsh("blockjob", scene.guest.uuid, "vdb", "--raw", check=False)

    until(lambda: "bandwidth=3" in bandwidth(), 8, lambda: f"somebody else has set it: {bandwidth()}")
    scene.succeed(repeats=True)


def test_a_recovered_swap_that_waits_for_its_place_is_aborted(lab, own_stage, pool):
    """Its copy runs and its definition is gone since before the restart: both are undone, though it has no place yet."""
    stage, guests = own_stage({"max_concurrent_swaps": 2}), pool.take(2)
    scenes = []
    for guest in guests:
        scenes.append(stage.scene(guest, strategy="rebase", bandwidth_mib_s=1).send().wait_copying())
    stage.daemon.kill()
    lab.libvirt.virsh("blockjob", guests[1].uuid, "vdb", "--bandwidth", 100_000, "--bytes")  # it is not to end by itself
    stage.daemon.start(env={"PIVOTD_MAX_CONCURRENT_SWAPS": "1"})
    running, waiting = scenes
    stage.caller.call("abort_swap", task_id=waiting.task()["task_id"])
    waiting.fail("aborted by request", repeats=True)
    assert_outcome(json.loads(waiting.reply(repeats=True)["failure"])["kwargs"], "aborted")
    assert waiting.task()["state"] == "aborted"
    stage.caller.call("set_bandwidth", task_id=running.task()["task_id"], bandwidth_mib_s=FAST)
    running.succeed(repeats=True)
