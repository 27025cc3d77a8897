"""A private RabbitMQ node."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from .processes import LabError, Workspace, descendants, free_port, port_open, run, send_signal, until

BROKER_PASSWORD = "br0ker-s3cret-pw"
PROGRAMS = "/usr/lib/rabbitmq/bin"


class Rabbit:
    """A node with its own epmd, cookie, directories and ports; user `pivot`, virtual host `lab`.

    With a `peer` it joins that node's cluster.  With `tracing` it tells amq.rabbitmq.trace all that is published, as after
    `rabbitmqctl trace_on`, but also after a restart.
    """

    def __init__(
        self,
        workspace: Workspace,
        tracing: bool = False,
        name: str = "rabbit",
        peer: Rabbit | None = None,
        settings: dict | None = None,
    ):
        self.workspace, self.name, self.peer = workspace, name, peer
        self.directory = workspace.directory(name)
        self.port, self.epmd_port = free_port(), peer.epmd_port if peer else free_port()
        self.node = f"pivotlab{self.port}@localhost"
        self.process = self.epmd = None
        self._configure(tracing, settings or {})

    @property
    def url(self) -> str:
        """The transport URL, OpenStack's form."""
        return f"rabbit://pivot:{BROKER_PASSWORD}@127.0.0.1:{self.port}/lab"

    def _configure(self, tracing: bool, more: dict) -> None:
        # The cookie is there, and a cluster's nodes share it.
        home = self.workspace.directory((self.peer or self).name, "home")
        settings = {
            "listeners.tcp.local": f"127.0.0.1:{self.port}",
            "default_user": "pivot",
            "default_pass": BROKER_PASSWORD,
            "default_vhost": "lab",
            "default_user_tags.administrator": "true",
            "vm_memory_high_watermark.absolute": "2GB",
            "disk_free_limit.absolute": "50MB",
            "max_message_size": 134_217_728,  # RabbitMQ 4 takes 16 MiB by itself
            **more,
        }
        (self.directory / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        traced = '<<"lab">>' if tracing else ""
        (self.directory / "advanced.config").write_text(f"[{{rabbit, [{{trace_vhosts, [{traced}]}}]}}].\n")
        (self.directory / "enabled_plugins").write_text("[].\n")
        self.env = {
            **{key: value for key, value in os.environ.items() if not key.startswith("RABBITMQ_")},
            "HOME": str(home),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.directory / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.directory / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.directory / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "enabled_plugins"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +S 2:2",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "LC_ALL": "C.UTF-8",
        }

    def start(self, wait: bool = True) -> Rabbit:
        """Starts the node; with `wait` it is listening when this returns."""
        if not self.peer and (not self.epmd or not self.epmd.running()):
            argv = ["epmd", "-port", self.epmd_port, "-address", "127.0.0.1"]
            self.epmd = self.workspace.start(f"epmd-{self.name}", argv, self.env)
            until(lambda: port_open(self.epmd_port), 10, "epmd does not listen")
        self.process = self.workspace.start(self.name, [f"{PROGRAMS}/rabbitmq-server"], self.env)
        if wait:
            self.wait()
        return self

    def wait(self, timeout: float = 90) -> None:
        """Waits until the node listens."""
        until(lambda: port_open(self.port) or not self.process.running(), timeout, lambda: f"RabbitMQ: {self.process.tail()}")
        if not self.process.running():
            raise LabError(f"RabbitMQ ended: {self.process.tail()}")

    def kill(self) -> None:
        """kill -9 of the node."""
        for pid in descendants(self.process.pid):
            send_signal(pid, signal.SIGKILL)
        self.process.stop(signal.SIGKILL)
        until(lambda: not port_open(self.port), 10, "RabbitMQ's port is still open after kill -9")

    def join(self) -> Rabbit:
        """Joins the peer's cluster, once; for a node that has nothing yet."""
        self.control("stop_app")
        self.control("join_cluster", self.peer.node)
        self.control("start_app")
        self.wait()
        return self

    def freeze(self) -> None:
        """SIGSTOP: its connections stay open, and nobody reads from them."""
        for pid in descendants(self.process.pid):
            send_signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        for pid in descendants(self.process.pid):
            send_signal(pid, signal.SIGCONT)

    def restart_hard(self, pause: float = 1.0) -> None:
        """kill -9, `pause` seconds without a broker, and a new start on the same port and data."""
        self.kill()
        time.sleep(pause)
        self.start()

    def control(self, *arguments, timeout: float = 300) -> str:
        """Runs rabbitmqctl against the node."""
        return run(f"{PROGRAMS}/rabbitmqctl", "-q", *arguments, env=self.env, timeout=timeout)

    @contextlib.contextmanager
    def user(self, name: str, *, configure: str = ".*", write: str = ".*", read: str = ".*") -> Iterator[str]:
        """A user with these permissions, and the URL for it; taken away in the end."""
        password = f"{name}-pw"
        self.control("add_user", name, password)
        self.control("set_permissions", "-p", "lab", name, configure, write, read)
        try:
            yield self.url.replace(self.url.split("@")[0], f"rabbit://{name}:{password}")
        finally:
            self.control("delete_user", name)

    def stop(self) -> None:
        """Ends node and epmd."""
        for process in (self.process, self.epmd):
            if process:
                process.stop(signal.SIGKILL)
