"""Calls to ten workers while the nodes of their cluster, and they, go away in turn: `deploy/test --cluster N --seed S`."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import oslo_messaging
import pytest
from cluster.brokers import SLOW, Brokers
from cluster.callers import Callers, Sender
from cluster.evidence import resumed, wrong_answers, wrong_executions, wrong_tasks
from cluster.storm import Storm
from cluster.workers import EACH, TOPICS, Worker
from lab.clients import Call, chosen_ids
from lab.lab import lab_directory
from lab.processes import Workspace, until

CALLS = 2000


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a run; each run has a seed of its own, so that it can be played again alone."""
    first = metafunc.config.getoption("--seed")
    metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--rounds")))


@contextlib.contextmanager
def logs_kept_on_failure(workspace: Workspace) -> Iterator[None]:
    """The lab is swept away after a run: what tells why it failed is put aside before."""
    try:
        yield
    except BaseException:
        kept = Path(tempfile.mkdtemp(prefix="pivotd-cluster-"))
        print(f"logs and journals are kept in {kept}")
        shutil.copytree(workspace.path("log"), kept / "log")
        shutil.copytree(workspace.path("daemons"), kept / "daemons")
        for log in workspace.root.glob("node*/log"):
            shutil.copytree(log, kept / log.parent.name)
        raise


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """A directory for servers that are started for one run."""
    made = Workspace(lab_directory() / "cluster")
    yield made
    made.sweep()


@pytest.mark.storm
@pytest.mark.timeout(3000)
def test_a_storm(workspace: Workspace, figures, seed: int):
    with logs_kept_on_failure(workspace), chosen_ids():
        dice, began = random.Random(seed), time.monotonic()
        brokers = Brokers(workspace).start()
        workers = {
            worker.daemon.name: worker
            for topic in TOPICS
            for worker in [Worker(workspace, brokers, topic, number) for number in range(EACH)]
        }
        for worker in workers.values():
            worker.wait_ready()
        callers = Callers(brokers, CALLS, dice)
        storm = Storm(brokers, list(workers.values()), callers, dice)
        storm.blow()
        callers.finish()
        calls = [call for call, _ in callers.calls.values()]
        in_the_storm = Counter(min(len(call.sent), 2) for call in calls if call.answers)

        for worker in workers.values():
            worker.wait_ready()
            assert worker.daemon.running(), f"{worker.daemon.name} ended by itself: {worker.daemon.process.tail()}"
        afterwards = Counter(look_up(call, sender) for call, sender in callers.calls.values() if not call.answers)
        repeat(dice.sample(list(callers.calls.values()), len(calls) // 20))
        clients = {sender.topic: sender.rpc for sender in callers.senders}
        tasks = {
            name: clients[worker.daemon.topic].ask(name, "list_swaps", limit=10_000)["swaps"] for name, worker in workers.items()
        }
        wrong = [*wrong_answers(calls, workers), *wrong_tasks(calls, tasks), *wrong_executions(calls, workers)]
        assert not wrong, "\n".join([f"{len(wrong)} findings", *wrong[:40]])
        assert_drained(brokers, workers)
        for worker in workers.values():
            worker.wait_ready()
            assert worker.daemon.running(), f"{worker.daemon.name} ended by itself: {worker.daemon.process.tail()}"
        callers.close()

        failed = sum(task["state"] == "failed" for listed in tasks.values() for task in listed)
        figures.lines.append(
            f"storm of seed {seed}: {len(calls)} calls in {time.monotonic() - began:.0f} s: answered {in_the_storm[1]} at first, "
            f"{in_the_storm[2]} when sent again; then {afterwards['read']} read by get_swap, {afterwards['sent']} sent again; "
            f"{sum(len(call.finals) - call.answers for call in calls)} replies dropped by oslo.messaging; "
            f"nodes: {', '.join(f'{count} {fault}' for fault, count in sorted(storm.faults.items()))}; "
            f"workers killed {sum(len(worker.killed) for worker in workers.values())} times, "
            f"{resumed(workers)} tasks taken up again, {failed} failed with their worker"
        )


def look_up(call: Call, sender: Sender) -> str:
    """What came of a call without an answer: `read` when its worker knows it, and it has ended; else it is `sent` again."""

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


def repeat(some: list[tuple[Call, Sender]]) -> None:
    """The same message again gets the same outcome again, which is held against the first one later on."""
    for call, sender in some:
        assert sender.rpc.send(call, SLOW), f"{call.unique_id} is not answered again: {call.errors}"


def assert_drained(brokers: Brokers, workers: dict[str, Worker]) -> None:
    """No message is left, and each worker consumes from its own queue and from that of its topic."""
    until(
        lambda: not any(queue["messages"] for queue in brokers.queues().values()),
        SLOW,
        lambda: f"messages are left: {[queue for queue in brokers.queues().values() if queue['messages']]}",
        1,
    )
    queues = brokers.queues()
    consumers = {name: queue["consumers"] for name, queue in queues.items()}
    assert all(consumers[topic] == EACH for topic in TOPICS), consumers
    assert all(consumers[f"{worker.daemon.topic}.{name}"] == 1 for name, worker in workers.items()), consumers
    assert {topic: queues[topic]["type"] for topic in TOPICS} == {topic: topic for topic in TOPICS}
