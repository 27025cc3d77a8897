"""pivotd's client commands, as an operator's shell sees them."""

import json
import os
import re
import signal
import subprocess
import time
import uuid
from pathlib import Path

import captures
import pytest
from bus.dry import SETTINGS, dry_swap
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.daemon import binary, clean_environment, run_client
from lab.processes import until
from nova import exception
from steering import SLOW, swaps_of, wait_for_copy, wait_for_state

SUCCESS, FAILURE, USAGE, NO_ANSWER, INTERRUPTED, READER_GONE = 0, 1, 2, 3, 130, 141


def swap_words(guest, new) -> list[str]:
    """The arguments of `pivotd swap`, with the new connection_info from a file."""
    info = guest.directory / "new.json"
    info.write_text(json.dumps(new.info))
    return [
        "--instance", guest.uuid, "--disk", "vdb", "--old", json.dumps(guest.disks["vdb"].info), "--new", f"@{info}",
    ]  # fmt: skip


def dry_words(arguments: dict) -> list[str]:
    """The arguments of `pivotd swap` for a swap on `dry-run:`."""
    words = ["--instance", arguments["instance"], "--disk", "vdb"]
    for name in ("old", "new"):
        words += [f"--{name}", json.dumps(arguments[f"{name}_connection_info"])]
    return words


def client(argv: list[str]) -> subprocess.Popen:
    """A command at work."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(argv, **pipes, text=True, env=clean_environment())


def test_swap(lab, worker, guest):
    new = lab.volumes.file()
    code, output, errors = worker.command("swap", *swap_words(guest, new), "--option", "strategy=copy")
    assert code == SUCCESS, errors
    assert json.loads(output)["strategy"] == "copy"
    assert_moved(guest, new)


def test_an_instance_by_libvirts_name(lab, worker, guest):
    words = swap_words(guest, lab.volumes.file())
    words[words.index(guest.uuid)] = guest.name
    code, output, errors = worker.command("swap", *words, "--check")
    assert code == SUCCESS and json.loads(output)["acceptable"], output + errors


def test_flags_for_a_swap(lab, worker, rpc, guest):
    """Real ones for its options; the worker's settings are not among them, for they would do nothing."""
    for ignored in ("--bandwidth-mib-s", "--stall-timeout-s", "--libvirt-uri", "--state-dir", "--max-concurrent-swaps"):
        code, _, errors = worker.command("swap", *swap_words(guest, guest.disks["vdb"]), ignored, "5")
        assert code == USAGE and ignored in errors, errors
    new = lab.volumes.file()
    words = [*swap_words(guest, new), "--strategy", "copy", "--bandwidth", "100", "--synchronous-writes", "--stall-timeout", "60"]
    code, _, errors = worker.command("swap", *words, "--option", "strategy=copy")
    assert code == USAGE and "strategy is given twice" in errors
    code, output, errors = worker.command("swap", *words)
    assert code == SUCCESS, errors
    assert json.loads(output)["strategy"] == "copy"
    assert_moved(guest, new)


def test_secrets_in_the_result(lab, worker, guest):
    """Masked unless asked for: the output ends up in logs."""
    for flags, shown in ([], False), (["--show-secrets"], True):
        new = lab.volumes.file()
        new.info["data"] |= {"auth_username": "u", "auth_password": "cl1-s3cret"}
        code, output, errors = worker.command("swap", *swap_words(guest, new), *flags)
        assert code == SUCCESS, errors
        assert ("cl1-s3cret" in output) == shown
        assert json.loads(output)["connection_info"]["data"]["auth_password"] == ("cl1-s3cret" if shown else "***")
        assert_moved(guest, new)


def test_a_request_that_nobody_waits_for_is_not_carried_out(lab, second_worker):
    """The worker is away; when it is back, what was answered "no answer" has expired."""
    settings = {"amqp_durable_queues": True, "exchange": "expiring", "allowed_paths": ["/dev/disk/by-id"]}
    worker, rpc = second_worker(settings, libvirt_uri="dry-run:")
    worker.terminate()
    words = dry_words(dry_swap())
    code, _, errors = worker.command("swap", *words, "--timeout", "2")
    assert code == NO_ANSWER, errors
    assert re.search(rf"pivotd status \S+ --config {worker.config} .*--host {worker.host}$", errors, re.M), errors
    assert worker.command("abort", str(uuid.uuid4()), "--timeout", "2")[0] == NO_ANSWER
    assert worker.command("swap", *words, "--timeout", "2", "--cast")[0] == SUCCESS
    time.sleep(2.5)
    worker.start()
    assert json.loads(worker.command("status", "--json")[1])["swaps"] == []
    assert worker.metrics()['pivotd_messages_total{kind="received"}'] == 1


def test_files_that_are_pipes(second_worker, tmp_path):
    """As a shell makes them of <(...) and of a pipeline."""
    worker, rpc = second_worker(SETTINGS, libvirt_uri="dry-run:")
    swap = dry_swap()
    contents = {
        "old": json.dumps(swap["old_connection_info"]),
        "new": json.dumps(swap["new_connection_info"]),
        "plan": json.dumps({"host": worker.host, **swap}),
        "url": worker.transport_url,
        "config": worker.config.read_text(),
    }
    pipes = {}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
        pipes[name] = f"<(cat {tmp_path / name})"
    bus = f"--config {pipes['config']} --transport-url-file {pipes['url']} --topic {worker.topic} --host {worker.host}"
    disk = f"--instance {swap['instance']} --disk vdb --old @{pipes['old']} --new @{pipes['new']}"
    pivotd = " ".join(binary())
    for line in (
        f"{pivotd} swap {disk} --check {bus}",
        f"{pivotd} move {pipes['plan']} {bus}",
        f"cat {tmp_path / 'plan'} | {pivotd} move /dev/stdin {bus}",
    ):
        done = run_client(["bash", "-c", line])
        assert done.returncode == SUCCESS, done.stdout + done.stderr
    assert [task["state"] for task in rpc.call("list_swaps")["swaps"]] == ["completed"]


def test_swap_that_fails(lab, worker, guest):
    new = lab.volumes.file(size=guest.disks["vdb"].size // 2)
    code, output, errors = worker.command("swap", *swap_words(guest, new))
    assert code == FAILURE and "InvalidVolume" in output + errors
    assert_stayed(guest, new)


def test_swap_without_waiting(lab, worker, rpc, guest):
    new, swaps = lab.volumes.file(), len(swaps_of(rpc, guest))
    assert worker.command("swap", *swap_words(guest, new), "--cast")[0] == SUCCESS
    wait_for_state(rpc, guest, "completed", after=swaps)
    assert_moved(guest, new)


def test_usage(worker, guest):
    for words in (["--disk", "vdb"], ["--instance", guest.uuid, "--disk", "vdb", "--old", "{", "--new", "{}"], ["--no-such"]):
        code, _, errors = worker.command("swap", *words)
        assert code == USAGE and errors, words


def test_output_that_cannot_be_written():
    """A full disk is an error; a reader that has ended is one without a word, as of any command before `| head`."""

    def run_into(output, *words) -> tuple[int, str]:
        argv = [*binary(), *map(str, words)]
        done = subprocess.run(argv, stdout=output, stderr=subprocess.PIPE, env=clean_environment(), text=True, timeout=60)
        return done.returncode, done.stderr

    file, domains = captures.FIXTURES / "swaps.jsonl", captures.FIXTURES / "swaps.domains.json"
    replay = ["replay", file, "--libvirt-uri", f"dry-run:?domains={domains}", "--speed", "max"]
    for words in (["decode", file], ["--help"], replay):
        with open("/dev/full", "wb") as full:
            code, errors = run_into(full, *words)
        assert code == FAILURE and "standard output: No space left on device" in errors, words
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert run_into(writer, "decode", file) == (READER_GONE, "")
    finally:
        os.close(writer)


def test_no_answer(lab, worker, guest):
    new = lab.volumes.file()
    words = [*swap_words(guest, new), "--timeout", "3"]
    nobody = lab.daemon("nobody")
    code, _, errors = nobody.command("swap", *words)
    assert code == NO_ANSWER and errors
    assert_stayed(guest, new)


def test_ctrl_c_while_the_confirm_is_late(lab, second_worker):
    """The broker has stopped reading: the request may be with it, and the command does not wait until it confirms."""
    worker, _ = second_worker(SETTINGS, libvirt_uri="dry-run:")
    task = str(uuid.uuid4())
    lab.rabbit.control("set_vm_memory_high_watermark", "0.000001")
    try:
        swap = client(worker.client_argv("swap", *dry_words(dry_swap()), "--request-token", task))

        def is_sent() -> bool:
            """The broker blocks a connection once it publishes."""
            connections = lab.rabbit.control("list_connections", "state", "client_properties", "--no-table-headers")
            return bool(re.search(r"^blocked\b.*pivotd command line", connections, re.M))

        until(is_sent, 60, lambda: lab.rabbit.control("list_connections", "state", "client_properties"))
        swap.send_signal(signal.SIGINT)
        _, errors = swap.communicate(timeout=60)
    finally:
        lab.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
    assert swap.returncode == INTERRUPTED, errors
    assert "has not confirmed" in errors and f"pivotd status {task} --watch --config {worker.config}" in errors, errors


@pytest.mark.parametrize("words, farewell", [(["swap", *dry_words(dry_swap())], "nothing was sent"), (["status", "--watch"], "")])
def test_ctrl_c_while_connecting(lab, words, farewell):
    """To a broker that does not answer; the signal is sent once the command catches it."""
    argv = lab.daemon("nobody-to-connect-to").client_argv(*words)
    lab.rabbit.freeze()
    try:
        command = client(argv)
        status = Path(f"/proc/{command.pid}/status")
        caught = 1 << signal.SIGINT - 1
        until(lambda: int(re.search(r"SigCgt:\s*(\S+)", status.read_text())[1], 16) & caught, 30, "SIGINT is not caught")
        command.send_signal(signal.SIGINT)
        _, errors = command.communicate(timeout=60)
    finally:
        lab.rabbit.thaw()
    assert (command.returncode, errors.strip()) == (INTERRUPTED, farewell)


def test_status_bandwidth_abort(lab, worker, rpc, guest):
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)

    code, output, errors = worker.command("status", task, "--json")
    assert code == SUCCESS, errors
    told = json.loads(output)
    assert task in json.dumps(told) and "copying" in json.dumps(told)
    assert task[:8] in worker.command("status")[1]
    assert worker.command("bandwidth", task, 2)[0] == SUCCESS
    assert worker.command("abort", task)[0] == SUCCESS
    assert isinstance(call.error(), exception.VolumeRebaseFailed)
    assert worker.command("abort", task)[0] == FAILURE, "it was over already"
    assert worker.command("status", str(uuid.uuid4()))[0] == FAILURE
    assert_stayed(guest, new)


def test_a_mistyped_key_is_an_error_with_a_suggestion(lab):
    config = lab.workspace.path("typo.yaml")
    config.write_text("transport_uri: rabbit://127.0.0.1/\n")
    argv = [*binary(), "run", "--config", config, "--state-dir", lab.workspace.path("typo")]
    done = run_client(argv)
    assert done.returncode not in (0, -6, -11)
    assert "transport_uri" in done.stderr and "transport_url" in done.stderr
