"""The client: every method of pivotd, and swaps whose outcome is found whatever is lost on the way."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import amqp
import kombu.exceptions
import oslo_messaging
from oslo_config import cfg

from .notifications import Notifications
from .outcomes import InvalidInput, NoAnswer, SwapFailed, SwapResult, Task, TaskUnknown, failure_of

LOG = logging.getLogger(__name__)
Info = Mapping[str, Any]
SILENCE = (
    oslo_messaging.MessagingException,
    oslo_messaging.MessageUndeliverable,
    kombu.exceptions.KombuError,
    amqp.AMQPError,
    OSError,
)
"""What oslo.messaging raises when nothing comes back, or nothing can be sent."""
NO_QUEUE_S = 60
"""Seconds that a host's queue may be missing: the broker may have restarted, but then its pivotd declares it again."""
ENDED = ("completed", "failed", "aborted")
"""The states of a task that is over."""


class Client:
    """Calls the pivotd of any host; threads may share one.

    transport: a transport URL, an oslo.messaging RPC transport, or None for the one that `conf` names.
    conf: oslo.config's object with the connection's options (default: the process's).
    context: the request context; a task's status shows its `request_id`.
    notifications: True, or the name of a pool (a queue), to end waits by volume_swap.end and .error.
    remote_modules: modules whose exceptions oslo.messaging may rebuild (default: nova's, if nova is installed).
    monitor_s: a call whose worker has sent no heartbeat for so long is given up, and its task polled.
    poll_s, answer_s: the longest pause between polls, and how long to wait for any other method's answer.
    """

    def __init__(
        self,
        transport: str | oslo_messaging.Transport | None = None,
        exchange: str = "openstack",
        topic: str = "pivotd",
        *,
        conf: cfg.ConfigOpts | None = None,
        context: Info | None = None,
        notifications: bool | str = False,
        notification_topic: str = "versioned_notifications",
        remote_modules: Sequence[str] | None = None,
        monitor_s: int = 30,
        poll_s: float = 5.0,
        answer_s: float = 15.0,
    ):
        url = None if isinstance(transport, oslo_messaging.Transport) else transport
        self._owned = transport is url
        if isinstance(transport, oslo_messaging.Transport):
            self._transport, conf = transport, transport.conf
        else:
            conf = conf or cfg.CONF
            if remote_modules is None:
                remote_modules = ["nova.exception"] if importlib.util.find_spec("nova") else []
            self._transport = oslo_messaging.get_rpc_transport(conf, url=url, allowed_remote_exmods=[*remote_modules])
        target = oslo_messaging.Target(exchange=exchange, topic=topic, version="1.0")
        options = oslo_messaging.TransportOptions(at_least_once=True)  # without a queue, sending fails
        self._rpc = oslo_messaging.get_rpc_client(self._transport, target, retry=2, transport_options=options)
        self.context, self.monitor_s, self.poll_s, self.answer_s = dict(context or {}), monitor_s, poll_s, answer_s
        self.exchange, self.topic = exchange, topic
        self._connected = False
        self._notifications = Notifications()
        if notifications:
            pool = notifications if isinstance(notifications, str) else None
            self._notifications.listen(conf, url, exchange, notification_topic, pool)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes what the client has opened."""
        self._notifications.close()
        if self._owned:
            self._transport.cleanup()

    # Swaps

    def swap(
        self,
        host: str,
        instance: str | Info,
        mountpoint: str,
        old_connection_info: Info,
        new_connection_info: Info,
        *,
        resize_to: int = 0,
        old_volume_id: str | None = None,
        new_volume_id: str | None = None,
        options: Info | None = None,
        request_token: str | None = None,
        timeout: float = 86400.0,
    ) -> SwapResult:
        """Moves a disk to another volume and waits for the outcome, also across restarts of pivotd and the broker.

        Raises `SwapFailed` if the swap failed, and `NoAnswer` if no outcome is known after `timeout` seconds.  The swap itself
        goes on then; its own limit is the option `timeout_s`.
        """
        ids = {"old_volume_id": old_volume_id, "new_volume_id": new_volume_id}
        more: dict[str, Any] = {"resize_to": resize_to, "options": options, "request_token": request_token, **ids}
        task = _task(host, instance, mountpoint, old_connection_info, new_connection_info, **more)
        deadline = time.monotonic() + timeout
        try:
            return SwapResult.of(self._call(host, "swap_volume", task.request, task, timeout, self.monitor_s), task)
        except SwapFailed as failure:
            if ended := self._ended(task, failure):
                raise ended from failure
            raise
        except NoAnswer as lost:
            LOG.info("task %s: %s; polling", task.id, lost)
            return self._follow(task, deadline)

    def submit(
        self,
        host: str,
        instance: str | Info,
        mountpoint: str,
        old_connection_info: Info,
        new_connection_info: Info,
        *,
        timeout: float = NO_QUEUE_S,
        **more: Any,
    ) -> Task:
        """Sends a swap without waiting for it; arguments as of `swap`. Tries for `timeout` seconds, then raises `NoAnswer`.

        Store the `request_token` first: the swap starts once, however often it is submitted with it.
        """
        task = _task(host, instance, mountpoint, old_connection_info, new_connection_info, **more)
        deadline = time.monotonic() + timeout
        while True:
            try:
                self._cast(task)
                return task
            except NoAnswer:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(1)

    def wait(self, task: Task, timeout: float | None = None) -> SwapResult:
        """The outcome of a task, as soon as a notification or a poll reports it.

        Raises as `swap` does, and `TaskUnknown` if the host does not know the task and there is no `task.request` to resend.
        """
        return self._follow(task, None if timeout is None else time.monotonic() + timeout)

    def check(
        self,
        host: str,
        instance: str | Info,
        mountpoint: str,
        old_connection_info: Info,
        new_connection_info: Info,
        **more: Any,
    ) -> dict[str, Any]:
        """check_swap's forecast of a swap (arguments as of `swap`): `acceptable`, `failure`, `strategy`, ... Touches nothing."""
        task = _task(host, instance, mountpoint, old_connection_info, new_connection_info, **more)
        return self._call(host, "check_swap", {key: value for key, value in task.request.items() if key != "request_token"})

    # Tasks: named by an id, or the newest of an instance's disk

    def get(self, host: str, task: str | Task | None = None, **disk: Any) -> dict[str, Any]:
        """A task's status, by `task` or by `instance` and `mountpoint`; raises `TaskUnknown` if there is none."""
        try:
            return self._call(host, "get_swap", _which(task, disk))
        except InvalidInput as refusal:
            raise TaskUnknown(str(refusal), "InvalidInput", {"reason": refusal.reason, "code": refusal.code}) from refusal

    def list(self, host: str, **which: Any) -> Sequence[dict[str, Any]]:
        """The host's tasks, newest first; by `instance`, `states` and `limit` (100)."""
        swaps: Sequence[dict[str, Any]] = self._call(host, "list_swaps", which)["swaps"]
        return swaps

    def abort(self, host: str, task: str | Task | None = None, **disk: Any) -> dict[str, Any]:
        """Requests the abort of a swap, named as for `get`; returns the task. After the pivot it raises `InvalidInput`."""
        return self._call(host, "abort_swap", _which(task, disk))

    def set_bandwidth(self, host: str, task: str | Task, mib_s: int) -> dict[str, Any]:
        """Changes the bandwidth of a running copy, 0 for no limit; returns the task."""
        return self._call(host, "set_bandwidth", {"bandwidth_mib_s": mib_s, **_which(task, {})})

    # Hosts

    def list_volumes(self, host: str, instance: str | Info | None = None) -> Sequence[dict[str, Any]]:
        """The disks of the host's domains, or of one."""
        given = {} if instance is None else {"instance": instance}
        volumes: Sequence[dict[str, Any]] = self._call(host, "list_volumes", given)["volumes"]
        return volumes

    def get_connector(self, host: str) -> dict[str, Any]:
        """The host's connector properties, which Cinder's attachment needs to export a volume to it."""
        return self._call(host, "get_connector")

    def get_capabilities(self, host: str) -> dict[str, Any]:
        """pivotd's version, methods, drivers and strategies, and what libvirt and QEMU can do there."""
        return self._call(host, "get_capabilities")

    # Messages

    def _call(
        self,
        host: str,
        method: str,
        arguments: Info | None = None,
        task: Task | None = None,
        timeout: float | None = None,
        monitor: int | None = None,
    ) -> dict[str, Any]:
        call = self._rpc.prepare(server=host, timeout=timeout or self.answer_s, call_monitor_timeout=monitor).call
        try:
            if not self._connected:  # a first call would wait for a broker without limit, a cast does not
                self._rpc.prepare(server=host).cast(self.context, "oslo_rpc_server_ping")
                self._connected = True
            answer: dict[str, Any] = call(self.context, method, **(arguments or {}))
            return answer
        except Exception as error:
            name, remote, _ = type(error).__name__.partition("_Remote")
            if remote:
                raise failure_of(name, str(error.args[0]), getattr(error, "kwargs", {}), task) from error
            if isinstance(error, oslo_messaging.RemoteError):
                stored = self._stored(error, task)
                message, kwargs = stored.get("message", error.value), stored.get("kwargs", {})
                raise failure_of(error.exc_type, message, kwargs, task) from error
            if isinstance(error, SILENCE):
                raise NoAnswer(f"{method} at {host}: {_reason(error)}", task) from error
            raise

    def _stored(self, error: oslo_messaging.RemoteError, task: Task | None) -> Info:
        """oslo.messaging drops the kwargs of an exception that it cannot rebuild; the status of the task has them, too.

        Its text may differ, since the reply stays as it was while a rollback goes on.  But InvalidInput with another text is
        about this request, and the stored one about another with the same token.
        """
        stored: Info = self._status(task).get("failure") or {} if task else {}
        same = stored.get("class") == error.exc_type
        if error.exc_type == "InvalidInput":
            same = same and stored.get("message") == error.value
        return stored if same else {}

    def _status(self, task: Task) -> Info:
        """get_swap's answer; empty if there is none."""
        with contextlib.suppress(NoAnswer, SwapFailed):
            return self.get(task.host, task)
        return {}

    def _ended(self, task: Task, failure: SwapFailed) -> SwapFailed | None:
        """How a failure has ended whose reply was sent before its rollback was over: the reply itself never changes.

        None if it has not ended, or if there was nothing to undo.
        """
        if not failure.left_behind:
            return None
        status = self._status(task)
        ended = status.get("failure") if status.get("state") in ENDED else None
        return failure_of(ended["class"], ended["message"], ended.get("kwargs", {}), task) if ended else None

    def _cast(self, task: Task) -> None:
        try:
            self._rpc.prepare(server=task.host).cast(self.context, "swap_volume", **task.request)
        except SILENCE as error:
            raise NoAnswer(f"swap_volume to {task.host}: {_reason(error)}", task) from error

    def _follow(self, task: Task, deadline: float | None) -> SwapResult:
        """Polls until the outcome is there; a notification ends a pause.  A task that never arrived is sent again."""
        pause, unknown, state, missing = self.poll_s / 25, 0, None, None
        last: NoAnswer | None = None
        with self._notifications.of(task.id) as end:
            while True:
                reported, now = end.payload, time.monotonic()
                try:
                    status = self.get(task.host, task)
                    state, unknown, missing = status["state"], 0, None
                    if outcome := _outcome(task, status, status["result"]):
                        return outcome
                except TaskUnknown:
                    unknown, missing = unknown + 1, None
                    if not task.request and unknown > 1:
                        raise
                    if task.request:
                        with contextlib.suppress(NoAnswer):
                            self._cast(task)
                except NoAnswer as silence:
                    no_queue = isinstance(silence.__cause__, oslo_messaging.MessageUndeliverable)
                    missing, last = (missing or now) if no_queue else None, silence
                if reported and (outcome := _outcome(task, reported, reported)):
                    return outcome
                left = float("inf") if deadline is None else deadline - time.monotonic()
                if left <= 0 or (missing and now - missing >= NO_QUEUE_S):
                    seen = f"last seen in state {state}" if state else f"never seen ({last or 'no answer'})"
                    raise NoAnswer(f"task {task.id} at {task.host}: no outcome; {seen}", task, state)
                end.wait(min(pause, left))
                pause = min(pause * 1.5, self.poll_s)


def _task(
    host: str,
    instance: str | Info,
    mountpoint: str,
    old: Info,
    new: Info,
    *,
    resize_to: int = 0,
    old_volume_id: str | None = None,
    new_volume_id: str | None = None,
    options: Info | None = None,
    request_token: str | None = None,
) -> Task:
    """A task with the arguments of swap_volume."""
    token = str(uuid.UUID(request_token) if request_token else uuid.uuid4())
    disk = {"instance": instance, "mountpoint": mountpoint, "old_connection_info": old, "new_connection_info": new}
    ids = {"old_volume_id": old_volume_id, "new_volume_id": new_volume_id}
    return Task(host, token, {**disk, **ids, "resize_to": resize_to, "options": {**(options or {})}, "request_token": token})


def _which(task: str | Task | None, disk: Info) -> dict[str, Any]:
    """The arguments that name a task."""
    return dict(disk) if task is None else {"task_id": task.id if isinstance(task, Task) else task}


def _reason(error: Exception) -> str:
    """Why nothing comes back, or nothing can be sent."""
    if isinstance(error, oslo_messaging.MessageUndeliverable):
        return "the broker has no queue for this host: its pivotd has not run yet, or has another host, topic or exchange"
    return str(error) or type(error).__name__


def _outcome(task: Task, status: Info, result: Info | None) -> SwapResult | None:
    """The outcome in a status or a notification; what belongs to another request with the same token is refused."""
    ids = {key: status.get(key) for key in ("old_volume_id", "new_volume_id")}
    seen = {"disk": status.get("disk"), **ids}
    asked = {**task.request, "disk": task.request["mountpoint"].rpartition("/")[2]} if task.request else seen
    if any(asked[key] != value for key, value in seen.items()):
        raise InvalidInput("request_token: belongs to another request, with other arguments", task_id=task.id)
    if failure := status.get("failure"):
        known = Task(task.host, task.id, {**task.request, **ids})
        raise failure_of(failure["class"], failure["message"], failure.get("kwargs", {}), known)
    return SwapResult.of(result, task) if result else None
