"""Records the captures of this directory anew, from swaps of a real guest: python record.py (with $PIVOTD set)."""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "Support"), str(HERE.parent / "Integration")]

import captures  # noqa: E402
from captures import Capture  # noqa: E402
from expectations import swap_arguments  # noqa: E402
from lab.clients import Raw, Rpc  # noqa: E402
from lab.lab import Lab  # noqa: E402
from steering import wait_for_state  # noqa: E402


def quietly(work) -> None:
    """Runs a call that is to fail."""
    try:
        work()
    except Exception as failure:  # noqa: BLE001  (whatever the worker answers is recorded)
        print(f"  {type(failure).__name__}: {str(failure)[:100]}")


def traffic(lab: Lab, rpc: Rpc, raw: Raw, guest) -> None:
    """Calls, casts, heartbeats, failures, a nova Instance object, an unknown method, garbage."""

    def move(**more) -> dict:
        new = lab.volumes.file()
        arguments = swap_arguments(guest, new, **more)
        arguments["new_connection_info"]["data"]["auth_password"] = "never-in-the-file"
        return arguments | {"_new": new}

    def call(monitor: float | None = None, **more) -> dict:
        arguments = move(**more)
        new = arguments.pop("_new")
        result = rpc.call("swap_volume", monitor=monitor, **arguments)
        guest.disks["vdb"] = new
        return result

    task = call(options={"strategy": "copy"})["task_id"]
    rpc.call("get_swap", task_id=task)
    call(monitor=1, options={"strategy": "copy", "bandwidth_mib_s": 12})
    call(instance={"nova_object.name": "Instance", "nova_object.namespace": "nova", "nova_object.version": "2.8",
                   "nova_object.data": {"uuid": guest.uuid, "name": guest.name, "host": "compute1"}})  # fmt: skip
    arguments = move()
    new = arguments.pop("_new")
    rpc.cast("swap_volume", **arguments)
    wait_for_state(rpc, guest, "completed", after=3)
    guest.disks["vdb"] = new

    small = lab.volumes.file(size=guest.disks["vdb"].size // 2)
    quietly(lambda: rpc.call("swap_volume", **swap_arguments(guest, small)))
    quietly(lambda: call(instance="00000000-0000-4000-8000-000000000000"))
    quietly(lambda: call(mountpoint="/dev/vdz"))
    quietly(lambda: call(options={"strategy": "magic"}))
    quietly(lambda: rpc.call("live_migration", instance=guest.uuid))
    quietly(lambda: rpc.call("swap_volume", version="2.0"))
    rpc.call("list_swaps", instance=guest.uuid)
    rpc.call("oslo_rpc_server_ping")
    raw.publish("garbage")
    raw.publish(b"\x80\x02 no JSON at all")
    raw.send(raw.message("swap_volume", swap_arguments(guest, small), call=False), bare=True)


def domains(lines: list[dict], guest) -> list[dict]:
    """What a dry run has to know for the same outcomes: the guest on its first volume, and the sizes of the others."""
    infos = [inner["args"] for inner in captures.requests(lines) if "new_connection_info" in inner.get("args", {})]
    first = infos[0]["old_connection_info"]["data"]["device_path"]
    others = {info["new_connection_info"]["data"]["device_path"] for info in infos} - {first}

    def disk(target: str, path: str) -> dict:
        return {"target": target, "path": path, "bytes": Path(path).stat().st_size}

    spares = [disk(f"vd{number}", path) for number, path in enumerate(sorted(others))]
    return [
        {"uuid": guest.uuid, "name": guest.name, "disks": [disk("vdb", first)]},
        {
            "uuid": "ffffffff-0000-4000-8000-000000000000",
            "name": "volumes-in-no-guest",
            "running": False,
            "persistent": False,
            "disks": spares,
        },
    ]


def tidied(text: str, lab: Lab) -> str:
    """The text with the lab's directory called as on a compute node."""
    return text.replace(str(lab.workspace.path("volumes")), "/var/lib/nova/mnt/volumes")


def main() -> None:
    """Records both files."""
    with tempfile.TemporaryDirectory() as directory, Lab(tracing=True) as lab:
        guest = lab.guest({"vdb": lab.volumes.file(fill=True)})
        guest.wait_ready()
        worker = lab.daemon("pivotd").start()
        rpc, raw = Rpc(lab.rabbit.url, "pivotd"), Raw(lab.rabbit.url, "pivotd")
        for name, words in (("swaps.jsonl", ["--replies"]), ("all-traffic.jsonl.gz", captures.EVERYTHING)):
            print(name)
            with Capture(worker, Path(directory) / name, *words, "--idle-timeout", "5") as capture:
                traffic(lab, rpc, raw, guest)
                capture.child.wait(60)
            lines = capture.lines()
            text = tidied("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines), lab)
            assert "never-in-the-file" not in text
            path = HERE / name
            if name.endswith(".gz"):
                path.write_bytes(gzip.compress(text.encode(), mtime=0))
            else:
                path.write_text(text)
            described = tidied(json.dumps(domains(lines, guest), indent=2) + "\n", lab)
            (HERE / f"{name.split('.')[0]}.domains.json").write_text(described)
        raw.close()
        rpc.close()


if __name__ == "__main__":
    main()
