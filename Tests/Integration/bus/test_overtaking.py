"""What need not be stored is answered at once, however much waits for the disk."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus.dry import SETTINGS, dry_swap, peak_memory
from faults.test_journal import fill_up
from lab.clients import Raw
from lab.daemon import Pivotd
from lab.hangs import FlushGate
from lab.processes import until
from service.bench import dry_worker

CASTS = 2000
KIB = 1 << 10
MIB = 1 << 20


@pytest.fixture
def gated(lab, quiet_broker):
    """A worker whose journal's flushes hang while the gate is closed, and a client."""
    gate = FlushGate(lab.workspace, "overtaking")
    settings = SETTINGS | {"transport_url": quiet_broker.url, "notifications": False, "log_level": "debug"}
    with dry_worker(lab, settings, start=False) as worker:
        worker.start(env=gate.environment)
        raw = Raw(worker.transport_url, worker.topic)
        yield worker, raw, gate
        gate.open()
        raw.close()


def answer(raw: Raw, method: str, **arguments) -> dict:
    """The result of a call."""
    reply = raw.final(raw.send(raw.message(method, arguments))["_msg_id"], 60)
    assert not reply["failure"], reply
    return reply["result"]


def completed(worker: Pivotd) -> float:
    """How many swaps have succeeded."""
    return worker.metrics().get('pivotd_swaps_total{result="completed"}', 0)


def test_thousands_of_swaps_wait_for_the_disk(gated):
    worker, raw, gate = gated
    first = answer(raw, "swap_volume", **dry_swap())
    gate.close()
    for _ in range(CASTS):
        raw.send(raw.message("swap_volume", dry_swap(), call=False))
    assert answer(raw, "oslo_rpc_server_ping") == "pong"
    assert answer(raw, "get_swap", task_id=first["task_id"])["state"] == "completed"
    assert len(answer(raw, "list_swaps")["swaps"]) == 1
    metrics = worker.metrics()
    assert metrics['pivotd_messages_total{kind="received"}'] == CASTS + 4, "not all were before the calls"
    assert completed(worker) == 1, "the disk did not hang"
    gate.open()
    until(lambda: completed(worker) == CASTS + 1, 300, lambda: f"{completed(worker)} completed")
    assert worker.metrics()['pivotd_messages_total{kind="requeued"}'] == 0


@contextlib.contextmanager
def full(directory: Path) -> Iterator[None]:
    """Leaves no room in a file system."""
    fill_up(directory)
    yield
    (directory / "ballast").unlink()


def test_a_full_disk_keeps_nobody_from_the_tasks_there_are(lab):
    directory, _ = lab.volumes.small_filesystem(8 << 20)
    (directory / "state").mkdir(mode=0o700)
    running, waiting, unstored = dry_swap(), dry_swap(), dry_swap()
    waiting["instance"] = running["instance"]
    with dry_worker(lab, SETTINGS, state=directory / "state", uri="dry-run:?rate=1") as worker:
        raw = Raw(worker.transport_url, worker.topic)
        tasks = [raw.send(raw.message("swap_volume", arguments)) for arguments in (running, waiting)]
        until(lambda: len(answer(raw, "list_swaps")["swaps"]) == 2, 30, "not accepted")
        first = answer(raw, "list_swaps", states=["preparing", "copying"])["swaps"][0]["task_id"]
        with full(directory):
            held = raw.send(raw.message("swap_volume", unstored))
            until(lambda: "not accepted" in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')}")
            assert answer(raw, "oslo_rpc_server_ping") == "pong"
            states = {swap["old_volume_id"]: swap["state"] for swap in answer(raw, "list_swaps")["swaps"]}
            assert states[waiting["old_volume_id"]] == "queued" and len(states) == 2
            where = {"instance": waiting["instance"], "mountpoint": waiting["mountpoint"]}
            refusal = raw.final(raw.send(raw.message("abort_swap", where))["_msg_id"])["failure"]
            assert "cannot be stored now" in refusal and "io_error" in refusal, refusal
            told = answer(raw, "get_swap", **where)
            assert told["state"] == "queued" and told["detail"], told
        until(lambda: worker.get("/readyz")[0] == 200, 60, lambda: f"{worker.get('/readyz')}")
        assert "aborted by request" in raw.final(tasks[1]["_msg_id"])["failure"]
        answer(raw, "abort_swap", task_id=first)
        answer(raw, "abort_swap", instance=unstored["instance"], mountpoint=unstored["mountpoint"])
        assert "aborted by request" in raw.final(held["_msg_id"])["failure"]
        raw.close()
    lab.libvirt.unmount(directory)
    shutil.rmtree(directory, ignore_errors=True)


def test_large_messages_that_wait_are_bounded_by_their_bytes(gated):
    """Small ones first, after which the broker may send thousands ahead; then 112 MiB of large ones."""
    worker, raw, gate = gated
    gate.close()
    for _ in range(200):
        raw.send(raw.message("swap_volume", dry_swap(), call=False))
    until(lambda: worker.metrics()['pivotd_messages_total{kind="received"}'] == 200, 60, "not received")
    before = peak_memory(worker)
    opaque = "x" * (900 * KIB)
    for _ in range(128):
        arguments = dry_swap()
        arguments["new_connection_info"]["data"]["opaque"] = opaque
        raw.send(raw.message("swap_volume", arguments, call=False))
    until(lambda: "deliveries ahead: shut" in worker.log(), 60, lambda: worker.log()[-500:])
    assert worker.get("/readyz")[0] == 200 or "journal" in worker.get("/readyz")[1]
    assert peak_memory(worker) - before < 100
    gate.open()
    until(lambda: completed(worker) == 328, 300, lambda: f"{completed(worker)} completed")
    assert raw.get(raw.routing_key) is None
