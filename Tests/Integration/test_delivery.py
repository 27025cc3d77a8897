"""What the bus may do to a worker: other shapes of messages, garbage, the same message again."""

import json
import uuid
from pathlib import Path

import amqp
import pytest
from bus.dry import dry_swap
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.clients import Raw, Rpc
from lab.daemon import Pivotd
from lab.processes import until
from steering import FAST, SLOW, swaps_of, wait_for_copy

DEFINITIONS = Path(__file__).parents[2] / "deploy/rabbitmq/definitions.json"


def test_ping(rpc):
    assert rpc.call("oslo_rpc_server_ping", timeout=10) == "pong"


def test_a_message_without_an_envelope(raw):
    message = raw.send(raw.message("oslo_rpc_server_ping", {}), bare=True)
    assert raw.final(message["_msg_id"], 10)["result"] == "pong"


def test_unknown_keys_are_no_reason_to_refuse(raw):
    message = raw.send(raw.message("oslo_rpc_server_ping", {}, _context_new_in_2031={"x": [1]}, _whatever=None))
    assert raw.final(message["_msg_id"], 10)["result"] == "pong"


def test_the_host_queue_the_topic_queue_and_the_fanout(worker, raw):
    """oslo.messaging's topology, every way into it."""
    topic = {"exchange": "openstack", "routing_key": worker.topic}
    for where in ({}, topic, {"exchange": f"{worker.topic}_fanout"}):
        message = raw.message("oslo_rpc_server_ping", {})
        raw.publish(raw.envelope(message), **where)
        assert raw.final(message["_msg_id"], 10)["result"] == "pong"


GARBAGE = {
    "empty": b"",
    "binary": bytes(range(256)) * 4,
    "half a message": b'{"oslo.version": "2.0", "oslo.message": "{',
    "a number": b"42",
    "a list": b"[1, 2, 3]",
    "envelope around nothing": b'{"oslo.version": "2.0", "oslo.message": null}',
    "envelope around a list": b'{"oslo.version": "2.0", "oslo.message": "[]"}',
    "envelope of another version": b'{"oslo.version": "9.0", "oslo.message": "{}"}',
    "no method": b'{"args": {}, "_unique_id": "1"}',
    "deep": b"[" * 100_000,
    "long": b'"' + b"x" * (2 << 20) + b'"',
}


def nested(levels: int) -> dict:
    """Headers within headers."""
    headers: dict = {}
    for _ in range(levels):
        headers = {"h": headers}
    return headers


@pytest.fixture
def deployed_broker(lab):
    """The broker as deploy/rabbitmq/definitions.json sets it up; the transport URL of the user in it."""
    password = "d3ployed-pw"
    for user in ("pivotd", "pivotd-scheduler"):
        lab.rabbit.control("add_user", user, password)
    lab.rabbit.control("import_definitions", DEFINITIONS)
    lab.rabbit.control("set_permissions", "-p", "openstack", "pivot", ".*", ".*", ".*")
    yield f"rabbit://pivotd:{password}@127.0.0.1:{lab.rabbit.port}/openstack"
    lab.rabbit.control("delete_vhost", "openstack")
    for user in ("pivotd", "pivotd-scheduler"):
        lab.rabbit.control("delete_user", user)


def dead_letters(raw: Raw, worker: Pivotd, count: int, timeout: float) -> list[bytes]:
    """The bodies of the worker's dead letters, once there are so many."""
    found: list[bytes] = []

    def all_arrived() -> bool:
        while message := raw.get("pivotd.dead-letters"):
            found.append(message.body.encode() if isinstance(message.body, str) else bytes(message.body))
        return len(found) >= count

    until(all_arrived, timeout, lambda: f"{len(found)} of {count} came\n{worker.log()[-2000:]}")
    return found


def test_garbage_goes_to_the_dead_letters(lab, deployed_broker, second_worker):
    """With the rights and the policy of the example in deploy/."""
    worker, rpc = second_worker(topic="pivotd", transport_url=deployed_broker)
    raw = Raw(lab.rabbit.url.replace("/lab", "/openstack"), "pivotd")
    for body in GARBAGE.values():
        raw.publish(body)
    # librabbitmq cannot read on behind headers that are nested more than 100 levels deep.
    deep = [b"34 levels", b"150 levels"]
    for body in deep:
        raw.publish(body, headers=nested(int(body.split()[0])))
    expected = sorted([*GARBAGE.values(), *deep])
    assert sorted(dead_letters(raw, worker, len(expected), 20)) == expected
    assert rpc.call("oslo_rpc_server_ping", timeout=10) == "pong"
    assert worker.running()
    raw.close()


def test_unreadable_headers_that_wait_for_a_worker(lab, deployed_broker, second_worker):
    """Met while it begins to consume: neither this connection nor the next ones end for good."""
    topic = "pivotd"
    worker, rpc = second_worker(topic=topic, transport_url=deployed_broker)
    worker.terminate()
    raw = Raw(lab.rabbit.url.replace("/lab", "/openstack"), topic)
    bodies = [b"first, 150 levels", b"second, 150 levels", b"third, 150 levels"]
    for body in bodies:
        raw.publish(body, headers=nested(150))
    worker.start()
    assert sorted(dead_letters(raw, worker, len(bodies), 60)) == sorted(bodies)
    assert rpc.call("oslo_rpc_server_ping", timeout=30) == "pong"
    raw.close()


def test_a_client_that_compresses_is_answered(lab, rpc):
    """oslo.messaging's kombu_compression; the answer is plain."""
    assert rpc.call("oslo_rpc_server_ping") == "pong"
    client = Rpc(f"{lab.rabbit.url}?kombu_compression=gzip", "pivotd")
    assert client.call("list_swaps", states=["copying"], timeout=20)["swaps"] == []
    client.close()


def test_what_the_users_may_do(lab, deployed_broker, second_worker):
    """A scheduler may call, and reads its own replies; neither it nor the worker reaches other services by their topics."""
    settings = {"notifications": True, "allowed_paths": ["/dev/disk/by-id"]}
    worker, _ = second_worker(settings, topic="pivotd", libvirt_uri="dry-run:", transport_url=deployed_broker)
    assert "notifications" not in worker.get("/readyz")[1]
    scheduler = deployed_broker.replace("pivotd:", "pivotd-scheduler:")
    client = Rpc(scheduler, "pivotd")
    assert client.call("swap_volume", **dry_swap(), timeout=20)["hypervisor"] == "dry-run"
    client.close()
    for url, topic, allowed in (
        (scheduler, "nova", False), (scheduler, "pivotd.lab-host", True), (scheduler, "versioned_notifications.info", False),
        (deployed_broker, "nova", False), (deployed_broker, "versioned_notifications.info", True),
    ):  # fmt: skip
        raw = Raw(url, "pivotd")
        raw.publish("{}", routing_key=topic)
        try:
            raw.get()
            refused = False
        except amqp.exceptions.AccessRefused:
            refused = True
        assert refused is not allowed, (url.partition(":")[2][:20], topic)
        raw.close()


def test_arguments_that_are_no_arguments(raw):
    """A call that can be decoded gets its failure as a reply."""
    for arguments in (None, [], "x", 7):
        message = raw.send(raw.message("swap_volume", arguments))
        assert raw.final(message["_msg_id"], 10)["failure"], arguments


def identity(reply: dict) -> str:
    """A whole reply as comparable text."""
    return json.dumps(reply, sort_keys=True)


def test_the_same_message_again_starts_nothing(lab, rpc, raw, guest):
    """Twice while the swap runs, once after it: one task, and the same answer every time."""
    new = lab.volumes.file()
    message = raw.message("swap_volume", swap_arguments(guest, new, options=SLOW))
    tasks_before = len(swaps_of(rpc, guest))
    raw.send(message)
    task = wait_for_copy(rpc, guest)
    raw.send(message)
    raw.send(message)
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    replies = raw.replies(message["_msg_id"], quiet=2)
    assert_moved(guest, new)

    raw.send(message)
    replies += raw.replies(message["_msg_id"], quiet=1)
    finals = [reply for reply in replies if reply["ending"]]
    assert len(finals) >= 2 and len({identity(reply) for reply in finals}) == 1
    assert finals[0]["result"]["task_id"] == task and finals[0]["_unique_id"]
    assert len(swaps_of(rpc, guest)) == tasks_before + 1


def test_a_failed_message_again_fails_the_same(lab, rpc, raw, guest):
    new = lab.volumes.file(size=guest.disks["vdb"].size // 2)
    message = raw.message("swap_volume", swap_arguments(guest, new), unique_id=uuid.uuid4().hex)
    finals = [raw.final(raw.send(message)["_msg_id"]) for _ in range(2)]
    assert finals[0]["failure"] and identity(finals[0]) == identity(finals[1])
    assert_stayed(guest, new)


def test_the_acknowledgement_does_not_wait_for_the_copy(lab, rpc, worker, guest):
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)
    listing = lab.rabbit.control("list_queues", "-p", "lab", "name", "messages_unacknowledged", "--no-table-headers")
    unacknowledged = dict(line.split() for line in listing.splitlines() if line.startswith(worker.topic))
    assert unacknowledged[f"{worker.topic}.{worker.host}"] == "0", unacknowledged
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    call.result()
    assert_moved(guest, new)
