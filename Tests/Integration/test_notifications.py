"""volume_swap.* as a stock oslo.messaging listener gets them."""

from bus.dry import SETTINGS, dry_swap
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.processes import until
from nova import exception
from steering import FAST, SLOW, wait_for_copy


def wait_for(notifications, event: str, new_volume_id: str):
    """The notifications about one swap, once this event is among them."""

    def arrived():
        found = notifications.of(new_volume_id=new_volume_id)
        return found if event in [one.event_type for one in found] else None

    return until(arrived, 20, lambda: f"no {event} among {notifications.received[-5:]}")


def test_start_progress_end(lab, rpc, guest, notifications):
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)
    wait_for(notifications, "volume_swap.progress", new.id)
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    call.result()
    found = wait_for(notifications, "volume_swap.end", new.id)
    events = [one.event_type for one in found]
    assert events[0] == "volume_swap.start" and events[-1] == "volume_swap.end"
    assert set(events[1:-1]) == {"volume_swap.progress"}
    for one in found:
        assert one.priority == "info" and one.publisher_id == "pivotd:lab-host"
        assert one.payload["task_id"] == task and one.payload["instance_uuid"] == guest.uuid
    progress = [one.at for one in found if one.event_type == "volume_swap.progress"]
    assert all(later - earlier > 0.8 for earlier, later in zip(progress, progress[1:])), "more often than progress_interval_s"
    assert_moved(guest, new)


def test_error(lab, rpc, guest, notifications):
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)
    rpc.call("abort_swap", task_id=task)
    assert isinstance(call.error(), exception.VolumeRebaseFailed)
    error = wait_for(notifications, "volume_swap.error", new.id)[-1]
    assert error.event_type == "volume_swap.error" and error.priority == "error" and error.payload["task_id"] == task
    assert_stayed(guest, new)


def test_an_abort_of_a_task_that_waits(second_worker, notifications):
    """It never began; it is told, logged and counted all the same."""
    worker, rpc = second_worker(SETTINGS, libvirt_uri="dry-run:?rate=1")
    first, second = dry_swap(), dry_swap()
    second["instance"] = first["instance"]
    calls = [rpc.later("swap_volume", **first)]
    until(lambda: rpc.call("list_swaps", states=["copying"])["swaps"], 20, "the first does not copy")
    calls.append(rpc.later("swap_volume", **second))
    task = until(lambda: rpc.call("list_swaps", states=["queued"])["swaps"], 20, "not queued")[0]["task_id"]
    assert rpc.call("abort_swap", task_id=task)["state"] == "aborted"
    assert isinstance(calls[1].error(), exception.VolumeRebaseFailed)
    (error,) = wait_for(notifications, "volume_swap.error", second["new_volume_id"])
    assert error.payload["task_id"] == task and error.payload["state"] == "aborted"
    assert any(task in line and "aborted by request" in line for line in worker.log().splitlines())
    counts = {key: value for key, value in worker.metrics().items() if key.startswith("pivotd_swaps_total")}
    assert [value for key, value in counts.items() if 'result="aborted"' in key] == [1], counts
    rpc.call("abort_swap", task_id=rpc.call("list_swaps", states=["copying"])["swaps"][0]["task_id"])
    calls[0].error()
