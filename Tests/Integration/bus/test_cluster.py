"""Two nodes, one of which goes away."""

import pytest
from bus.dry import SETTINGS, dry_swap
from lab.clients import Raw
from lab.processes import until
from lab.rabbit import Rabbit


@pytest.fixture(scope="module")
def cluster(lab):
    """Two nodes of one cluster."""
    first = Rabbit(lab.workspace, name="node1").start()
    second = Rabbit(lab.workspace, name="node2", peer=first).start().join()
    yield first, second
    for node in (second, first):
        node.stop()


def answered(raw: Raw, routing_key: str) -> bool:
    """Whether the worker carries out a swap that is requested with this key."""
    message = raw.message("swap_volume", dry_swap())
    raw.publish(raw.envelope(message), routing_key=routing_key)
    return raw.final(message["_msg_id"], 30)["result"]["hypervisor"] == "dry-run"


def test_the_home_node_of_the_shared_queue_is_down(cluster, second_worker):
    """The worker's own queue lives on the other node, and is served; the shared one again when its node is back."""
    first, second = cluster
    settings = SETTINGS | {"amqp_durable_queues": True, "exchange": "homes", "notifications": False}
    topic = "homes"
    maker = Raw(second.url, topic)
    maker.channel.queue_declare(topic, durable=True, auto_delete=False)
    maker.close()
    raw = Raw(first.url, topic, exchange="homes")
    # Where a queue is declared it lives: the own one, and what else the worker declares, on the first.
    worker, _ = second_worker(settings, libvirt_uri="dry-run:", topic=topic, transport_url=first.url)

    own = f"{topic}.{worker.host}"
    assert answered(raw, topic) and answered(raw, own)
    second.kill()
    try:
        # RabbitMQ 4 waits a minute for the node before it says so.
        until(lambda: "home node down of homes" in worker.get("/readyz")[1], 120, lambda: worker.log()[-2000:])
        assert worker.get("/readyz")[0] == 200 and answered(raw, own)
        assert worker.log().count("the queue's home node is down: nothing is consumed from it") == 1
        where = ["--libvirt-uri", "dry-run:", "--state-dir", worker.state, "--http-address", f"127.0.0.1:{worker.http}"]
        code, said, _ = worker.command("doctor", *where)
        assert code == 0 and "start the cluster node" in said and "is ready; " in said, said
        worker.restart_hard()
        assert answered(raw, own)
    finally:
        second.start()
    until(lambda: worker.get("/readyz")[1].startswith("ok\nlibvirt"), 60, lambda: worker.log()[-2000:])
    assert answered(raw, topic)
    raw.close()


def test_the_home_node_of_the_notifications_queues_is_down(cluster, second_worker):
    """The page says so; RabbitMQ 4, which gives no answer about a queue, costs each one connection of the notifications' own."""
    first, second = cluster
    topic = "echoes"
    maker = Raw(second.url, topic)
    for queue in (f"{topic}.info", f"{topic}.error"):
        maker.channel.queue_declare(queue, durable=True, auto_delete=False)
    maker.close()
    second.kill()
    try:
        settings = SETTINGS | {"amqp_durable_queues": True, "exchange": topic, "notification_topic": topic}
        worker, _ = second_worker(settings, libvirt_uri="dry-run:", topic=topic, transport_url=first.url)

        def page() -> str:
            return worker.get("/readyz")[1]

        until(lambda: all(queue in page() for queue in (f"{topic}.info", f"{topic}.error")), 90, page)
        assert worker.get("/readyz")[0] == 200
        raw = Raw(first.url, topic, exchange=topic)
        assert answered(raw, f"{topic}.{worker.host}")
        raw.close()
        assert worker.log().count("no connection to RabbitMQ: timed out") <= 2, worker.log()[-2000:]
        assert worker.terminate() == 0
    finally:
        second.start()
