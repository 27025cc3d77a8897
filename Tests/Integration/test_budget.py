"""What the host's swaps share: bandwidth, places under limits, and the queue itself."""

import json
import time

from bus.dry import SETTINGS, dry_swap
from expectations import assert_moved, swap_arguments
from lab.processes import until
from service.test_reload import hang_up

MIB = 1 << 20


def speeds(rpc) -> dict:
    """The copies' speed limits in MiB/s, by old volume."""
    swaps = rpc.call("list_swaps", states=["copying"])["swaps"]
    return {swap["old_volume_id"]: (swap["progress"]["limit_bytes_s"] or 0) // MIB for swap in swaps}


def abort_all(rpc) -> None:
    """Aborts what has not ended."""
    for swap in rpc.call("list_swaps", states=["queued", "preparing", "copying"])["swaps"]:
        rpc.call("abort_swap", task_id=swap["task_id"])


def test_copies_share_the_bandwidth(second_worker):
    """Three, one of them with a limit of its own; then two; then another budget, on SIGHUP."""
    worker, rpc = second_worker(SETTINGS | {"host_bandwidth_mib_s": 9, "log_level": "info"}, libvirt_uri="dry-run:?rate=100")
    swaps = [dry_swap() for _ in range(3)]
    swaps[2]["options"] = {"bandwidth_mib_s": 1}
    for arguments in swaps:
        rpc.cast("swap_volume", **arguments)
    ids = [arguments["old_volume_id"] for arguments in swaps]
    until(lambda: speeds(rpc) == dict(zip(ids, (4, 4, 1), strict=True)), 30, lambda: f"{speeds(rpc)}")
    task = [swap for swap in rpc.call("list_swaps")["swaps"] if swap["old_volume_id"] == ids[0]][0]["task_id"]
    rpc.call("abort_swap", task_id=task)
    until(lambda: speeds(rpc) == {ids[1]: 8, ids[2]: 1}, 30, lambda: f"{speeds(rpc)}")
    assert "host_bandwidth_mib_s=5" in hang_up(worker, host_bandwidth_mib_s=5)
    until(lambda: speeds(rpc) == {ids[1]: 4, ids[2]: 1}, 30, lambda: f"{speeds(rpc)}\n{worker.log()[-1000:]}")
    abort_all(rpc)


def test_two_at_a_time_from_one_filer(second_worker):
    """The third waits, and says for what; a swap from elsewhere does not wait behind it."""
    limits = [{"match": {"side": "source", "where": "filer1:*"}, "concurrent": 2, "bandwidth_mib_s": 2}]
    settings = SETTINGS | {"limits": json.dumps(limits), "max_concurrent_swaps": 3}
    _, rpc = second_worker(settings, libvirt_uri="dry-run:?rate=100")
    swaps = [dry_swap() for _ in range(4)]
    for arguments in swaps[:3]:
        data = {"export": "filer1:/vol", "name": f"volume-{arguments['old_volume_id']}"}
        arguments["old_connection_info"] |= {"driver_volume_type": "nfs", "data": data}
    for arguments in swaps:
        rpc.cast("swap_volume", **arguments)

    def shown() -> list:
        by_id = {swap["old_volume_id"]: swap for swap in rpc.call("list_swaps")["swaps"]}
        found = [by_id.get(arguments["old_volume_id"]) for arguments in swaps]
        return [swap and (swap["state"], swap["waits_for"]) for swap in found]

    # Those that come at the same time may take their places in any order.
    runs, waits = ("copying", None), ("queued", "limit: source where=filer1:*")
    until(lambda: sorted(map(str, shown()[:3])) == sorted(map(str, [runs, runs, waits])), 30, lambda: f"{shown()}")
    until(lambda: shown()[3] and shown()[3][0] in ("copying", "completed"), 30, lambda: f"{shown()}")
    waiting = shown().index(waits)
    running = [swap for index, swap in enumerate(swaps[:3]) if index != waiting]
    until(lambda: {speeds(rpc).get(swap["old_volume_id"]) for swap in running} == {1}, 30, lambda: f"{speeds(rpc)}")
    rpc.call("abort_swap", instance=running[0]["instance"], mountpoint=running[0]["mountpoint"])
    until(lambda: shown()[waiting] == runs, 30, lambda: f"{shown()}")
    abort_all(rpc)


def test_a_paused_queue(second_worker):
    """Running ones go on, new ones wait; the worker is ready all the same."""
    worker, rpc = second_worker(SETTINGS, libvirt_uri="dry-run:?rate=1")
    first, second = dry_swap(), dry_swap()
    rpc.cast("swap_volume", **first)
    until(lambda: speeds(rpc), 30, "it does not copy")
    assert rpc.call("drain") == {"running": 1, "queued": 0}
    rpc.cast("swap_volume", **second)
    queued = until(lambda: rpc.call("list_swaps", states=["queued"])["swaps"], 30, "not queued")
    assert [swap["waits_for"] for swap in queued] == ["pause"]
    code, text = worker.get("/readyz")
    assert code == 200 and "queue: paused" in text, text
    task = rpc.call("list_swaps", states=["copying"])["swaps"][0]["task_id"]
    rpc.call("abort_swap", task_id=task)
    until(lambda: rpc.call("pause_queue") == {"running": 0, "queued": 1}, 30, "it still runs")
    assert rpc.call("resume_queue")["queued"] in (0, 1)
    until(lambda: second["old_volume_id"] in speeds(rpc), 30, "it does not begin")
    assert "paused" not in worker.get("/readyz")[1]
    abort_all(rpc)


def test_real_copies_share_the_bandwidth(lab, pool, second_worker):
    """QEMU's own limits, as libvirt reports them; both end, and the guests are on their new volumes."""
    _, rpc = second_worker({"host_bandwidth_mib_s": 2})
    guests = pool.take(2)
    new = [lab.volumes.file() for _ in guests]
    calls = [rpc.later("swap_volume", **swap_arguments(guest, volume)) for guest, volume in zip(guests, new, strict=True)]
    until(lambda: sorted(speeds(rpc).values()) == [1, 1], 30, lambda: f"{speeds(rpc)}")
    for swap in rpc.call("list_swaps", states=["copying"])["swaps"]:
        rpc.call("set_bandwidth", task_id=swap["task_id"], bandwidth_mib_s=100)
    assert sorted(speeds(rpc).values()) == [1, 1], "a limit of its own is an upper bound"
    for call in calls:
        call.result()
    for guest, volume in zip(guests, new, strict=True):
        assert_moved(guest, volume)


def test_the_schedule_pauses(second_worker):
    """A new swap waits for it, the one that runs goes on; SIGHUP with another schedule lets the new one begin."""
    hour = time.localtime().tm_hour
    times = [f"{(hour + shift) % 24:02}:00" for shift in (0, 8, 16)]
    worker, rpc = second_worker(SETTINGS | {"log_level": "info"}, libvirt_uri="dry-run:?rate=1")
    running, waiting = dry_swap(), dry_swap()
    rpc.cast("swap_volume", **running)
    until(lambda: speeds(rpc), 30, "it does not begin")
    # Eight hours of pause begin now, or began an hour ago if the clock strikes meanwhile.
    hang_up(worker, schedule=f"{times[0]} pause; {times[1]} pause; {times[2]} 7")
    rpc.cast("swap_volume", **waiting)
    until(lambda: len(rpc.call("list_swaps")["swaps"]) == 2, 30, "it is not taken")
    swaps = {swap["old_volume_id"]: swap for swap in rpc.call("list_swaps")["swaps"]}
    assert swaps[running["old_volume_id"]]["state"] == "copying", swaps
    assert swaps[waiting["old_volume_id"]]["waits_for"] == "schedule", swaps
    assert "paused by the schedule" in worker.get("/readyz")[1]
    assert worker.metrics()["pivotd_queue_paused_by_schedule"] == 1
    hang_up(worker, schedule=f"{times[0]} 0; {times[1]} 0; {times[2]} pause")
    until(lambda: len(speeds(rpc)) == 2, 30, lambda: f"{speeds(rpc)}")
    assert worker.metrics()["pivotd_queue_paused_by_schedule"] == 0
    abort_all(rpc)
