"""The Debian package, installed on the machine that this runs on: `deploy/test --package` makes one for it.

$PIVOTD_PACKAGES has the packages of two revisions. No systemd runs there, so the worker is started and restarted here.
"""

import os
import subprocess
from pathlib import Path

import pytest
from expectations import assert_moved, swap_arguments
from lab.clients import Rpc
from steering import FAST, SLOW, swaps_of, wait_for_copy

pytestmark = pytest.mark.package


def apt(*arguments) -> None:
    argv = ["apt-get", "-y", "-qq", "--no-install-recommends", *map(str, arguments)]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


def package(revision: int) -> Path:
    return next(Path(os.environ["PIVOTD_PACKAGES"]).glob(f"pivotd_*-{revision}_*.deb"))


def installed() -> str:
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", "pivotd"], check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="session", autouse=True)
def first_revision():
    """The first revision is installed before the lab looks for its binary; nothing of it is left at the end."""
    apt("install", package(1))
    os.environ["PIVOTD"] = "/usr/bin/pivotd"
    yield
    apt("purge", "pivotd")
    assert not Path("/usr/bin/pivotd").exists() and not Path("/etc/pivotd").exists() and not Path("/var/lib/pivotd").exists()


def test_an_upgrade_over_a_running_swap(lab, pool):
    """The copy goes on in QEMU while the worker is restarted, as systemd does after an upgrade, and the swap ends once."""
    assert installed().endswith("-1")
    configuration = Path("/etc/pivotd/pivotd.yaml")
    configuration.write_text(configuration.read_text() + "log_level: debug\n")
    guest, new = pool.one(), lab.volumes.file()
    worker = lab.daemon("packaged", state=Path("/var/lib/pivotd")).start()
    rpc = Rpc(worker.transport_url, worker.topic)
    try:
        call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
        task = wait_for_copy(rpc, guest)
        apt("install", package(2))
        assert installed().endswith("-2")
        assert worker.running() and guest.job() and not call.done(), "the upgrade itself disturbs nothing"
        assert configuration.read_text().endswith("log_level: debug\n"), "the operator's configuration stays"
        assert worker.terminate() == 0

        worker.start()
        assert Path(f"/proc/{worker.process.pid}/exe").resolve() == Path("/usr/bin/pivotd"), "the new binary runs"
        rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
        assert call.result()["task_id"] == task
        assert [(swap["task_id"], swap["state"]) for swap in swaps_of(rpc, guest)] == [(task, "completed")]
        assert_moved(guest, new)
    finally:
        rpc.close()
        worker.stop()
