"""Whoever reads the log may stop reading: swaps go on, and the log says what is missing."""

import contextlib
import os
import subprocess

import captures
from lab.clients import Rpc
from lab.daemon import clean_environment
from lab.processes import until
from service.bench import dry_worker


def test_a_stalled_reader_of_the_log(lab):
    with dry_worker(lab, {"log_level": "trace"}, start=False) as worker:
        reading, writing = os.pipe()
        argv = [*captures.binary(), "run", *worker._common(), "--libvirt-uri", "dry-run:", "--state-dir", worker.state]
        argv += ["--http-address", f"127.0.0.1:{worker.http}", "--log-level", "trace"]
        child = subprocess.Popen(
            list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, env=clean_environment()
        )
        os.close(writing)
        try:
            until(lambda: worker.get("/readyz")[0] == 200, 30, "not ready")
            with contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
                number = 0
                while not worker.metrics().get("pivotd_log_lines_dropped_total"):
                    number += 1
                    rpc.call("swap_volume", **captures.swap(number))
                    assert number < 20_000, "the log is never full"
                assert worker.get("/readyz")[0] == 200
            text = b""
            while b"log lines are missing" not in text:
                text += os.read(reading, 1 << 16)
            child.terminate()
            os.set_blocking(reading, False)
            until(lambda: drained(reading) and child.poll() is not None, 30, "it does not end")
            assert child.returncode == 0
        finally:
            if child.poll() is None:
                child.kill()
            child.wait(10)
            os.close(reading)


def drained(reading: int) -> bool:
    """Reads what is there; true in any case."""
    with contextlib.suppress(BlockingIOError):
        os.read(reading, 1 << 20)
    return True
