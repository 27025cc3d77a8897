"""One instance's tasks run one after another as they came, different instances' side by side."""

from expectations import assert_moved, swap_arguments
from nova import exception
from steering import SLOW, swaps_of, wait_for_copy, wait_for_state


def test_one_instance_first_come_first_served(lab, rpc, raw, guest):
    """Three swaps sent at once: each starts from where the one before it has ended."""
    volumes = [guest.disks["vdb"], lab.volumes.file(), lab.volumes.file(), lab.volumes.file()]
    sent = []
    for old, new in zip(volumes, volumes[1:]):
        arguments = swap_arguments(guest, new, old_connection_info=old.info, old_volume_id=old.id)
        sent.append(raw.send(raw.message("swap_volume", arguments)))
    for message in sent:
        assert raw.final(message["_msg_id"])["failure"] is None

    swaps = sorted(swaps_of(rpc, guest)[:3], key=lambda swap: swap["started_at"])
    assert [swap["new_volume_id"] for swap in swaps] == [volume.id for volume in volumes[1:]]
    for earlier, later in zip(swaps, swaps[1:]):
        assert earlier["finished_at"] <= later["started_at"]
    assert_moved(guest, volumes[-1])


def test_different_instances_side_by_side(lab, rpc, pool):
    guests = pool.take(2)
    new = [lab.volumes.file() for _ in guests]
    calls = [
        rpc.later("swap_volume", **swap_arguments(guest, volume, options=SLOW)) for guest, volume in zip(guests, new)
    ]
    tasks = [wait_for_copy(rpc, guest) for guest in guests]
    assert not any(call.done() for call in calls), "one was over before the other began"
    for task, call, guest, volume in zip(tasks, calls, guests, new):
        rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=1024)
        call.result()
        assert_moved(guest, volume)


def test_no_more_at_once_than_allowed(lab, pool, second_worker):
    worker, rpc = second_worker({"max_concurrent_swaps": 1})
    guests = pool.take(2)
    new = [lab.volumes.file() for _ in guests]
    first = rpc.later("swap_volume", **swap_arguments(guests[0], new[0], options=SLOW))
    task = wait_for_copy(rpc, guests[0])
    second = rpc.later("swap_volume", **swap_arguments(guests[1], new[1]))
    wait_for_state(rpc, guests[1], "queued")
    assert guests[1].job() is None
    rpc.call("abort_swap", task_id=task)
    assert isinstance(first.error(), exception.VolumeRebaseFailed)
    second.result()
    assert_moved(guests[1], new[1])


def test_a_queued_swap_can_be_aborted(lab, rpc, guest):
    volumes = [lab.volumes.file(), lab.volumes.file()]
    first = rpc.later("swap_volume", **swap_arguments(guest, volumes[0], options=SLOW))
    running = wait_for_copy(rpc, guest)
    second = rpc.later("swap_volume", **swap_arguments(guest, volumes[1]))
    queued = wait_for_state(rpc, guest, "queued")["task_id"]
    rpc.call("abort_swap", task_id=queued)
    assert "aborted by request" in str(second.error(20))
    rpc.call("set_bandwidth", task_id=running, bandwidth_mib_s=1024)
    first.result()
    assert_moved(guest, volumes[0])
