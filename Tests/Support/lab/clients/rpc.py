"""Stock oslo.messaging as the caller."""

from __future__ import annotations

import functools
import os
import threading
import time
import warnings
from collections.abc import Callable

os.environ.setdefault("OS_NOVA_DISABLE_EVENTLET_PATCHING", "1")
warnings.filterwarnings("ignore", category=DeprecationWarning)

import oslo_messaging  # noqa: E402  (nova reads the environment when it is imported)
from oslo_config import cfg  # noqa: E402

from ..daemon import HOST  # noqa: E402

CONTEXT = {"user_id": "admin", "project_id": "service", "is_admin": True, "request_id": "req-lab", "roles": ["admin"]}


@functools.cache
def oslo_configuration() -> cfg.ConfigOpts:
    """oslo.config's global object, with no files read (a fresh one lacks the options that oslo.messaging registers)."""
    cfg.CONF([], project="pivotd-tests", default_config_files=[])
    return cfg.CONF


class Later:
    """A call in a thread of its own."""

    def __init__(self, work: Callable):
        self.value, self.failure = None, None
        self.started, self.ended = time.monotonic(), None
        self._thread = threading.Thread(target=self._run, args=[work], daemon=True)
        self._thread.start()

    def _run(self, work: Callable) -> None:
        try:
            self.value = work()
        except BaseException as failure:  # noqa: BLE001  (it is raised again where the result is wanted)
            self.failure = failure
        self.ended = time.monotonic()

    def done(self) -> bool:
        """Whether the answer has come."""
        return self.ended is not None

    def result(self, timeout: float = 120):
        """The answer; raises what the call raised, and TimeoutError when nothing came."""
        self._thread.join(timeout)
        if not self.done():
            raise TimeoutError(f"no reply within {timeout} s")
        if self.failure:
            raise self.failure
        return self.value

    def error(self, timeout: float = 120) -> BaseException:
        """The exception that the call has to end with."""
        self._thread.join(timeout)
        if not self.done():
            raise TimeoutError(f"no reply within {timeout} s")
        assert self.failure, f"the call should have failed, but returned {self.value!r}"
        return self.failure


class Rpc:
    """An RPC client of one pivotd."""

    def __init__(self, transport_url: str, topic: str, server: str = HOST, exchange: str = "openstack"):
        oslo_messaging.set_transport_defaults(exchange)
        modules = ["nova.exception", "oslo_messaging.rpc.dispatcher"]
        self.transport = oslo_messaging.get_rpc_transport(
            oslo_configuration(), url=transport_url, allowed_remote_exmods=modules
        )
        target = oslo_messaging.Target(exchange=exchange, topic=topic, server=server, version="1.0")
        self.client = oslo_messaging.get_rpc_client(self.transport, target)

    def call(self, method: str, timeout: float = 90, version: str = "1.0", monitor: float | None = None, **arguments):
        """Calls and waits; `monitor` is oslo's call_monitor_timeout."""
        client = self.client.prepare(timeout=timeout, version=version, call_monitor_timeout=monitor)
        return client.call(CONTEXT, method, **arguments)

    def later(self, method: str, **options) -> Later:
        """`call` in a thread."""
        return Later(lambda: self.call(method, **options))

    def cast(self, method: str, **arguments) -> None:
        """Sends without waiting for an answer."""
        self.client.cast(CONTEXT, method, **arguments)

    def close(self) -> None:
        """Closes its connections."""
        self.transport.cleanup()
