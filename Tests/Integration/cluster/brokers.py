"""Three RabbitMQ nodes of one cluster, and what may happen to one of them at a time."""

from __future__ import annotations

import json
import time
from collections import Counter

from lab.processes import LabError, Workspace, until
from lab.rabbit import Rabbit

SETTINGS = {
    # Seconds without a sign of a node after which the others give it up.
    "net_ticktime": "16",
    # Each node is the home of some classic queues.
    "queue_master_locator": "min-masters",
}
SLOW = 300
"""Seconds for what takes ten on a machine with nothing else to do."""


class Brokers:
    """The nodes.  Each fault is over when this node is back: two of the three are up at any time."""

    def __init__(self, workspace: Workspace):
        first = Rabbit(workspace, name="node1", settings=SETTINGS)
        self.nodes = [first, *(Rabbit(workspace, name=f"node{number}", peer=first, settings=SETTINGS) for number in (2, 3))]

    def start(self) -> Brokers:
        """Starts them and makes them one cluster."""
        for node in self.nodes:
            node.start()
        for node in self.nodes[1:]:
            node.join()
        self.wait_whole()
        return self

    def url(self, **query) -> str:
        """A transport URL with all nodes."""
        credentials, _, path = self.nodes[0].url.removeprefix("rabbit://").partition("@")
        hosts = ",".join(f"{credentials}@127.0.0.1:{node.port}" for node in self.nodes)
        options = "&".join(f"{key}={value}" for key, value in query.items())
        return f"rabbit://{hosts}/{path.partition('/')[2]}{'?' if options else ''}{options}"

    def kill(self, node: int, seconds: float) -> None:
        """kill -9, and a new start after so many seconds."""
        self.nodes[node].kill()
        time.sleep(seconds)
        self.nodes[node].start(wait=False)
        self.wait_whole()

    def restart(self, node: int, seconds: float) -> None:
        """An orderly stop, and a new start after so many seconds."""
        self.nodes[node].control("stop", timeout=SLOW)
        until(lambda: not self.nodes[node].process.running(), SLOW, "RabbitMQ does not stop")
        time.sleep(seconds)
        self.nodes[node].start(wait=False)
        self.wait_whole()

    def freeze(self, node: int, seconds: float) -> None:
        """Stands still for so many seconds with its connections open.

        If that is longer than the others wait, it is a partition of its own when it is thawed, with clients of its own.
        """
        self.nodes[node].freeze()
        try:
            time.sleep(seconds)
        finally:
            self.nodes[node].thaw()
        time.sleep(5)  # a partition is not seen at once
        self.wait_whole()

    def wait_whole(self) -> None:
        """Waits until each node listens and sees all three; the smaller side of a partition is restarted."""
        for node in self.nodes:
            node.wait(SLOW)
        until(self._is_whole, SLOW, "the cluster does not become whole", 0.5)

    def _is_whole(self) -> bool:
        try:
            statuses = [json.loads(node.control("cluster_status", "--formatter", "json", timeout=SLOW)) for node in self.nodes]
        except LabError:
            return False  # one is starting
        apart = Counter(name for status in statuses for pair in status["partitions"].items() for name in [pair[0], *pair[1]])
        if apart:
            [(name, _)] = apart.most_common(1)
            alone = next(node for node in self.nodes if node.node == name)
            alone.restart_hard(pause=0)
            return False
        return all(len(status["running_nodes"]) == len(self.nodes) for status in statuses)

    def queues(self) -> dict[str, dict]:
        """{name: its messages, consumers, type and state} of all queues."""
        columns = ["name", "messages", "consumers", "type", "state"]
        listed = self.nodes[0].control("list_queues", "-p", "lab", *columns, "--formatter", "json", timeout=SLOW)
        return {queue["name"]: queue for queue in json.loads(listed)}

    def stop(self) -> None:
        """Ends them."""
        for node in reversed(self.nodes):
            node.stop()
