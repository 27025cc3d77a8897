"""What a host has and can do, over the bus: get_connector, list_volumes, get_capabilities."""

import sys

import features
import pytest
from bus.dry import SETTINGS, dry_swap
from expectations import swap_arguments
from lab.processes import until
from nova import exception
from service.test_doctor import installed
from steering import SLOW, wait_for_copy


def volumes_of(rpc, guest) -> dict:
    """What list_volumes says of a guest's disks."""
    return {volume["disk"]: volume for volume in rpc.call("list_volumes", instance=guest.uuid)["volumes"]}


def test_volumes(lab, rpc):
    guest = lab.guest({"vdb": lab.volumes.file(fill=True)}).wait_ready()
    source = guest.disk().find("source").get("file")
    (found,) = [one for one in rpc.call("list_volumes")["volumes"] if one["instance_uuid"] == guest.uuid and one["disk"] == "vdb"]
    assert found["name"] == guest.name and found["source"] == source and found["driver"] == "file"
    assert found["bytes"] == guest.disks["vdb"].size and found["job"] is None
    assert volumes_of(rpc, guest)["vdb"] == found
    call = rpc.later("swap_volume", **swap_arguments(guest, lab.volumes.file(), options=SLOW))
    task = wait_for_copy(rpc, guest)
    assert volumes_of(rpc, guest)["vdb"] == found | {"job": "copy"}
    rpc.call("abort_swap", task_id=task)
    call.error()
    lab.remove(guest)


def test_a_domain_that_does_not_run(lab, rpc):
    guest = lab.guest({"vdb": lab.volumes.file()}, start=False)
    volume = volumes_of(rpc, guest)["vdb"]
    assert volume["source"] == str(guest.disks["vdb"].path) and volume["bytes"] is None and volume["job"] is None
    lab.remove(guest)


def test_no_such_instance(rpc):
    with pytest.raises(exception.InstanceNotFound):
        rpc.call("list_volumes", instance="7f0c4a5e-3a39-4b8a-9f0e-2b6d0d0c7a11")
    with pytest.raises(exception.InvalidInput):
        rpc.call("list_volumes", instance=5)


def test_capabilities(lab, rpc):
    told = rpc.call("get_capabilities")
    assert {"swap_volume", "get_swap", "get_capabilities"} <= set(told["methods"])
    assert {"rbd", "nfs", "iscsi"} <= set(told["drivers"])
    assert told["strategies"] == ["auto", "rebase", "copy"] and told["hypervisor"] == "libvirt"
    version = lab.libvirt.virsh("version")
    assert f"libvirt {told['libvirt']}" in version and f"QEMU {told['qemu']}" in version
    assert told["grow"] is (told["grow_obstacle"] is None) and told["connector_helper"] is False


def test_features(lab, rpc, second_worker, guest):
    """What the guest's own QEMU and libvirt say, and what the configuration forbids."""
    here = features.with_a_guest(guest)
    told = rpc.call("get_capabilities")
    assert told["features"] == here and told["grow"] is True and told["keep_tpm"] is here["keep_tpm"]["supported"]
    assert guest.running() and guest.is_persistent() and guest.job() is None
    assert rpc.call("get_capabilities")["features"] == here
    _, strict = second_worker({"allow_monitor_commands": False})
    forbidden = {"supported": False, "basis": "configuration"}
    told = strict.call("get_capabilities")
    assert told["features"]["blockdev_reopen"] == told["features"]["block_job_change"] == forbidden
    assert told["features"]["target_is_zero"]["basis"] == "version" and told["grow"] is False


def test_the_connector(lab, rpc, second_worker):
    """os-brick's own properties, by the shipped helper."""
    with pytest.raises(exception.InvalidInput, match="connector_helper"):
        rpc.call("get_connector")
    _, other = second_worker({"connector_helper": str(installed(lab, sys.executable))})
    told = other.call("get_connector")
    assert told["host"] and told["ip"] and told["multipath"] is False, told
    assert other.call("get_capabilities")["connector_helper"] is True


def test_what_a_queued_task_waits_for(second_worker):
    """An earlier task of its instance, or one of all slots."""
    _, rpc = second_worker(SETTINGS | {"max_concurrent_swaps": 1}, libvirt_uri="dry-run:?rate=1")
    first, second, third = dry_swap(), dry_swap(), dry_swap()
    second["instance"] = first["instance"]
    rpc.cast("swap_volume", **first)
    until(lambda: rpc.call("list_swaps", states=["copying"])["swaps"], 30, "none copies")
    for arguments in (second, third):
        rpc.cast("swap_volume", **arguments)
    swaps = until(lambda: rpc.call("list_swaps")["swaps"] if len(rpc.call("list_swaps")["swaps"]) == 3 else None, 30, "not three")
    until(lambda: rpc.call("list_swaps", states=["copying"])["swaps"], 30, "none copies")
    swaps = {swap["old_volume_id"]: swap for swap in rpc.call("list_swaps")["swaps"]}
    waits = [swaps[arguments["old_volume_id"]]["waits_for"] for arguments in (first, second, third)]
    assert waits == [None, "instance", "slot"]
    assert swaps[first["old_volume_id"]]["progress"]["limit_bytes_s"] == 1 << 20
    for swap in swaps.values():
        rpc.call("abort_swap", task_id=swap["task_id"])
