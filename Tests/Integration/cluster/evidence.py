"""What a run leaves behind, held against what pivotd promises.  Each check returns what it finds wrong, one line a finding."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

from cluster.workers import Worker
from lab.clients import Call


def outcome(body: dict) -> tuple[dict | None, dict | None]:
    """(result, failure) of a reply or of a task, in one form."""
    failure = body["failure"]
    failure = json.loads(failure) if isinstance(failure, str) else failure
    if failure:
        failure = {key: failure[key] for key in ("class", "module", "message", "kwargs")}
    return body["result"], failure


def wrong_answers(calls: list[Call], workers: dict[str, Worker]) -> list[str]:
    """An answer is that of its own request; whatever came more than once was the same each time, for oslo.messaging to drop."""
    found = []
    for call in calls:
        bodies = {json.dumps([*outcome(reply.body), reply.body["_unique_id"]], sort_keys=True) for reply in call.finals}
        if len(bodies) > 1:
            found.append(f"{call.unique_id}: {len(bodies)} different answers: {bodies}")
        if not call.answers <= min(len(call.sent), len(call.finals)):
            found.append(f"{call.unique_id}: sent {len(call.sent)} times, {call.answers} answers, {len(call.finals)} replies")
        for reply in call.finals[:1]:
            found += [f"{call.unique_id}: {wrong}" for wrong in _wrong_body(call, *outcome(reply.body), workers)]
    return found


def _wrong_body(call: Call, result: dict | None, failure: dict | None, workers: dict[str, Worker]) -> list[str]:
    wanted = call.arguments
    if failure is None:
        expected = {
            "task_id": call.unique_id,
            "instance_uuid": wanted["instance"],
            "disk": "vdb",
            "old_volume_id": wanted["old_volume_id"],
            "new_volume_id": wanted["new_volume_id"],
            "hypervisor": "dry-run",
            "connection_info": {
                **wanted["new_connection_info"],
                "serial": wanted["old_volume_id"],
                "data": {**wanted["new_connection_info"]["data"], "volume_id": wanted["old_volume_id"]},
            },
        }
        return [f"{key} is {result[key]}, not {value}" for key, value in expected.items() if result[key] != value]
    # The hypervisor is the worker's own memory here, and its copies go with it: nothing else may fail.
    if not any(call.sent[0] < killed < call.finals[0].at for killed in workers[call.server].killed):
        return [f"failed though its worker was not killed meanwhile: {failure}"]
    if failure["class"] != "VolumeRebaseFailed" or failure["kwargs"]["reason_code"] != "guest_gone":
        return [f"failed in a way that no kill of its worker explains: {failure}"]
    if failure["kwargs"]["task_id"] != call.unique_id or wanted["new_volume_id"] not in failure["message"]:
        return [f"the failure is another call's: {failure}"]
    return []


def wrong_tasks(calls: list[Call], tasks: dict[str, list[dict]]) -> list[str]:
    """`tasks`: what each worker lists.  Each call is one task of its own worker, ended as its caller was told."""
    found, seen = [], defaultdict(list)
    for server, listed in tasks.items():
        for task in listed:
            seen[task["task_id"]].append((server, task))
    known = {call.unique_id: call for call in calls}
    found += [f"{task}: nobody asked for it" for task in seen.keys() - known.keys()]
    for unique_id, call in known.items():
        entries = seen[unique_id]
        if [server for server, _ in entries] != [call.server]:
            found.append(f"{unique_id}: asked of {call.server}, and in the journals of {[server for server, _ in entries]}")
            continue
        task = entries[0][1]
        if task["state"] not in ("completed", "failed"):
            found.append(f"{unique_id}: has not ended: {task}")
        elif call.finals and outcome(task) != outcome(call.finals[0].body):
            found.append(f"{unique_id}: answered {outcome(call.finals[0].body)}, and the journal says {outcome(task)}")
    return found


def wrong_executions(calls: list[Call], workers: dict[str, Worker]) -> list[str]:
    """By the workers' logs: a task is begun once in a worker's life, by its own worker alone, and never after its answer.

    A worker that was killed takes an unfinished task up again: that is recovery, until its caller has been answered.
    """
    known, found = {call.unique_id: call for call in calls}, []
    for name, worker in workers.items():
        for life, lines in enumerate(worker.lives()):
            begun = Counter(line["task_id"] for line in lines if is_start(line))
            ended = Counter(line["task_id"] for line in lines if is_end(line))
            found += [f"{task}: begun {count} times in life {life} of {name}" for task, count in begun.items() if count > 1]
            found += [f"{task}: ended {count} times in life {life} of {name}" for task, count in ended.items() if count > 1]
            for task in begun.keys() | ended.keys():
                call = known.get(task)
                if call is None or call.server != name:
                    found.append(f"{task}: carried out by {name}, asked of {call and call.server}")
                elif life and call.finals and call.finals[0].at < worker.killed[life - 1]:
                    found.append(f"{task}: carried out in life {life} of {name}, after its answer")
    return found


def is_start(line: dict) -> bool:
    """Whether a line of the log says that a task begins."""
    return line["message"].startswith("swap: ")


def is_end(line: dict) -> bool:
    """Whether it says that a task has ended."""
    return line["message"].startswith(("swap completed", "swap failed"))


def resumed(workers: dict[str, Worker]) -> int:
    """How many tasks a worker has begun in one life and gone on with in a later one."""
    count = 0
    for worker in workers.values():
        lives = [{line["task_id"] for line in lines if is_start(line) or is_end(line)} for lines in worker.lives()]
        count += sum(1 for times in Counter(task for life in lives for task in life).values() if times > 1)
    return count
