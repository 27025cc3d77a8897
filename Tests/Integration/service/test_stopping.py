"""SIGTERM ends the worker with exit code 0 within drain_timeout_s, whatever hangs.

The limit is generous against a busy machine; what the tests tell apart is an end from none.
"""

import contextlib
import subprocess

import captures
from lab.clients import Raw
from lab.hangs import HungMount, hung
from lab.processes import descendants, stat_fields, until
from service.bench import cast_swap, dry_worker, ping

DRAIN = {"drain_timeout_s": 3}
PATIENCE = 50
"""Seconds; less than the minute for which a reply without its queue is tried."""


def test_a_caller_that_is_gone(lab):
    with dry_worker(lab, {"drain_timeout_s": 600}) as worker:
        ping(worker, _reply_q="reply_nobody")
        until(lambda: worker.metrics().get('pivotd_replies_total{kind="returned"}', 0) > 0, 20, "the reply found a queue")
        assert worker.terminate(PATIENCE) == 0
        assert "not drained" not in worker.log()


@contextlib.contextmanager
def a_long_call(worker):
    """The worker keeps telling a caller that it is alive: something is always on its way to the broker, or soon will be."""
    raw = Raw(worker.transport_url, worker.topic)
    raw.send(raw.message("swap_volume", captures.swap(), _timeout=2))
    until(lambda: worker.metrics().get('pivotd_replies_total{kind="heartbeat"}', 0) > 0, 30, "no heartbeat")
    yield
    raw.close()


def test_a_broker_that_hangs(lab):
    with dry_worker(lab, DRAIN, uri="dry-run:?rate=1") as worker, a_long_call(worker):
        with hung(lab.rabbit.process.pid, *descendants(lab.rabbit.process.pid)):
            until(lambda: "has not been confirmed" in worker.get("/readyz")[1], 60, lambda: f"{worker.get('/readyz')}")
            assert worker.terminate(PATIENCE) == 0


def test_a_memory_alarm(lab):
    with dry_worker(lab, DRAIN, uri="dry-run:?rate=1") as worker, a_long_call(worker):
        lab.rabbit.control("set_vm_memory_high_watermark", "0.000001")
        try:
            until(lambda: "memory or disk alarm" in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')}")
            assert worker.get("/readyz")[0] == 503
            assert worker.terminate(PATIENCE) == 0
        finally:
            lab.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")


def test_a_file_system_that_does_not_answer(lab):
    with dry_worker(lab, DRAIN) as worker, HungMount(lab.workspace, worker.state):
        cast_swap(worker)
        until(lambda: "journal" in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')}")
        assert worker.terminate(PATIENCE) == 0


def test_a_frozen_file_system(lab):
    """The kernel lets no thread go that is inside a write to it: all that can end has ended, and the rest does at the thaw."""
    directory, _ = lab.volumes.small_filesystem(8 << 20)
    with dry_worker(lab, DRAIN, state=directory / "state") as worker:
        subprocess.run(["fsfreeze", "-f", directory], check=True)
        try:
            cast_swap(worker)
            until(lambda: "journal" in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')}")
            worker.process.child.terminate()
            until(lambda: stat_fields(worker.process.pid)[0] == "Z", PATIENCE, "it still runs")
        finally:
            subprocess.run(["fsfreeze", "-u", directory], check=True)
        assert worker.process.child.wait(PATIENCE) == 0
    lab.libvirt.unmount(directory)

