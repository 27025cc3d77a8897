"""Failures by many causes: what the client says may be deleted is not the volume that a guest runs on."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Callable
from typing import NamedTuple

import pivotd_client
import pytest
from bus.dry import dry_swap
from expectations import assert_runs_on, swap_arguments
from lab.daemon import HOST
from lab.guest import Guest
from lab.lab import Lab
from lab.volumes import Volume
from pivotd_client import Client, InvalidInput, InvalidVolume, SwapFailed, SwapResult, Task, VolumeRebaseFailed, may_delete
from pivotd_client.outcomes import failure_of
from pool import GuestPool

Case = tuple[Guest, Volume, dict]
GUESTS: dict[str, Guest] = {}


class Stage(NamedTuple):
    """What a case may take from."""

    lab: Lab
    pool: GuestPool
    guest: Guest

    def kept(self, name: str, **options) -> Guest:
        """A guest that both clients' cases use."""
        if name not in GUESTS:
            GUESTS[name] = self.lab.guest(**options)
        return GUESTS[name]


@pytest.fixture
def stage(lab, pool) -> Stage:
    """With a guest that runs."""
    return Stage(lab, pool, pool.one())


@pytest.fixture(scope="module", autouse=True)
def guests_of_the_cases(lab):
    """Removes the kept ones in the end."""
    yield
    for guest in GUESTS.values():
        lab.remove(guest)
    GUESTS.clear()


def made(guest: Guest, new: Volume, **more) -> Case:
    """The guest, the new volume, and the arguments of the swap."""
    return guest, new, swap_arguments(guest, new, **more)


def changed(**more) -> Callable[[Stage], Case]:
    """A case in which only the arguments are wrong."""
    return lambda stage: made(stage.guest, stage.lab.volumes.file(), **more)


def described(name: str, **data) -> Callable[[Stage], Case]:
    """A case whose new volume is described like this."""

    def case(stage: Stage) -> Case:
        new = stage.lab.volumes.file()
        info = {"driver_volume_type": name, "serial": new.id, "data": data}
        return made(stage.guest, new, new_connection_info=info)

    return case


def not_running(stage: Stage) -> Case:
    volumes = stage.lab.volumes
    return made(stage.kept("off", disks={"vdb": volumes.file()}, start=False), volumes.file())


def forbidden_path(stage: Stage) -> Case:
    path = stage.lab.workspace.directory("forbidden") / f"{uuid.uuid4()}.img"
    return made(stage.guest, stage.lab.volumes.file(path=path))


def too_small(stage: Stage) -> Case:
    return made(stage.guest, stage.lab.volumes.file(size=stage.guest.disks["vdb"].size // 2))


def another_old_volume(stage: Stage) -> Case:
    """The disk's serial is the old volume's id; that of a guest that was moved before is not."""
    guest = stage.kept("unmoved", disks={"vdb": stage.lab.volumes.file()})
    return made(guest, stage.lab.volumes.file(), old_connection_info=stage.lab.volumes.file().info)


def used_by_another_guest(stage: Stage) -> Case:
    guest, other = stage.pool.take(2)
    return made(guest, other.disks["vdb"])


def not_writable(stage: Stage) -> Case:
    broken = ["error-pwrite=EIO", "error-pwrite-rate=100%"]
    return made(stage.guest, stage.lab.volumes.nbd(filters=["error"], parameters=broken))


def foreign_job(stage: Stage) -> Case:
    if "pulling" not in GUESTS:
        guest = stage.kept("pulling", disks={"vdb": stage.lab.volumes.overlay()}).wait_ready()
        guest.libvirt.virsh("blockpull", guest.uuid, "vdb", "--bandwidth", 64 << 10, "--bytes")
    return made(GUESTS["pulling"], stage.lab.volumes.file())


def two_writers(stage: Stage) -> Case:
    if "writer" not in GUESTS:
        shared = stage.lab.volumes.file()
        shared.info["multiattach"] = True
        for name in ("writer", "other writer"):
            stage.kept(name, disks={"vdb": shared}, shareable=True)
    return made(GUESTS["writer"], stage.lab.volumes.file())


class Expected(NamedTuple):
    """How a case ends, and whether the new volume may be deleted then."""

    kind: type[SwapFailed]
    code: str
    in_use: str
    deletable: bool


SHORT = {"strategy": "copy", "bandwidth_mib_s": 1, "timeout_s": 1}
CASES = {
    "no such instance": (
        changed(instance=str(uuid.uuid4())),
        Expected(pivotd_client.InstanceNotFound, "instance_not_found", "none", False),
    ),
    "not running": (not_running, Expected(pivotd_client.InstanceNotRunning, "instance_not_running", "none", False)),
    "no such disk": (changed(mountpoint="/dev/vdz"), Expected(pivotd_client.DiskNotFound, "disk_not_found", "none", False)),
    "bad argument": (changed(resize_to=-1), Expected(InvalidInput, "invalid_argument", "unknown", False)),
    "forbidden path": (forbidden_path, Expected(InvalidInput, "path_not_allowed", "old", True)),
    "missing": (described("lvm", device_path="/dev/loop250/x"), Expected(InvalidVolume, "new_volume_missing", "old", True)),
    "too small": (too_small, Expected(InvalidVolume, "new_volume_too_small", "old", True)),
    "another old volume": (another_old_volume, Expected(InvalidVolume, "old_volume_mismatch", "unknown", False)),
    "unknown driver": (described("carrier_pigeon", coop=7), Expected(InvalidVolume, "not_supported", "old", True)),
    "another guest's volume": (used_by_another_guest, Expected(InvalidVolume, "new_volume_in_use", "old", False)),
    "writes fail": (not_writable, Expected(VolumeRebaseFailed, "io_error", "old", True)),
    "foreign job": (foreign_job, Expected(VolumeRebaseFailed, "foreign_job", "old", True)),
    "two writers": (two_writers, Expected(InvalidVolume, "multiattach", "old", True)),
    "too slow": (changed(options=SHORT), Expected(VolumeRebaseFailed, "timed_out", "old", True)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_failure(stage, client, name):
    case, expected = CASES[name]
    guest, new, request = case(stage)
    with pytest.raises(expected.kind) as raised:
        client.swap(HOST, **request)
    failure = raised.value
    assert (failure.reason_code, failure.in_use, failure.left_behind) == (expected.code, expected.in_use, []), failure
    assert failure.task_id and failure.reason and failure.remote_class == type(failure).__name__
    assert may_delete(failure) == (new.id if expected.deletable else None)
    disk = guest.disk("vdb", inactive=not guest.running())
    assert guest.disks["vdb"].named_by(disk) and not new.named_by(disk)
    if may_delete(failure):
        new.close()
        if guest in stage.pool.guests:
            assert_runs_on(guest, guest.disks["vdb"])


def test_a_guest_s_own_volume_is_kept(stage, nova):
    """The old volume is the new one."""
    with pytest.raises(InvalidVolume) as raised:
        nova.swap(HOST, **swap_arguments(stage.guest, stage.guest.disks["vdb"]))
    assert raised.value.reason_code == "new_volume_in_use" and may_delete(raised.value) is None
    assert_runs_on(stage.guest, stage.guest.disks["vdb"])


REHEARSED = {
    "vdc": ("no_space", "old", "new_volume_id"),
    "vdd": ("guest_gone", "none", None),
    "vde": ("configuration_failed", "new", None),  # and the domain without a definition is left behind
}


@pytest.mark.parametrize("disk", REHEARSED)
def test_a_failure_on_the_way(rehearsal, disk):
    code, in_use, unused = REHEARSED[disk]
    request = dry_swap(strategy="rebase") | {"mountpoint": f"/dev/{disk}"}
    with pytest.raises(VolumeRebaseFailed) as raised:
        rehearsal.wait(rehearsal.submit(HOST, **request))
    failure = raised.value
    assert (failure.reason_code, failure.in_use, bool(failure.left_behind)) == (code, in_use, disk == "vde")
    assert may_delete(failure) == request.get(unused)


def test_a_token_of_another_request(rehearsal, lab):
    """Neither the outcome of the other request nor its volumes are taken for those of this one."""
    with Client(lab.rabbit.url, topic=rehearsal.topic, remote_modules=[]) as plain:
        done = rehearsal.swap(HOST, **dry_swap())
        for attempt in (rehearsal.swap, plain.swap, lambda *host, **request: plain.wait(plain.submit(*host, **request))):
            with pytest.raises(InvalidInput, match="request_token") as raised:
                attempt(HOST, **dry_swap(), request_token=done.task_id)
            assert may_delete(raised.value) is None


@pytest.mark.parametrize(
    "kwargs, unused",
    [
        ({"in_use": "old"}, "new"),
        ({"in_use": "new"}, "old"),
        ({"in_use": "none"}, None),
        ({"in_use": "unknown"}, None),
        ({}, None),
        ({"in_use": "old", "left_behind": ["a copy onto new"]}, None),
        ({"in_use": "old", "reason_code": "new_volume_in_use"}, None),
        ({"in_use": "old", "reason_code": "configuration_failed"}, None),
        ({"in_use": "new", "reason_code": "configuration_failed"}, None),
    ],
)
def test_which_volume_may_be_deleted(kwargs, unused):
    assert may_delete(VolumeRebaseFailed("", kwargs=kwargs, old_volume_id="old", new_volume_id="new")) == unused
    assert may_delete(VolumeRebaseFailed("", kwargs=kwargs, old_volume_id="one", new_volume_id="one")) is None


def test_a_success_leaves_the_old_volume():
    result = SwapResult.of({"task_id": "t", "instance_uuid": "i", "disk": "vdb", "old_volume_id": "old", "new_volume_id": "new"})
    assert may_delete(result) == "old"
    assert may_delete(dataclasses.replace(result, hypervisor="dry-run")) is None


SHARED, OWN = {"multiattach": True}, {"multiattach": False}
RESULT = {"task_id": "t", "instance_uuid": "i", "disk": "vdb", "old_volume_id": "old", "new_volume_id": "new"}


@pytest.mark.parametrize(
    "old_info, new_info, unused",
    [
        (SHARED, SHARED, None),
        (SHARED, {}, None),
        (OWN, SHARED, "old"),
        ({}, {}, "old"),
        (None, SHARED, None),
        (None, {}, "old"),
    ],
)
def test_an_old_volume_that_others_may_use(old_info, new_info, unused):
    """The request says it, or without one the new volume's connection_info; a failure on the old volume is not concerned."""
    ids = {"old_volume_id": "old", "new_volume_id": "new"}
    task = Task("host", "t", {} if old_info is None else {**ids, "old_connection_info": old_info})
    assert may_delete(SwapResult.of(RESULT | {"connection_info": new_info}, task)) == unused
    known = Task("host", "t", {**ids, **task.request})
    moved = failure_of("VolumeRebaseFailed", "", {"in_use": "new"}, known)
    assert may_delete(moved) == (None if old_info in (SHARED, None) else "old")
    assert may_delete(failure_of("VolumeRebaseFailed", "", {"in_use": "old"}, known)) == "new"


def test_a_multiattach_volume(rehearsal):
    """From the reply, and from a status with and without the request."""
    request = dry_swap()
    for side in ("old", "new"):
        request[f"{side}_connection_info"]["multiattach"] = True
    result = rehearsal.swap(HOST, **request)
    assert result.is_shared and may_delete(result) is None
    for task in (Task(HOST, result.task_id), rehearsal.submit(HOST, **request, request_token=result.task_id)):
        assert rehearsal.wait(task) == dataclasses.replace(result, connection_info=rehearsal.wait(task).connection_info)
        assert may_delete(rehearsal.wait(task)) is None
