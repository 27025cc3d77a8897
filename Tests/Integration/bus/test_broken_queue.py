"""A queue at which the broker itself fails."""

import pytest
from bus.dry import SETTINGS, dry_swap
from lab.clients import Raw
from lab.processes import until
from lab.rabbit import Rabbit


@pytest.fixture
def broker(lab):
    """A broker of the test's own, whose connections it closes."""
    broker = Rabbit(lab.workspace, name="broken").start()
    yield broker
    broker.stop()


def test_one_broken_queue_keeps_nobody_from_the_others(broker, second_worker):
    """A quorum queue without its Raft process: RabbitMQ closes the connection of whoever consumes from it (541)."""
    topic = "broken"
    settings = SETTINGS | {"amqp_durable_queues": True, "rabbit_quorum_queue": True, "notifications": False}
    worker, _ = second_worker(settings, libvirt_uri="dry-run:", topic=topic, transport_url=broker.url)
    raw = Raw(broker.url, topic)

    def answered(routing_key: str) -> bool:
        message = raw.message("swap_volume", dry_swap())
        raw.publish(raw.envelope(message), routing_key=routing_key)
        return raw.final(message["_msg_id"], 60)["result"]["hypervisor"] == "dry-run"

    def raft(call: str) -> None:
        broker.control("eval", f"ra:{call}_server(quorum_queues, {{'lab_{topic}', node()}}).")

    own = f"{topic}.{worker.host}"
    assert answered(topic) and answered(own)
    raft("stop")
    broker.control("close_all_connections", "-p", "lab", "a test")
    raw = Raw(broker.url, topic)
    until(lambda: f"RabbitMQ fails at {topic}\n" in worker.get("/readyz")[1], 60, lambda: worker.log()[-3000:])
    assert worker.get("/readyz")[0] == 200 and answered(own)
    for connection in ("requests", "replies"):
        assert worker.metrics()[f'pivotd_connection_up{{connection="{connection}"}}'] == 1
        assert worker.metrics()[f'pivotd_reconnects_total{{connection="{connection}"}}'] >= 1
    raft("restart")
    until(lambda: worker.get("/readyz")[1].startswith("ok\nlibvirt"), 120, lambda: worker.log()[-3000:])
    assert answered(topic)
    raw.close()
