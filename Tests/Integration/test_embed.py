"""The QEMU driver inside pivotd: no libvirtd at all."""

import pytest
from lab.embed import EmbeddedGuest


@pytest.fixture
def embedded(lab):
    """A guest that starts with the worker that opens its URI."""
    guest = EmbeddedGuest(lab.workspace, lab.volumes.file(fill=True))
    yield guest
    guest.stop()


def test_swap_and_restart(lab, embedded, second_worker):
    worker, rpc = second_worker(libvirt_uri=embedded.uri)
    embedded.console.wait_ready(["vdb"])
    old, new = embedded.volume, lab.volumes.file()
    arguments = {
        "instance": embedded.uuid,
        "old_connection_info": old.info,
        "new_connection_info": new.info,
        "mountpoint": "/dev/vdb",
    }
    assert rpc.call("swap_volume", **arguments)["new_volume_id"] is None
    assert embedded.has_open(new.path) and not embedded.has_open(old.path)
    assert new.named_by(embedded.stored_disk())
    reported = embedded.console.written()
    embedded.console.wait_written("vdb", reported + 64)
    assert not new.missing_writes(embedded.console.written())
    assert new.bulk() == old.bulk()

    pid = embedded.qemu_pid()
    worker.restart_hard()
    back = lab.volumes.file()
    rpc.call("swap_volume", **arguments | {"old_connection_info": new.info, "new_connection_info": back.info})
    assert embedded.qemu_pid() == pid and embedded.has_open(back.path)
    assert not back.missing_writes(embedded.console.written())
