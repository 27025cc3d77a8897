"""pivotd as a service: health, metrics, stopping, and what it keeps to itself."""

import json
import os
import re
import stat
from pathlib import Path

from expectations import assert_moved, swap_arguments
from lab.processes import until
from lab.rabbit import BROKER_PASSWORD
from steering import FAST, SLOW, wait_for_copy


def test_health(worker):
    assert worker.get("/livez")[0] == 200
    assert worker.get("/readyz")[0] == 200
    assert worker.get("/no-such-page")[0] == 404
    assert "ready" in worker.log()


def test_metrics(lab, rpc, worker, guest):
    new = lab.volumes.file()
    rpc.call("swap_volume", **swap_arguments(guest, new))
    status, page = worker.get("/metrics")
    assert status == 200
    for line in page.splitlines():
        assert re.match(r'(# (HELP|TYPE) \S+ .+|[a-zA-Z_:][\w:]*({([a-zA-Z_]\w*="([^"\\]|\\.)*",?)*})? \S+)$|$', line), line
    for name in ("pivotd_ready_to_pivot_seconds", "pivotd_swap_overhead_seconds"):
        assert f"# TYPE {name} " in page, name
    assert_moved(guest, new)


def test_not_ready_without_libvirt(lab, second_worker):
    worker, rpc = second_worker()
    lab.libvirt.kill()
    try:
        until(lambda: worker.get("/readyz")[0] == 503, 20, "still ready without libvirt")
        assert worker.get("/livez")[0] == 200
    finally:
        lab.libvirt.start()
    until(lambda: worker.get("/readyz")[0] == 200, 30, "not ready again")


def test_a_terminated_worker_leaves_the_copy_to_qemu(lab, guest, second_worker):
    worker, rpc = second_worker()
    new = lab.volumes.file()
    call = rpc.later("swap_volume", **swap_arguments(guest, new, options=SLOW))
    task = wait_for_copy(rpc, guest)
    assert worker.terminate(60) == 0
    assert "not drained" not in worker.log()
    assert guest.job() and not call.done()

    worker.start()
    rpc.call("set_bandwidth", task_id=task, bandwidth_mib_s=FAST)
    assert call.result()["task_id"] == task
    assert_moved(guest, new)


def test_the_log_is_json_and_names_the_task(lab, rpc, worker, guest):
    new = lab.volumes.file()
    task = rpc.call("swap_volume", **swap_arguments(guest, new))["task_id"]
    lines = [json.loads(line) for line in worker.log().splitlines() if task in line]
    assert lines and any(line.get("instance") == guest.uuid and line.get("disk") == "vdb" for line in lines)
    assert_moved(guest, new)


def test_secrets_stay_secret(lab, rpc, worker, guest):
    new = lab.volumes.file()
    arguments = swap_arguments(guest, new)
    password = "topSecretChap77"
    arguments["new_connection_info"]["data"] |= {"auth_username": "u", "auth_password": password}
    result = rpc.call("swap_volume", **arguments)
    told = json.dumps(rpc.call("get_swap", task_id=result["task_id"])) + worker.get("/metrics")[1] + worker.log()
    environment = Path(f"/proc/{worker.process.pid}/cmdline").read_text()
    assert password not in told
    assert BROKER_PASSWORD not in told + environment
    assert_moved(guest, new)


def test_the_state_directory_is_private(worker):
    assert stat.S_IMODE(os.stat(worker.state).st_mode) == 0o700
    files = [path for path in worker.state.rglob("*") if path.is_file()]
    assert files and all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in files)
