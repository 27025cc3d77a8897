"""Volumes behind an NBD server, which nbdkit's filters can make slow or broken."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..hangs import FlushGate
from ..processes import MIB, LabError, free_port, port_open, until
from .volume import Volume


class NbdVolumes:
    """Part of `Volumes`."""

    def nbd(
        self,
        size: int = 32 * MIB,
        fill: bool = False,
        server: str = "nbdkit",
        filters: Sequence[str] = (),
        parameters: Sequence[str] = (),
        gated: bool = False,
    ) -> Volume:
        """A file behind `nbdkit` or `qemu-nbd` on a TCP port.

        Filters and parameters are nbdkit's: ["delay"] with ["wdelay=5ms"], ["error"] with ["error-pwrite=EIO", "error-file=…"],
        ["rate"] with ["rate=16M"].  With `gated` its flushes can be made to hang, by the volume's `gate`.
        """
        path, volume_id = self.new_file(size, fill)
        port = free_port()
        if server == "nbdkit":
            options = [f"--filter={name}" for name in filters]
            argv = ["nbdkit", "-f", "-i", "127.0.0.1", "-p", port, "-e", "vol", *options, "file", path, *parameters]
        else:
            argv = ["qemu-nbd", "-t", "-e", "8", "-b", "127.0.0.1", "-p", port, "-x", "vol", "-f", "raw", path]
        gate = FlushGate(self.workspace, str(port)) if gated else None
        process = self.workspace.start(f"nbd-{port}", argv, {**os.environ, **gate.environment} if gate else None)
        until(lambda: port_open(port) or not process.running(), 10, "the NBD server does not listen")
        if not process.running():
            raise LabError(f"the NBD server ended: {process.tail()}")

        def close() -> None:
            process.stop()
            path.unlink(missing_ok=True)

        info = self.info("nbd", volume_id, host="127.0.0.1", port=port, export="vol", export_name="vol", name="vol")
        source = f"<source protocol='nbd' name='vol'><host name='127.0.0.1' port='{port}' transport='tcp'/></source>"
        names = ("nbd", str(port))
        volume = Volume("nbd", size, info, "network", source, names, raw=path, server=process, gate=gate, on_close=close)
        return self.keep(volume)

    def shared_nbd(
        self, count: int, size: int = 32 * MIB, filters: Sequence[str] = (), parameters: Sequence[str] = ()
    ) -> list[Volume]:
        """Volumes behind one `nbdkit`, whose filters make them parts of one slow disk; the first one is filled.

        ["noparallel", "delay", "rate"] with ["serialize=all-requests", "rdelay=2ms", "wdelay=2ms", "rate=200M"] is a disk that
        does one thing at a time, takes 2 ms for each and 25 MB/s.
        """
        port = free_port()
        directory = self.workspace.directory("volumes", f"shared-{port}")
        files = [self.new_file(size, fill=not number, path=directory / f"vol{number}") for number in range(count)]
        options = [f"--filter={name}" for name in filters]
        argv = ["nbdkit", "-f", "-i", "127.0.0.1", "-p", port, *options, "file", f"dir={directory}", *parameters]
        process = self.workspace.start(f"nbd-{port}", argv)
        until(lambda: port_open(port) or not process.running(), 10, "the NBD server does not listen")
        if not process.running():
            raise LabError(f"the NBD server ended: {process.tail()}")
        left = [path for path, _ in files]

        def closer(path):
            def close() -> None:
                path.unlink(missing_ok=True)
                left.remove(path)
                if not left:
                    process.stop()

            return close

        volumes = []
        for path, volume_id in files:
            export = path.name
            info = self.info("nbd", volume_id, host="127.0.0.1", port=port, export=export, export_name=export, name=export)
            source = f"<source protocol='nbd' name='{export}'><host name='127.0.0.1' port='{port}' transport='tcp'/></source>"
            names = ("nbd", str(port), f'"{export}"')
            volume = Volume("nbd", size, info, "network", source, names, raw=path, server=process, on_close=closer(path))
            volumes.append(self.keep(volume))
        return volumes
