"""Talking to a worker about a swap that is under way."""

from __future__ import annotations

from lab.clients import Rpc
from lab.guest import Guest
from lab.processes import until

SLOW = {"strategy": "copy", "bandwidth_mib_s": 1}
"""Options that make the copy of a filled 32 MiB volume take half a minute, unless it is sped up."""

FAST = 1024


def swaps_of(rpc: Rpc, guest: Guest) -> list[dict]:
    """A guest's swaps as list_swaps tells them, newest first."""
    return rpc.call("list_swaps", instance=guest.uuid)["swaps"]


def wait_for_state(rpc: Rpc, guest: Guest, *states: str, after: int = 0, timeout: float = 30) -> dict:
    """Waits until the guest's newest swap is in one of these states; returns it.

    With `after` it has to have had more swaps than that: the newest one is not one from before.
    """

    def found() -> dict | None:
        swaps = swaps_of(rpc, guest)
        return swaps[0] if len(swaps) > after and swaps[0]["state"] in states else None

    return until(found, timeout, lambda: f"no swap became {' or '.join(states)}: {swaps_of(rpc, guest)[:2]}", 0.1)


def wait_for_copy(rpc: Rpc, guest: Guest, timeout: float = 30) -> str:
    """Waits until data is being copied; returns the task's id."""
    task = wait_for_state(rpc, guest, "copying", timeout=timeout)["task_id"]
    until(guest.job, timeout, "no block job to be seen")
    return task
