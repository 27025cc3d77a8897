"""What operators see and steer from the command line: status, explain, pause, resume, drain."""

import json
import signal
import subprocess
import uuid
from pathlib import Path

from bus.dry import PASSWORD, SETTINGS, busy_worker, dry_swap, until_state
from expectations import assert_stayed, swap_arguments
from lab.daemon import clean_environment
from lab.processes import until
from steering import SLOW, wait_for_copy

SUCCESS, FAILURE, USAGE, NO_ANSWER, INTERRUPTED = 0, 1, 2, 3, 130


def rows(worker, *words) -> list[list[str]]:
    """The rows of `pivotd status`, without the header, each split into words."""
    code, output, errors = worker.command("status", *words)
    assert code == SUCCESS, errors
    assert all(len(line) <= 80 for line in output.splitlines()) or "--full-ids" in words, output
    return [line.split() for line in output.splitlines()[1:]]


def test_a_list_of_swaps(second_worker):
    worker, rpc, (ended, running, queued) = busy_worker(second_worker)
    tokens = {name: swap["request_token"] for name, swap in (("ended", ended), ("running", running), ("queued", queued))}
    listed = rows(worker)
    assert [row[0] for row in listed] == [tokens[name][:8] for name in ("running", "queued", "ended")]
    assert [row[3] for row in listed] == ["copying", "queued", "aborted"]
    assert listed[0][1] == running["instance"][:8] and "2.0 MiB" in " ".join(listed[0]), "the limit in force"
    assert listed[1][-3:] == ["waits", "for", "slot"]
    assert listed[2][-5:] == ["aborted,", "on", "the", "old", "volume"]

    assert [row[0] for row in rows(worker, "--state", "queued,aborted")] == [tokens["queued"][:8], tokens["ended"][:8]]
    for volume in (queued["old_volume_id"], queued["new_volume_id"]):
        assert [row[0] for row in rows(worker, "--volume", volume)] == [tokens["queued"][:8]]
    assert worker.command("status", "--volume", str(uuid.uuid4()))[1] == "no swaps\n"
    assert [row[0] for row in rows(worker, "--limit", 2)] == [tokens["running"][:8], tokens["queued"][:8]], "running ones first"
    assert rows(worker, "--full-ids")[0][:2] == [tokens["running"], running["instance"]]
    swaps = json.loads(worker.command("status", "--json", "--state", "copying,queued")[1])["swaps"]
    assert [swap["task_id"] for swap in swaps] == [tokens["queued"], tokens["running"]], "as list_swaps lists them"

    for words in (["--state", "moving"], [tokens["ended"], "--state", "failed"]):
        code, _, errors = worker.command("status", *words)
        assert code == USAGE and "--state" in errors


def test_a_task_by_the_beginning_of_its_id(second_worker):
    worker, rpc = second_worker(SETTINGS, libvirt_uri="dry-run:?rate=2")
    stem = str(uuid.uuid4())[:-4]
    first, second = (dry_swap() | {"request_token": f"{stem}{end}"} for end in ("1aaa", "2bbb"))
    for swap in (first, second):
        rpc.cast("swap_volume", **swap)
        until_state(rpc, swap, "copying")
    short = stem + "1"
    assert json.loads(worker.command("status", short[:33], "--json")[1])["task_id"] == first["request_token"]
    code, _, errors = worker.command("abort", stem[:12])
    assert code == FAILURE and "ambiguous" in errors and all(swap["request_token"] in errors for swap in (first, second))
    code, _, errors = worker.command("abort", "zzz")
    assert code == FAILURE and "no task's id begins with zzz" in errors
    assert worker.command("bandwidth", first["request_token"][:35], 3)[0] == SUCCESS
    assert {swap["state"] for swap in rpc.call("list_swaps")["swaps"]} == {"copying"}, "nothing was aborted"


def test_a_watch_outlives_its_worker(second_worker):
    """It says that there is no answer, and goes on when there is one again."""
    worker, rpc, (_, running, _) = busy_worker(second_worker)
    argv = worker.client_argv("status", "--watch", "--json", "--timeout", "1")
    output, errors = worker.directory / "watch.out", worker.directory / "watch.err"
    with open(output, "wb") as out, open(errors, "wb") as err:
        watch = subprocess.Popen(argv, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=clean_environment())
    try:
        until(lambda: output.read_text().count("\n") > 1, 60, errors.read_text)
        worker.kill()
        until(lambda: "has not answered since" in errors.read_text(), 60, errors.read_text)
        assert watch.poll() is None
        seen = output.read_text().count("\n")
        worker.start()
        until(lambda: "answers again" in errors.read_text(), 60, errors.read_text)
        until(lambda: output.read_text().count("\n") > seen, 60, errors.read_text)
        assert errors.read_text().count("has not answered") == 1, "said once"
        assert running["request_token"] in output.read_text().splitlines()[-1]
    finally:
        watch.terminate()
        watch.wait(20)


def test_a_watch_without_a_worker_ends(lab):
    """A wrong host must not look like a worker that restarts."""
    nobody = lab.daemon("nobody-to-watch")
    code, _, errors = nobody.command("status", "--watch", "--timeout", "2")
    assert code == NO_ANSWER and errors


def reply_queues(lab) -> set[str]:
    """Those at the broker."""
    names = lab.rabbit.control("list_queues", "-p", "lab", "name", "--no-table-headers").split()
    return {name for name in names if name.startswith("reply_")}


def test_no_reply_queue_is_left(lab, second_worker):
    """Whatever the answer, and also of a watch that is interrupted."""
    worker, _, (_, running, _) = busy_worker(second_worker)
    before, task = reply_queues(lab), running["request_token"]
    for words in (["status"], ["explain", task], ["status", "no-such-task"], ["status", "--timeout", "1", "--host", "nobody"]):
        worker.command(*words)
        assert reply_queues(lab) == before, words
    output = worker.directory / "interrupted.out"
    with open(output, "wb") as out:
        argv = worker.client_argv("status", "--watch", "--json")
        watch = subprocess.Popen(argv, stdout=out, stdin=subprocess.DEVNULL, env=clean_environment())
    until(lambda: output.read_text().count("\n") > 1, 60, output.read_text)
    assert len(reply_queues(lab) - before) == 1
    watch.send_signal(signal.SIGINT)
    assert watch.wait(60) == INTERRUPTED
    assert reply_queues(lab) == before


def test_a_reply_queue_outlives_a_lost_connection(lab, second_worker):
    """The answer of a swap whose caller was cut off comes to the same queue; only then it goes."""
    worker, rpc = second_worker(SETTINGS, libvirt_uri="dry-run:?rate=2")
    assert rpc.call("list_swaps")["swaps"] == [], "its own reply queue is there from now on"
    before, swap = reply_queues(lab), dry_swap() | {"request_token": str(uuid.uuid4())}
    words = ["--instance", swap["instance"], "--disk", "vdb", "--request-token", swap["request_token"]]
    words += [word for side in ("old", "new") for word in (f"--{side}", json.dumps(swap[f"{side}_connection_info"]))]
    argv = worker.client_argv("swap", *words)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    call = subprocess.Popen(argv, **pipes, env=clean_environment())
    until_state(rpc, swap, "copying")
    mine = reply_queues(lab) - before
    listing = lab.rabbit.control("list_connections", "pid", "client_properties", "--no-table-headers").splitlines()
    connections = [line.split("\t")[0] for line in listing if "pivotd command line" in line]
    assert connections, listing
    for pid in connections:
        lab.rabbit.control("close_connection", pid, "test")
    assert len(mine) == 1 and mine <= reply_queues(lab)
    rpc.call("abort_swap", task_id=swap["request_token"])
    output, errors = call.communicate(timeout=120)
    assert call.returncode == FAILURE and b"aborted by request" in output + errors, errors
    assert reply_queues(lab) == before


def test_what_happened_to_a_swap(lab, worker, rpc, guest):
    """The same timeline from the worker and from its journal."""
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)
    code, output, errors = worker.command("explain", task)
    assert code == SUCCESS and "copying" in output and "reply     owed to reply_" in output, errors
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=2)
    rpc.call("abort_swap", task_id=task)
    call.error()
    until(lambda: "delivered" in worker.command("explain", task)[1], 30, lambda: worker.command("explain", task)[1])

    code, output, errors = worker.command("explain", task)
    assert code == SUCCESS, errors
    assert all(len(line) <= 80 or "/" in line for line in output.splitlines()), output
    expected = [
        f"task      {task}", f"vdb of instance {guest.uuid}", "request req-", "copy, 1 attempt", "state     aborted\n",
        "runs on the old volume", "delivered to reply_", "accepted", "preparing", f"vdb of {guest.name}:", "starting", "copying",
        "limited to 2 MiB/s by request", "abort requested", "rolls back: aborted by request", "rolling_back", "aborted",
        "reply delivered", "aborted by request",
    ]  # fmt: skip
    at = 0
    for words in expected:
        at = output.find(words, at)
        assert at >= 0, (words, output)
    stored = worker.command("explain", task[:8], "--state-dir", worker.state)
    assert stored[0] == SUCCESS and stored[1] == output, stored
    told = json.loads(worker.command("explain", task, "--json")[1])
    assert told["reply"] == "delivered" and told["history"][-1]["event"] == "reply"
    assert_stayed(guest, new)


def test_a_history_outlives_its_worker(second_worker):
    """With --state-dir it needs no worker, no broker and no room on the disk; and nothing shows a password."""
    worker, rpc, (ended, running, queued) = busy_worker(second_worker)
    worker.kill()
    words = ["--state-dir", worker.state]
    before = {path.name: path.read_bytes() for path in worker.state.iterdir()}
    outputs = [worker.command("explain", swap["request_token"], *words) for swap in (ended, running, queued)]
    assert [code for code, _, _ in outputs] == [SUCCESS] * 3, outputs
    assert {path.name: path.read_bytes() for path in worker.state.iterdir()} == before, "read, and nothing else"
    assert "rolling_back" in outputs[0][1] and "none: a cast" in outputs[0][1]
    assert "state     copying" in outputs[1][1] and "state     queued" in outputs[2][1]
    code, _, errors = worker.command("explain", running["request_token"], "--timeout", "2")
    assert code == NO_ANSWER and "--state-dir" in errors
    code, _, errors = worker.command("explain", "x", "--state-dir", worker.directory)
    assert code == FAILURE and "no journal" in errors
    worker.start()
    until(lambda: "pivotd was restarted" in worker.command("explain", running["request_token"])[1], 60, worker.log)
    outputs += [worker.command("explain", running["request_token"], "--json"), worker.command("status", "--json")]
    assert not any(PASSWORD in text for told in outputs for text in told[1:])


def test_pause_and_resume(second_worker):
    worker, rpc, (_, running, queued) = busy_worker(second_worker)
    for swap in (queued, running):
        rpc.call("abort_swap", task_id=swap["request_token"])
        until_state(rpc, swap, "aborted")
    assert worker.command("pause") == (SUCCESS, "paused: 0 running, 0 waiting\n", "")
    waiting = dry_swap() | {"request_token": str(uuid.uuid4())}
    rpc.cast("swap_volume", **waiting)
    until_state(rpc, waiting, "queued")
    assert rows(worker, "--state", "queued")[0][-1] == "pause"
    assert worker.command("resume")[1].startswith("resumed: ")
    until_state(rpc, waiting, "copying")


def waiting_drain(worker) -> tuple[subprocess.Popen, Path]:
    """A `pivotd drain --wait` that waits for one swap, and the file of what it says."""
    said = worker.directory / "drain.err"
    argv = worker.client_argv("drain", "--wait", "--timeout", "2")
    with open(said, "wb") as err:
        drain = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=err, stdin=subprocess.DEVNULL, env=clean_environment())
    until(lambda: "1 running, 1 waiting" in said.read_text(), 60, said.read_text)
    return drain, said


def test_drain(second_worker):
    """It returns when nothing runs any more."""
    worker, rpc, (_, running, queued) = busy_worker(second_worker)
    assert worker.command("drain") == (SUCCESS, "draining: 1 running, 1 waiting\n", "")
    drain, said = waiting_drain(worker)
    assert drain.poll() is None, "one still runs"
    rpc.call("abort_swap", task_id=running["request_token"])
    output, _ = drain.communicate(timeout=60)
    assert (drain.returncode, output.decode()) == (SUCCESS, "drained: 0 running, 1 waiting\n"), said.read_text()
    assert rpc.call("get_swap", task_id=queued["request_token"])["state"] == "queued", "it stays paused"


def test_a_drain_of_a_worker_that_dies(second_worker):
    """It does not report that nothing runs: the worker takes its swaps up again, and is not paused any more."""
    worker, _, _ = busy_worker(second_worker)
    drain, said = waiting_drain(worker)
    worker.kill()
    output, _ = drain.communicate(timeout=60)
    assert (drain.returncode, output) == (NO_ANSWER, b""), said.read_text()
    assert "drain again" in said.read_text()
