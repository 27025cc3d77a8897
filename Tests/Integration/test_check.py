"""check_swap, over the bus and from the command line: what it finds, and that it touches nothing."""

from __future__ import annotations

import json
import uuid
import xml.etree.ElementTree as ET

import pytest
from expectations import assert_moved, assert_outcome, assert_stayed, swap_arguments
from schemas import result_problems
from steering import FAST, SLOW, swaps_of, wait_for_copy
from test_command_line import FAILURE, NO_ANSWER, SUCCESS, USAGE, swap_words


class Untouched:
    """Both configurations, the block job and the swaps of a guest, which have to be the same at the end."""

    def __init__(self, rpc, guest):
        self.rpc, self.guest = rpc, guest

    def sight(self) -> dict:
        """What must not change. A copy goes on meanwhile."""
        swaps = swaps_of(self.rpc, self.guest)
        return {
            "live": ET.tostring(self.guest.dumpxml()),
            "stored": ET.tostring(self.guest.dumpxml(inactive=True)),
            "job": self.guest.job(),
            "swaps": [{key: swap[key] for key in swap.keys() - {"progress"}} for swap in swaps],
        }

    def __enter__(self) -> None:
        self.before = self.sight()

    def __exit__(self, kind, *_) -> None:
        assert kind or self.sight() == self.before


def check(rpc, guest, new, **more) -> dict:
    """What check_swap says; nothing is touched."""
    with Untouched(rpc, guest):
        result = rpc.call("check_swap", **swap_arguments(guest, new, **more))
    assert result_problems("check_swap", result) == []
    return result


def refusal(result: dict, name: str, code: str, in_use: str) -> None:
    """The result is a refusal with this exception."""
    assert result["acceptable"] is False and result["strategy"] is None and result["estimate_s"] is None
    assert result["failure"]["class"] == name, result
    assert_outcome(result["failure"]["kwargs"] | {"task_id": ""}, code, in_use)


def test_acceptable(lab, rpc, any_guest):
    guest, new = any_guest, lab.volumes.file()
    size, swaps = guest.disks["vdb"].size, len(swaps_of(rpc, guest))
    result = check(rpc, guest, new, options={"bandwidth_mib_s": 8}, request_token=str(uuid.uuid4()))
    assert result == {
        "acceptable": True, "failure": None, "strategy": "copy" if guest.persistent else "rebase", "disk": "vdb",
        "old_bytes": size, "new_bytes": new.size, "will_grow": False, "already_moved": False, "adoptable": False,
        "estimate_s": size / (8 << 20), "warnings": [],
    }  # fmt: skip
    assert check(rpc, guest, new)["estimate_s"] is None
    assert len(swaps_of(rpc, guest)) == swaps
    assert_stayed(guest, new)


def test_a_check_promises_what_the_swap_does(lab, rpc, guest):
    """And afterwards says that it is done."""
    new = lab.volumes.file()
    promised = check(rpc, guest, new)
    arguments = swap_arguments(guest, new)
    assert rpc.call("swap_volume", **arguments)["strategy"] == promised["strategy"]
    with Untouched(rpc, guest):
        result = rpc.call("check_swap", **arguments)
    assert result["acceptable"] and result["already_moved"] and result["estimate_s"] == 0 and not result["adoptable"]
    assert_moved(guest, new)


def test_too_small(lab, rpc, guest):
    size = guest.disks["vdb"].size
    new = lab.volumes.file(size=size // 2)
    result = check(rpc, guest, new)
    refusal(result, "InvalidVolume", "new_volume_too_small", "old")
    assert (result["old_bytes"], result["new_bytes"]) == (size, size // 2)
    assert_stayed(guest, new)


def test_another_guests_volume(lab, rpc, pool):
    guest, other = pool.take(2)
    result = check(rpc, guest, other.disks["vdb"])
    refusal(result, "InvalidVolume", "new_volume_in_use", "old")


def test_what_does_not_exist(lab, rpc, guest):
    """An instance, a disk, a new volume: results, not exceptions."""
    new = lab.volumes.file()
    refusal(check(rpc, guest, new, instance=str(uuid.uuid4())), "InstanceNotFound", "instance_not_found", "none")
    result = check(rpc, guest, new, mountpoint="/dev/vdz")
    refusal(result, "DiskNotFound", "disk_not_found", "none")
    assert result["disk"] == "vdz"
    assert_stayed(guest, new)
    refusal(check(rpc, guest, new), "InvalidVolume", "new_volume_missing", "old")


@pytest.mark.parametrize("broken", [{"mountpoint": 7}, {"resize_to": "big"}, {"options": {"speed": 1}}, {"request_token": "x"}])
def test_what_cannot_be_read(lab, rpc, guest, broken):
    refusal(check(rpc, guest, guest.disks["vdb"], **broken), "InvalidInput", "invalid_argument", "unknown")


def test_beside_a_running_swap(lab, rpc, guest):
    """The same swap again could adopt its copy; another would wait. Neither check waits, and the copy goes on."""
    new, other = lab.volumes.file(), lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)
    same, another = check(rpc, guest, new, options=SLOW), check(rpc, guest, other, options=SLOW)
    assert not call.done()
    for result, adoptable in ((same, True), (another, False)):
        assert result["acceptable"] and result["adoptable"] == adoptable, result
        assert f"a swap of this disk is under way (task {task})" in " ".join(result["warnings"])
    assert 0 < same["estimate_s"] <= another["estimate_s"]
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    assert call.result(30)["attempts"] == 1
    assert_moved(guest, new)
    other.close()


def test_command_line(lab, worker, rpc, guest):
    new, small = lab.volumes.file(), lab.volumes.file(size=guest.disks["vdb"].size // 2)
    with Untouched(rpc, guest):
        more = ["--check", "--bandwidth", "8", "--strategy", "copy"]
        code, output, errors = worker.command("swap", *swap_words(guest, new), *more)
        assert code == SUCCESS, errors
        result = json.loads(output)
        assert result["acceptable"] and result["strategy"] == "copy" and result["estimate_s"] == result["old_bytes"] / (8 << 20)
        code, output, errors = worker.command("swap", *swap_words(guest, small), "--check")
        assert code == FAILURE and not errors
        assert json.loads(output)["failure"]["kwargs"]["reason_code"] == "new_volume_too_small"
        code, _, errors = worker.command("swap", *swap_words(guest, new), "--check", "--cast")
        assert code == USAGE and "--check" in errors
    nobody = lab.daemon("nobody-checks")
    code, _, errors = nobody.command("swap", *swap_words(guest, new), "--check", "--timeout", "3")
    assert code == NO_ANSWER and errors
    small.close()
    assert_stayed(guest, new)
