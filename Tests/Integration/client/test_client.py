"""deploy/client: outcomes are found whatever is lost, and a volume that it says may be deleted is used by nobody."""

import json
import logging
import subprocess
import sys
import uuid

import pytest
from bus.dry import dry_swap
from expectations import assert_moved, assert_runs_on, swap_arguments
from lab.clients import Later
from lab.daemon import HOST
from lab.processes import until
from pivotd_client import Client, InvalidInput, NoAnswer, Task, TaskUnknown, VolumeRebaseFailed, may_delete
from schemas import ROOT
from steering import FAST, SLOW, wait_for_copy

NEVER_POLL = 1e6
"""A `poll_s` with which only a notification ends a wait."""


def at_host(arguments: dict) -> dict:
    """Arguments of a swap, and where."""
    return {"host": HOST, **arguments}


def test_success(lab, nova, guest):
    old, new = guest.disks["vdb"], lab.volumes.file()
    result = nova.swap(**at_host(swap_arguments(guest, new)))
    assert (result.instance_uuid, result.disk, result.new_volume_id) == (guest.uuid, "vdb", new.id)
    assert result.connection_info["data"]["device_path"] == str(new.path) and result.capacity_bytes == old.size
    assert may_delete(result) == old.id
    assert_moved(guest, new)


def test_the_methods(nova, rehearsal, guest):
    (volume,) = [one for one in nova.list_volumes(HOST, guest.uuid) if one["disk"] == "vdb"]
    assert volume["source"] == str(guest.disks["vdb"].path)
    assert "swap_volume" in nova.get_capabilities(HOST)["methods"]
    with pytest.raises(InvalidInput, match="connector"):
        nova.get_connector(HOST)
    task = rehearsal.swap(**at_host(dry_swap())).task_id
    assert rehearsal.get(HOST, task)["task_id"] == task
    assert [one["task_id"] for one in rehearsal.list(HOST, states=["completed"], limit=1)] == [task]
    with pytest.raises(InvalidInput, match="ended"):
        rehearsal.abort(HOST, task)
    with pytest.raises(TaskUnknown):
        rehearsal.get(HOST, instance=str(uuid.uuid4()), mountpoint="vdb")


def test_check(nova, lab, guest):
    if "check_swap" not in nova.get_capabilities(HOST)["methods"]:
        pytest.skip("this pivotd has no check_swap")
    good, small = lab.volumes.file(), lab.volumes.file(size=guest.disks["vdb"].size // 2)
    assert nova.check(**at_host(swap_arguments(guest, good)))["acceptable"]
    refused = nova.check(**at_host(swap_arguments(guest, small)))
    assert not refused["acceptable"] and refused["failure"]["kwargs"]["reason_code"] == "new_volume_too_small"


def tasks(client: Client, instance: str) -> list[str]:
    """The ids of an instance's tasks."""
    return [one["task_id"] for one in client.list(HOST, instance=instance)]


def test_submit_and_wait_by_polling(lab, client, guest):
    old, new = guest.disks["vdb"], lab.volumes.file()
    task = client.submit(**at_host(swap_arguments(guest, new, options={"bandwidth_mib_s": 16})))
    result = client.wait(task)
    assert (result.task_id, may_delete(result)) == (task.id, old.id)
    assert_moved(guest, new)


def test_a_notification_ends_a_wait(lab, worker, guest):
    """Success and failure; between the first poll and the notification nothing is asked."""
    old, new = guest.disks["vdb"], lab.volumes.file()
    with Client(lab.rabbit.url, notifications=f"pool-{uuid.uuid4()}", poll_s=NEVER_POLL, answer_s=90) as client:

        def waiting() -> tuple[Task, Later]:
            task = client.submit(**at_host(swap_arguments(guest, new, options=SLOW)))
            until(lambda: client.get(HOST, task)["state"] == "copying", 30, "it does not copy")
            return task, Later(lambda: client.wait(task))

        task, wait = waiting()
        client.abort(HOST, task)
        error = wait.error()
        assert isinstance(error, VolumeRebaseFailed) and error.reason_code == "aborted" and may_delete(error) == new.id
        assert_runs_on(guest, old)
        task, wait = waiting()
        client.set_bandwidth(HOST, task, FAST)
        assert may_delete(wait.result()) == old.id
    assert_moved(guest, new)


def test_notifications_that_are_refused(lab, rehearsal, caplog):
    """By the broker: the client polls, and says so."""
    with lab.rabbit.user("scheduler", configure="^reply_.*|openstack", read="^reply_.*") as url:
        with Client(url, topic=rehearsal.topic, notifications=True, answer_s=90) as client:
            request = dry_swap()
            assert client.wait(client.submit(HOST, **request)).new_volume_id == request["new_volume_id"]
    assert "polling instead" in caplog.text and "ACCESS_REFUSED" in caplog.text


def test_a_resend_starts_nothing(rehearsal):
    arguments, token = dry_swap(), str(uuid.uuid4())
    for _ in range(3):
        task = rehearsal.submit(**at_host(arguments), request_token=token.upper())
    first = rehearsal.wait(task)
    assert rehearsal.swap(**at_host(arguments), request_token=token) == first and first.task_id == token
    assert tasks(rehearsal, arguments["instance"]) == [token]


def test_a_scheduler_that_crashed_goes_on(lab, nova, rpc, guest):
    """What it has stored is the token: the next process submits again, or only waits."""
    new, token = lab.volumes.file(), str(uuid.uuid4())
    arguments, before = swap_arguments(guest, new, options=SLOW), tasks(nova, guest.uuid)
    with Client(lab.rabbit.url) as crashed:
        crashed.submit(**at_host(arguments), request_token=token)
    wait_for_copy(rpc, guest)
    with Client(lab.rabbit.url) as second:
        task = second.submit(**at_host(arguments), request_token=token)
        second.set_bandwidth(HOST, task, FAST)
        assert second.wait(Task(HOST, token)).new_volume_id == new.id
        assert second.wait(task).new_volume_id == new.id
    assert tasks(nova, guest.uuid) == [token, *before]
    assert_moved(guest, new)


def test_a_lost_answer_is_found_by_polling(lab, second_worker, guest, caplog):
    """The worker is killed during the call and starts again once the client has given the call up."""
    worker, rpc = second_worker()
    new = lab.volumes.file()
    caplog.set_level(logging.INFO, "pivotd_client.client")
    with Client(lab.rabbit.url, topic=worker.topic, monitor_s=2, poll_s=1, answer_s=3) as client:
        call = Later(lambda: client.swap(**at_host(swap_arguments(guest, new, options=SLOW)), timeout=600))
        task = wait_for_copy(rpc, guest)
        worker.kill()
        until(lambda: "polling" in caplog.text, 30, "the call was not given up")
        worker.start()
        rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
        assert call.result().new_volume_id == new.id
    assert_moved(guest, new)


def test_a_lost_message_is_sent_again(rehearsal):
    sent = rehearsal.submit(**at_host(dry_swap()))
    never_sent = Task(HOST, token := str(uuid.uuid4()), dict(sent.request, **dry_swap(), request_token=token))
    assert rehearsal.wait(never_sent).task_id == never_sent.id
    with pytest.raises(TaskUnknown):
        rehearsal.wait(Task(HOST, str(uuid.uuid4())))


def test_nobody_answers(rehearsal):
    with pytest.raises(NoAnswer) as raised:
        rehearsal.submit("no-such-host", **dry_swap(), timeout=0)
    assert may_delete(raised.value) is None
    assert str(raised.value).startswith("swap_volume to no-such-host: the broker has no queue for this host")
    with pytest.raises(NoAnswer, match="has no queue"):
        rehearsal.get("no-such-host", str(uuid.uuid4()))
    with pytest.raises(NoAnswer) as again:
        rehearsal.wait(raised.value.task, 0)
    assert again.value.task == raised.value.task


ALONE = """
import json
import sys
sys.modules["nova"] = None  # cannot be imported
from pivotd_client import Client, may_delete
with Client(sys.argv[1]) as client:
    try:
        client.swap(sys.argv[2], **json.loads(sys.argv[3]))
    except Exception as failure:
        print(type(failure).__name__, failure.reason_code, failure.in_use, may_delete(failure), "nova.exception" in sys.modules)
"""


def test_no_broker():
    """oslo.messaging itself would wait for one without limit."""
    with Client("rabbit://nobody:x@127.0.0.1:1/") as client:
        with pytest.raises(NoAnswer):
            client.get(HOST, str(uuid.uuid4()))


def test_a_process_without_nova(lab, worker):
    """Nobody has parsed oslo.config's options either."""
    argv = [sys.executable, "-W", "ignore", "-c", ALONE, lab.rabbit.url, HOST, json.dumps(dry_swap())]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, cwd=ROOT / "deploy/client")
    assert done.stdout.split() == ["InstanceNotFound", "instance_not_found", "none", "None", "False"], done.stderr[-2000:]
