"""One run: a storm, the quiet after it, and what has to be found then."""

from __future__ import annotations

import random
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import oslo_messaging
from cluster.brokers import SLOW, Brokers
from cluster.callers import THREADS, Callers, Sender
from cluster.evidence import resumed, wrong_answers, wrong_executions, wrong_tasks
from cluster.storm import Storm
from cluster.workers import EACH, TOPICS, Worker
from lab.clients import Call
from lab.processes import Workspace, until

CALLS = 2000


class Run:
    """Brokers, workers and callers of their own; its parts are called in the order in which they stand."""

    def __init__(self, workspace: Workspace, seed: int):
        self.seed, self.dice, self.began = seed, random.Random(seed), time.monotonic()
        self.brokers = Brokers(workspace).start()
        names = [(topic, number) for topic in TOPICS for number in range(EACH)]
        self.workers = {f"{topic}{number}": Worker(workspace, self.brokers, topic, number) for topic, number in names}
        self._wait_ready()
        self.callers = Callers(self.brokers, CALLS, self.dice)
        self.storm = Storm(self.brokers, list(self.workers.values()), self.callers, self.dice)
        self.calls = [call for call, _ in self.callers.calls.values()]
        self.tasks: dict[str, list[dict]] = {}
        self.answered: Counter[str] = Counter()

    def blow(self) -> None:
        """Ends with each node and each worker up again, and every caller answered or out of patience."""
        self.storm.blow()
        self.callers.finish()
        self.answered.update("first" if len(call.sent) == 1 else "again" for call in self.calls if call.answers)
        self._wait_ready()

    def look_up(self) -> None:
        """What came of each call without an answer, and that the same message again gets the same outcome again."""
        asked = list(self.callers.calls.values())
        with ThreadPoolExecutor(THREADS) as pool:
            self.answered.update(pool.map(lambda one: _look_up(*one), [one for one in asked if not one[0].answers]))
            for call, again in pool.map(_send_again, self.dice.sample(asked, len(asked) // 20)):
                assert again, f"{call.unique_id} is not answered again: {call.errors}"
        clients = {sender.topic: sender.rpc for sender in self.callers.senders}
        for name, worker in self.workers.items():
            self.tasks[name] = clients[worker.daemon.topic].ask(name, "list_swaps", limit=10_000)["swaps"]

    def check(self) -> None:
        """Answers, tasks and executions; then queues and workers."""
        wrong = [
            *wrong_answers(self.calls, self.workers),
            *wrong_tasks(self.calls, self.tasks),
            *wrong_executions(self.calls, self.workers),
        ]
        assert not wrong, "\n".join([f"{len(wrong)} findings", *wrong[:40]])
        self._check_queues()
        self._wait_ready()
        self.callers.close()

    def _wait_ready(self) -> None:
        for name, worker in self.workers.items():
            worker.wait_ready()
            assert worker.daemon.running(), f"{name} ended by itself: {worker.daemon.process.tail()}"

    def _check_queues(self) -> None:
        """No message is left, and each worker consumes from its own queue and from that of its topic."""

        def left() -> list[dict]:
            return [queue for queue in self.brokers.queues().values() if queue["messages"]]

        until(lambda: not left(), SLOW, lambda: f"messages are left: {left()}", 1)
        queues = self.brokers.queues()
        consumers = {name: queue["consumers"] for name, queue in queues.items()}
        assert all(consumers[topic] == EACH for topic in TOPICS), consumers
        assert all(consumers[f"{worker.daemon.topic}.{name}"] == 1 for name, worker in self.workers.items()), consumers
        assert all(queues[topic]["type"] == topic for topic in TOPICS), queues

    def figures(self) -> str:
        """One line on how it went."""
        failed = sum(task["state"] == "failed" for listed in self.tasks.values() for task in listed)
        return (
            f"storm {self.seed}: {len(self.calls)} calls in {time.monotonic() - self.began:.0f} s: "
            f"answered {self.answered['first']} at first, {self.answered['again']} when sent again; "
            f"then {self.answered['read']} read by get_swap, {self.answered['sent']} sent again; "
            f"{sum(len(call.finals) - call.answers for call in self.calls)} replies dropped by oslo.messaging; "
            f"nodes: {', '.join(f'{count} {fault}' for fault, count in sorted(self.storm.faults.items()))}; "
            f"workers killed {sum(len(worker.killed) for worker in self.workers.values())} times, "
            f"{resumed(self.workers)} tasks taken up again, {failed} failed with their worker"
        )


def _send_again(one: tuple[Call, Sender]) -> tuple[Call, bool]:
    call, sender = one
    return call, sender.rpc.send(call, SLOW)


def _look_up(call: Call, sender: Sender) -> str:
    """`read` when its worker knows the call, which then has to end; else it is `sent`, and has to be answered."""

    def state() -> str | None:
        try:
            return sender.rpc.ask(call.server, "get_swap", task_id=call.unique_id)["state"]
        except oslo_messaging.MessagingTimeout:
            raise
        except Exception as refusal:  # noqa: BLE001  (nova's class, made by oslo.messaging)
            assert "InvalidInput" in type(refusal).__name__, refusal
            return None

    if state() is None:
        assert sender.rpc.send(call, SLOW), f"{call.unique_id} is not answered in the quiet: {call.errors}"
        return "sent"
    until(lambda: state() in ("completed", "failed"), SLOW, f"{call.unique_id} does not end", 0.5)
    return "read"
