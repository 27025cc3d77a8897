"""pivotd's client commands, as an operator's shell sees them."""

import json
import os
import subprocess
import uuid

import captures
from expectations import assert_moved, assert_stayed, swap_arguments
from lab.daemon import binary, clean_environment, run_client
from nova import exception
from steering import SLOW, swaps_of, wait_for_copy, wait_for_state

SUCCESS, FAILURE, USAGE, NO_ANSWER, READER_GONE = 0, 1, 2, 3, 141


def swap_words(guest, new) -> list[str]:
    """The arguments of `pivotd swap`, with the new connection_info from a file."""
    info = guest.directory / "new.json"
    info.write_text(json.dumps(new.info))
    return [
        "--instance", guest.uuid, "--disk", "vdb", "--old", json.dumps(guest.disks["vdb"].info), "--new", f"@{info}",
    ]  # fmt: skip


def test_swap(lab, worker, guest):
    new = lab.volumes.file()
    code, output, errors = worker.command("swap", *swap_words(guest, new), "--option", "strategy=copy")
    assert code == SUCCESS, errors
    assert json.loads(output)["strategy"] == "copy"
    assert_moved(guest, new)


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


def test_status_bandwidth_abort(lab, worker, rpc, guest):
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)

    code, output, errors = worker.command("status", task, "--json")
    assert code == SUCCESS, errors
    told = json.loads(output)
    assert task in json.dumps(told) and "copying" in json.dumps(told)
    assert task in worker.command("status")[1]
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
