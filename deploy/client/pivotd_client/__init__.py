"""Client of pivotd over oslo.messaging: swaps that can be resent, followed and judged."""

from __future__ import annotations

from .client import Client
from .outcomes import (
    DiskNotFound,
    InstanceNotFound,
    InstanceNotRunning,
    InvalidInput,
    InvalidVolume,
    NoAnswer,
    PivotdError,
    SwapFailed,
    SwapResult,
    Task,
    TaskUnknown,
    VolumeRebaseFailed,
    may_delete,
)

__all__ = [
    "Client",
    "DiskNotFound",
    "InstanceNotFound",
    "InstanceNotRunning",
    "InvalidInput",
    "InvalidVolume",
    "NoAnswer",
    "PivotdError",
    "SwapFailed",
    "SwapResult",
    "Task",
    "TaskUnknown",
    "VolumeRebaseFailed",
    "may_delete",
]
