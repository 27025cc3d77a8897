"""Volumes that break in the middle of a copy: errors, no room, a server that says nothing any more."""

import os
import signal
import threading

import pytest
from faults.scene import MIDDLING


def breakable(lab, what: str, fill: bool = False):
    """A volume behind nbdkit whose reads or writes fail once the returned file is there."""
    switch = lab.workspace.path(f"break-{len(lab.volumes.open)}-{what}")
    parameters = [f"error-{what}=EIO", f"error-{what}-rate=100%", f"error-file={switch}"]
    return lab.volumes.nbd(fill=fill, filters=["error"], parameters=parameters), switch


def test_the_new_volume_breaks(lab, stage, pool):
    new, switch = breakable(lab, "pwrite")
    scene = stage.scene(pool.one(), new, strategy="copy", bandwidth_mib_s=MIDDLING).send().wait_copying()
    switch.touch()
    scene.fail("Input/output error")


def test_the_old_volume_breaks(lab, stage):
    """The guest reads nothing, so it lives on; the copy cannot."""
    old, switch = breakable(lab, "pread", fill=True)
    guest = lab.guest({"vdb": old}).wait_ready()
    scene = stage.scene(guest, strategy="copy", bandwidth_mib_s=MIDDLING).send().wait_copying()
    switch.touch()
    scene.fail("Input/output error")
    lab.remove(guest)


@pytest.mark.parametrize("strategy", ["copy", "rebase"])
def test_the_new_volume_has_no_room(lab, stage, pool, strategy):
    new = lab.volumes.file_without_room()
    stage.scene(pool.one(), new, strategy=strategy).send().fail("No space left on device")


@pytest.mark.parametrize("server", ["nbdkit", "qemu-nbd"])
def test_the_new_volume_s_server_dies(lab, stage, pool, server):
    new = lab.volumes.nbd(server=server)
    scene = stage.scene(pool.one(), new, strategy="copy", bandwidth_mib_s=MIDDLING).send().wait_copying()
    new.server.kill()
    scene.fail()


def test_the_new_volume_stalls(lab, stage, pool):
    """Its server stands still; it has to be woken for the job to end, since QEMU waits for what is under way."""
    new = lab.volumes.nbd()
    scene = stage.scene(pool.one(), new, strategy="copy", bandwidth_mib_s=MIDDLING, stall_timeout_s=2).send().wait_copying()
    os.kill(new.server.pid, signal.SIGSTOP)
    waker = threading.Timer(6, os.kill, [new.server.pid, signal.SIGCONT])
    waker.start()
    try:
        scene.fail("stall")
    finally:
        waker.join()
