"""The demo itself; deploy/demo installs, builds and cleans up around it.  Usage: demo.py DIRECTORY"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

from lab.daemon import Pivotd, clean_environment
from lab.embed import EmbeddedGuest
from lab.guest_image import guest_image
from lab.processes import MIB, LabError, Workspace
from lab.rabbit import Rabbit
from lab.volumes import Volume, Volumes

SIZE = 256 * MIB
BANDWIDTH = 64
BEGAN = time.monotonic()


def tell(text: str) -> None:
    """A line for the one who watches, with the seconds since the start."""
    print(f"[{time.monotonic() - BEGAN:5.1f} s] {text}", flush=True)


def prove(claim: str, holds: bool) -> None:
    """Prints a claim that was checked; one that does not hold ends the demo."""
    print(f"          {'yes' if holds else 'NO '}  {claim}", flush=True)
    if not holds:
        raise LabError(f"not so: {claim}")


def swap(pivotd: Pivotd, guest: EmbeddedGuest, new: Volume) -> dict:
    """Calls `pivotd swap` as an operator would; its progress shows on the terminal.  Returns the result."""
    words = {
        "--instance": guest.uuid,
        "--disk": "vdb",
        "--old": json.dumps(guest.volume.info),
        "--new": json.dumps(new.info),
        "--option": f"bandwidth_mib_s={BANDWIDTH}",
        "--timeout": "90",
    }
    argv = pivotd.client_argv("swap", *(word for pair in words.items() for word in pair))
    client = subprocess.run(argv, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=clean_environment())
    if client.returncode:
        raise LabError(f"pivotd swap ended with {client.returncode}: {pivotd.log()[-2000:]}")
    return json.loads(client.stdout)


def demonstrate(workspace: Workspace) -> None:
    """The whole story."""
    guest_image()
    tell("starting a private RabbitMQ node")
    rabbit = Rabbit(workspace).start()
    volumes = Volumes(workspace, None)
    old, new = volumes.file(SIZE, fill=True), volumes.file(SIZE)
    guest = EmbeddedGuest(workspace, old)
    try:
        tell("starting pivotd; the QEMU driver inside it boots the guest")
        pivotd = Pivotd(workspace, rabbit.url, guest.uri, "demo", config={"log_format": "text"}).start()
        guest.console.wait_ready(["vdb"])
        before = guest.console.written()
        tell(f"the guest is up and has written {before} numbered sectors to {old.path.name}")

        tell(f"calling swap_volume over the bus: {SIZE // MIB} MiB from {old.path.name} to {new.path.name}, {BANDWIDTH} MiB/s")
        result = swap(pivotd, guest, new)
        after = guest.console.written()
        copied, took = result["copied_bytes"] // MIB, result["duration_s"]
        tell(f"done: strategy {result['strategy']}, {copied} MiB copied in {took:.1f} s, task {result['task_id']}")

        tell(f"the guest wrote {after - before} sectors meanwhile; the proof:")
        prove(f"the VM runs on {new.path.name}, and no longer on {old.path.name}", on_new_only(guest, old, new))
        prove(f"its stored configuration names {new.path.name}", new.named_by(guest.stored_disk()))
        guest.console.wait_written("vdb", after + 64)
        reported = guest.console.written()
        prove(f"each of the {reported} writes that the guest reported is on the new volume", not new.missing_writes(reported))
        prove(f"the other {SIZE // MIB - 1} MiB are the same on both volumes", new.bulk() == old.bulk())
        tell("stopping")
        prove("pivotd ends cleanly on SIGTERM", pivotd.terminate() == 0)
    finally:
        guest.stop()
        workspace.sweep()
    tell("everything is torn down again")


def on_new_only(guest: EmbeddedGuest, old: Volume, new: Volume) -> bool:
    """Whether the guest's QEMU has the new volume open and the old one no longer."""
    return guest.has_open(new.path) and not guest.has_open(old.path)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        demonstrate(Workspace(Path(sys.argv[1])))
    except LabError as error:
        sys.exit(f"The demo failed: {error}")
