"""The checks of the storm find what they are there to find."""

from __future__ import annotations

import copy
import json

import pytest
from bus.dry import dry_swap
from cluster.evidence import wrong_answers, wrong_executions, wrong_tasks
from lab.clients import Call
from lab.clients.resending import Reply


class Worker:
    """What a worker leaves behind."""

    def __init__(self, *lives: list[dict], killed: list[float] | None = None):
        self._lives, self.killed = lives, killed or []

    def lives(self) -> list[list[dict]]:
        return list(self._lives)


def line(call: Call, message: str) -> dict:
    return {"message": message, "task_id": call.unique_id}


def result(call: Call) -> dict:
    """The right one."""
    asked = copy.deepcopy(call.arguments)
    connection = asked["new_connection_info"] | {"serial": asked["old_volume_id"]}
    connection["data"]["volume_id"] = asked["old_volume_id"]
    return {
        "task_id": call.unique_id,
        "instance_uuid": asked["instance"],
        "disk": "vdb",
        "old_volume_id": asked["old_volume_id"],
        "new_volume_id": asked["new_volume_id"],
        "hypervisor": "dry-run",
        "connection_info": connection,
        "duration_s": 1.5,
    }


def answer(call: Call, body: dict | None, failure: dict | None = None, at: float = 2) -> None:
    reply = {"result": body, "failure": failure and json.dumps(failure), "ending": True, "_unique_id": "of the task"}
    call.finals.append(Reply(reply, at))


def failure(call: Call) -> dict:
    """That of a call whose worker was killed."""
    kwargs = {"task_id": call.unique_id, "reason_code": "guest_gone"}
    message = f"onto {call.arguments['new_volume_id']}: the guest went away"
    return {"class": "VolumeRebaseFailed", "module": "nova.exception", "message": message, "kwargs": kwargs}


@pytest.fixture
def call() -> Call:
    return Call("one", dry_swap(), sent=[1.0], answers=1)


def task(call: Call, **more) -> dict:
    return {"task_id": call.unique_id, "state": "completed", "result": result(call), "failure": None, **more}


LIFE = ["swap: vdb", "swap completed in 1 second"]


def test_a_right_run_has_no_findings(call: Call):
    answer(call, result(call))
    worker = Worker([line(call, message) for message in LIFE])
    assert not wrong_answers([call], {"one": worker})
    assert not wrong_tasks([call], {"one": [task(call)], "two": []})
    assert not wrong_executions([call], {"one": worker, "two": Worker([])})


@pytest.mark.parametrize("key", ["task_id", "instance_uuid", "new_volume_id", "connection_info"])
def test_the_answer_to_another_request(call: Call, key: str):
    answer(call, result(call) | {key: result(Call("one", dry_swap()))[key]})
    assert key in wrong_answers([call], {"one": Worker()})[0]


def test_a_second_answer_that_differs(call: Call):
    answer(call, result(call))
    answer(call, result(call) | {"duration_s": 1.6})
    assert "2 different answers" in wrong_answers([call], {"one": Worker()})[0]


@pytest.mark.parametrize("killed, found", [([], 1), ([0.5], 1), ([1.5], 0), ([2.5], 1)])
def test_only_a_kill_during_the_call_explains_a_failure(call: Call, killed: list[float], found: int):
    answer(call, None, failure(call))
    assert len(wrong_answers([call], {"one": Worker(killed=killed)})) == found


def test_tasks_that_are_missing_doubled_or_nobodys(call: Call):
    answer(call, result(call))
    assert wrong_tasks([call], {"one": [], "two": []})
    assert wrong_tasks([call], {"one": [], "two": [task(call)]})
    assert wrong_tasks([call], {"one": [task(call)], "two": [task(call)]})
    assert wrong_tasks([call], {"one": [task(call), task(Call("one", dry_swap()))]})


def test_tasks_that_did_not_end_as_told(call: Call):
    answer(call, result(call))
    assert wrong_tasks([call], {"one": [task(call, state="copying")]})
    assert wrong_tasks([call], {"one": [task(call, state="failed", result=None, failure=failure(call))]})
    assert wrong_tasks([call], {"one": [task(call, result=result(call) | {"duration_s": 1.6})]})


def test_executions_that_are_one_too_many(call: Call):
    answer(call, result(call), at=2)
    begun, ended = (line(call, message) for message in LIFE)
    assert wrong_executions([call], {"one": Worker([begun, begun, ended])})
    assert wrong_executions([call], {"one": Worker([begun, ended, ended])})
    assert wrong_executions([call], {"one": Worker([begun, ended]), "two": Worker([begun])})
    assert not wrong_executions([call], {"one": Worker([begun], [begun, ended], killed=[1.5])})
    assert wrong_executions([call], {"one": Worker([begun, ended], [begun, ended], killed=[2.5])})
