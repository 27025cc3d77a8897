"""SIGHUP takes what can change, says so, and never ends the worker."""

import contextlib
import re
import signal

import captures
import pytest
from expectations import swap_arguments
from lab.clients import Rpc
from lab.processes import until
from nova import exception
from service.bench import cast_swap, dry_worker


def hang_up(worker, **keys) -> str:
    """Changes the configuration file and sends SIGHUP; returns what the worker says of it."""
    text = worker.config.read_text()
    for key, value in keys.items():
        text = re.sub(f"(?m)^{key}:.*\n", "", text) + f"{key}: {value}\n"
    worker.config.write_text(text)
    before = len(worker.log())
    worker.process.child.send_signal(signal.SIGHUP)
    return until(
        lambda: next((line for line in worker.log()[before:].splitlines() if "reloaded" in line), None), 20, worker.log
    )


def test_what_can_change_is_taken(lab):
    with dry_worker(lab) as worker, contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
        told = hang_up(worker, log_level="debug", max_concurrent_swaps=3, prefetch=7)
        assert "log_level=debug" in told and "max_concurrent_swaps=3" in told and "restart needed for prefetch" in told
        rpc.call("swap_volume", **captures.swap())
        until(lambda: "entered " in worker.log(), 10, "no line of level debug")
        assert worker.running() and worker.get("/readyz")[0] == 200


def test_the_number_of_swaps_side_by_side(lab):
    def counts() -> tuple[float, float]:
        metrics = worker.metrics()
        return metrics.get("pivotd_swaps_running", 0), metrics.get("pivotd_swaps_queued", 0)

    with dry_worker(lab, {"max_concurrent_swaps": 1}, uri="dry-run:?rate=1") as worker:
        for number in range(1, 4):
            cast_swap(worker, number)
        until(lambda: counts() == (1, 2), 20, lambda: f"running, queued: {counts()}")
        hang_up(worker, max_concurrent_swaps=2)
        until(lambda: counts() == (2, 1), 20, lambda: f"running, queued: {counts()}")


def test_allowed_paths(lab, second_worker, guest):
    worker, rpc = second_worker()
    hang_up(worker, allowed_paths="[/nowhere]")
    with pytest.raises(exception.InvalidInput):
        rpc.call("swap_volume", **swap_arguments(guest, lab.volumes.file()))


def test_a_configuration_that_is_wrong_changes_nothing(lab):
    with dry_worker(lab) as worker, contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
        told = hang_up(worker, max_concurrent_swaps=0, prefetch=0, log_level="debug")
        assert "not reloaded" in told and "max_concurrent_swaps" in told and "prefetch" not in told, "a line for each"
        until(lambda: "prefetch must be" in worker.log(), 10, worker.log)
        assert rpc.call("list_swaps") == {"swaps": []}
        assert "secret" not in told and lab.rabbit.url not in worker.log()
        assert "log_level=debug" in hang_up(worker, max_concurrent_swaps=4, prefetch=7)
