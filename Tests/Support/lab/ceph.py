"""A one-machine ceph: one monitor, one OSD in memory, cephx."""

from __future__ import annotations

import base64
import signal
import uuid
from pathlib import Path

from .libvirt import Libvirt
from .processes import Process, Workspace, free_port, run, until


class Ceph:
    """A cluster with the pool `vol` and the user client.pivot, whose key is in a libvirt secret."""

    POOL, USER = "vol", "pivot"

    def __init__(self, workspace: Workspace, libvirt: Libvirt):
        self.workspace, self.libvirt = workspace, libvirt
        self.port, self.fsid = free_port(), str(uuid.uuid4())
        self.directory = workspace.directory("ceph")
        for name in ("run", "log", "mon", "osd"):
            workspace.directory("ceph", name)
        self.conf = self.directory / "ceph.conf"
        self.monitor: Process | None = None
        self.osd: Process | None = None
        self.secret = ""

    def _configure(self) -> None:
        directory = self.directory
        settings = {
            "fsid": self.fsid,
            "mon_host": f"v1:127.0.0.1:{self.port}",
            "ms_bind_msgr2": "false",
            "public_addr": "127.0.0.1",
            "cluster_addr": "127.0.0.1",
            "auth_cluster_required": "cephx",
            "auth_service_required": "cephx",
            "auth_client_required": "cephx",
            "osd_pool_default_size": 1,
            "osd_pool_default_min_size": 1,
            "mon_allow_pool_size_one": "true",
            "osd_crush_chooseleaf_type": 0,
            "osd_objectstore": "memstore",
            "memstore_device_bytes": 1 << 30,
            "osd_memory_target": 939524096,
            "osd_class_update_on_start": "false",
            "osd_class_dir": next(Path("/usr/lib").glob("*/rados-classes")),  # Debian 13's default is relative to /usr
            "mon_data_avail_crit": 1,
            "mon_warn_on_insecure_global_id_reclaim_allowed": "false",
            "run_dir": directory / "run",
            "log_file": directory / "log/$name.log",
            "admin_socket": directory / "run/$name.asok",
            "mon_data": directory / "mon",
            "osd_data": directory / "osd",
        }
        lines = ["[global]", *(f"{key} = {value}" for key, value in settings.items())]
        for section, keyring in (("client.admin", "admin"), ("mon.", "mon")):
            lines += [f"[{section}]", f"keyring = {directory}/{keyring}.keyring"]
        self.conf.write_text("\n".join(lines) + "\n")

    def ceph(self, *arguments, check: bool = True) -> str:
        """Runs `ceph` as the administrator."""
        return run("ceph", "-c", self.conf, "--connect-timeout", "20", *arguments, timeout=60, check=check)

    def rbd(self, *arguments, check: bool = True) -> str:
        """Runs `rbd` as the administrator."""
        return run("rbd", "-c", self.conf, *arguments, timeout=60, check=check)

    def running(self) -> bool:
        """Whether its OSD runs."""
        return bool(self.osd and self.osd.running())

    def start(self) -> Ceph:
        """Makes and starts the cluster; it can be used when this returns."""
        self._configure()
        self._start_monitor()
        self._start_osd()
        self.ceph("osd", "pool", "create", self.POOL, "8", "8")
        self.ceph("osd", "pool", "application", "enable", self.POOL, "rbd")
        rights = ["mon", "profile rbd", "osd", f"profile rbd pool={self.POOL}"]
        key = self.ceph("auth", "get-or-create-key", f"client.{self.USER}", *rights).strip()
        until(lambda: " up " in self.ceph("osd", "tree", check=False), 60, lambda: f"ceph-osd: {self.osd.tail()}", 0.3)
        self.secret = self.libvirt.define_secret("ceph", f"client.{self.USER} secret", base64.b64decode(key))
        return self

    def _start_monitor(self) -> None:
        directory = self.directory
        monitor_keys, admin_keys = directory / "mon.keyring", directory / "admin.keyring"
        run("ceph-authtool", "--create-keyring", monitor_keys, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        rights = [word for part in ("mon", "osd", "mds", "mgr") for word in ("--cap", part, "allow *")]
        run("ceph-authtool", "--create-keyring", admin_keys, "--gen-key", "-n", "client.admin", *rights)
        run("ceph-authtool", monitor_keys, "--import-keyring", admin_keys)
        address = f"[v1:127.0.0.1:{self.port}]"
        run("monmaptool", "--create", "--addv", "a", address, "--fsid", self.fsid, directory / "monmap")
        run(
            "ceph-mon", "-c", self.conf, "--mkfs", "-i", "a", "--monmap", directory / "monmap", "--keyring", monitor_keys
        )  # fmt: skip
        self.monitor = self.workspace.start("ceph-mon", ["ceph-mon", "-c", self.conf, "-i", "a", "-f"])

    def _start_osd(self) -> None:
        directory, osd = self.directory, str(uuid.uuid4())
        self.ceph("osd", "new", osd)
        rights = ["mon", "allow profile osd", "osd", "allow *", "mgr", "allow profile osd"]
        keyring = directory / "osd/keyring"
        keyring.write_text(self.ceph("auth", "get-or-create", "osd.0", *rights))
        run("ceph-osd", "-c", self.conf, "-i", "0", "--mkfs", "--osd-uuid", osd, "--no-mon-config", "--keyring", keyring)
        argv = ["ceph-osd", "-c", self.conf, "-i", "0", "-f", "--keyring", keyring]
        self.osd = self.workspace.start("ceph-osd", argv)

    def stop(self) -> None:
        """Ends it."""
        for process in (self.osd, self.monitor):
            if process:
                process.stop(signal.SIGKILL)
