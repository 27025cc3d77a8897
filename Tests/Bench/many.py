"""Whether a swap costs more when there are many: side by side on one worker, and many workers on one broker."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from bed import Bed
from dispatch import Load
from figures import cpu_ticks
from lab.clients import Rpc
from lab.daemon import Pivotd
from lab.guest import Guest
from lab.lab import Lab
from lab.processes import MIB, LabError, descendants
from lab.volumes import Volume
from report import Figure

GUESTS = (1, 4, 16)
FURTHER = 100
"""Domains that do not run, and are looked at by every swap."""
SIMULATED = (1, 16, 256, 1000)
CALLS = 5000
"""Simulated swaps in all."""
WORKERS = 200
IDLE_SECONDS = 20


def swapped(worker: Pivotd, url: str, calls: list[dict]) -> tuple[float, float]:
    """(seconds, CPU milliseconds of the worker) of swaps that are all asked for at once, for each swap."""
    before, began = cpu([worker.process.pid]), time.monotonic()
    rpc = Rpc(url, worker.topic)
    try:
        for later in [rpc.later("swap_volume", **call) for call in calls]:
            later.result(timeout=600)
    finally:
        rpc.close()
    spent = cpu([worker.process.pid]) - before
    return (time.monotonic() - began) / len(calls), spent / len(calls)


def there_and_back(bed: Bed, worker: Pivotd, guests: list[Guest], others: dict[str, Volume]) -> tuple[float, float]:
    """:func:`swapped` for a swap of each of these guests, to the other of its two volumes."""
    calls = []
    for guest in guests:
        old, new = guest.disks["vdb"], others[guest.uuid]
        guest.disks["vdb"], others[guest.uuid] = new, old
        infos = {"old_connection_info": old.info, "new_connection_info": new.info}
        calls.append({"instance": guest.uuid, "mountpoint": "/dev/vdb", **infos})
    return swapped(worker, bed.lab.rabbit.url, calls)


def on_guests(bed: Bed, repeat: int) -> Iterator[Figure]:
    """Small volumes of 1, 4 and 16 guests, there and back; and of one beside many other domains."""
    volumes = bed.lab.volumes
    guests = [bed.guest(volumes.file(32 * MIB, fill=True)) for _ in range(max(GUESTS))]
    others = {guest.uuid: volumes.file(32 * MIB) for guest in guests}
    worker = bed.lab.daemon("many", config={"log_level": "notice", "max_concurrent_swaps": max(GUESTS)}).start()
    for count in GUESTS:
        done = [there_and_back(bed, worker, guests[:count], others) for _ in range(2 * repeat)]
        yield Figure(f"{count} guests at once, a swap's time", "ms", [seconds * 1000 for seconds, _ in done])
        yield Figure(f"{count} guests at once, the worker's CPU a swap", "ms", [spent for _, spent in done])
    first, *rest = guests
    for guest in rest:
        bed.lab.remove(guest)
    names = define_further(bed.lab, first)
    done = [there_and_back(bed, worker, [first], others) for _ in range(2 * repeat)]
    yield Figure(f"1 guest beside {FURTHER} domains, a swap's time", "ms", [seconds * 1000 for seconds, _ in done])
    yield Figure(f"1 guest beside {FURTHER} domains, the worker's CPU a swap", "ms", [spent for _, spent in done])
    worker.stop()
    for name in names:
        bed.lab.libvirt.virsh("undefine", name)
    bed.lab.remove(first)


def define_further(lab: Lab, model: Guest) -> list[str]:
    """Defines domains like this one, with other disks; returns their names."""
    xml, names = lab.libvirt.virsh("dumpxml", "--inactive", model.uuid), [f"further-{number}" for number in range(FURTHER)]
    for name in names:
        text = re.sub("<name>.*?</name>", f"<name>{name}</name>", xml, count=1)
        for tag in ("uuid", "serial"):
            text = re.sub(f"<{tag}>.*?</{tag}>", f"<{tag}>{uuid.uuid4()}</{tag}>", text)
        text = text.replace("/volumes/", f"/volumes/{name}-")
        with lab.libvirt.xml_file(text) as file:
            lab.libvirt.virsh("define", file)
    return names


def simulated(lab: Lab, repeat: int) -> Iterator[Figure]:
    """Simulated swaps, so many at a time."""
    load = Load(lab)
    for count in SIMULATED:
        name, config = f"simulated-{count}", {"log_level": "warning", "notifications": False, "max_concurrent_swaps": count}
        worker, spent = lab.daemon(name, libvirt_uri="dry-run:", config=config).start(), []
        for _ in range(repeat):
            before = cpu([worker.process.pid])
            load.rate(name, CALLS, 1000)
            spent.append((cpu([worker.process.pid]) - before) / CALLS)
        worker.stop()
        yield Figure(f"1000 simulated swaps waiting, {count} run at a time, the worker's CPU a swap", "ms", spent)


def cpu(pids: list[int]) -> int:
    """The CPU milliseconds that these processes have spent."""
    return sum(cpu_ticks(pid) for pid in pids) * 10


def resident(pid: int) -> float:
    """MiB of memory of a process."""
    [kibibytes] = re.findall(r"^VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(kibibytes) / 1024


class Broker:
    """What the broker holds for its clients."""

    def __init__(self, lab: Lab):
        def count(what: str) -> int:
            return len(lab.rabbit.control(f"list_{what}", "--quiet", "--no-table-headers", *columns[what]).splitlines())

        columns = {"connections": ["pid"], "channels": ["pid"], "queues": ["-p", "lab", "name"]}
        self.counts = {what: count(what) for what in columns}
        self.memory = float(lab.rabbit.control("eval", "erlang:memory(total).").strip()) / MIB


def workers(lab: Lab) -> Iterator[Figure]:
    """What each of 200 idle workers costs the broker, and all of them the machine."""
    before = Broker(lab)
    config = {"log_level": "warning", "notifications": False}
    every = [lab.daemon(f"w{n}", topic="pivotd", host=f"host-{n}", libvirt_uri="dry-run:", config=config) for n in range(WORKERS)]
    for worker in every:
        worker.start(ready=False)
    for worker in every:
        worker.wait_ready(timeout=120)
    pids = [worker.process.pid for worker in every]
    beam = [lab.rabbit.process.pid, *descendants(lab.rabbit.process.pid)]
    time.sleep(IDLE_SECONDS)  # the broker tidies up
    ticks = cpu(pids), cpu(beam)
    time.sleep(IDLE_SECONDS)
    spent = cpu(pids) - ticks[0], cpu(beam) - ticks[1]
    after = Broker(lab)
    for what, count in after.counts.items():
        yield Figure(f"{WORKERS} workers: {what} at the broker, each", "", [(count - before.counts[what]) / WORKERS])
    yield Figure(f"{WORKERS} workers: memory of the broker, each", "MiB", [(after.memory - before.memory) / WORKERS])
    yield Figure(f"{WORKERS} workers: memory of a worker", "MiB", [resident(pid) for pid in pids])
    for whose, value in zip(("all", "the broker"), spent):
        yield Figure(f"{WORKERS} idle workers: CPU of {whose}", "ms/s", [value / IDLE_SECONDS])
    if not all(worker.running() for worker in every):
        raise LabError("a worker has ended")
    for worker in every:
        worker.stop()


def measure(bed: Bed, repeat: int) -> Iterator[Figure]:
    """All of it."""
    yield from on_guests(bed, repeat)
    yield from simulated(bed.lab, repeat)
    yield from workers(bed.lab)
