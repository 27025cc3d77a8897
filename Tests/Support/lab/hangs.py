"""Parties that do not answer until they are released: processes, a volume's flush, a file system."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

from .processes import LabError, Workspace, run, send_signal

LIBC = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def hung(*pids: int, release_after: float | None = None) -> Iterator[None]:
    """Stops processes by SIGSTOP and lets them go on when left, or by themselves after so many seconds."""

    def release() -> None:
        for pid in pids:
            send_signal(pid, signal.SIGCONT)

    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    timer = threading.Timer(release_after or 600, release)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        release()


class FlushGate:
    """What makes the flushes of a server hang that was started with `environment`."""

    def __init__(self, workspace: Workspace, name: str):
        self.path = workspace.path(f"gate-{name}")
        library = workspace.path("flush_gate.so")
        if not library.exists():
            run("gcc", "-O2", "-shared", "-fPIC", "-o", library, Path(__file__).with_name("flush_gate.c"))
        self.environment = {"LD_PRELOAD": str(library), "FLUSH_GATE": str(self.path)}

    def close(self, after: int = 0) -> None:
        """Flushes hang from now on, once `after` more of them have passed."""
        self.path.write_text(str(after))

    def open(self) -> None:
        """Lets them go on."""
        self.path.unlink(missing_ok=True)


class HungMount:
    """A FUSE file system that never says a word, over a directory: whoever looks into it waits until it is taken away.

    It covers the directory for pivotd and the tests, not for the private libvirtd and its guests: what they have open, they keep.
    """

    def __init__(self, workspace: Workspace, directory: Path):
        self.directory = directory
        self.device = os.open("/dev/fuse", os.O_RDWR)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        workspace.note("mounts", str(directory))
        if LIBC.mount(b"hung", os.fsencode(directory), b"fuse", 0, options):
            raise LabError(f"mount of FUSE on {directory}: {os.strerror(ctypes.get_errno())}")

    def __enter__(self) -> HungMount:
        return self

    def __exit__(self, *_) -> None:
        os.close(self.device)  # who waits gets ENOTCONN
        run("umount", "-l", self.directory, check=False)


class Opens:
    """Whether a file or device node is opened, by whomever, between entering and leaving."""

    IN_OPEN = 0x20

    def __init__(self, path: Path):
        self.path, self.seen = path, False

    def __enter__(self) -> Opens:
        self.descriptor = LIBC.inotify_init1(os.O_NONBLOCK)
        if self.descriptor < 0 or LIBC.inotify_add_watch(self.descriptor, os.fsencode(self.path), self.IN_OPEN) < 0:
            raise LabError(f"inotify: {os.strerror(ctypes.get_errno())}")
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(BlockingIOError):
            self.seen = bool(os.read(self.descriptor, 4096))
        os.close(self.descriptor)
