"""Replies that the broker will never take: the worker gives them up and goes on."""

import json

import pytest
from bus.dry import SETTINGS, dry_swap, given_up
from lab.clients import Raw
from lab.processes import until

# pid-less, but base64 of a term: RabbitMQ 3.10 ends the connection (541) that publishes to it.
POISON_QUEUE = "amq.rabbitmq.reply-to.g1h2AAAAAA.xyz"


def test_a_reply_queue_of_the_brokers_own(lab, dry_worker):
    """It is not answered, nobody's connection is lost, and nothing of it is left after a restart."""
    worker, rpc = dry_worker
    raw = Raw(lab.rabbit.url, worker.topic)
    for method, arguments in (("oslo_rpc_server_ping", {}), ("swap_volume", dry_swap())):
        raw.send(raw.message(method, arguments, _reply_q=POISON_QUEUE))
    until(lambda: worker.metrics().get('pivotd_messages_total{kind="rejected"}') == 2, 20, "not rejected")
    assert rpc.call("oslo_rpc_server_ping", timeout=20) == "pong"
    worker.restart_hard()
    assert rpc.call("oslo_rpc_server_ping", timeout=20) == "pong"
    assert worker.log().count("INTERNAL_ERROR") == 0
    assert "_reply_q: amq.rabbitmq." in worker.log()
    raw.close()


def test_a_reply_queue_that_the_broker_has_named(lab, dry_worker):
    """`amq.gen-…` is a queue like all others."""
    worker, _ = dry_worker
    raw = Raw(lab.rabbit.url, worker.topic)
    queue = raw.channel.queue_declare("", exclusive=True).queue
    assert queue.startswith("amq.gen")
    raw.send(raw.message("swap_volume", dry_swap(), _reply_q=queue))
    reply = until(lambda: raw.channel.basic_get(queue, no_ack=True), 20, "no reply in the broker's queue")
    assert json.loads(json.loads(reply.body)["oslo.message"])["failure"] is None
    raw.close()


def test_a_user_who_may_not_publish_replies(lab, second_worker):
    """403 is final: the request is acknowledged, the reply counted and logged."""
    with lab.rabbit.user("poor", write="^(?!amq\\.default$).*") as url:
        worker, _ = second_worker(SETTINGS, libvirt_uri="dry-run:", transport_url=url)
        raw = Raw(lab.rabbit.url, worker.topic)
        try:
            for method, arguments in (("oslo_rpc_server_ping", {}), ("swap_volume", dry_swap())):
                raw.send(raw.message(method, arguments))
            until(lambda: given_up(worker) == 2, 20, lambda: f"not given up: {worker.log()[-500:]}")
            assert "access to exchange 'amq.default'" in worker.log()
            listing = lab.rabbit.control("list_queues", "-p", "lab", "name", "messages", "--no-table-headers")
            assert dict(line.split() for line in listing.splitlines())[f"{worker.topic}.{worker.host}"] == "0"
        finally:
            raw.close()
            worker.stop()


@pytest.fixture
def small_messages(lab):
    """The broker takes no message above 6000 bytes on connections made from now on."""

    def limit(size: int) -> None:
        """RabbitMQ 3 reads the one, RabbitMQ 4 the other."""
        both = "application:set_env(rabbit, max_message_size, {0}), persistent_term:put(max_message_size, {0})."
        lab.rabbit.control("eval", both.format(size))

    limit(6000)
    yield
    limit(134_217_728)


def test_a_reply_that_is_too_large(lab, small_messages, dry_worker):
    """A swap is answered without the connection_info, a list with a failure, beside others that are answered as always."""
    worker, rpc = dry_worker
    raw = Raw(lab.rabbit.url, worker.topic)
    # More of it comes back than was sent: each quote of the data is escaped twice in a reply, once in a bare request.
    arguments = dry_swap()
    arguments["new_connection_info"]["data"]["opaque"] = '"' * 1600
    messages = [raw.send(raw.message("swap_volume", arguments), bare=True)]
    messages += [raw.send(raw.message("oslo_rpc_server_ping", {})) for _ in range(20)]
    finals = [raw.final(message["_msg_id"]) for message in messages[:1]]
    result = finals[0]["result"]
    assert result and "connection_info" not in result and result["new_volume_id"] == arguments["new_volume_id"], finals
    assert any(warning.startswith("connection_info: omitted") for warning in result["warnings"])
    for _ in range(20):
        rpc.call("swap_volume", **dry_swap())
    with pytest.raises(Exception, match="max_message_size"):
        rpc.call("list_swaps", limit=1000)
    assert rpc.call("oslo_rpc_server_ping", timeout=20) == "pong"
    assert rpc.call("get_swap", task_id=result["task_id"])["state"] == "completed"
    raw.close()


def test_what_a_failure_repeats_of_a_request_is_short(lab, second_worker):
    """Long texts are neither sent back nor logged."""
    worker, _ = second_worker(SETTINGS | {"reply_retry_timeout": 1}, libvirt_uri="dry-run:")
    raw = Raw(lab.rabbit.url, worker.topic)
    long = "x" * 20_000
    swap = dry_swap()
    for change in (
        {"method": long},
        {"version": long},
        {"args": swap | {"instance": {"name": long}}},
        {"args": swap | {"mountpoint": long}},
        {"args": swap | {long: 1}},
        {"args": swap | {"options": {long: 1}}},
        {"args": swap | {"old_volume_id": long}},
        {"args": swap | {"new_connection_info": {"driver_volume_type": long, "data": {}}}},
        {"args": swap | {"new_connection_info": {"driver_volume_type": "file", "data": {"device_path": "/" + long}}}},
        {"method": "get_swap", "args": {"task_id": long}},
    ):
        message = raw.send(raw.message("swap_volume", swap) | change)
        reply = raw.final(message["_msg_id"], 30)
        assert reply["failure"], change.keys()
        failure = json.loads(reply["failure"])
        assert "x" * 260 not in reply["failure"] and len(failure["message"]) < 1500, failure["message"][:300]
    raw.send(raw.message("oslo_rpc_server_ping", {}, _reply_q="gone", _msg_id=long))
    until(lambda: given_up(worker), 30, "the reply to nobody is not given up")
    assert "x" * 300 not in worker.log()
    raw.close()
