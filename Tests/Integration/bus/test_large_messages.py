"""Messages larger than the worker takes."""

import json

import pytest
from bus.dry import SETTINGS, dry_swap, peak_memory
from lab.clients import Raw
from lab.processes import until

MIB = 1 << 20


@pytest.fixture
def quiet_worker(quiet_broker, second_worker):
    """A worker of that broker, and a client whose messages are made by hand."""
    worker, _ = second_worker(SETTINGS, libvirt_uri="dry-run:", transport_url=quiet_broker.url)
    raw = Raw(worker.transport_url, worker.topic)
    yield worker, raw
    raw.close()


def ping(raw) -> str:
    """The answer to a ping."""
    return raw.final(raw.send(raw.message("oslo_rpc_server_ping", {}))["_msg_id"], 20)["result"]


def test_its_caller_is_answered(quiet_worker):
    worker, raw = quiet_worker
    arguments = dry_swap()
    arguments["new_connection_info"]["data"]["opaque"] = "x" * (MIB + 1)
    for bare in (False, True):
        message = raw.send(raw.message("swap_volume", arguments), bare=bare)
        failure = json.loads(raw.final(message["_msg_id"], 20)["failure"])
        assert failure["class"] == "InvalidInput" and f"limit {MIB}" in failure["message"], failure
    assert worker.metrics()['pivotd_messages_total{kind="rejected"}'] == 2
    assert ping(raw) == "pong"


def test_others_do_not_wait_and_memory_stays(quiet_worker):
    """64 MiB of anything: read to its end, and dropped."""
    worker, raw = quiet_worker
    before = peak_memory(worker)
    for body in (b"x" * (64 * MIB), b"[" * (8 * MIB)):
        raw.publish(body)
        assert ping(raw) == "pong"
    until(lambda: worker.metrics()['pivotd_messages_total{kind="rejected"}'] == 2, 20, "not rejected")
    assert peak_memory(worker) - before < 64
