"""Volumes behind a private tgtd, with and without CHAP."""

from __future__ import annotations

import os

from ..processes import MIB, Process, Workspace, free_port, port_open, run, until
from .volume import Volume


class TargetDaemon:
    """tgtd on a port and a control socket of its own."""

    CONTROL_PORT = "77"

    def __init__(self, workspace: Workspace):
        self.port, self.targets = free_port(), 0
        self.env = {**os.environ, "TGT_IPC_SOCKET": str(workspace.path("tgt.sock"))}
        argv = ["tgtd", "-f", "-C", self.CONTROL_PORT, "--iscsi", f"portal=127.0.0.1:{self.port}"]
        self.process: Process = workspace.start("tgtd", argv, self.env)
        until(lambda: port_open(self.port), 10, lambda: f"tgtd: {self.process.tail()}")

    def admin(self, operation: str, mode: str, *arguments, check: bool = True) -> None:
        """tgtadm --op OPERATION --mode MODE ..."""
        argv = ["tgtadm", "-C", self.CONTROL_PORT, "--lld", "iscsi", "--op", operation, "--mode", mode, *arguments]
        run(*argv, env=self.env, check=check)

    def stop(self) -> None:
        """Ends it."""
        self.process.stop(wait=3)


class IscsiVolumes:
    """Part of `Volumes`."""

    def iscsi(self, size: int = 32 * MIB, fill: bool = False, chap: bool = False) -> Volume:
        """Logical unit 1 of a target of its own; with `chap` it wants a user name and a password."""
        if not self.target_daemon:
            self.target_daemon = TargetDaemon(self.workspace)
        daemon = self.target_daemon
        path, volume_id = self.new_file(size, fill)
        daemon.targets += 1
        target, name = daemon.targets, f"iqn.2010-10.org.openstack:volume-{volume_id}"
        daemon.admin("new", "target", "--tid", target, "-T", name)
        daemon.admin("new", "logicalunit", "--tid", target, "--lun", 1, "-b", path)
        daemon.admin("bind", "target", "--tid", target, "-I", "ALL")
        login = {}
        if chap:
            user, password = f"u{target}", f"chapSecret{target:06d}"
            login = {"auth_method": "CHAP", "auth_username": user, "auth_password": password}
            daemon.admin("new", "account", "--user", user, "--password", password)
            daemon.admin("bind", "account", "--tid", target, "--user", user)

        def close() -> None:
            daemon.admin("delete", "target", "--tid", target, "--force", check=False)
            path.unlink(missing_ok=True)

        portal = f"127.0.0.1:{daemon.port}"
        data = {"target_discovered": False, "target_portal": portal, "target_iqn": name, "target_lun": 1, "volume_id": volume_id}
        source = f"<source protocol='iscsi' name='{name}/1'><host name='127.0.0.1' port='{daemon.port}'/></source>"
        info = self.info("iscsi", volume_id, **data, **login)
        return self.keep(Volume("iscsi", size, info, "network", source, (name,), raw=path, on_close=close))
