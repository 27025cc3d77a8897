"""Paths that do not answer: another guest's may be as dead as it likes, and one's own holds up only its own swap."""

import contextlib
import time

import pytest
from expectations import assert_outcome, assert_runs_on, swap_arguments
from lab.hangs import HungMount
from lab.processes import until
from nova import exception


@pytest.fixture
def remote(lab):
    """A directory that can be covered by a file system that hangs: remote() covers it until the end."""
    directory = lab.workspace.directory("volumes", f"remote{len(lab.volumes.open)}")
    covers = contextlib.ExitStack()
    yield directory, lambda: covers.enter_context(HungMount(lab.workspace, directory))
    covers.close()


@pytest.fixture
def bystander(lab):
    """Makes guests that only have to be there; they are taken away however the test ends."""
    made = []

    def make(volume, **options) -> None:
        made.append(lab.guest({"vdb": volume}, **options))

    yield make
    for guest in made:
        lab.libvirt.virsh("destroy", guest.uuid, check=False)
        lab.libvirt.virsh("undefine", guest.uuid)


def test_another_guest_s_disk(lab, rpc, guest, remote, bystander):
    directory, cover = remote
    bystander(lab.volumes.file(path=directory / "theirs.img"))
    cover()
    new = lab.volumes.file()
    result = rpc.call("swap_volume", **swap_arguments(guest, new))
    assert any(str(directory) in warning for warning in result["warnings"]), result["warnings"]
    assert_runs_on(guest, new)
    guest.disks["vdb"] = new


def test_another_guest_s_path_that_leads_nowhere(lab, rpc, guest, bystander):
    """Links that go round in a circle; and a directory that is none."""
    directory = lab.volumes.directory
    (directory / "round").symlink_to(directory / "about")
    (directory / "about").symlink_to(directory / "round")
    plain = lab.volumes.file()
    for path in (directory / "round", plain.path / "below"):
        volume = lab.volumes.file()
        volume.source = f"<source file='{path}'/>"
        bystander(volume, start=False)
    new = lab.volumes.file()
    rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_runs_on(guest, new)
    guest.disks["vdb"] = new


@pytest.mark.parametrize("way", ["timed_out", "aborted"])
def test_the_new_volume_s_own(lab, rpc, worker, guest, remote, way):
    directory, cover = remote
    new = lab.volumes.file(path=directory / f"{way}.img")
    cover()
    options = {"timeout_s": 3} if way == "timed_out" else {}
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=options))
    if way == "aborted":
        until(lambda: rpc.call("list_swaps", instance=guest.uuid, states=["preparing"])["swaps"], 20, "not preparing")
        time.sleep(3)  # until the disk has been seen, which says what it is on
        rpc.call("abort_swap", instance=guest.uuid, mountpoint="vdb")
    failure = call.error(60)
    assert isinstance(failure, exception.VolumeRebaseFailed), failure
    assert_outcome(failure.kwargs, way)
    assert_runs_on(guest, guest.disks["vdb"])
    other = lab.volumes.file()  # the instance is not held up by it
    rpc.call("swap_volume", **swap_arguments(guest, other))
    assert_runs_on(guest, other)
    guest.disks["vdb"] = other
