"""What happens to brokers and workers in one run, drawn by its seed."""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from cluster.brokers import Brokers
from cluster.callers import Callers
from cluster.workers import Worker

FAULTS = {
    "kill": (Brokers.kill, (0, 6)),
    "restart": (Brokers.restart, (0, 4)),
    "freeze": (Brokers.freeze, (1, 5)),
    "long freeze": (Brokers.freeze, (24, 32)),
}
"""{what happens to a node: (how, for how many seconds)}; the last is longer than heartbeats and cluster put up with."""


LULL = 4
"""After so many steps each worker has to be ready, before the next one: not only a worker that was just killed comes back."""


class Step(NamedTuple):
    """A fault of one node, and the workers that are killed while it lasts."""

    fault: str
    node: int
    after: float
    seconds: float
    kills: list[tuple[int, float, float]]
    """(worker, after so many seconds, away for so many seconds)"""

    def __str__(self) -> str:
        kills = ", ".join(f"worker {worker} at {after:.1f} s" for worker, after, _ in self.kills)
        return f"node {self.node + 1}: {self.fault} of {self.seconds:.1f} s at {self.after:.1f} s; killed: {kills or 'none'}"


def steps(dice: random.Random, nodes: int, workers: int) -> Iterator[Step]:
    """Each fault to each node once, in any order, and then more of them for as long as they are wanted."""
    first = list(itertools.product(FAULTS, range(nodes)))
    dice.shuffle(first)
    more = ((dice.choice(list(FAULTS)), dice.randrange(nodes)) for _ in itertools.count())
    for fault, node in itertools.chain(first, more):
        killed = dice.sample(range(workers), dice.randint(1, 3))
        kills = [(worker, dice.uniform(0, 12), dice.uniform(0, 3)) for worker in killed]
        yield Step(fault, node, dice.uniform(0, 3), dice.uniform(*FAULTS[fault][1]), kills)


class Storm:
    """Carries steps out, one node at a time, while calls are made."""

    def __init__(self, brokers: Brokers, workers: list[Worker], callers: Callers, dice: random.Random):
        self.brokers, self.workers, self.callers, self.dice = brokers, workers, callers, dice
        self.faults: Counter[str] = Counter()

    def blow(self) -> None:
        """Releases an equal share of the calls with each of the first steps, and ends when all calls were taken."""
        planned = len(FAULTS) * len(self.brokers.nodes)
        share = -(-len(self.callers.calls) // planned)
        with ThreadPoolExecutor(len(self.workers)) as killers:
            for number, step in enumerate(steps(self.dice, len(self.brokers.nodes), len(self.workers))):
                if number >= planned and not self.callers.waiting():
                    return
                print(f"  {step}", flush=True)
                self.callers.release(share)
                self._carry_out(step, killers)
                for worker in self.workers if number % LULL == LULL - 1 else []:
                    worker.wait_ready()

    def _carry_out(self, step: Step, killers: ThreadPoolExecutor) -> None:
        kills = [killers.submit(self._kill_worker, *kill) for kill in step.kills]
        time.sleep(step.after)
        FAULTS[step.fault][0](self.brokers, step.node, step.seconds)
        self.faults[step.fault] += 1
        for kill in kills:
            kill.result()

    def _kill_worker(self, number: int, after: float, pause: float) -> None:
        time.sleep(after)
        self.workers[number].kill(pause)
