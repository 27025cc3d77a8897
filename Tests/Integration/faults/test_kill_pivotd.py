"""kill -9 of pivotd at every state that it journals, and a new start: the task goes on to its one end."""

import contextlib
import sqlite3
import uuid

import pytest
from lab.processes import MIB, until
from steering import FAST

STATES = ["accepted", "preparing", "starting", "copying", "ready", "pivoting", "storing", "completed"]
"""What every swap goes through; `undefining` only a rebase of a persistent domain, `finishing` only one that grows."""

GIB = 1024 * MIB


def kill_at(stage, phase: str) -> None:
    """Waits until pivotd has journaled this phase and stands still there, kills it, and starts it without the stop."""
    stopped = stage.daemon.state / f"stopped-at-{phase}"
    until(stopped.exists, 30, lambda: f"pivotd never came to {phase}: {stage.daemon.log()[-800:]}")
    stage.daemon.kill()
    stopped.unlink()
    stage.daemon.start()


@pytest.fixture
def stopping(stage):
    """Restarts the stage's pivotd so that it stops at a phase."""

    def restart(phase: str) -> None:
        stage.daemon.terminate()
        stage.daemon.start(env={"PIVOTD_TEST_STOP_AT": phase})

    yield restart
    if stage.daemon.running():
        stage.daemon.kill()


@pytest.mark.parametrize("strategy, phase", [
    *(("copy", phase) for phase in STATES),
    *(("rebase", phase) for phase in [*STATES[:2], "undefining", *STATES[2:]]),
])  # fmt: skip
def test_a_swap_survives(stage, pool, stopping, strategy, phase):
    guest = pool.one()
    stopping(phase)
    scene = stage.scene(guest, strategy=strategy).send()
    kill_at(stage, phase)
    scene.succeed(repeats=True)


@pytest.mark.parametrize("phase", ["copying", "pivoting", "finishing", "storing"])
def test_a_growing_swap_survives(lab, stage, pool, stopping, phase):
    guest = pool.one()
    stopping(phase)
    scene = stage.scene(guest, lab.volumes.file(size=GIB))
    scene.message["args"]["resize_to"] = 1
    scene.send()
    kill_at(stage, phase)
    scene.succeed(repeats=True)
    until(lambda: guest.console.size() == GIB, 20, lambda: f"the guest sees {guest.console.size()} bytes")
    pool.retire(guest)


@pytest.mark.parametrize("phase", ["copying", "pivoting", "storing"])
def test_a_transient_domain_survives(stage, pool, stopping, phase):
    guest = pool.one(persistent=False)
    stopping(phase)
    scene = stage.scene(guest, strategy="rebase").send()
    kill_at(stage, phase)
    scene.succeed(repeats=True)


@pytest.mark.parametrize("phase", ["rollingBack", "failed"])
@pytest.mark.parametrize("strategy", ["copy", "rebase"])
def test_a_failure_survives(stage, pool, stopping, strategy, phase):
    guest = pool.one()
    stopping(phase)
    scene = stage.scene(guest, strategy=strategy, bandwidth_mib_s=1, timeout_s=1).send()
    kill_at(stage, phase)
    scene.fail(repeats=True)


def test_an_abort_survives(stage, pool, stopping):
    guest = pool.one()
    stopping("rollingBack")
    scene = stage.scene(guest, strategy="rebase", bandwidth_mib_s=1).send().wait_copying()
    message = stage.caller.message("abort_swap", {"task_id": scene.task()["task_id"]})
    stage.caller.send(message)
    kill_at(stage, "rollingBack")
    scene.fail("aborted by request", repeats=True)


def test_many_unfinished_tasks_at_once(stage, pool):
    """Some copying and some queued behind them when pivotd is killed: all of them end."""
    guests = pool.take(2)
    running = [stage.scene(guest, strategy="copy", bandwidth_mib_s=4).send() for guest in guests]
    for scene in running:
        scene.wait_copying()
    queued = []
    for scene in running:
        behind = stage.scene(scene.guest, strategy="rebase")
        old = scene.new
        behind.message["args"] |= {"old_connection_info": old.info, "old_volume_id": old.id}
        queued.append(behind.send())
    until(lambda: all(scene.task()["state"] == "queued" for scene in queued), 10, "the second swaps are not queued")
    stage.daemon.restart_hard()
    for scene in running:
        stage.caller.call("set_bandwidth", task_id=scene.task()["task_id"], bandwidth_mib_s=FAST)
    for scene in running:
        assert scene.reply(repeats=True)["failure"] is None
    for scene, first in zip(queued, running):
        assert scene.reply(repeats=True)["failure"] is None
        scene.guest.disks["vdb"].close()
        scene.guest.disks["vdb"] = first.new
        scene.conclude(repeats=True)


def test_every_caller_of_one_task_is_answered(stage, pool):
    """Two calls with one token, the second while the copy runs: both get its one outcome after kill -9 and a start."""
    scene = stage.scene(pool.one(), strategy="copy", bandwidth_mib_s=4)
    scene.message["args"]["request_token"] = str(uuid.uuid4())
    scene.send().wait_copying()
    again = stage.caller.send(stage.caller.message("swap_volume", scene.message["args"]))
    journal = f"file:{stage.daemon.state / 'journal.sqlite'}?mode=ro"

    def is_stored() -> bool:
        with contextlib.closing(sqlite3.connect(journal, uri=True)) as database:
            return any(again["_msg_id"] in (callers or "") for (callers,) in database.execute("SELECT reply_to FROM task"))

    until(is_stored, 30, "the second caller is not stored")
    stage.daemon.restart_hard()
    stage.caller.call("set_bandwidth", task_id=scene.message["args"]["request_token"], bandwidth_mib_s=FAST)
    scene.succeed(repeats=True)
    assert {reply["result"]["task_id"] for reply in stage.caller.finals(again)} == {scene.message["args"]["request_token"]}
    assert [swap["new_volume_id"] for swap in scene.swaps()].count(scene.new.id) == 1
