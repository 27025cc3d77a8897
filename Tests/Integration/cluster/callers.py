"""Callers of the storm: stock oslo.messaging in many threads, each call under ids that are known."""

from __future__ import annotations

import itertools
import queue
import random
import threading
import time

from bus.dry import dry_swap
from cluster.brokers import Brokers
from cluster.workers import EACH, EXCHANGE, HEARTBEAT, TOPICS
from lab.clients import Call, ResendingRpc

TRANSPORTS = 2
"""Of each topic: a transport has one reply queue."""
THREADS = 16
"""Calls that a transport has out at a time."""
PATIENCE = 15
"""Seconds that a call waits for its answer."""
TRIES = 4
"""How often an impatient caller sends a call in all."""


class Sender:
    """A transport and the threads that call through it."""

    def __init__(self, url: str, topic: str, dice: random.Random):
        self.topic = topic
        self.rpc = ResendingRpc(url, topic, exchange=EXCHANGE)
        self.waiting: queue.Queue[Call | None] = queue.Queue()
        seeds = [dice.random() for _ in range(THREADS)]
        self._threads = [threading.Thread(target=self._work, args=[seed], daemon=True) for seed in seeds]
        for thread in self._threads:
            thread.start()

    def _work(self, seed: float) -> None:
        """Whose call gets no answer sends it again, in the storm, or leaves it for the quiet after it."""
        dice = random.Random(seed)
        while call := self.waiting.get():
            for _ in range(dice.choice([1, TRIES])):
                if self.rpc.send(call, PATIENCE):
                    break
            time.sleep(dice.uniform(0, 5))

    def finish(self) -> None:
        """Waits for the calls that are under way or waiting."""
        for _ in self._threads:
            self.waiting.put(None)
        for thread in self._threads:
            thread.join()


class Callers:
    """All calls of a run, dealt out to the senders and through them to the workers in turn."""

    def __init__(self, brokers: Brokers, count: int, dice: random.Random):
        self.senders = [self._sender(brokers, topic, dice) for _ in range(TRANSPORTS) for topic in TOPICS]
        dealt = zip(range(count), itertools.cycle(self.senders))
        self.calls = {
            call.unique_id: (call, sender)
            for number, sender in dealt
            for call in [Call(f"{sender.topic}{number // len(TOPICS) % EACH}", dry_swap())]
        }
        self._next = iter(self.calls.values())

    @staticmethod
    def _sender(brokers: Brokers, topic: str, dice: random.Random) -> Sender:
        options = {key: str(value).lower() for key, value in TOPICS[topic].items()}
        return Sender(brokers.url(**options, heartbeat_timeout_threshold=HEARTBEAT), topic, dice)

    def release(self, count: int) -> None:
        """Has so many more calls sent."""
        for call, sender in itertools.islice(self._next, count):
            sender.waiting.put(call)

    def waiting(self) -> int:
        """How many of the released calls no thread has taken yet."""
        return sum(sender.waiting.qsize() for sender in self.senders)

    def finish(self) -> None:
        """Waits for all calls that were released."""
        for sender in self.senders:
            sender.finish()

    def close(self) -> None:
        """Closes the transports."""
        for sender in self.senders:
            sender.rpc.close()
