"""Guests that write faster than the new volume takes: their copies are in sync only once their writes go to both volumes."""

import json

import pytest
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.processes import MIB, until
from nova import exception
from steering import swaps_of, wait_for_copy

WINDOW = 1


@pytest.fixture
def outrunning(lab):
    """A guest that writes every other millisecond, and a volume that takes 300 ms for a write."""
    guest = lab.guest({"vdb": lab.volumes.file(fill=True)}, delay=2000).wait_ready()
    yield guest, lab.volumes.nbd(filters=["delay"], parameters=["wdelay=300ms"])
    lab.remove(guest)


def test_a_copy_that_the_guest_outruns_converges(lab, second_worker, outrunning):
    """By QEMU where it can change the running copy, else by a second copy."""
    worker, rpc = second_worker({"convergence_window_s": WINDOW})
    guest, new = outrunning
    changes = "block-job-change" in guest.libvirt.virsh(
        "qemu-monitor-command", guest.uuid, json.dumps({"execute": "query-commands"})
    )
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options={"stall_timeout_s": 60}))
    wait_for_copy(rpc, guest)
    over = ("completed", "failed", "aborted")
    until(lambda: swaps_of(rpc, guest)[0]["state"] in over, 240, lambda: f"{swaps_of(rpc, guest)[0]}\n{worker.log()[-3000:]}")
    result = call.result(30)
    assert result["attempts"] == (1 if changes else 2), result
    [warning] = result["warnings"]
    assert warning.startswith("convergence: ") and ("write-blocking" if changes else "begun again") in warning
    done = swaps_of(rpc, guest)[0]
    assert done["state"] == "completed"
    way = "changed" if changes else "begun_again"
    assert worker.metrics()[f'pivotd_convergences_total{{result="{way}"}}'] == 1
    assert_moved(guest, new)


def test_without_convergence_it_never_ends(lab, second_worker, outrunning):
    """It has copied the whole disk, and 64 times a piece of it, and goes on until it is aborted."""
    _, rpc = second_worker({"convergence_window_s": WINDOW})
    guest, new = outrunning
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options={"convergence": "off"}))
    task = wait_for_copy(rpc, guest)

    def progress() -> dict:
        return rpc.call("get_swap", task_id=task)["progress"]

    until(lambda: progress()["copied_bytes"] > 36 * MIB, 120, lambda: f"{progress()}")
    swap = rpc.call("get_swap", task_id=task)
    assert swap["state"] == "copying" and swap["progress"]["remaining_bytes"] > 0, swap
    assert swap["progress"]["copy_mode"] == "background"
    rpc.call("abort_swap", task_id=task)
    assert isinstance(call.error(60), exception.VolumeRebaseFailed)
    assert_stayed(guest, new)


def test_a_restart_between_the_two_copies_begins_no_third(lab, own_stage, outrunning):
    """pivotd is killed as soon as the second copy is to be begun."""
    guest, new = outrunning
    stage = own_stage({"convergence_window_s": WINDOW})
    scene = stage.scene(guest, new, strategy="copy").send().wait_copying()

    def attempts() -> bool:
        return scene.reply()["result"]["attempts"] <= 2

    until(lambda: "convergence: " in stage.daemon.log(), 60, lambda: stage.daemon.log()[-500:], 0.05)
    stage.daemon.restart_hard()
    scene.succeed()
    assert attempts()


def test_a_copy_that_first_writes_zeroes_is_not_taken_for_outrun(lab, second_worker):
    """As to a disk with discard='unmap': QEMU shows no progress meanwhile, and libvirt one byte."""
    _, rpc = second_worker({"convergence_window_s": 4})
    old = lab.volumes.file(64 * MIB, fill=True)
    old.driver_extra = " discard='unmap'"
    guest = lab.guest({"vdb": old}).wait_ready()
    new = lab.volumes.nbd(64 * MIB, filters=["delay"], parameters=["delay-zero=3000ms"])
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options={"bandwidth_mib_s": 6}))
    task = wait_for_copy(rpc, guest)
    first = rpc.call("get_swap", task_id=task)["progress"]
    assert first["total_bytes"] == first["copied_bytes"] and first["remaining_bytes"] == 0, first
    result = call.result(120)
    assert result["attempts"] == 1 and result["warnings"] == [], result
    assert_moved(guest, new)
    lab.remove(guest)
