"""Several disks of one guest pivot as a group: the old volumes are one point in time, and the guest always runs again."""

import pytest
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.processes import until
from nova import exception

DISKS = ("vdb", "vdc")


@pytest.fixture
def twin(lab):
    """A guest that writes one sequence of numbers to two disks."""
    guest = lab.guest({disk: lab.volumes.file(fill=True) for disk in DISKS}, lockstep=True, delay=1000).wait_ready()
    yield guest
    lab.remove(guest)


class Group:
    """The two swaps of a guest, held, and their worker."""

    def __init__(self, lab, guest, second_worker, new=None):
        self.guest = guest
        self.worker, self.rpc = second_worker({"amqp_durable_queues": False})
        self.new = new or {disk: lab.volumes.file() for disk in DISKS}
        self.calls, self.tasks = {}, []
        for disk, volume in self.new.items():
            arguments = swap_arguments(guest, volume, disk, mountpoint=f"/dev/{disk}", options={"hold": True})
            self.calls[disk] = self.rpc.later("swap_volume", **arguments)
        self.tasks = [self.wait_held(disk) for disk in DISKS]

    def swap(self, disk: str) -> dict:
        return self.rpc.call("get_swap", instance=self.guest.uuid, mountpoint=disk)

    def wait_held(self, disk: str) -> str:
        def held() -> str | None:
            swaps = self.rpc.call("list_swaps", instance=self.guest.uuid, states=["ready"])["swaps"]
            return next((swap["task_id"] for swap in swaps if swap["disk"] == disk), None)

        return until(held, 60, lambda: f"{disk} is not held: {self.worker.log()[-800:]}")

    def results(self) -> dict[str, dict]:
        return {disk: call.result() for disk, call in self.calls.items()}

    def assert_one_point_in_time(self) -> None:
        """Each number goes to vdb and then to vdc: the last ones on the old volumes differ by at most one."""
        first, second = (self.guest.disks[disk].newest() for disk in DISKS)
        assert first - second in (0, 1), f"the old volumes end with {first} and {second}"

    def assert_ended(self, disk: str) -> None:
        """The guest is gone: its next start finds its last writes, or the caller is told that nobody knows where they are."""
        try:
            self.calls[disk].result()
        except exception.VolumeRebaseFailed as failure:
            assert failure.kwargs["in_use"] in ("unknown", "none", "new"), failure.kwargs
        else:
            assert self.new[disk].named_by(self.guest.disk(disk, inactive=True))
            assert self.new[disk].newest() >= self.guest.disks[disk].newest()

    def assert_moved(self) -> None:
        for disk in DISKS:
            assert_moved(self.guest, self.new[disk], disk)


def test_both_pivot_at_one_point_in_time(lab, twin, second_worker):
    group = Group(lab, twin, second_worker)
    for disk in DISKS:
        twin.write_on(disk)
    swaps = group.rpc.call("pivot_swap", task_ids=group.tasks)["swaps"]
    assert [swap["task_id"] for swap in swaps] == group.tasks
    assert all(swap["state"] in ("pivoting", "finishing", "completed") for swap in swaps), swaps
    assert [result["warnings"] for result in group.results().values()] == [[], []]
    assert twin.running(), twin.info()
    group.assert_one_point_in_time()
    group.assert_moved()
    with pytest.raises(exception.InvalidInput, match="already ended"):
        group.rpc.call("pivot_swap", task_ids=group.tasks)


def test_a_guest_that_an_operator_has_paused_stays_paused(lab, twin, second_worker):
    group = Group(lab, twin, second_worker)
    lab.libvirt.virsh("suspend", twin.uuid)
    group.rpc.call("pivot_swap", task_ids=group.tasks)
    assert [result["warnings"] for result in group.results().values()] == [[], []]
    assert twin.info()["State"] == "paused"
    group.assert_one_point_in_time()
    lab.libvirt.virsh("resume", twin.uuid)
    group.assert_moved()


@pytest.mark.parametrize("libvirtd_too", [False, True])
def test_pivotd_is_killed_while_the_guest_is_paused(lab, twin, second_worker, libvirtd_too):
    """The next start resumes the guest, and both swaps end, each with the warning."""
    group = Group(lab, twin, second_worker)
    worker = group.worker
    worker.terminate()
    worker.start(env={"PIVOTD_TEST_STOP_AT": "paused"})
    group.tasks = [group.wait_held(disk) for disk in DISKS]
    lost = group.rpc.later("pivot_swap", task_ids=group.tasks)
    stopped = worker.state / "stopped-at-paused"
    until(stopped.exists, 60, lambda: f"the guest is not paused: {worker.log()[-800:]}")
    assert twin.info()["State"] == "paused"
    worker.kill()
    if libvirtd_too:
        lab.libvirt.restart_hard()
    assert twin.info()["State"] == "paused"
    worker.start()
    until(twin.running, 60, lambda: f"the guest is not resumed: {worker.log()[-800:]}")
    for result in group.results().values():
        assert any("not one point in time" in warning for warning in result["warnings"]), result
    group.assert_moved()
    assert lost.error(), "nobody was there to answer it"


def test_storage_that_hangs_when_the_guest_is_paused(lab, twin, second_worker):
    """QEMU stands still with it. The caller is told soon; when the storage answers, the guest runs and both are still held."""
    new = {"vdb": lab.volumes.file(), "vdc": lab.volumes.nbd(gated=True)}
    group = Group(lab, twin, second_worker, new)
    new["vdc"].gate.close()
    try:
        with pytest.raises(exception.VolumeRebaseFailed, match="still held"):
            group.rpc.call("pivot_swap", task_ids=group.tasks)
    finally:
        new["vdc"].gate.open()
    until(twin.running, 60, lambda: f"the guest stays paused: {group.worker.log()[-800:]}")
    assert [group.wait_held(disk) for disk in DISKS] == group.tasks
    for disk in DISKS:
        twin.write_on(disk)
    group.rpc.call("pivot_swap", task_ids=group.tasks)
    assert [result["warnings"] for result in group.results().values()] == [[], []]
    group.assert_one_point_in_time()
    group.assert_moved()


def test_libvirtd_is_killed_in_the_middle(lab, twin, second_worker):
    """Whatever becomes of the group: the guest runs, and each swap ends on the volume that its caller is told.

    A libvirtd that comes back in the middle of a pivot may end the guest: then nobody knows which volume it wrote to last, unless
    libvirt had stored the pivot before.
    """
    group = Group(lab, twin, second_worker)
    call = group.rpc.later("pivot_swap", task_ids=group.tasks)
    until(lambda: "pausing the guest" in group.worker.log(), 60, group.worker.log)
    lab.libvirt.restart_hard()
    until(
        lambda: twin.running() or twin.info().get("State") == "shut off",
        60,
        lambda: f"the guest is not resumed: {twin.info()}, {group.worker.log()[-800:]}",
    )
    if not twin.running():
        for disk in DISKS:
            group.assert_ended(disk)
        return
    try:
        call.result()
    except exception.VolumeRebaseFailed:
        group.rpc.call("pivot_swap", task_ids=[group.wait_held(disk) for disk in DISKS])
    for disk in DISKS:
        try:
            group.calls[disk].result()
        except exception.VolumeRebaseFailed as failure:
            assert_stayed(twin, group.new[disk], disk, failure=str(failure))
        else:
            assert_moved(twin, group.new[disk], disk)
