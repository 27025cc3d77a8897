"""How soon a worker is ready that was killed in the middle of many tasks."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bed import QUIET, Bed, swap_command
from lab.daemon import Pivotd, run_client
from lab.guest import Guest
from lab.processes import MIB, LabError, until
from lab.volumes import Volume
from report import Figure

TASKS = 100
GUESTS = 8
"""As many as swap side by side; their copies are under way, all other tasks wait behind them."""
SIZE = 128 * MIB
"""Two minutes' work at 1 MiB/s."""


def seconds_to_ready(daemon: Pivotd) -> float:
    """Starts the worker and waits for its word to the service manager."""
    address = daemon.workspace.path("notify.sock")
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(60)
        began = time.monotonic()
        daemon.start(ready=False, env={"NOTIFY_SOCKET": str(address)})
        while b"READY=1" not in manager.recv(4096):
            pass
        return time.monotonic() - began


def unfinished(daemon: Pivotd) -> int:
    """How many tasks of the worker have no outcome yet."""
    code, told, errors = daemon.command("status", "--json", "--limit", str(2 * TASKS))
    if code:
        raise LabError(f"pivotd status: exit code {code}: {errors[-600:]}")
    return sum(swap["finished_at"] is None for swap in json.loads(told)["swaps"])


def ask(daemon: Pivotd, guest: Guest, old: Volume, new: Volume) -> None:
    """Sends one swap and does not wait for it."""
    done = run_client(swap_command(daemon, guest, old, new, {"bandwidth_mib_s": 1, "strategy": "copy"}, "--cast"))
    if done.returncode:
        raise LabError(f"pivotd swap --cast: exit code {done.returncode}: {done.stderr[-600:]}")


def measure(bed: Bed, repeat: int) -> Iterator[Figure]:
    """Kills a worker with TASKS unfinished tasks and starts it again, and the same with none."""
    volumes, daemon = bed.lab.volumes, bed.lab.daemon("recovery", config={"log_level": "notice"})
    none = []
    for _ in range(repeat):
        none.append(seconds_to_ready(daemon))
        daemon.kill()
    daemon.start()
    guests = [bed.lab.guest({"vdb": volumes.file(SIZE, fill=True)}, delay=QUIET) for _ in range(GUESTS)]
    news = [volumes.file(SIZE) for _ in guests]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Guest.wait_ready, guests))
        list(pool.map(lambda pair: ask(daemon, pair[0], pair[0].disks["vdb"], pair[1]), zip(guests, news)))
        until(lambda: all(guest.job() == "Block Copy" for guest in guests), 60, "the copies do not start", 0.5)
        behind = [(guests[index % GUESTS], news[index % GUESTS]) for index in range(TASKS - GUESTS)]
        list(pool.map(lambda pair: ask(daemon, pair[0], pair[1], pair[0].disks["vdb"]), behind))
    many = []
    for _ in range(repeat):
        until(lambda: unfinished(daemon) == TASKS, 30, lambda: f"{unfinished(daemon)} of {TASKS} tasks are unfinished", 0.5)
        daemon.kill()
        many.append(seconds_to_ready(daemon))
    daemon.kill()
    for guest, new in zip(guests, news):
        bed.lab.remove(guest)
        new.close()
    yield Figure(f"start of a worker to ready, {TASKS} unfinished tasks", "s", many, wanted="< 2")
    yield Figure("start of a worker to ready, none", "s", none)
