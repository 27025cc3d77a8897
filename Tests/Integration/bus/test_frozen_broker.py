"""A broker that is frozen, with its connections open and nobody reading from them."""

import pytest
from bus.dry import SETTINGS, dry_swap
from lab.clients import Raw
from lab.processes import until
from lab.rabbit import Rabbit

HEARTBEAT = 4


@pytest.fixture(scope="module")
def brokers(lab):
    """Two brokers that know nothing of each other."""
    made = [Rabbit(lab.workspace, name=name).start(wait=False) for name in ("first", "second")]
    for broker in made:
        broker.wait()
    yield made
    for broker in made:
        broker.thaw()
        broker.stop()


@pytest.fixture
def two_hosts(brokers) -> str:
    """A transport URL that names both."""
    return brokers[0].url.replace("/lab", f",{brokers[1].url.removeprefix('rabbit://')}")


def test_the_publisher_leaves_it_too(brokers, two_hosts, second_worker):
    """With a full socket: replies that nobody reads. Both connections go over to the other broker."""
    settings = SETTINGS | {"heartbeat_timeout_threshold": HEARTBEAT, "max_concurrent_swaps": 64, "notifications": False}
    worker, _ = second_worker(settings, libvirt_uri="dry-run:?rate=200", transport_url=two_hosts)
    # It starts with either host.
    frozen, other = sorted(brokers, key=lambda broker: f"127.0.0.1:{broker.port}" not in worker.log())
    first, second = Raw(frozen.url, worker.topic), Raw(other.url, worker.topic)
    own = f"{worker.topic}.{worker.host}"
    second.channel.queue_declare(own, durable=False, auto_delete=False)
    # Replies of some hundred KiB, begun before the freeze and due after it.
    for _ in range(60):
        arguments = dry_swap()
        arguments["new_connection_info"]["data"]["opaque"] = "x" * 300_000
        first.send(first.message("swap_volume", arguments))
    until(lambda: worker.metrics().get("pivotd_swaps_running", 0) >= 30, 30, "the swaps do not run")
    frozen.freeze()
    ping = second.message("oslo_rpc_server_ping", {})
    second.publish(second.envelope(ping), exchange="", routing_key=own)
    # Far beyond two heartbeats, for slow machines; who waits for the thaw never answers.
    assert second.final(ping["_msg_id"], 90)["result"] == "pong"
    assert worker.get("/readyz")[0] == 200
    frozen.thaw()
    first.close()
    second.close()
