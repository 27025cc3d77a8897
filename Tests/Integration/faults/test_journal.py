"""The journal's own troubles: no room for it, and gone."""

import os
import shutil

from faults.scene import MIDDLING
from lab.processes import until


def fill_up(directory) -> None:
    """Writes a file until there is no room left."""
    with open(directory / "ballast", "wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(bytes(4096))
        except OSError:
            os.fsync(ballast.fileno())


def test_nothing_is_accepted_that_cannot_be_stored(lab, own_stage, pool):
    directory, _ = lab.volumes.small_filesystem(8 << 20)
    state = directory / "state"
    state.mkdir()
    stage = own_stage(state=state)
    fill_up(directory)
    guest = pool.one()
    scene = stage.scene(guest, strategy="copy")
    scene.send()
    daemon = stage.daemon
    until(lambda: not daemon.running() or daemon.get("/readyz")[0] == 503, 20, "still ready with a full disk")
    assert guest.job() is None and guest.disks["vdb"].named_by(guest.disk()), "a swap that is not stored was begun"

    (directory / "ballast").unlink()
    if not daemon.running():
        assert daemon.process.child.returncode > 0, "a clear exit code"
        daemon.start()
    scene.succeed(repeats=True)
    stage.close()
    lab.libvirt.unmount(directory)


def test_a_journal_deleted_mid_copy(own_stage, pool):
    """With the strategy that takes the definition away: it comes back, whatever becomes of the copy."""
    stage = own_stage()
    guest = pool.one()
    scene = stage.scene(guest, strategy="rebase", bandwidth_mib_s=MIDDLING).send().wait_copying()
    assert not guest.is_persistent(), "this test is about a domain without its definition"
    stage.daemon.kill()
    shutil.rmtree(stage.daemon.state)
    stage.daemon.state.mkdir(mode=0o700)
    stage.daemon.start()
    until(guest.is_persistent, 20, "the definition has not come back")
    volume = next(volume for volume in (guest.disks["vdb"], scene.new) if volume.named_by(guest.disk()))
    assert volume.named_by(guest.disk(inactive=True)), "live and stored configuration differ"
    guest.write_on()
    assert not volume.missing_writes(guest.written())

    if volume is guest.disks["vdb"]:
        stage.scene(guest, strategy="copy").send().succeed()
