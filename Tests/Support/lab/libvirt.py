"""A private libvirtd: a mount namespace puts its directories over the machine's own."""

from __future__ import annotations

import contextlib
import glob
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from .processes import LabError, Process, Workspace, end, run, until

# Without these, probing loops for minutes on machines whose /dev/kvm QEMU's user cannot open; QEMU wants cgroups and virtlogd.
QEMU_CONF = """\
user = "root"
group = "root"
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
max_core = 0
remember_owner = 0
dynamic_ownership = 0
"""

LIBVIRTD_CONF = """\
auth_unix_rw = "none"
auth_unix_ro = "none"
unix_sock_rw_perms = "0700"
log_level = 3
max_clients = 200
"""

SECRET_USAGES = {"volume": "volume", "ceph": "name", "iscsi": "target"}


class Libvirt:
    """libvirtd and virtlogd in a namespace; the socket is reachable from outside it."""

    MOUNTS = {
        "etc": "/etc/libvirt",
        "lib": "/var/lib/libvirt",
        "run": "/run/libvirt",
        "cache": "/var/cache/libvirt",
        "log": "/var/log/libvirt",
    }

    def __init__(self, workspace: Workspace):
        self.workspace, self.directory = workspace, workspace.directory("libvirt")
        self.holder: Process | None = None
        self.logger: Process | None = None
        self.process: Process | None = None
        for name in [*self.MOUNTS, "etc/qemu"]:
            workspace.directory("libvirt", name)
        (self.directory / "etc/qemu.conf").write_text(QEMU_CONF)
        (self.directory / "etc/libvirtd.conf").write_text(LIBVIRTD_CONF)
        (self.directory / "etc/virtlogd.conf").write_text("")

    @property
    def socket(self) -> Path:
        """The daemon's socket."""
        return self.directory / "run/libvirt-sock"

    @property
    def uri(self) -> str:
        """The URI by which a client reaches it."""
        return f"qemu+unix:///system?socket={self.socket}"

    def inside(self, *argv) -> list:
        """A command line that runs in the namespace."""
        return ["nsenter", "-t", self.holder.pid, "-m", *argv]

    def _hold_namespace(self) -> None:
        for target in self.MOUNTS.values():
            Path(target).mkdir(parents=True, exist_ok=True)
        binds = [f"mount --bind {self.directory}/{name} {target}" for name, target in self.MOUNTS.items()]
        script = "; ".join(["set -e", *binds, f"touch {self.directory}/up", "exec sleep infinity"])
        self.holder = self.workspace.start("namespace", ["unshare", "-m", "--propagation", "private", "sh", "-c", script])
        up = self.directory / "up"
        until(lambda: up.exists() or not self.holder.running(), 10, "mount namespace")
        if not self.holder.running():
            raise LabError(f"mount namespace: {self.holder.tail()}")

    def start(self) -> Libvirt:
        """Starts it, or starts it again; it answers when this returns."""
        if not self.holder or not self.holder.running():
            self._hold_namespace()
        if not self.logger or not self.logger.running():
            argv = self.inside("virtlogd", "-f", "/etc/libvirt/virtlogd.conf", "-p", self.directory / "virtlogd.pid")
            self.logger = self.workspace.start("virtlogd", argv)
        argv = self.inside("libvirtd", "-f", "/etc/libvirt/libvirtd.conf", "-p", self.directory / "libvirtd.pid")
        self.process = self.workspace.start("libvirtd", argv)
        until(lambda: self.answers() or not self.process.running(), 60, lambda: f"libvirtd: {self.process.tail()}", 0.2)
        if not self.process.running():
            raise LabError(f"libvirtd ended: {self.process.tail()}")
        return self

    def answers(self) -> bool:
        """Whether a client can list its domains."""
        if not self.socket.exists():
            return False
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(["virsh", "-c", self.uri, "list"], capture_output=True, timeout=20).returncode == 0
        return False

    def kill(self) -> None:
        """kill -9 of libvirtd; guests and virtlogd live on."""
        self.process.kill()

    def restart_hard(self, pause: float = 0.5) -> None:
        """kill -9, `pause` seconds without it, and a new start."""
        self.kill()
        time.sleep(pause)
        self.start()

    def mount(self, device: str, directory: Path) -> None:
        """Mounts a filesystem for clients and for the daemon's namespace, which sees no later mounts by itself."""
        run("mount", device, directory)
        self.workspace.note("mounts", str(directory))
        run(*self.inside("mount", device, directory))

    def unmount(self, directory: Path) -> None:
        """Undoes `mount`."""
        run(*self.inside("umount", "-l", directory), check=False)
        run("umount", "-l", directory, check=False)

    def virsh(self, *arguments, timeout: float = 30, check: bool = True) -> str:
        """Runs virsh and returns what it printed."""
        return run("virsh", "-c", self.uri, *arguments, timeout=timeout, check=check)

    def define_secret(self, usage_type: str, usage: str, value: str | bytes, private: bool = True) -> str:
        """Makes a secret (`volume`, `ceph` or `iscsi`) and returns its UUID."""
        secret = str(uuid.uuid4())
        tag = SECRET_USAGES[usage_type]
        xml = (
            f"<secret ephemeral='no' private='{'yes' if private else 'no'}'><uuid>{secret}</uuid>"
            f"<usage type='{usage_type}'><{tag}>{usage}</{tag}></usage></secret>"
        )
        with self.xml_file(xml) as path:
            self.virsh("secret-define", path)
        with tempfile.NamedTemporaryFile(dir=self.workspace.root) as plain:
            plain.write(value if isinstance(value, bytes) else value.encode())
            plain.flush()
            self.virsh("secret-set-value", secret, "--file", plain.name, "--plain")
        return secret

    @contextlib.contextmanager
    def xml_file(self, text: str) -> Iterator[str]:
        """A temporary file with this text, for virsh."""
        with tempfile.NamedTemporaryFile("w", suffix=".xml", dir=self.workspace.root) as file:
            file.write(text)
            file.flush()
            yield file.name

    def qemu_pids(self) -> list[int]:
        """The QEMU processes that the daemon has started and that still run."""
        found = []
        for path in glob.glob(str(self.directory / "run/qemu/*.pid")):
            with contextlib.suppress(ValueError, OSError):
                pid = int(Path(path).read_text())
                if b"qemu-system" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
        return found

    def stop(self) -> None:
        """Ends guests, daemons and namespace."""
        for pid in self.qemu_pids():
            end(pid, signal.SIGKILL, 3)
        for process in (self.process, self.logger, self.holder):
            if process:
                process.stop(signal.SIGKILL)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.directory / "up")
