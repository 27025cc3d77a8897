"""A swap that stays in step until it is told to pivot."""

import json

import pytest
from bus.dry import SETTINGS, dry_swap
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.processes import until
from nova import exception
from steering import wait_for_state


@pytest.fixture
def twin(lab):
    """A guest with two disks."""
    guest = lab.guest({"vdb": lab.volumes.file(fill=True), "vdc": lab.volumes.file(fill=True)}).wait_ready()
    yield guest
    lab.remove(guest)


def test_held_over_a_restart_while_another_disk_moves(lab, twin, second_worker):
    """The guest writes all the time; it moves when it is told, and not before."""
    worker, rpc = second_worker({"amqp_durable_queues": False})
    held, other = lab.volumes.file(), lab.volumes.file()
    old = twin.disks["vdb"]
    rpc.cast("swap_volume", **swap_arguments(twin, held, options={"hold": True}))
    task = wait_for_state(rpc, twin, "ready")["task_id"]
    arguments = swap_arguments(twin, other)
    arguments |= {"mountpoint": "/dev/vdc", "old_connection_info": twin.disks["vdc"].info, "old_volume_id": twin.disks["vdc"].id}
    assert rpc.call("swap_volume", **arguments)["disk"] == "vdc"
    with pytest.raises(exception.InvalidInput, match="already ended"):
        rpc.call("pivot_swap", task_ids=[task, rpc.call("get_swap", instance=twin.uuid, mountpoint="vdc")["task_id"]])
    worker.restart_hard()
    until(lambda: "held" in worker.log(), 30, worker.log)
    until(lambda: rpc.call("get_swap", task_id=task)["state"] == "ready", 30, lambda: rpc.call("get_swap", task_id=task))
    assert str(old.path) in lab.libvirt.virsh("domblklist", twin.uuid), "it moved by itself"
    twin.write_on("vdb")
    (swap,) = until(lambda: pivoted(rpc, task), 30, "it is never held again")
    assert swap["task_id"] == task and swap["state"] in ("pivoting", "finishing", "completed")
    until(lambda: rpc.call("get_swap", task_id=task)["state"] == "completed", 30, lambda: rpc.call("get_swap", task_id=task))
    assert_moved(twin, held)


def pivoted(rpc, task: str) -> list[dict] | None:
    """What pivot_swap returns; None while the swap is not held yet."""
    try:
        return rpc.call("pivot_swap", task_ids=[task])["swaps"]
    except exception.InvalidInput:
        return None


def test_abort_instead(lab, rpc, guest):
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options={"hold": True, "timeout_s": 30}))
    task = wait_for_state(rpc, guest, "ready")["task_id"]
    guest.write_on()
    rpc.call("abort_swap", task_id=task)
    assert "aborted by request" in str(call.error())
    assert_stayed(guest, new)


def test_command_line(second_worker, tmp_path):
    worker, rpc = second_worker(SETTINGS, libvirt_uri="dry-run:")
    arguments = dry_swap()
    words = ["--instance", arguments["instance"], "--disk", "vdb"]
    words += ["--old", json.dumps(arguments["old_connection_info"]), "--new", json.dumps(arguments["new_connection_info"])]
    code, task, errors = worker.command("swap", *words, "--hold", "--cast")
    assert code == 0, errors
    until(lambda: rpc.call("get_swap", task_id=task.strip())["state"] == "ready", 30, "not ready")
    code, output, errors = worker.command("pivot", task.strip())
    assert code == 0 and output.startswith(task.strip()), errors
    until(lambda: rpc.call("get_swap", task_id=task.strip())["state"] == "completed", 30, "not completed")
    code, _, errors = worker.command("pivot", task.strip())
    assert code == 1 and "has already ended" in errors
