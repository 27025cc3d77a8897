"""`pivotd replay`: what was captured happens again, in the process or on another broker."""

import contextlib
import gzip
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import captures
import pytest
from captures import FIXTURES, Capture
from expectations import assert_moved, swap_arguments
from lab.daemon import binary, clean_environment
from lab.processes import Workspace, until
from lab.rabbit import Rabbit
from steering import FAST, SLOW, wait_for_copy


def test_in_process(tmp_path):
    file = captures.write(tmp_path / "c.jsonl", [captures.line(captures.request("swap_volume", captures.swap()))])
    state = tmp_path / "worker"
    done = captures.replay(file, PIVOTD_STATE_DIR=str(state))
    assert done.returncode == 0, done.stderr
    assert "swap_volume" in done.stdout and captures.swap()["instance"] in done.stdout and " ok" in done.stdout
    assert not state.exists(), "the worker's journal is not a replay's"


def test_all_that_can_come(tmp_path):
    again = captures.request("swap_volume", captures.swap(2))
    lines = [
        captures.line(captures.request("swap_volume", captures.swap(1), call=False)),
        captures.line(again),
        captures.line(again),
        captures.line(captures.request("no_such_method", {})),
        captures.line(captures.request("swap_volume", captures.swap(3, mountpoint="../etc"))),
        captures.line(body="garbage"),
        captures.line(body={"neither": "method nor envelope"}),
        captures.line(captures.request("swap_volume", captures.swap(3), version="2.0")),
    ]
    done = captures.replay(captures.write(tmp_path / "c.jsonl", lines))
    assert done.returncode == 0, done.stderr
    for text in ("NoSuchMethod", "InvalidInput", "mountpoint", "rejected", "UnsupportedVersion", "duplicate"):
        assert text in done.stdout, text
    assert "2 ok, 3 failed, 1 duplicate, 2 rejected" in done.stdout


def recorded(request: dict, result: object = None, failure: dict | None = None) -> dict:
    """The recorded answer to a request."""
    reply = {"result": result, "failure": failure and json.dumps(failure), "ending": True, "_msg_id": request["_msg_id"]}
    return captures.line(reply | {"_unique_id": "x"}) | {"exchange": "", "routing_key": request["_reply_q"]}


def test_compares_with_recorded_answers(tmp_path):
    request, ping = captures.request("no_such_method", {}), captures.request("oslo_rpc_server_ping", {})
    message = "Endpoint does not support RPC method no_such_method"
    failure = {
        "class": "NoSuchMethod", "module": "oslo_messaging.rpc.dispatcher", "message": message, "tb": [],
        "args": [message], "kwargs": {},
    }  # fmt: skip
    same = [captures.line(request), recorded(request, failure=failure), captures.line(ping), recorded(ping, "pong")]
    done = captures.replay(captures.write(tmp_path / "same.jsonl", same))
    assert done.returncode == 0 and "compared 2 with the recorded answers: 0 differ" in done.stdout, done.stdout
    more = [*same, captures.line(captures.request("list_swaps", {}))]
    done = captures.replay(captures.write(tmp_path / "more.jsonl", more))
    assert done.returncode == 0 and "0 differ, 1 had no recorded answer" in done.stdout, done.stdout
    other = [captures.line(ping), recorded(ping, "ping")]
    done = captures.replay(captures.write(tmp_path / "other.jsonl", other))
    assert done.returncode == 1
    assert '-   "result": "ping"' in done.stdout and '+   "result": "pong"' in done.stdout, done.stdout


def test_broken_lines(tmp_path):
    good = captures.line(captures.request("oslo_rpc_server_ping", {}))
    file = captures.write(tmp_path / "c.jsonl", [good, "garbage", json.dumps(good)[:100], good])
    done = captures.replay(file)
    assert done.returncode == 1
    assert f"{file}:2:" in done.stderr and f"{file}:3:" in done.stderr and "replayed 2 messages" in done.stdout
    done = captures.replay("--strict", file)
    assert done.returncode == 1 and "replayed 1 message in" in done.stdout


def test_a_compressed_file_that_is_cut_off(tmp_path):
    lines = [captures.line(captures.request("swap_volume", captures.swap(number))) for number in range(200)]
    whole = gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode())
    file = tmp_path / "c.jsonl.gz"
    file.write_bytes(whole)
    assert captures.replay(file).returncode == 0
    file.write_bytes(whole[: len(whole) // 2])
    done = captures.replay(file)
    assert done.returncode == 1 and "truncated" in done.stderr and " ok" in done.stdout


def test_pace(tmp_path):
    """A recording of an hour: at its own pace, or at a pace that does not count, no run here would see its end."""
    pings = [captures.line(captures.request("oslo_rpc_server_ping", {}), at=number * 1700) for number in range(3)]
    file = captures.write(tmp_path / "c.jsonl", pings)
    start = time.monotonic()
    assert captures.replay("--speed", "1000", file, timeout=150).returncode == 0
    assert time.monotonic() - start > 3
    assert captures.replay("--speed", "max", file, timeout=150).returncode == 0


def test_filter_limit_map_and_fresh_ids(tmp_path):
    lines = [captures.line(captures.request("swap_volume", captures.swap(number)), at=number) for number in range(5)]
    file = captures.write(tmp_path / "c.jsonl", lines)

    def instances(*words) -> list[str]:
        output = captures.replay(file, *words).stdout
        return [captures.swap(number)["instance"] for number in range(9) if captures.swap(number)["instance"] in output]

    def of(*numbers: int) -> list[str]:
        return [captures.swap(number)["instance"] for number in numbers]

    assert instances("--limit", "2") == of(0, 1)
    assert instances("--filter", f"instance={of(3)[0]}") == of(3)
    assert instances("--filter", f"volume={captures.swap(4)['new_volume_id']}") == of(4)
    assert instances("--filter", "time>=2026-11-23T10:00:03Z and method=swap_volume") == of(3, 4)
    assert instances("--filter", "method=get_swap") == []
    assert instances("--map", f"{of(0)[0]}={of(8)[0]}", "--fresh-ids") == of(1, 2, 3, 4, 8)
    assert captures.replay(file, "--filter", "colour=red").returncode == 2
    assert captures.replay(file, "--map", "nothing").returncode == 2
    assert captures.replay(file, "--map", "a=b", "--map", "a=c").returncode == 2
    done = captures.replay(file, "--map", "a-name-of-nothing=other")
    assert done.returncode == 0 and "--map: a-name-of-nothing was never applied" in done.stderr


def test_nothing_to_replay(tmp_path):
    """What checks nothing is no success."""
    file = captures.write(tmp_path / "c.jsonl", [captures.line(captures.request("oslo_rpc_server_ping", {}))])
    done = captures.replay(file, "--filter", "method=get_swap")
    assert done.returncode == 1 and "no request matches --filter" in done.stderr
    done = captures.replay(captures.write(tmp_path / "empty.jsonl", []))
    assert done.returncode == 1 and "no request is in the capture" in done.stderr


def test_an_interrupted_replay_says_what_it_sent(tmp_path):
    pings = [captures.line(captures.request("oslo_rpc_server_ping", {}), at=number * 60) for number in range(2)]
    file = captures.write(tmp_path / "c.jsonl", [captures.line(captures.request("swap_volume", captures.swap())), *pings])
    words = ["replay", file, "--libvirt-uri", "dry-run:?rate=1", "--speed", "1"]
    with open(tmp_path / "out", "wb") as out:
        child = subprocess.Popen(map(str, [*binary(), *words]), stdout=out, stderr=out, env=clean_environment())
    try:
        said = (tmp_path / "out").read_text
        until(lambda: "#2 call oslo_rpc_server_ping" in said(), 30, said)
        child.send_signal(signal.SIGINT)
        assert child.wait(30) == 130
    finally:
        child.kill()
        child.wait()
    assert re.search(r"^replayed 2 messages in .* s: 1 ok, 1 without an outcome yet$", said(), re.M), said()


def test_a_compressed_pipe_says_what_to_do(tmp_path):
    file = tmp_path / "c.jsonl.gz"
    file.write_bytes(gzip.compress(json.dumps(captures.line(captures.request("oslo_rpc_server_ping", {}))).encode()))
    piped = subprocess.run(["sh", "-c", 'cat "$1" | "$0" decode -', *captures.binary(), file], capture_output=True, text=True)
    assert piped.returncode == 1 and "gzip -dc" in piped.stderr, piped.stderr


def open_files(pid: int) -> str:
    """What a process has open."""
    names = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            names.append(os.readlink(link))
    return " ".join(names)


def test_a_killed_replay_leaves_nothing_behind(tmp_path):
    file = captures.write(tmp_path / "c.jsonl", [captures.line(captures.request("swap_volume", captures.swap()))])
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    argv = [*captures.binary(), "replay", "--libvirt-uri", "dry-run:?rate=1", file]
    environment = captures.clean_environment({"TMPDIR": str(temporary)})
    with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL) as child:
        try:
            until(lambda: f"{temporary}/" in open_files(child.pid), 20, "no journal is open")
            until(lambda: not any(temporary.iterdir()), 20, "the journal still has a name")
        finally:
            child.kill()
    assert list(temporary.iterdir()) == []


def test_a_rehearsed_failure(tmp_path):
    file = captures.write(tmp_path / "c.jsonl", [captures.line(captures.request("swap_volume", captures.swap()))])
    done = captures.replay(file, "--libvirt-uri", "dry-run:?fail=pivot")
    assert done.returncode == 0 and "VolumeRebaseFailed" in done.stdout and "1 failed" in done.stdout


def test_a_worker_s_rebase_is_left_alone(lab, rpc, guest, tmp_path):
    """A replay beside a running worker, on the same libvirt: the worker's swaps are in no journal of the replay's."""
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW | {"strategy": "rebase"}))
    task = wait_for_copy(rpc, guest)
    lines = [captures.line(captures.request("oslo_rpc_server_ping", {}), at=number) for number in range(4)]
    file = captures.write(tmp_path / "c.jsonl", lines)
    done = captures.pivotd("replay", "--libvirt-uri", lab.libvirt.uri, file)
    assert done.returncode == 0 and "4 ok" in done.stdout, done.stdout + done.stderr
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    call.result(20)
    assert_moved(guest, new)


def test_remote_brokers_are_refused(tmp_path):
    file = captures.write(tmp_path / "c.jsonl", [captures.line(captures.request("oslo_rpc_server_ping", {}))])
    for host in ("broker.example.com", "192.0.2.1", "127.0.0.1.example.com", "localhost:5672,u:p@192.0.2.1"):
        done = captures.replay(file, "--publish", "--transport-url", f"rabbit://u:p@{host}/")
        assert done.returncode == 2 and "--i-mean-it" in done.stderr, done.stderr


@pytest.fixture
def other_broker(tmp_path):
    """A broker beside the lab's."""
    workspace = Workspace(tmp_path / "other-broker")
    broker = Rabbit(workspace)
    try:
        yield broker.start()
    finally:
        broker.stop()
        workspace.sweep()


def test_publish_has_the_recorded_outcomes(second_worker, other_broker, tmp_path):
    """Captured with its answers on one broker, then replayed on another one and in the process: all alike."""
    first, client = second_worker(libvirt_uri="dry-run:")
    with Capture(first, tmp_path / "c.jsonl.gz", "--replies") as capture:
        client.call("swap_volume", **captures.swap(1))
        for bad in ({"mountpoint": 7}, {"resize_to": -1}, {"options": {"strategy": "magic"}}):
            with pytest.raises(Exception, match="Invalid input"):
                client.call("swap_volume", **captures.swap(2, **bad))
        assert client.call("oslo_rpc_server_ping") == "pong"
        capture.wait_for(lambda lines: len(captures.finals(lines)) == 5)
        assert capture.stop() == 0

    assert b"s3cret" not in gzip.decompress(capture.path.read_bytes())
    again = captures.replay(capture.path)
    assert again.returncode == 0 and "compared 5 with the recorded answers: 0 differ" in again.stdout, again.stdout
    other, other_client = second_worker(libvirt_uri="dry-run:", transport_url=other_broker.url)
    words = ["--publish", "--transport-url", other.transport_url, "--topic", other.topic, "--host", other.host]
    published = captures.replay(capture.path, *words)
    assert published.returncode == 0, published.stdout + published.stderr
    assert "compared 5 with the recorded answers: 0 differ" in published.stdout
    assert [task["state"] for task in other_client.call("list_swaps")["swaps"]].count("completed") == 1


def test_publish_sends_what_was_recorded_beside_the_body(worker, tmp_path):
    line = captures.line(captures.request("oslo_rpc_server_ping", {}))
    sent = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"flag": True, "none": None, "number": 7, "share": 0.5, "table": {"list": ["a", 1]}, "text": "é"},
        "delivery_mode": 1,
        "priority": 3,
        "correlation_id": "c",
        "expiration": "60000",
        "message_id": "m",
        "timestamp": 1795395522,
        "type": "t",
        "app_id": "a",
    }
    line["properties"] = sent | {"user_id": "somebody-else", "reply_to": "elsewhere"}
    file = captures.write(tmp_path / "c.jsonl", [line])
    with Capture(worker, tmp_path / "again.jsonl", "--limit", "1") as capture:
        words = ["--publish", "--transport-url", worker.transport_url, "--topic", worker.topic, "--host", worker.host]
        done = captures.replay(file, *words)
        assert done.returncode == 0 and "1 ok" in done.stdout, done.stdout + done.stderr
        assert capture.child.wait(20) == 0
    (again,) = capture.lines()
    assert again["properties"] == sent


def test_publish_to_nobody(worker, tmp_path):
    file = captures.write(tmp_path / "c.jsonl", [captures.line(captures.request("oslo_rpc_server_ping", {}))])
    words = ["--publish", "--transport-url", worker.transport_url, "--topic", "nobody"]
    done = captures.replay(file, *words)
    assert done.returncode == 1 and "nobody listens" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("file", sorted(FIXTURES.glob("*.jsonl*")), ids=lambda file: file.name)
def test_fixtures(file):
    """Real captures, on a hypervisor that knows the same domain: the same outcomes."""
    assert captures.pivotd("decode", file).returncode == 0
    domains = FIXTURES / f"{file.name.split('.')[0]}.domains.json"
    done = captures.replay("--quiet", "--libvirt-uri", f"dry-run:?domains={domains}", file)
    assert done.returncode == 0 and "lost" not in done.stdout, done.stdout + done.stderr
    assert " 0 differ" in done.stdout
