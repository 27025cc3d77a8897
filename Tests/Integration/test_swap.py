"""The main job: a live disk is moved, with every strategy that fits, onto a file and onto a block device."""

import pytest
from expectations import assert_moved, shape, swap_arguments

RESULT_KEYS = {
    "task_id", "instance_uuid", "disk", "old_volume_id", "new_volume_id", "strategy", "connection_info", "capacity_bytes",
    "copied_bytes", "duration_s", "attempts", "warnings",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["file", "loop"])
@pytest.mark.parametrize("strategy", ["auto", "copy", "rebase"])
def test_a_live_disk_is_moved(lab, rpc, any_guest, strategy, kind):
    guest, old = any_guest, any_guest.disks["vdb"]
    new = getattr(lab.volumes, kind)()
    before = shape(guest)

    result = rpc.call("swap_volume", **swap_arguments(guest, new, options={"strategy": strategy}))

    assert RESULT_KEYS <= result.keys()
    used = {"auto": "copy" if guest.persistent else "rebase"}.get(strategy, strategy)
    expected = {
        "instance_uuid": guest.uuid,
        "disk": "vdb",
        "old_volume_id": old.id,
        "new_volume_id": new.id,
        "strategy": used,
        "capacity_bytes": new.size,
    }
    assert {key: result[key] for key in expected} == expected
    assert result["connection_info"]["serial"] == old.id  # the volume keeps its id over a Cinder migration
    assert result["connection_info"]["data"]["device_path"] == str(new.path)
    assert result["copied_bytes"] > 0 and result["attempts"] >= 1 and result["warnings"] == []
    assert_moved(guest, new)
    assert shape(guest) == before


@pytest.mark.parametrize("instance", ["uuid and name", "name only", "nova object"])
def test_the_instance_is_found_by_every_form_of_its_name(lab, rpc, guest, instance):
    forms = {
        "uuid and name": {"uuid": guest.uuid, "name": guest.name},
        "name only": {"uuid": "6c4c4e0c-6ef9-4a4f-8a8c-000000000000", "name": guest.name},
        "nova object": {
            "nova_object.name": "Instance",
            "nova_object.namespace": "nova",
            "nova_object.version": "2.7",
            "nova_object.data": {"uuid": guest.uuid, "name": guest.name},
            "nova_object.changes": [],
        },
    }
    new = lab.volumes.file()
    result = rpc.call("swap_volume", **swap_arguments(guest, new, instance=forms[instance], mountpoint="vdb"))
    assert result["instance_uuid"] == guest.uuid
    assert_moved(guest, new)


def test_an_nfs_share_is_found_where_nova_mounts_it(lab, rpc, guest):
    new = lab.volumes.nfs()
    rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_moved(guest, new)


def test_a_paused_guest_is_moved_and_stays_paused(lab, rpc, guest):
    new = lab.volumes.file()
    guest.libvirt.virsh("suspend", guest.uuid)
    try:
        rpc.call("swap_volume", **swap_arguments(guest, new))
        assert guest.info()["State"] == "paused"
    finally:
        guest.libvirt.virsh("resume", guest.uuid)
    assert_moved(guest, new)


def test_a_swap_that_is_done_already_is_a_success(lab, rpc, guest):
    new = lab.volumes.file()
    arguments = swap_arguments(guest, new)
    rpc.call("swap_volume", **arguments)
    assert rpc.call("swap_volume", **arguments)["new_volume_id"] == new.id
    assert_moved(guest, new)


def test_options_reach_the_hypervisor(lab, rpc, guest):
    new = lab.volumes.file()
    options = {
        "strategy": "copy",
        "granularity_kib": 64,
        "buffer_mib": 4,
        "synchronous_writes": True,
        "timeout_s": 60,
        "stall_timeout_s": 30,
        "detect_zeroes": True,
    }
    rpc.call("swap_volume", **swap_arguments(guest, new, options=options))
    assert_moved(guest, new)


def copy_command(guest, volume, mib_s: int) -> list:
    """virsh's words for a copy of vdb that somebody else has started."""
    options = ["--reuse-external", "--transient-job", "--format", "raw", "--bandwidth", mib_s]
    return ["blockcopy", guest.uuid, "vdb", "--dest", volume.path, *options]


def test_a_leftover_copy_is_ended_first(lab, rpc, any_guest):
    guest, leftover, new = any_guest, lab.volumes.file(), lab.volumes.file()
    guest.libvirt.virsh(*copy_command(guest, leftover, mib_s=1))
    rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_moved(guest, new)


def test_a_copy_onto_the_same_volume_is_adopted(lab, rpc, guest):
    new = lab.volumes.file()
    guest.libvirt.virsh(*copy_command(guest, new, mib_s=16))
    rpc.call("swap_volume", **swap_arguments(guest, new, options={"strategy": "copy"}))
    assert_moved(guest, new)
