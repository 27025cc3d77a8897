"""`pivotd capture`: sees everything, takes nothing, keeps no secret."""

import base64
import json
import signal
import uuid

import captures
import pytest
from captures import Capture
from expectations import assert_moved, swap_arguments
from lab.processes import until

SECRETS = ("ch4p-s3cret", "t0ken-s3cret", "cut-0ff-s3cret", "header-s3cret")


def test_takes_nothing(worker, rpc, tmp_path):
    with Capture(worker, tmp_path / "c.jsonl", "--limit", "3") as capture:
        for _ in range(3):
            assert rpc.call("oslo_rpc_server_ping") == "pong"
        assert capture.child.wait(20) == 0
    lines = capture.lines()
    assert [inner["method"] for inner in captures.requests(lines)] == ["oslo_rpc_server_ping"] * 3
    assert {line["exchange"] for line in lines} == {"openstack"}
    assert {line["routing_key"] for line in lines} == {f"pivotd.{worker.host}"}
    assert oct(capture.path.stat().st_mode & 0o777) == "0o600"


def test_keeps_no_secret(worker, raw, tmp_path):
    with Capture(worker, tmp_path / "c.jsonl") as capture:
        secret = captures.swap(mountpoint=7)
        secret["new_connection_info"]["data"]["auth_password"] = SECRETS[0]
        raw.send(raw.message("swap_volume", secret, _context_auth_token=SECRETS[1]))
        raw.publish(json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps({"auth_password": SECRETS[2]})[:-2]}))
        raw.publish(json.dumps({"password": SECRETS[2]})[:-2])
        raw.publish(b"\x00\xff secret=" + SECRETS[2].encode())
        raw.publish("garbage with a header", headers={"x-auth-token": SECRETS[3], "plain": "kept"})
        capture.wait_for(lambda lines: len(lines) == 5)
        assert capture.stop() == 0
    text = capture.path.read_text()
    assert not [secret for secret in SECRETS if secret in text]
    lines = capture.lines()
    assert captures.content(lines[0])["args"]["new_connection_info"]["data"]["auth_password"] == "***"
    assert "body_base64" in lines[2] and "body_base64" in lines[3]
    assert lines[4]["properties"]["headers"] == {"x-auth-token": "***", "plain": "kept"}
    binary = [base64.b64decode(line.get("body_base64", "")) for line in lines]
    assert not [secret for body in binary for secret in SECRETS if secret.encode() in body]


FORMS = [
    "Command: iscsiadm -m node --op update -n node.session.auth.password -v {} failed",
    "('iscsiadm', '-n', 'node.session.auth.password', '-v', '{}')",
    "connection_info {{'data': {{'auth_password': '{}', 'target_lun': 1}}}}",
    "{{u'auth_password': u'{}'}}",
    "mount -o username=u,password={},domain=d",
    "could not open rbd:volumes/v:id=cinder:key={}:conf=c",
    "[client.cinder]\n\tkey = {}AAAAAAAAAAAAAAAA==\n",
    "curl -H 'X-Auth-Token: {}' http://127.0.0.1/",
    "Authorization: Bearer {}",
    "rabbit://openstack:{}@127.0.0.1:5672/",
    "<auth><password>{}</password></auth>",
    "the CHAP secret was '{}'",
    "qemu-img --object secret,id=sec0,data={}",
    "auth_password%3D{}%26x%3D1",
    "chap_password:\n  - {}\n",
]


def test_keeps_no_secret_in_any_form(worker, raw, tmp_path):
    """In a body that is text, in damaged JSON, and in a failure within an envelope; then once more without its name."""
    secrets = []

    def secret() -> str:
        secrets.append(f"Sx{len(secrets):04}qZ")
        return secrets[-1]

    def failure(text: str) -> str:
        told = {"class": "VolumeRebaseFailed", "module": "nova.exception", "message": text, "tb": [], "args": [text]}
        told["kwargs"] = {"reason": text}
        ids = {"_msg_id": uuid.uuid4().hex, "_unique_id": uuid.uuid4().hex}
        inner = ids | {"result": None, "failure": json.dumps(told), "ending": True}
        return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)})

    with Capture(worker, tmp_path / "c.jsonl") as capture:
        for form in FORMS:
            raw.publish(form.format(secret()))
            raw.publish(json.dumps({"oslo.message": json.dumps({"reason": form.format(secret())})})[:-1])
            raw.publish(failure(form.format(secret())), headers={"reason": form.format(secret())})
        named = {"new_connection_info": {"data": {"auth_password": secret()}}}
        raw.publish(json.dumps({"method": "swap_volume", "args": {"info": json.dumps(json.dumps(named))}}))
        raw.publish(failure(f"iscsid said: {secrets[-1]} is too short"))
        raw.publish(f"damaged: {secrets[-1]}")
        capture.wait_for(lambda lines: len(lines) == 3 * len(FORMS) + 3)
        assert capture.stop() == 0
    kept = capture.path.read_text() + "".join(
        base64.b64decode(line.get("body_base64", "")).decode(errors="replace") for line in capture.lines()
    )
    assert not [form for form in secrets if form in kept]
    assert "is too short" in kept and "target_lun" in kept


def test_keeps_secrets_when_told_to(worker, raw, tmp_path):
    with Capture(worker, tmp_path / "c.jsonl", "--no-redact", "--limit", "1") as capture:
        raw.send(raw.message("no_such_method", {"auth_password": SECRETS[0]}))
        assert capture.child.wait(20) == 0
    assert SECRETS[0] in capture.path.read_text()
    shown = captures.pivotd("decode", capture.path).stdout
    assert "no_such_method" in shown and SECRETS[0] not in shown


def test_ends_when_nothing_comes(worker, rpc, tmp_path):
    with Capture(worker, tmp_path / "c.jsonl", "--idle-timeout", "1") as capture:
        rpc.call("oslo_rpc_server_ping")
        assert capture.child.wait(20) == 0
    assert len(capture.lines()) == 1


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_killed(lab, worker, rpc, tmp_path, name):
    """Each message can be read as soon as it is acknowledged; of a compressed file the end is missing then, decode says so."""
    with Capture(worker, tmp_path / name) as capture:
        for _ in range(5):
            rpc.call("oslo_rpc_server_ping")
        until(lambda: not waiting(lab), 20, "messages wait for the recording")
        assert len(capture.lines()) == 5
        capture.stop(signal.SIGKILL)
    assert {inner["method"] for inner in captures.requests(capture.lines())} == {"oslo_rpc_server_ping"}
    decoded = captures.pivotd("decode", capture.path)
    assert decoded.stdout.count("oslo_rpc_server_ping") == 5
    assert decoded.returncode == (1 if name.endswith("gz") else 0)
    assert ("truncated" in decoded.stderr) == name.endswith("gz")


def test_an_older_file_is_replaced_only_when_there_is_something_to_tap(worker, tmp_path):
    file = tmp_path / "c.jsonl"
    file.write_text("older\n")
    words = ["capture", "--transport-url", worker.transport_url, "--out", file, "--idle-timeout", "0.5"]
    assert captures.pivotd(*words, "--queue", "no.such.queue").returncode == 1
    assert file.read_text() == "older\n"
    assert captures.pivotd(*words, "--queue", f"{worker.topic}.{worker.host}").returncode == 0
    assert file.read_text() == ""


def waiting(lab) -> int:
    """Messages that queues named by the broker hold, acknowledged ones excepted."""
    rows = lab.rabbit.control("list_queues", "-p", "lab", "name", "messages", "--no-table-headers").splitlines()
    return sum(int(row.split("\t")[1]) for row in rows if row.startswith("amq.gen"))


def test_records_the_answers_too(lab, worker, rpc, guest, tmp_path):
    new = lab.volumes.file()
    with Capture(worker, tmp_path / "c.jsonl", "--replies") as capture:
        rpc.call("swap_volume", **swap_arguments(guest, new, options={"strategy": "copy"}))
        lines = capture.wait_for(lambda lines: captures.finals(lines))
    (reply,) = captures.finals(lines)
    assert reply["_msg_id"] == captures.requests(lines)[0]["_msg_id"]
    assert reply["result"]["strategy"] == "copy"
    assert_moved(guest, new)


def test_the_answers_do_not_count_towards_the_limit(worker, rpc, tmp_path):
    with Capture(worker, tmp_path / "c.jsonl", "--replies", "--limit", "2") as capture:
        for _ in range(3):
            rpc.call("oslo_rpc_server_ping")
        assert capture.child.wait(20) == 0
    lines = capture.lines()
    assert len(captures.requests(lines)) == 2
    assert {reply["_msg_id"] for reply in captures.finals(lines)} == {inner["_msg_id"] for inner in captures.requests(lines)}


def test_tells_what_it_misses(lab, worker, rpc, tmp_path):
    """While its connection is lost, when it is there again, and at the end if the broker is still away."""
    with Capture(worker, tmp_path / "c.jsonl") as capture:
        rpc.call("oslo_rpc_server_ping")
        capture.wait_for(lambda lines: len(lines) == 1)
        lab.rabbit.kill()
        until(lambda: "connection to the broker was lost" in capture.said(), 20, capture.said)
        lab.rabbit.start()
        until(lambda: "recording again" in capture.said(), 60, capture.said)
        worker.wait_ready()
        rpc.call("oslo_rpc_server_ping")
        capture.wait_for(lambda lines: len(lines) == 2)
        lab.rabbit.kill()
        try:
            until(lambda: capture.said().count("was lost") == 2, 20, capture.said)
            assert capture.stop() == 3
        finally:
            lab.rabbit.start()
        assert "2 messages" in capture.said() and "the broker was away at the end" in capture.said()


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz"])
def test_a_full_disk(worker, rpc, tmp_path, name):
    (tmp_path / name).symlink_to("/dev/full")
    with Capture(worker, tmp_path / name) as capture:
        rpc.call("oslo_rpc_server_ping")
        rpc.call("oslo_rpc_server_ping")
        assert capture.stop() == 1
    last = capture.said().splitlines()[-1]
    assert last == f"{capture.path}: No space left on device; 0 messages are in it"


def test_answers_without_tracing(lab, worker, rpc, tmp_path):
    lab.rabbit.control("trace_off", "-p", "lab")
    try:
        with Capture(worker, tmp_path / "c.jsonl", "--replies") as capture:
            rpc.call("oslo_rpc_server_ping")
            capture.wait_for(lambda lines: len(lines) == 1)
            assert capture.stop() == 0
    finally:
        lab.rabbit.control("trace_on", "-p", "lab")
    assert "is tracing on (rabbitmqctl trace_on -p VHOST)?" in capture.said()


def test_nothing_to_tap(worker, tmp_path):
    for words in (["--queue", "no.such.queue"], ["--exchange", "no_such_exchange", "--routing-key", "x"]):
        done = captures.pivotd("capture", "--transport-url", worker.transport_url, "--out", tmp_path / "c.jsonl", *words)
        assert done.returncode == 1 and words[1] in done.stderr, done.stderr


def test_usage(worker):
    for words in ([], ["--queue", "a", "--routing-key", "b"], ["--queue", "a", "--limit", "0"]):
        assert captures.pivotd("capture", *words).returncode == 2
