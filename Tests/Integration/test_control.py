"""Asking for a running swap and steering it, over the bus."""

import time
import uuid

import pytest
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.clients.rpc import CONTEXT
from nova import exception
from steering import FAST, SLOW, swaps_of, wait_for_copy, wait_for_state

SWAP_KEYS = {
    "task_id", "instance_uuid", "disk", "old_volume_id", "new_volume_id", "strategy", "hypervisor", "state", "accepted_at",
    "started_at", "finished_at", "request_id", "reason_code", "in_use", "waits_for", "progress", "result", "failure",
}  # fmt: skip
PROGRESS_KEYS = {
    "copied_bytes", "total_bytes", "remaining_bytes", "rate_bytes_s", "eta_s", "limit_bytes_s", "guest_latency_ms", "copy_mode",
}  # fmt: skip


def test_a_slow_copy_is_watched_and_sped_up(lab, rpc, guest):
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)

    swap = rpc.call("get_swap", task_id=task)
    assert SWAP_KEYS <= swap.keys() and PROGRESS_KEYS <= swap["progress"].keys()
    assert swap["state"] == "copying" and swap["result"] is None and swap["failure"] is None
    assert swap["request_id"] == CONTEXT["request_id"] and swap["waits_for"] is None
    assert swap["progress"]["limit_bytes_s"] == SLOW["bandwidth_mib_s"] << 20
    assert swap["finished_at"] is None and swap["accepted_at"] <= swap["started_at"]
    assert rpc.call("get_swap", instance=guest.uuid, mountpoint="/dev/vdb")["task_id"] == task
    assert task in [one["task_id"] for one in rpc.call("list_swaps", states=["copying"])["swaps"]]

    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    result = call.result(20)
    assert result["task_id"] == task
    done = rpc.call("get_swap", task_id=task)
    assert done["state"] == "completed" and done["result"]["task_id"] == task and done["finished_at"]
    assert done["progress"]["remaining_bytes"] == 0
    assert_moved(guest, new)


@pytest.mark.parametrize("by", ["task", "disk"])
@pytest.mark.parametrize("strategy", ["copy", "rebase"])
def test_abort(lab, rpc, guest, strategy, by):
    new = lab.volumes.file()
    options = {"strategy": strategy, "bandwidth_mib_s": 1}
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=options))
    task = wait_for_copy(rpc, guest)
    which = {"task": {"task_id": task}, "disk": {"instance": guest.uuid, "mountpoint": "vdb"}}[by]
    rpc.call("abort_swap", **which)
    failure = call.error(20)
    assert isinstance(failure, exception.VolumeRebaseFailed) and "aborted by request" in str(failure)
    assert wait_for_state(rpc, guest, "aborted")["task_id"] == task
    assert_stayed(guest, new)


def test_too_late_to_abort(lab, rpc, guest):
    new = lab.volumes.file()
    task = rpc.call("swap_volume", **swap_arguments(guest, new))["task_id"]
    with pytest.raises(exception.InvalidInput):
        rpc.call("abort_swap", task_id=task)
    assert_moved(guest, new)


@pytest.mark.parametrize("method", ["get_swap", "abort_swap", "set_bandwidth"])
def test_an_unknown_task(rpc, method):
    more = {"bandwidth_mib_s": 1} if method == "set_bandwidth" else {}
    with pytest.raises(exception.InvalidInput):
        rpc.call(method, task_id=str(uuid.uuid4()), **more)


def test_a_list_is_newest_first_and_as_long_as_asked(lab, rpc, guest):
    for _ in range(2):
        new = lab.volumes.file()
        rpc.call("swap_volume", **swap_arguments(guest, new))
        assert_moved(guest, new)
    swaps = swaps_of(rpc, guest)
    assert [swap["accepted_at"] for swap in swaps] == sorted((swap["accepted_at"] for swap in swaps), reverse=True)
    assert len(rpc.call("list_swaps", instance=guest.uuid, limit=1)["swaps"]) == 1
    assert rpc.call("list_swaps", instance=guest.uuid, states=["queued"])["swaps"] == []


def test_a_monitored_call_lives_on_heartbeats(lab, rpc, guest):
    """The call-monitor time-out is shorter than the copy: without heartbeats the client would give up."""
    new = lab.volumes.file()
    options = {"strategy": "copy", "bandwidth_mib_s": 4}
    began = time.monotonic()
    rpc.call("swap_volume", monitor=2, timeout=90, **swap_arguments(guest, new, options=options))
    assert time.monotonic() - began > 3, "too fast to show anything"
    assert_moved(guest, new)


def test_heartbeats_come_twice_in_a_timeout(lab, rpc, raw, guest):
    new = lab.volumes.file()
    message = raw.send(raw.message("swap_volume", swap_arguments(guest, new, options=SLOW), _timeout=2))
    task = wait_for_copy(rpc, guest)
    time.sleep(5)
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    *beats, final = raw.replies(message["_msg_id"])
    assert 4 <= len(beats) <= 9
    assert all(beat["result"] is None and beat["failure"] is None and beat["ending"] is False for beat in beats)
    assert final["ending"] is True and final["result"]["task_id"] == task
    assert_moved(guest, new)


def test_a_cast_is_done_without_a_reply(lab, rpc, guest):
    new, swaps = lab.volumes.file(), len(swaps_of(rpc, guest))
    rpc.cast("swap_volume", **swap_arguments(guest, new))
    assert wait_for_state(rpc, guest, "completed", after=swaps)["new_volume_id"] == new.id
    assert_moved(guest, new)


def test_a_token_names_the_task(lab, rpc, guest):
    """A cast can be followed, a resend by another message starts nothing, and the token is for these arguments alone."""
    new, token, swaps = lab.volumes.file(), str(uuid.uuid4()), len(swaps_of(rpc, guest))
    arguments = swap_arguments(guest, new)
    rpc.cast("swap_volume", request_token=token, **arguments)
    assert wait_for_state(rpc, guest, "completed", after=swaps)["task_id"] == token
    assert rpc.call("swap_volume", request_token=token.upper(), **arguments)["task_id"] == token
    assert rpc.call("get_swap", task_id=token)["state"] == "completed"
    with pytest.raises(exception.InvalidInput):
        rpc.call("swap_volume", request_token=token, **swap_arguments(guest, lab.volumes.file()))
    with pytest.raises(exception.InvalidInput):
        rpc.call("swap_volume", request_token="mine", **arguments)
    # The second was refused for its token, which is then no id.
    assert [swap["state"] for swap in swaps_of(rpc, guest)[: -swaps or None]] == ["failed", "completed"]
    assert_moved(guest, new)
