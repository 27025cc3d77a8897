"""Swaps on `dry-run:`, for tests that are about the bus alone."""

from __future__ import annotations

import uuid
from pathlib import Path

from lab.daemon import Pivotd
from lab.processes import until

SETTINGS = {"allowed_paths": ["/dev/disk/by-id"]}
"""What a worker needs for them."""

PASSWORD = "s3cret-chap-password"
"""In the connection information of a busy worker's swaps."""


def dry_swap(**options) -> dict:
    """The arguments of a swap on `dry-run:`, where every instance exists."""
    old, new = str(uuid.uuid4()), str(uuid.uuid4())

    def info(volume: str) -> dict:
        data = {"device_path": f"/dev/disk/by-id/{volume}", "volume_id": volume}
        return {"driver_volume_type": "lvm", "serial": volume, "data": data}

    return {
        "instance": str(uuid.uuid4()),
        "old_connection_info": info(old),
        "new_connection_info": info(new),
        "mountpoint": "/dev/vdb",
        "old_volume_id": old,
        "new_volume_id": new,
        "options": options,
    }


def busy_worker(second_worker, last: dict | None = None, **options):
    """A worker on `dry-run:` whose copies take minutes, with a swap that has ended, one that runs, and one that waits.

    `last` replaces arguments of the one that waits.
    """
    worker, rpc = second_worker(SETTINGS | {"max_concurrent_swaps": 1}, libvirt_uri="dry-run:?rate=2")
    ended, running, queued = swaps = [dry_swap(**options) | {"request_token": str(uuid.uuid4())} for _ in range(3)]
    queued |= last or {}
    for swap in swaps:
        for side in ("old", "new"):
            swap[f"{side}_connection_info"]["data"]["auth_password"] = PASSWORD
    rpc.cast("swap_volume", **ended)
    until_state(rpc, ended, "copying")
    rpc.call("abort_swap", task_id=ended["request_token"])
    until_state(rpc, ended, "aborted")
    # One after the other: of two instances either may get the slot first.
    rpc.cast("swap_volume", **running)
    until_state(rpc, running, "copying")
    rpc.cast("swap_volume", **queued)
    until_state(rpc, queued, "queued")
    return worker, rpc, swaps


def until_state(rpc, swap: dict, state: str) -> None:
    """Waits until the swap is in this state."""

    def found() -> bool:
        swaps = rpc.call("list_swaps", task_id_prefix=swap["request_token"])["swaps"]
        return bool(swaps) and swaps[0]["state"] == state

    until(found, 60, lambda: f"never {state}: {rpc.call('list_swaps')}")


def given_up(worker: Pivotd) -> float:
    """How many replies the worker has given up."""
    return worker.metrics().get('pivotd_replies_total{kind="given_up"}', 0)


def peak_memory(worker: Pivotd) -> int:
    """MiB that the worker has taken at most."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10
