"""`pivotd doctor` fails where `pivotd run` would fail or wait, says why, and leaves everything as it was."""

import fcntl
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import features
import pytest
from lab.clients import Raw
from lab.daemon import Pivotd
from lab.processes import free_port, until
from lab.rabbit import BROKER_PASSWORD
from service.bench import dry_worker

CONNECTOR = Path(__file__).parents[3] / "deploy" / "connector" / "pivotd-os-brick"
NOBODY = 12345


class Report:
    """What doctor found: {name: [(status, detail and remedy)]}."""

    def __init__(self, daemon: Pivotd, *words):
        where = ["--libvirt-uri", daemon.libvirt_uri, "--state-dir", daemon.state]
        if "--http-address" not in words:
            where += ["--http-address", f"127.0.0.1:{daemon.http}"]
        self.where = [*where, *words]
        self.code, output, self.errors = daemon.command("doctor", "--json", *self.where)
        self.text = output
        told = json.loads(output)
        self.features: dict | None = told["features"]
        self.checks: dict[str, list[tuple[str, str]]] = {}
        for check in told["checks"]:
            assert set(check) == {"name", "status", "detail", "remedy"}
            assert (check["status"] == "ok") == (check["remedy"] is None), check
            self.checks.setdefault(check["name"], []).append((check["status"], f"{check['detail']} — {check['remedy']}"))
        assert told["healthy"] == (self.code == 0) == (not self.of("fail")), self.text
        assert BROKER_PASSWORD not in output + self.errors

    def of(self, status: str) -> list[str]:
        """The names of the checks with this status."""
        return [name for name, found in self.checks.items() if any(each[0] == status for each in found)]

    def failure(self, name: str) -> str:
        """The text of this check, which must have failed."""
        texts = [text for status, text in self.checks.get(name, []) if status == "fail"]
        assert texts and self.code == 1, self.text
        return "\n".join(texts)


@pytest.fixture
def idle(lab):
    """A worker that does not run, with names of its own at the broker, so that nothing of it is there: idle({settings}, ...)."""

    def make(config: dict | None = None, **options) -> Pivotd:
        name = f"idle{len(lab.daemons)}"
        made = lab.daemon(name, libvirt_uri="dry-run:", config={"exchange": f"{name}-exchange", **(config or {})}, **options)
        made.state.chmod(0o700)
        return made

    return make


@pytest.fixture
def on_libvirt(lab, pool):
    """A worker that does not run, on a libvirt without any domain."""
    for guest in list(pool.guests):
        pool.retire(guest)
    assert not lab.libvirt.virsh("list", "--all", "--name").split()
    made = lab.daemon(f"idle{len(lab.daemons)}", config={"notifications": False})
    made.state.chmod(0o700)
    return made


def at_the_broker(lab) -> str:
    """Its exchanges, queues, bindings and how many messages wait."""
    listings = [("list_exchanges", "name", "type"), ("list_queues", "name", "messages"), ("list_bindings",)]
    return "\n".join(lab.rabbit.control(command, "-p", "lab", *columns) for command, *columns in listings)


def written(state: Path) -> dict[str, int]:
    """When each file of a state directory was last written."""
    return {file.name: file.stat().st_mtime_ns for file in state.iterdir()}


def assert_run_fails(daemon: Pivotd, reason: str) -> None:
    """`pivotd run` ends, for the same reason."""
    daemon.start(ready=False)
    until(lambda: not daemon.running(), 30, "it runs")
    assert daemon.process.child.returncode == 1 and reason in daemon.log(), daemon.log()[-500:]


def test_a_host_on_which_nothing_has_run_yet(lab, idle):
    """All is well, and nothing is made."""
    daemon = idle()
    before = at_the_broker(lab)
    report = Report(daemon)
    assert report.code == 0 and not report.of("warn"), report.text
    assert at_the_broker(lab) == before
    assert os.listdir(daemon.state) == []
    names = {name for name in report.checks if name.startswith(("queue ", "exchange "))}
    topic = daemon.topic
    assert {f"queue {topic}", f"queue {topic}.{daemon.host}", f"queue {topic}_fanout_*", f"exchange {topic}_fanout"} < names
    daemon.start().stop()
    before = written(daemon.state)
    sound = Report(daemon)
    assert sound.code == 0 and "sound" in str(sound.checks["journal"]), sound.text
    assert written(daemon.state) == before


def table(daemon: Pivotd, report: Report) -> list[str]:
    """The lines of the table under the checks, which fits a terminal."""
    code, said, _ = daemon.command("doctor", *report.where)
    checks, _, features_table = said.partition("\n\n")
    assert code == report.code and all(line[:5] in ("ok   ", "warn ", "FAIL ") for line in checks.splitlines()), said
    assert all(len(line) <= 80 for line in features_table.splitlines()), features_table
    return features_table.splitlines()


def test_what_libvirt_and_qemu_can_do(lab, on_libvirt):
    """By their versions while there is no domain to ask; by asking a guest, to which nothing is done."""
    report = Report(on_libvirt)
    assert report.code == 0 and report.features == features.of_the_host(lab.libvirt, "version")
    header, *rows, note = table(on_libvirt, report)
    assert header.split() == ["FEATURE", "HERE", "BY", "WITHOUT", "IT"] and len(rows) == len(report.features)
    assert "no running domain to ask" in note
    guest = lab.guest({"vdb": lab.volumes.file()}, start=False)
    assert Report(on_libvirt).features == features.of_the_host(lab.libvirt, "asked")
    lab.libvirt.virsh("start", guest.uuid, timeout=120)
    before = guest.libvirt.virsh("dumpxml", "--inactive", guest.uuid)
    report = Report(on_libvirt)
    assert report.code == 0 and report.features == features.with_a_guest(guest)
    *rows, note = table(on_libvirt, report)
    assert any(re.fullmatch(r"KEEP_TPM +yes +asking +no rebase of a domain with a vTPM", row) for row in rows), rows
    assert f"domain {guest.name};" in note
    assert guest.running() and guest.libvirt.virsh("dumpxml", "--inactive", guest.uuid) == before
    report = Report(on_libvirt, "--allow-monitor-commands", "false")
    assert report.code == 0 and report.of("warn") == ["qemu"]
    assert report.features["blockdev_reopen"] == features.answer(False, "configuration")
    assert table(on_libvirt, report)[-1] == "QEMU: not asked, allow_monitor_commands is false"
    lab.remove(guest)


def test_no_table_without_a_hypervisor_to_ask(lab, idle):
    """A simulated one, and one that does not answer."""
    report = Report(idle())
    assert report.features is None and table(idle(), report) == []
    gone = Report(lab.daemon(f"idle{len(lab.daemons)}", libvirt_uri="qemu+unix:///system?socket=/nonexistent"))
    assert gone.features is None and "/nonexistent" in gone.failure("libvirt")


def test_quorum_queues_and_streams(lab, idle):
    """Asked as others are."""
    quorum = {"rabbit_quorum_queue": True, "rabbit_transient_quorum_queue": True, "rabbit_stream_fanout": True}
    daemon = idle({"amqp_durable_queues": True, "notifications": False, **quorum})
    before = at_the_broker(lab)
    report = Report(daemon)
    assert report.code == 0, report.text
    assert at_the_broker(lab) == before
    daemon.start()
    report = Report(daemon)
    assert report.code == 0, report.text
    assert "as configured" in str(report.checks[f"queue {daemon.topic}_fanout"])
    daemon.stop()


def test_a_worker_that_runs(lab):
    with dry_worker(lab) as worker:
        raw = Raw(lab.rabbit.url, worker.topic)
        report = Report(worker)
        assert report.code == 0, report.text
        assert f"process {worker.process.pid}" in str(report.checks["journal"])
        assert "is ready" in str(report.checks["worker"])
        silent = Report(worker, "--http-address", "")
        assert silent.code == 0 and silent.of("warn") == ["worker"]
        elsewhere = Report(worker, "--http-address", f"127.0.0.1:{free_port()}")
        assert "nobody listens" in elsewhere.failure("journal")
        assert worker.metrics().get('pivotd_messages_total{kind="received"}', 0) == 0, "it was sent a message"
        raw.close()
    with dry_worker(lab, {"transport_url": "rabbit://nobody:x@127.0.0.1:1/"}, start=False) as worker:
        worker.start(ready=False)
        until(lambda: "connection refused" in worker.get("/readyz")[1], 60, "no reason")
        reason = worker.get("/readyz")[1].splitlines()[0]
        assert reason in Report(worker).failure("worker")


def test_two_workers_with_one_host(lab):
    """Each gets requests for the other: a warning on both hosts, and where the second one is yet to start."""
    with dry_worker(lab) as worker:
        own = f"queue {worker.topic}.{worker.host}"
        twin = lab.daemon(f"dry{len(lab.daemons)}", libvirt_uri="dry-run:", topic=worker.topic)
        twin.state.chmod(0o700)
        report = Report(twin)
        assert report.code == 0 and report.of("warn") == [own], report.text
        assert "is consumed, although no worker has this state_dir open" in str(report.checks[own])
        twin.start()
        for each in (worker, twin):
            report = Report(each)
            assert report.code == 0 and report.of("warn") == [own], report.text
            assert "has 2 consumers" in str(report.checks[own])
        twin.stop()
        until(lambda: not Report(worker).of("warn"), 10, lambda: Report(worker).text)


def test_an_address_that_cannot_be_listened_on(lab, idle):
    daemon = idle()
    with socket.create_server(("127.0.0.1", daemon.http)):
        assert "in use by another process" in Report(daemon).failure("http_address")
    assert "no network interface" in Report(daemon, "--http-address", "192.0.2.1:9178").failure("http_address")
    assert Report(daemon).code == 0


def test_a_journal_that_another_process_holds(lab, idle):
    daemon = idle()
    (daemon.state / "journal.lock").write_text("4711\n")
    with open(daemon.state / "journal.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = Report(daemon).failure("journal")
        assert "4711" in told and f":{daemon.http}" in told
        with socket.create_server(("127.0.0.1", daemon.http)):
            assert "no answer" in Report(daemon).failure("journal"), "it is no worker that listens"
        assert_run_fails(daemon, "in use by process 4711")
    assert Report(daemon).code == 0


def foreign(state: Path) -> str:
    """A database of somebody else's."""
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE other (id)').connection.commit()"
    subprocess.run([sys.executable, "-c", code, state / "journal.sqlite"], check=True)
    return "database of another program"


def not_a_database(state: Path) -> str:
    (state / "journal.sqlite").write_text("hello\n" * 1000)
    return "is not a journal"


def orphaned_log(state: Path) -> str:
    (state / "journal.sqlite").touch()
    (state / "journal.sqlite-wal").write_text("what was accepted")
    return "is empty, but"


def link(state: Path) -> str:
    (state / "journal.sqlite").symlink_to("/dev/null")
    return "journal.sqlite"


@pytest.mark.parametrize("breaking", [foreign, not_a_database, orphaned_log, link])
def test_a_journal_that_cannot_be_used(idle, breaking):
    daemon = idle()
    reason = breaking(daemon.state)
    before = written(daemon.state)
    assert reason in Report(daemon).failure("journal")
    assert written(daemon.state) == before
    assert_run_fails(daemon, reason)


def somebody_elses(state: Path) -> str:
    os.chown(state, NOBODY, -1)
    return f"belongs to user {NOBODY}"


def shared(state: Path) -> str:
    state.chmod(0o755)
    (state / "other").touch()
    return "holds more than a journal"


def a_file(state: Path) -> str:
    state.rmdir()
    state.touch()
    return "is not a directory"


@pytest.mark.parametrize("breaking", [somebody_elses, shared, a_file])
def test_a_state_directory_that_is_refused(idle, breaking):
    daemon = idle()
    reason = breaking(daemon.state)
    mode = daemon.state.stat().st_mode
    assert reason in Report(daemon).failure("state_dir")
    assert daemon.state.stat().st_mode == mode
    assert_run_fails(daemon, reason)


def test_a_disk_that_a_start_would_wait_for(lab, idle):
    """Full, with and without a worker that waits already; read-only."""
    directory, _ = lab.volumes.small_filesystem(8 << 20)
    daemon = idle(state=directory)
    (directory / "lost+found").rmdir()
    subprocess.run(["dd", "if=/dev/zero", f"of={directory}/ballast", "bs=4k"], capture_output=True)
    directory.chmod(0o700)
    assert "is full" in Report(daemon).failure("state_dir")
    daemon.start(ready=False)
    until(lambda: "start: " in daemon.get("/readyz")[1], 30, lambda: f"{daemon.get('/readyz')} {daemon.log()}")
    report = Report(daemon)
    assert "is full" in report.failure("state_dir") and "start: " in report.failure("worker")
    assert daemon.terminate() == 0
    os.truncate(directory / "ballast", (directory / "ballast").stat().st_size - (300 << 10))
    assert Report(daemon).of("warn") == ["state_dir"], "it is not much, but a start needs no more"
    daemon.start().stop()
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    assert "ead-only" in Report(daemon).failure("state_dir")
    lab.libvirt.unmount(directory)


PERMISSIONS = [
    ("exchange {topic}_fanout", {"configure": "^(?!{topic}_fanout$)"}, "configure permission for {topic}_fanout"),
    ("exchange {exchange}", {"configure": "^(?!{exchange}$)"}, "configure permission for {exchange}"),
    ("queue {topic}", {"configure": "^(?!{topic}$)"}, "configure permission for {topic}"),
    ("queue {topic}_fanout_*", {"configure": "^(?!{topic}_fanout_)"}, "configure permission for {topic}_fanout_"),
    ("queue {topic}", {"write": "^(?!{topic}$)"}, "write for {topic} and read for {exchange}"),
    ("queue {topic}", {"read": "^(?!{exchange}$)"}, "write for {topic} and read for {exchange}"),
    ("queue {topic}", {"read": "^(?!{topic}$)"}, "read permission for {topic}"),
    ("replies", {"write": "^(?!amq\\.default$)"}, "write permission for amq.default"),
]


@pytest.mark.parametrize(("name", "permissions", "missing"), PERMISSIONS)
def test_a_permission_that_is_missing(lab, idle, name, permissions, missing):
    """Before anything is there, and when everything is."""
    daemon = idle({"notifications": False})

    def named(pattern: str) -> str:
        return pattern.replace("{topic}", daemon.topic).replace("{exchange}", f"{daemon.name}-exchange")

    with lab.rabbit.user("poor", **{kind: named(pattern) for kind, pattern in permissions.items()}) as url:
        words = ["--transport-url", url]
        assert named(missing) in Report(daemon, *words).failure(named(name))
        assert daemon.topic not in lab.rabbit.control("list_queues", "-p", "lab", "name").split()
        daemon.start()
        report = Report(daemon, *words)
        assert named(missing) in report.failure(named(name)) and "worker" not in report.of("fail")
        daemon.stop()


def test_notifications_that_are_refused(lab, idle):
    """A worker goes on without them."""
    daemon = idle({"notification_topic": "refused"})
    with lab.rabbit.user("poor", configure="^(?!refused)", write="^(?!refused|idle.*-exchange$)") as url:
        report = Report(daemon, "--transport-url", url)
    assert report.code == 0 and set(report.of("warn")) == {"notifications", "queue refused.info", "queue refused.error"}
    assert "refused.info cannot be published" in str(report.checks["notifications"])
    with lab.rabbit.user("poor") as url:
        lab.rabbit.control("set_topic_permissions", "-p", "lab", "poor", f"{daemon.name}-exchange", "^(?!refused.info)", ".*")
        daemon.start()
        report = Report(daemon, "--transport-url", url)
        daemon.stop()
    assert report.of("warn") == ["notifications"] and "refused.info cannot be" in str(report.checks["notifications"])


def test_a_queue_that_is_declared_otherwise(lab, idle):
    daemon = idle()
    daemon.start().stop()
    report = Report(daemon, "--amqp-durable-queues", "true", "--notification-topic", "never")
    assert "amqp_durable_queues" in report.failure(f"queue {daemon.topic}")
    assert {"queue never.info", "queue never.error"} <= set(report.of("warn")), "run would make none beside what is refused"
    shared = f"exchange {daemon.name}-exchange"
    assert f"does not create it while {shared} has other settings" in str(report.checks["queue never.info"])
    assert f"does not create it while {shared} is refused" in str(report.checks[f"queue {daemon.topic}_fanout_*"])


def test_a_notification_queue_that_is_declared_otherwise(lab, idle):
    """It keeps the other notification queue from being made, but nothing of the worker's own."""
    daemon = idle({"notification_topic": "kept"})
    raw = Raw(lab.rabbit.url, "unused")
    raw.channel.queue_declare("kept.info", durable=True, auto_delete=False)
    report = Report(daemon)
    assert report.code == 0 and set(report.of("warn")) == {"queue kept.info", "queue kept.error"}, report.text
    assert "does not create it while queue kept.info has other settings" in str(report.checks["queue kept.error"])
    assert "pivotd run may create it" in str(report.checks[f"queue {daemon.topic}"])
    daemon.start()
    names = lab.rabbit.control("list_queues", "-p", "lab", "name").split()
    assert daemon.topic in names and "kept.error" not in names
    raw.channel.queue_delete("kept.info")
    raw.close()
    daemon.stop()


def test_hosts_of_which_some_cannot_be_used(lab, idle):
    """Each by itself, at the same time."""
    daemon = idle({"notifications": False})
    good = re.search(r"//(.*)/lab", lab.rabbit.url)[1]
    dead = f"nobody:s3cret-one@127.0.0.1:{free_port()}"
    wrong = f"pivot:s3cret-two@localhost:{lab.rabbit.port}"

    def ask(*hosts: str) -> Report:
        report = Report(daemon, "--transport-url", f"rabbit://{','.join(hosts)}/lab")
        assert "s3cret" not in report.text + report.errors
        return report

    def name(host: str) -> str:
        return "broker " + host.split("@")[1]

    report = ask(dead, good)
    assert report.code == 0 and report.of("warn") == [name(dead)] and f"queue {daemon.topic}" in report.checks
    assert "refused" in str(report.checks[name(dead)]) and report.checks[name(good)][0][0] == "ok"
    report = ask(good, wrong, dead)
    assert "authentication failed" in report.failure(name(wrong)) and report.of("fail") == [name(wrong)]
    with socket.create_server(("127.0.0.2", 0)) as mute:
        silent = [f"nobody:x@127.0.0.2:{mute.getsockname()[1]}", f"nobody:x@127.0.0.3:{free_port()}"]
        report = ask(*silent)
    assert "no answer within 5 s" in report.failure(name(silent[0])) and "refused" in report.failure(name(silent[1]))


def test_a_broker_that_takes_no_publishes(lab, idle):
    daemon = idle({"notifications": False})
    lab.rabbit.control("set_vm_memory_high_watermark", "0.0001")
    try:
        until(lambda: "blocks publishers" in Report(daemon).text, 60, lambda: Report(daemon).text)
        report = Report(daemon)
        assert "low on memory" in report.failure("replies") and report.of("fail") == ["replies"]
        assert report.checks[f"queue {daemon.topic}"][0][0] == "ok"
    finally:
        lab.rabbit.control("set_vm_memory_high_watermark", "absolute", "2GB")
    until(lambda: Report(daemon).code == 0, 60, lambda: Report(daemon).text)


def installed(lab, interpreter: str) -> Path:
    """The shipped helper under this interpreter."""
    helper = lab.workspace.path(f"pivotd-os-brick-{len(interpreter)}")
    lines = CONNECTOR.read_text().split("\n", 1)[1]
    helper.write_text(f"#!{interpreter}\n{lines}")
    helper.chmod(0o755)
    return helper


def test_the_connector_helper(lab, idle):
    """With os-brick, and without; one that does not know the question is not asked."""
    daemon = idle({"notifications": False})
    report = Report(daemon, "--connector-helper", installed(lab, sys.executable))
    assert report.code == 0, report.text
    bare = lab.workspace.directory("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    told = Report(daemon, "--connector-helper", installed(lab, f"{bare}/bin/python3")).failure("connector_helper")
    assert "os_brick" in told and "deploy/connector/README.md" in told
    calls, other = lab.workspace.path("other.calls"), lab.workspace.path("other-helper")
    other.write_text(f"#!/bin/sh\ncat >> {calls}\n")
    other.chmod(0o755)
    assert Report(daemon, "--connector-helper", other).code == 0 and not calls.exists()
    other.chmod(0o777)
    other.write_text(f"#!/bin/sh\n# pivotd-connector: check\ncat >> {calls}\n")
    assert Report(daemon, "--connector-helper", other).of("warn") == ["connector_helper"]
    assert not calls.exists(), "anybody may have written it"


def test_files_of_the_connection_to_the_broker(lab, idle):
    daemon = idle({"notifications": False})
    url = lab.workspace.path("transport-url")
    url.write_text(lab.rabbit.url)
    url.chmod(0o644)
    config = daemon.config.read_text()
    daemon.config.write_text(re.sub("^transport_url: .*\n", f"transport_url_file: {url}\n", config))
    daemon.config.chmod(0o644)
    report = Report(daemon)
    assert report.code == 0 and report.of("warn") == ["transport_url_file"], report.text
    assert "readable by everybody" in str(report.checks["transport_url_file"])
    daemon.config.write_text(config)
    assert Report(daemon).of("warn") == ["configuration"], "the password is in it"
    daemon.config.chmod(0o600)
    key, missing = lab.workspace.path("key.pem"), lab.workspace.path("missing.pem")
    key.touch(0o644)
    report = Report(daemon, "--ssl", "true", "--ssl-key-file", key, "--ssl-cert-file", key, "--ssl-ca-file", missing)
    assert "does not exist" in report.failure("ssl_ca_file")
    assert "readable by everybody" in str(report.checks["ssl_key_file"]) and report.checks["ssl_cert_file"][0][0] == "ok"
