"""The servers beside pivotd go away in the middle of a copy: the broker, libvirtd, both; and messages come twice."""

import time

import pytest
from faults.scene import MIDDLING
from lab.processes import until
from lab.qmp import QMP


@pytest.fixture(params=["copy", "rebase"])
def copying(request, stage, pool):
    """A scene in the middle of its copy."""
    return stage.scene(pool.one(), strategy=request.param, bandwidth_mib_s=MIDDLING).send().wait_copying()


def test_the_broker_is_killed(lab, stage, copying):
    lab.rabbit.restart_hard(pause=0.5)
    copying.succeed(repeats=True)
    stage.daemon.wait_ready()


def test_the_copy_ends_while_there_is_no_broker(lab, stage, pool):
    scene = stage.scene(pool.one(), strategy="copy", bandwidth_mib_s=MIDDLING).send().wait_copying()
    lab.rabbit.kill()
    until(lambda: scene.new.named_by(scene.guest.disk("vdb", inactive=True)), 20, "the swap waits for the broker")
    lab.rabbit.start()
    scene.succeed(repeats=True)


def test_libvirtd_is_killed(lab, stage, copying):
    lab.libvirt.restart_hard()
    copying.succeed()
    stage.daemon.wait_ready()


def test_the_copy_ends_while_there_is_no_libvirtd(lab, stage, pool):
    scene = stage.scene(pool.one(), strategy="rebase", bandwidth_mib_s=MIDDLING).send().wait_copying()
    lab.libvirt.kill()
    time.sleep(4)  # nobody can be asked whether the copy is in step
    lab.libvirt.start()
    scene.succeed()


def test_questions_to_an_absent_libvirtd_hold_up_nothing(lab, stage, pool):
    """More than are answered at a time, as a poller's that goes on."""
    scene = stage.scene(pool.one(), strategy="copy", bandwidth_mib_s=MIDDLING).send().wait_copying()
    lab.libvirt.kill()
    for _ in range(70):
        stage.caller.send(stage.caller.message("list_volumes", {}))
    assert stage.caller.call("oslo_rpc_server_ping", timeout=30) == "pong"
    lab.libvirt.start()
    scene.succeed()


def test_everything_but_qemu_is_killed(lab, stage, copying):
    stage.daemon.kill()
    lab.libvirt.kill()
    lab.rabbit.kill()
    lab.libvirt.start()
    lab.rabbit.start()
    stage.daemon.start()
    copying.succeed(repeats=True)


def test_a_message_that_comes_again_and_again(stage, copying):
    """While the copy runs, after pivotd was killed, and when all is over."""
    copying.send()
    stage.daemon.restart_hard()
    copying.send()
    copying.succeed(repeats=True)
    replies = len(copying.caller.finals(copying.message))
    copying.send()
    until(lambda: len(copying.caller.finals(copying.message)) > replies, 20, "no answer to the call sent again")
    copying.reply(repeats=True)
    assert [copying.task()["state"], copying.task()["new_volume_id"]] == ["completed", copying.new.id]
    assert copying.guest.disks["vdb"].named_by(copying.guest.disk())


@pytest.mark.parametrize(
    ("strategy", "pivotd_lives", "closed"),
    [("copy", True, False), ("rebase", False, False), ("copy", False, True), ("rebase", True, True)],
)
def test_libvirtd_is_killed_at_the_pivot(lab, stage, pool, strategy, pivotd_lives, closed):
    """It dies after QEMU's pivot and before its own note of it, so it comes back with the old volume in its configuration.

    Whether it had closed the old volume in QEMU already makes a difference. Here QEMU is told by hand what libvirtd told it last.
    """
    copying = stage.scene(pool.one(), strategy=strategy, bandwidth_mib_s=MIDDLING).send().wait_copying()
    disk = copying.guest.disk()
    if not pivotd_lives:
        stage.daemon.kill()
    lab.libvirt.kill()
    with QMP(lab.libvirt.directory, copying.guest.name) as qemu:
        [job] = qemu.ask("query-jobs")
        qemu.ask("block-job-set-speed", device=job["id"], speed=0)
        qemu.ask("job-complete", id=qemu.wait_for_job("ready"))
        qemu.wait_for_job("concluded")
        if closed:
            qemu.ask("job-dismiss", id=job["id"])
            nodes = {node["node-name"] for node in qemu.ask("query-named-block-nodes")}
            for layer in ("format", "storage"):
                name = f"libvirt-{disk.find('source').get('index')}-{layer}"
                if name in nodes:  # libvirt 10 and later make no format node for a raw volume
                    qemu.ask("blockdev-del", **{"node-name": name})
    lab.libvirt.start()
    if not pivotd_lives:
        stage.daemon.start()
    copying.fail("mirrored back to the old volume")
    again = stage.scene(copying.guest).send()
    if closed:  # libvirt has dropped the job by then, but not its <mirror>
        again.fail("until the guest has been stopped and started")
    else:
        again.succeed()
