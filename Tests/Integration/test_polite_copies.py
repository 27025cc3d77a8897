"""Copies that give way to the guest: source and destination are parts of one slow disk."""

import pytest
from expectations import assert_moved, swap_arguments
from lab.processes import MIB, until
from steering import swaps_of, wait_for_copy

SLOW_DISK = {
    "filters": ["noparallel", "delay"],
    "parameters": ["serialize=all-requests", "rdelay=2ms", "wdelay=2ms"],
}
"""One request at a time, 2 ms each."""


@pytest.fixture
def crowded(lab):
    """A guest on a slow disk, and another volume on the same one."""
    old, new = lab.volumes.shared_nbd(2, **SLOW_DISK)
    guest = lab.guest({"vdb": old}).wait_ready()
    yield guest, new
    lab.remove(guest)


@pytest.mark.parametrize("budget", ["1.5x", 4, "0"])
def test_the_copy_gives_way(lab, second_worker, crowded, budget):
    """Its limit is there from the start, changes, and is not what ends it; no write is lost.  Without a budget there is none."""
    worker, rpc = second_worker()
    guest, new = crowded
    options = {"guest_latency_budget": budget, "strategy": "copy", "bandwidth_mib_s": 0}
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=options))
    task = wait_for_copy(rpc, guest)
    limits, latencies = set(), set()

    def is_over() -> bool:
        swap = rpc.call("get_swap", task_id=task)
        if swap["state"] == "copying":
            limits.add(swap["progress"]["limit_bytes_s"])
            latencies.add(swap["progress"]["guest_latency_ms"])
        return swap["state"] not in ("copying", "ready", "pivoting", "finishing")

    until(is_over, 240, lambda: f"it does not end: {swaps_of(rpc, guest)[0]}", 0.1)
    assert call.result(60)["attempts"] == 1
    if budget == "0":
        assert limits == {None} and latencies == {None}
    else:
        assert all(limit and limit >= MIB for limit in limits - {None}) and limits - {None}, limits
        assert any(latency for latency in latencies), latencies
    assert_moved(guest, new)
