"""What a swap may end with, and which volume may be deleted then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Task:
    """A swap on its way. After a crash of the caller, host and id are enough to wait for it again.

    `request` holds the arguments of swap_volume, secrets included, so that a message the broker lost can be resent.
    """

    host: str
    id: str
    request: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True)
class SwapResult:
    """A swap that succeeded: the VM runs on the new volume.

    `connection_info` is the new volume's, with its secrets masked unless it came with the reply to `Client.swap`; `resized` is
    None if no size was requested.  `warnings` are for an operator.  `is_shared`: other hosts may use the old volume, too
    (multiattach), as far as the request says, or without it the new volume's connection_info.
    """

    task_id: str
    instance_uuid: str
    disk: str
    old_volume_id: str | None
    new_volume_id: str | None
    strategy: str = ""
    hypervisor: str = "libvirt"
    connection_info: Mapping[str, Any] = field(default_factory=dict, repr=False)
    capacity_bytes: int = 0
    copied_bytes: int = 0
    duration_s: float = 0.0
    attempts: int = 0
    resized: bool | None = None
    warnings: list[str] = field(default_factory=list)
    is_shared: bool = False

    @classmethod
    def of(cls, members: Mapping[str, Any], task: Task | None = None) -> SwapResult:
        """From what pivotd sent, and the task's request; what later versions add is ignored."""
        known = {one.name for one in fields(cls)} - {"is_shared"}
        shared = _is_shared(task)
        if shared is None:
            shared = bool(members.get("connection_info", {}).get("multiattach"))
        return cls(**{name: value for name, value in members.items() if name in known}, is_shared=shared)


def _is_shared(task: Task | None) -> bool | None:
    """Whether other hosts may use the old volume, too; None if the request is not known."""
    info = task.request.get("old_connection_info") if task else None
    return None if info is None else bool(info.get("multiattach"))


class PivotdError(Exception):
    """Everything that this package raises."""


class NoAnswer(PivotdError):
    """Nobody answered in time: the swap may be running, done, or never have arrived. `Client.wait(task)` finds out later."""

    def __init__(self, message: str, task: Task | None = None, state: str | None = None):
        super().__init__(message)
        self.task = task
        self.state = state
        """The last state that the task was seen in."""


class SwapFailed(PivotdError):
    """pivotd refused a request, or a swap failed.

    reason_code: one of the codes in schemas/failure.json; None if pivotd did not say.
    in_use: the volume that the VM runs on: old, new, none or unknown.
    is_shared: whether other hosts may use the old volume, too (multiattach); None if the request is not known.
    remote_class: the name of the exception that pivotd sent.
    """

    def __init__(
        self,
        message: str,
        remote_class: str = "",
        kwargs: Mapping[str, Any] | None = None,
        task_id: str | None = None,
        old_volume_id: str | None = None,
        new_volume_id: str | None = None,
        is_shared: bool | None = False,
    ):
        super().__init__(message)
        told = kwargs or {}
        self.remote_class = remote_class or type(self).__name__
        self.reason: str = told.get("reason") or message
        self.code: int | None = told.get("code")
        self.reason_code: str | None = told.get("reason_code")
        self.retryable: bool = told.get("retryable", False)
        self.in_use: str = told.get("in_use", "unknown")
        self.left_behind: list[str] = list(told.get("left_behind", ()))
        self.task_id: str | None = told.get("task_id") or task_id
        self.old_volume_id, self.new_volume_id, self.is_shared = old_volume_id, new_volume_id, is_shared


class VolumeRebaseFailed(SwapFailed):
    """Copy, pivot or configuration failed, timed out or was aborted."""


class InstanceNotFound(SwapFailed):
    """libvirt has no such domain."""


class InstanceNotRunning(SwapFailed):
    """The domain is not running."""


class DiskNotFound(SwapFailed):
    """The domain has no such disk."""


class InvalidInput(SwapFailed):
    """An argument is wrong, a path is not allowed, or the request comes too late."""


class InvalidVolume(SwapFailed):
    """A volume is in use, too small or missing, or the old one is not what the disk shows."""


class TaskUnknown(InvalidInput):
    """The host's pivotd has no such task: it never arrived, or its outcome has expired."""


CLASSES = {
    one.__name__: one
    for one in (VolumeRebaseFailed, InstanceNotFound, InstanceNotRunning, DiskNotFound, InvalidInput, InvalidVolume)
}


def failure_of(name: str, message: str, kwargs: Mapping[str, Any], task: Task | None) -> SwapFailed:
    """The exception for one that pivotd sent."""
    ids = {key: task.request.get(key) for key in ("old_volume_id", "new_volume_id")} if task else {}
    return CLASSES.get(name, SwapFailed)(message, name, kwargs, task.id if task else None, **ids, is_shared=_is_shared(task))


def may_delete(outcome: SwapResult | BaseException) -> str | None:
    """The id of the volume that this outcome leaves without a use; None if there is none, or if nobody can tell.

    On success that is the old volume.  On a failure it is the new one if the VM runs on the old one and the other way round,
    but neither while pivotd has left something behind or the stored configuration is wrong, and never a new volume that somebody
    else uses.  An old volume that other hosts may use (multiattach) is never named, nor one of which that is not known after a
    failure.  A dry run moves nothing.
    """
    if not isinstance(outcome, (SwapResult, SwapFailed)) or outcome.old_volume_id == outcome.new_volume_id:
        return None
    old = outcome.old_volume_id if outcome.is_shared is False else None
    if isinstance(outcome, SwapResult):
        return old if outcome.hypervisor != "dry-run" else None
    if outcome.left_behind or outcome.reason_code in ("new_volume_in_use", "configuration_failed"):
        return None
    return {"old": outcome.new_volume_id, "new": old}.get(outcome.in_use)
