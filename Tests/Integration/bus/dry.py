"""Swaps on `dry-run:`, for tests that are about the bus alone."""

from __future__ import annotations

import uuid
from pathlib import Path

from lab.daemon import Pivotd

SETTINGS = {"allowed_paths": ["/dev/disk/by-id"]}
"""What a worker needs for them."""


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


def given_up(worker: Pivotd) -> float:
    """How many replies the worker has given up."""
    return worker.metrics().get('pivotd_replies_total{kind="given_up"}', 0)


def peak_memory(worker: Pivotd) -> int:
    """MiB that the worker has taken at most."""
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10
