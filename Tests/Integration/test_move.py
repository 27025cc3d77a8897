"""`pivotd move`: many swaps over many hosts, checked, retried, interrupted and resumed."""

from __future__ import annotations

import collections
import contextlib
import json
import os
import pty
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from bus.dry import SETTINGS, dry_swap
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.clients import Rpc
from lab.daemon import Pivotd, clean_environment
from lab.lab import Lab
from lab.processes import until
from schemas import problems
from steering import FAST, SLOW

SUCCESS, FAILURE, USAGE, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130
TOPIC = "moves"


def write(path: Path, lines: list[dict]) -> Path:
    """A plan of these lines."""
    for line in lines:
        assert problems("move-plan", line) == []
    path.write_text("# a plan\n\n" + "".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def report(path: Path) -> list[dict]:
    """The lines of a report."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    for line in found:
        assert problems("move-report", line) == []
    return found


@contextlib.contextmanager
def dry_workers(lab: Lab, count: int, uri: str = "dry-run:") -> Iterator[list[Pivotd]]:
    """Workers on hosts m0, m1, … of one topic."""
    settings = {**SETTINGS, "notifications": False, "reply_retry_timeout": 2}
    names = [f"m{number}-{len(lab.daemons)}" for number in range(count)]
    workers = [
        lab.daemon(name, libvirt_uri=uri, config=settings, topic=TOPIC, host=f"m{number}") for number, name in enumerate(names)
    ]
    try:
        for worker in workers:
            worker.start(ready=False)
        for worker in workers:
            worker.wait_ready()
        yield workers
    finally:
        for worker in workers:
            worker.stop()


def tasks(worker: Pivotd) -> list[dict]:
    """Every task that a worker knows."""
    client = Rpc(worker.transport_url, worker.topic, server=worker.host)
    try:
        return client.call("list_swaps", limit=10_000)["swaps"]
    finally:
        client.close()


def speed_up(worker: Pivotd) -> None:
    """Lets every copy of a worker end soon."""
    client = Rpc(worker.transport_url, worker.topic, server=worker.host)
    try:
        for task in client.call("list_swaps", states=["copying"])["swaps"]:
            client.call("set_bandwidth", task_id=task["task_id"], bandwidth_mib_s=FAST)
    finally:
        client.close()


def plan_for(workers: list[Pivotd], count: int, **options) -> list[dict]:
    """Lines that are dealt out to the workers in turn."""
    return [{"host": workers[number % len(workers)].host, **dry_swap(**options)} for number in range(count)]


class Moving:
    """`pivotd move` at work, with its output in files."""

    def __init__(self, worker: Pivotd, directory: Path, *words):
        self.output = directory / "move.out"
        with open(self.output, "ab") as output:
            argv = worker.client_argv("move", *words)
            nothing = subprocess.DEVNULL
            self.child = subprocess.Popen(argv, stdin=nothing, stdout=output, stderr=output, env=clean_environment())

    def said(self) -> str:
        """All that it has printed."""
        return self.output.read_text(errors="replace")

    def wait_for(self, pattern: str, count: int = 1) -> None:
        """Waits until it has printed this so often."""
        until(lambda: len(re.findall(pattern, self.said())) >= count or self.child.poll() is not None, 60, self.said)
        assert len(re.findall(pattern, self.said())) >= count, self.said()

    def end(self, number: int | None = None) -> int:
        """Signals it, and waits for its end; returns the exit code."""
        if number:
            self.child.send_signal(number)
        try:
            return self.child.wait(240)
        finally:
            self.child.kill()


def test_guests(lab, worker, pool, tmp_path):
    """Three volumes of running guests; the report says what they run on, and which volumes may go. Once more, nothing happens."""
    guests = pool.take(3)
    volumes = [lab.volumes.file() for _ in guests]
    lines = [{"host": worker.host, **swap_arguments(guest, new)} for guest, new in zip(guests, volumes)]
    lines[0]["new_connection_info"]["data"]["auth_password"] = "m0ve-s3cret"
    plan, told = write(tmp_path / "plan.jsonl", lines), tmp_path / "report.jsonl"
    olds = [guest.disks["vdb"].id for guest in guests]
    for _ in range(2):
        code, output, errors = worker.command("move", plan, "--report", told)
        assert code == SUCCESS, output + errors
        assert output.endswith("3 completed\n") and "s3cret" not in output + errors + told.read_text()
        outcomes = report(told)
        assert [line["line"] for line in outcomes] == [3, 4, 5]
        facts = [(line["state"], line["in_use"], line["may_delete"]) for line in outcomes]
        assert facts == [("completed", "new", old) for old in olds]
    for guest, new in zip(guests, volumes):
        assert_moved(guest, new)


def test_a_plan_with_errors(lab, tmp_path):
    """All are named with their lines, and nothing is sent."""
    with dry_workers(lab, 1) as (worker,):
        good, other = plan_for([worker], 2)
        before = worker.metrics()['pivotd_messages_total{kind="received"}']
        plan = tmp_path / "plan.jsonl"
        bad = ['{"x', "[1]", json.dumps(other | {"mountpoint": 7}), json.dumps({**other, "host": None}), json.dumps(good)]
        plan.write_text("\n".join([json.dumps(good), "", "# comment", *bad]))
        code, output, errors = worker.command("move", plan, "--report", tmp_path / "report")
        assert code == USAGE and not output, errors
        told = re.findall(r"^lines? (.*)$", errors, re.M)
        assert [text.split(":")[0] for text in told[:4]] == ["4", "5", "6", "7"], errors
        assert told[4].startswith("1 and 8 are equal"), errors
        assert worker.metrics()['pivotd_messages_total{kind="received"}'] == before
        assert not (tmp_path / "report").exists()
        for words in ([tmp_path / "none"], [plan, "--window", "22"], [plan, "--concurrency", "0"], []):
            assert worker.command("move", *words)[0] == USAGE
        plan.write_text(json.dumps(good))
        for where in (plan, tmp_path, tmp_path / "no" / "report", "/dev/null"):
            assert worker.command("move", plan, "--report", where)[0] == USAGE
        assert worker.metrics()['pivotd_messages_total{kind="received"}'] == before and tasks(worker) == []


def test_an_unacceptable_line(lab, worker, rpc, pool, tmp_path):
    """Nothing starts, unless the others are wanted."""
    guest, other = pool.take(2)
    new, small = lab.volumes.file(), lab.volumes.file(size=other.disks["vdb"].size // 2)
    lines = [
        {"host": worker.host, **swap_arguments(guest, new)},
        {"host": worker.host, **swap_arguments(other, small)},
        {"host": "nowhere", **dry_swap()},
    ]
    plan, told = write(tmp_path / "plan.jsonl", lines), tmp_path / "report.jsonl"
    started = len(rpc.call("list_swaps", limit=10_000)["swaps"])
    code, output, errors = worker.command("move", plan, "--report", told, "--host-timeout", "2")
    assert code == FAILURE and "nothing was started" in errors, output + errors
    assert output.startswith("2 of 3 lines are not acceptable:\n"), output
    assert re.search(rf"^4 +{worker.host} .* new_volume_too_small +Invalid volume", output, re.M), output
    assert re.search(r"^5 +nowhere .* no pivotd listens", output, re.M), output
    assert [line["state"] for line in report(told)] == ["pending", "refused", "unreachable"]
    assert len(rpc.call("list_swaps", limit=10_000)["swaps"]) == started
    code, output, errors = worker.command("move", plan, "--report", told, "--host-timeout", "2", "--skip-unacceptable")
    assert code == FAILURE, output + errors
    outcomes = report(told)
    assert [line["state"] for line in outcomes] == ["completed", "refused", "unreachable"]
    assert (outcomes[1]["reason_code"], outcomes[1]["in_use"], outcomes[1]["may_delete"]) == ("new_volume_too_small", "old", None)
    assert_moved(guest, new)
    assert_stayed(other, small)


def test_killed_and_resumed(lab, tmp_path):
    """kill -9 in the middle, and the same command again: nothing is started twice."""
    with dry_workers(lab, 2, "dry-run:?rate=4000") as workers:
        lines = plan_for(workers, 8)
        for line in lines[2:6]:
            line["options"] = SLOW
        plan, told = write(tmp_path / "plan.jsonl", lines), tmp_path / "report.jsonl"
        first = Moving(workers[0], tmp_path, plan, "--report", told)
        first.wait_for(": completed", 2)
        first.wait_for(r"line [5-8]: .*: copying", 4)
        first.end(signal.SIGKILL)
        known = {task["task_id"] for worker in workers for task in tasks(worker)}
        assert len(known) == 6
        for worker in workers:
            speed_up(worker)
        code, output, errors = workers[0].command("move", plan, "--report", told, timeout=240)
        assert code == SUCCESS, output + errors
        found = [task for worker in workers for task in tasks(worker)]
        assert len(found) == 8 and known <= {task["task_id"] for task in found}
        assert all(task["state"] == "completed" and task["result"]["attempts"] == 1 for task in found)
        assert {line["task_id"] for line in report(told)} == {task["task_id"] for task in found}


def test_interrupted(lab, tmp_path):
    """Ctrl-C leaves what runs to its worker, and says so; the same command, now from standard input, waits for it."""
    with dry_workers(lab, 1, "dry-run:?rate=4000") as (worker,):
        lines = plan_for([worker], 3)
        lines[0]["options"] = SLOW
        plan, told = write(tmp_path / "plan.jsonl", lines), tmp_path / "report.jsonl"
        moving = Moving(worker, tmp_path, plan, "--per-host", "1", "--report", told)
        moving.wait_for(": copying")
        assert moving.end(signal.SIGTERM) == INTERRUPTED
        assert "1 swap left running" in moving.said() and "2 lines not started" in moving.said(), moving.said()
        assert [line["state"] for line in report(told)] == ["copying", "pending", "pending"]
        assert [task["state"] for task in tasks(worker)] == ["copying"]
        speed_up(worker)
        argv = worker.client_argv("move", "-", "--report", told)
        done = subprocess.run(argv, input=plan.read_bytes(), capture_output=True, timeout=240, env=clean_environment())
        assert done.returncode == SUCCESS, done.stdout + done.stderr
        assert len(tasks(worker)) == 3


def test_window(lab, tmp_path):
    """Outside of it nothing is started."""
    with dry_workers(lab, 1) as (worker,):
        plan = write(tmp_path / "plan.jsonl", plan_for([worker], 1))
        begin = time.localtime(time.time() + 12 * 3600)
        end = time.localtime(time.time() + 13 * 3600)
        window = f"{begin.tm_hour:02}:{begin.tm_min:02}-{end.tm_hour:02}:{end.tm_min:02}"
        moving = Moving(worker, tmp_path, plan, "--window", window)
        moving.wait_for(f"nothing more starts until {window[:5]}")
        assert moving.end(signal.SIGINT) == INTERRUPTED
        assert "0 swaps left running, 1 line not started" in moving.said() and tasks(worker) == []


def test_retries(lab, tmp_path):
    """A failure that may pass is retried under other tokens; --retry-failed tries again whatever has failed."""
    lines = [{"host": "m0", **dry_swap()} for _ in range(3)]
    lines[2]["options"] = {"bandwidth_mib_s": 10, "timeout_s": 1}
    with dry_workers(lab, 1, f"dry-run:?rate=4000&fail=instance:{lines[1]['instance']},copy") as (worker,):
        plan, told = write(tmp_path / "plan.jsonl", lines), tmp_path / "report.jsonl"
        words = [plan, "--report", told, "--retry-pause", "0.1", "--retries", "1"]
        for known in ([1, 1, 2], [1, 1, 2]):
            code, output, errors = worker.command("move", *words, timeout=120)
            assert code == FAILURE, output + errors
            outcomes = report(told)
            assert [line["reason_code"] for line in outcomes] == [None, "no_space", "timed_out"]
            assert [line["may_delete"] for line in outcomes] == [None] * 3  # a dry run moves nothing
            counts = collections.Counter(task["instance_uuid"] for task in tasks(worker))
            assert [counts[line["instance"]] for line in lines] == known
        code, output, errors = worker.command("move", *words, "--retry-failed", timeout=120)
        assert code == FAILURE, output + errors
        counts = collections.Counter(task["instance_uuid"] for task in tasks(worker))
        assert [counts[line["instance"]] for line in lines] == [1, 2, 4]
        assert len({task["task_id"] for task in tasks(worker)}) == 7


def test_lost_broker(lab, tmp_path):
    """The broker dies with what it has: it is asked again, and what got lost is sent again."""
    with dry_workers(lab, 2, "dry-run:?rate=500") as workers:
        plan = write(tmp_path / "plan.jsonl", plan_for(workers, 8))
        moving = Moving(workers[0], tmp_path, plan)
        moving.wait_for(": completed", 2)
        lab.rabbit.restart_hard()
        assert moving.end() == SUCCESS, moving.said()
        for worker in workers:
            worker.wait_ready()
        found = [task for worker in workers for task in tasks(worker)]
        assert len(found) == 8 and all(task["result"]["attempts"] == 1 for task in found)


def test_a_dead_host(lab, tmp_path):
    """Is given up; the others' lines are moved. Once it is back, the same command goes on."""
    with dry_workers(lab, 2, "dry-run:?rate=4000") as (worker, dead):
        lines = plan_for([worker, dead, dead, dead], 4)
        for line in lines[1:3]:
            line["options"] = SLOW
        plan, told = write(tmp_path / "plan.jsonl", lines), tmp_path / "report.jsonl"
        moving = Moving(worker, tmp_path, plan, "--report", told, "--host-timeout", "3")
        moving.wait_for(r"line [45]: .*: copying", 2)
        dead.kill()
        assert moving.end() == FAILURE and "does not answer" in moving.said(), moving.said()
        outcomes = report(told)
        assert [line["state"] for line in outcomes] == ["completed", *["unreachable"] * 3]
        assert [line["may_delete"] for line in outcomes] == [None] * 4
        dead.start()
        code, output, errors = worker.command("move", plan, "--report", told, timeout=240)
        assert code == FAILURE, output + errors
        # Copies of `dry-run:` die with their worker.
        facts = [(line["state"], line["reason_code"]) for line in report(told)]
        assert facts == [("completed", None), *[("failed", "guest_gone")] * 2, ("completed", None)]
        assert len(tasks(dead)) == 3


def test_table(lab, tmp_path):
    """On a terminal of 80 columns."""
    with dry_workers(lab, 1, "dry-run:?rate=150") as (worker,):
        plan = write(tmp_path / "plan.jsonl", plan_for([worker], 2))
        ours, theirs = pty.openpty()
        os.environ.pop("COLUMNS", None)
        argv = worker.client_argv("move", plan)
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env=clean_environment())
        os.close(theirs)
        output = b""
        with contextlib.suppress(OSError):
            while part := os.read(ours, 65536):
                output += part
        assert child.wait(240) == SUCCESS
        screens = [re.sub(r"\x1b\[\d*[A-Z]|\r", "", part) for part in output.decode().split("\x1b[J")]
        assert all(len(line) < 80 for screen in screens for line in screen.splitlines()), screens
        assert re.search(r"^ +\d m0 +[0-9a-f]{8}/vdb +copying +\[#+\.+\] +\d+ % +\S+ MiB/s", "\n".join(screens), re.M), screens
        assert "2 completed" in screens[-1] and screens[-1].count("[########] 100 %") == 2


# Many hosts


class Kills(threading.Thread):
    """Kills a worker now and then, and starts it again."""

    def __init__(self, workers: list[Pivotd], dice: random.Random):
        super().__init__(daemon=True)
        self.workers, self.dice = workers, dice
        self.count = 0
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.over.wait(self.dice.uniform(0.5, 2)):
            worker = self.dice.choice(self.workers)
            worker.kill()
            self.over.wait(self.dice.uniform(0, 2))
            worker.start(ready=False)
            self.count += 1

    def stop(self) -> None:
        """Leaves all of them running."""
        self.over.set()
        self.join()


def sockets(pid: int) -> int:
    """How many sockets a process has."""
    count = 0
    for link in Path(f"/proc/{pid}/fd").glob("*"):
        with contextlib.suppress(OSError):
            count += os.readlink(link).startswith("socket:")
    return count


def many(lab: Lab, directory: Path, lines: int, hosts: int, seed: int) -> str:
    """Moves so many volumes while workers are killed and restarted, then moves what a killed worker has failed; returns figures.

    The copies of `dry-run:` die with their worker, and nothing else may fail.
    """
    with dry_workers(lab, hosts, "dry-run:?rate=800") as workers:
        plan, told = write(directory / "plan.jsonl", plan_for(workers, lines)), directory / "report.jsonl"
        words = [plan, "--report", told, "--concurrency", "16", "--retry-pause", "1"]
        kills = Kills(workers, random.Random(seed))
        moving = Moving(workers[0], directory, *words)
        try:
            moving.wait_for(": completed", lines // 3)
            assert sockets(moving.child.pid) <= 4, "the connections grow with the swaps or the hosts"
            first = moving.end()
        finally:
            kills.stop()
        assert first in (SUCCESS, FAILURE), moving.said()
        for worker in workers:
            worker.wait_ready()
        states = collections.Counter((line["state"], line["reason_code"]) for line in report(told))
        assert set(states) <= {("completed", None), ("failed", "guest_gone")}, states
        code, output, errors = workers[0].command("move", *words, "--retry-failed", timeout=600)
        assert code == SUCCESS, output + errors
        outcomes = report(told)
        found = {worker.host: tasks(worker) for worker in workers}
        completed = {task["task_id"]: host for host, listed in found.items() for task in listed if task["state"] == "completed"}
        assert completed == {line["task_id"]: line["host"] for line in outcomes} and len(completed) == lines
        failed = [task for listed in found.values() for task in listed if task["state"] != "completed"]
        assert all(task["reason_code"] == "guest_gone" for task in failed), failed
        assert len(failed) == states["failed", "guest_gone"]
        return f"move: {lines} lines over {hosts} hosts, {kills.count} workers killed, {len(failed)} swaps lost with them"


def test_many(lab, tmp_path, figures, pytestconfig):
    figures.lines.append(many(lab, tmp_path, 60, 5, pytestconfig.option.seed))


@pytest.mark.storm
@pytest.mark.timeout(3000)
def test_three_hundred(lab, tmp_path, figures, pytestconfig):
    figures.lines.append(many(lab, tmp_path, 300, 20, pytestconfig.option.seed))
