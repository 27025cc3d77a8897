"""A disk that may get well is waited for inside the worker, as a broker is."""

import subprocess

from lab.processes import until
from service.bench import dry_worker


def test_a_full_disk(lab):
    directory, _ = lab.volumes.small_filesystem(8 << 20)
    subprocess.run(["dd", "if=/dev/zero", f"of={directory}/ballast", "bs=4k"], capture_output=True)
    with dry_worker(lab, start=False, state=directory / "state") as worker:
        worker.start(ready=False)
        until(lambda: "start: " in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')} {worker.log()}")
        assert worker.get("/livez")[0] == 200
        (directory / "ballast").unlink()
        worker.wait_ready(120)
    lab.libvirt.unmount(directory)


def test_a_read_only_disk(lab):
    directory, device = lab.volumes.small_filesystem(8 << 20)
    subprocess.run(["mount", "-o", "remount,ro", directory], check=True)
    with dry_worker(lab, start=False, state=directory / "state") as worker:
        worker.start(ready=False)
        until(lambda: "ead-only" in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')} {worker.log()}")
        assert worker.terminate() == 0, "it can be told to stop while it waits"
        worker.start(ready=False)
        subprocess.run(["mount", "-o", "remount,rw", directory], check=True)
        worker.wait_ready(120)
    lab.libvirt.unmount(directory)
