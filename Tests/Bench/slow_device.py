"""A device that is as slow as a measurement wants: the kernel throttles what one process reads and writes directly."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lab.processes import LabError

CGROUPS = Path("/sys/fs/cgroup")


def device(path: Path) -> str:
    """MAJOR:MINOR of the whole device below a file."""
    number = os.stat(path).st_dev
    block = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    if (block / "partition").exists():
        block = block.parent
    return (block / "dev").read_text().strip()


@contextlib.contextmanager
def throttled(pid: int, path: Path, rate: int) -> Iterator[None]:
    """For a process, the device below `path` reads and writes `rate` bytes/s at most, each: all its requests wait in one line."""
    old = CGROUPS / "blkio"
    root = old if old.is_dir() else CGROUPS
    group = root / f"pivotd-bench-{pid}"
    try:
        group.mkdir()
        if root == old:
            for kind in ("read", "write"):
                (group / f"blkio.throttle.{kind}_bps_device").write_text(f"{device(path)} {rate}")
        else:
            (root / "cgroup.subtree_control").write_text("+io")
            (group / "io.max").write_text(f"{device(path)} rbps={rate} wbps={rate}")
        move(pid, group)
    except OSError as error:
        raise LabError(f"the kernel cannot throttle a device here: {error}") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            move(pid, root)
        with contextlib.suppress(OSError):
            group.rmdir()


def move(pid: int, group: Path) -> None:
    """Puts all threads of a process into a control group."""
    (group / "cgroup.procs").write_text(str(pid))
