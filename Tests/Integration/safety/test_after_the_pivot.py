"""After the pivot the data has moved: what goes wrong then is not the swap's failure, or it says which volume is in use."""

import contextlib
import os
import signal

import pytest
from expectations import assert_moved, assert_runs_on
from lab.processes import MIB, run, until
from steering import FAST

GIB = 1024 * MIB


def test_a_resize_that_fails_is_a_warning(lab, stage, pool):
    """The file may not be truncated any more once the guest is on it: QEMU can write it, and not resize it."""
    guest, new = pool.one(), lab.volumes.file(size=GIB)
    stage.daemon.terminate()
    stage.daemon.start(env={"PIVOTD_TEST_STOP_AT": "finishing"})
    scene = stage.scene(guest, new)
    scene.message["args"]["resize_to"] = 1
    scene.send()
    stopped = stage.daemon.state / "stopped-at-finishing"
    until(stopped.exists, 30, lambda: f"not pivoted: {stage.daemon.log()[-500:]}")
    stopped.unlink()
    run("chattr", "+a", new.path)
    try:
        os.kill(stage.daemon.process.pid, signal.SIGCONT)
        result = scene.reply()["result"]
    finally:
        run("chattr", "-a", new.path)
        stage.daemon.restart_hard()
    assert result["resized"] is False and result["capacity_bytes"] == guest.console.size(), result
    assert any(warning.startswith("resize:") for warning in result["warnings"]), result["warnings"]
    assert_moved(guest, new)
    pool.retire(guest)


@pytest.fixture
def read_only_definitions(lab):
    """Makes libvirt's directory of definitions read-only, until it is undone: make(), undo()."""
    directory, undo = "/etc/libvirt/qemu", contextlib.ExitStack()

    def make() -> None:
        run(*lab.libvirt.inside("mount", "--bind", directory, directory))
        undo.callback(run, *lab.libvirt.inside("umount", directory))
        run(*lab.libvirt.inside("mount", "-o", "remount,bind,ro", directory))

    yield make, undo.close
    undo.close()


def swap_until_it_cannot_be_stored(stage, scene, make_read_only):
    """Plays a rebase up to the point where the guest is on the new volume and its configuration cannot be stored."""
    scene.send().wait_copying()
    make_read_only()
    stage.caller.call("set_bandwidth", task_id=scene.task()["task_id"], bandwidth_mib_s=FAST)
    until(lambda: scene.new.named_by(scene.guest.disk()), 30, "not pivoted")


@pytest.mark.parametrize("strategy", ["rebase", "copy"])
def test_a_configuration_that_cannot_be_stored_is_tried_again(stage, pool, read_only_definitions, strategy):
    """After a copy libvirt itself tries to write it, and goes on without an error."""
    make, undo = read_only_definitions
    scene = stage.scene(pool.one(), strategy=strategy, bandwidth_mib_s=1)
    swap_until_it_cannot_be_stored(stage, scene, make)
    scene.assert_unanswered(4)
    status = scene.task()
    assert (status["state"], status["failure"]) == ("finishing", None), status
    stage.daemon.restart_hard()
    scene.assert_unanswered(2)
    undo()
    scene.succeed(repeats=True)


def test_a_configuration_that_only_libvirt_s_memory_has(lab, own_stage, pool, read_only_definitions):
    """No success: once libvirt is restarted, the stored configuration names the old volume. The same swap again mends it."""
    make, undo = read_only_definitions
    stage = own_stage({"store_retry_s": 2})
    scene = stage.scene(pool.one(), strategy="copy", bandwidth_mib_s=1)
    swap_until_it_cannot_be_stored(stage, scene, make)
    failure = scene.refusal()
    assert (failure["kwargs"]["reason_code"], failure["kwargs"]["in_use"]) == ("configuration_failed", "new"), failure
    assert failure["kwargs"]["left_behind"], "what libvirt could not write is not named"
    lab.libvirt.restart_hard()
    assert scene.guest.disks["vdb"].named_by(scene.guest.disk(inactive=True)), "libvirt had written it"
    undo()
    stage.scene(scene.guest, scene.new, strategy="copy").send().succeed()
    lab.libvirt.restart_hard()
    assert scene.new.named_by(scene.guest.disk(inactive=True))


def test_a_configuration_that_cannot_be_stored_at_all(lab, own_stage, pool, read_only_definitions):
    make, undo = read_only_definitions
    stage = own_stage({"store_retry_s": 2})
    guest = pool.one()
    scene = stage.scene(guest, strategy="rebase", bandwidth_mib_s=1)
    swap_until_it_cannot_be_stored(stage, scene, make)
    failure = scene.refusal()
    assert failure["class"] == "VolumeRebaseFailed"
    assert failure["kwargs"]["reason_code"] == "configuration_failed" and failure["kwargs"]["in_use"] == "new", failure
    assert failure["kwargs"]["left_behind"], "the domain without a definition is not named"
    undo()
    stage.daemon.restart_hard()
    until(guest.is_persistent, 30, "a restart does not bring the definition back")
    assert_runs_on(guest, scene.new)
    pool.retire(guest)
