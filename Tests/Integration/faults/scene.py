"""One swap under a fault, from the call to the verdict."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from expectations import assert_moved, assert_stayed, swap_arguments
from lab.clients import Caller
from lab.daemon import Pivotd
from lab.guest import Guest
from lab.lab import Lab
from lab.processes import until
from lab.volumes import Volume

ENDED = ("completed", "failed", "aborted")

MIDDLING = 12
"""MiB/s: a copy of 32 MiB is under way for about three seconds."""


@dataclass
class Scene:
    """A guest that writes, the volume that it is to be moved to, and the call that asks for it."""

    lab: Lab
    daemon: Pivotd
    caller: Caller
    guest: Guest
    new: Volume
    message: dict

    def send(self) -> Scene:
        """Sends the call (again)."""
        self.caller.send(self.message)
        return self

    def wait_copying(self) -> Scene:
        """Waits until the copy is under way."""
        until(lambda: self.guest.job() == "Block Copy", 30, f"no copy: {self.daemon.log()[-500:]}")
        return self

    def task(self) -> dict:
        """The swap as the daemon tells it."""
        return next(swap for swap in self.swaps() if swap["new_volume_id"] == self.message["args"]["new_volume_id"])

    def swaps(self) -> list[dict]:
        """All swaps of the guest, newest first."""
        return self.caller.call("list_swaps", instance=self.guest.uuid)["swaps"]

    def settled(self, timeout: float = 60) -> dict:
        """The swap as the daemon tells it once all is over, the roll-back too."""
        until(lambda: self.task()["state"] in ENDED, timeout, lambda: f"the swap does not end: {self.task()}", 0.2)
        return self.task()

    def assert_unanswered(self, seconds: float) -> None:
        """For so long no final reply comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.caller.answered(self.message):
                raise AssertionError(f"answered too early: {self.reply()}")
            time.sleep(0.1)

    def refusal(self) -> dict:
        """The failure that the call has to end with, whatever is done about it afterwards."""
        reply = self.reply()
        assert reply["failure"], f"the swap should have failed: {reply}"
        return json.loads(reply["failure"])

    def reply(self, repeats: bool = False) -> dict:
        """The one final reply.

        With `repeats` it may have come more than once (a crash between the broker's confirm and the journal's, or the call was
        sent more than once), but then as the very same one.
        """
        finals = self.caller.finals(self.message)
        assert len({json.dumps(reply, sort_keys=True) for reply in finals}) == 1, finals
        assert repeats or len(finals) == 1, f"{len(finals)} final replies"
        return finals[0]

    def conclude(self, repeats: bool = False) -> dict:
        """Waits for the reply and checks that everything is as it says; returns it."""
        reply = self.reply(repeats)
        if reply["failure"] is None:
            assert_moved(self.guest, self.new)
        else:
            failure = json.loads(reply["failure"])
            assert failure["module"] == "nova.exception", failure
            assert_stayed(self.guest, self.new, failure=failure["message"])
        return reply

    def succeed(self, repeats: bool = False) -> None:
        """Like `conclude`, of a swap that nothing should have kept from its success."""
        reply = self.conclude(repeats)
        assert reply["failure"] is None, reply["failure"]

    def fail(self, *told: str, repeats: bool = False) -> None:
        """Like `conclude`, of a swap that has to end in VolumeRebaseFailed with one of these texts in its reason."""
        reply = self.conclude(repeats)
        assert reply["failure"], "the swap should have failed"
        failure = json.loads(reply["failure"])
        assert failure["class"] == "VolumeRebaseFailed", failure
        assert not told or any(text in failure["message"] for text in told), failure["message"]


class Stage:
    """Where scenes are played: a pivotd and a caller with durable queues of their own."""

    EXCHANGE = "faults"

    def __init__(self, lab: Lab, config: dict | None = None, **options):
        name = f"faults{len(lab.daemons)}"
        settings = {
            "exchange": self.EXCHANGE,
            "amqp_durable_queues": True,
            "notification_topic": f"{name}_notifications",
            "max_concurrent_swaps": 8,
        }
        self.lab = lab
        self.daemon = lab.daemon(name, config=settings | (config or {}), **options)
        self.daemon.start()
        self.caller = Caller(lab.rabbit.url, name, self.EXCHANGE)

    def scene(self, guest: Guest, new: Volume | None = None, **options) -> Scene:
        """A swap that is not asked for yet; `options` are the call's."""
        new = new or self.lab.volumes.file()
        message = self.caller.message("swap_volume", swap_arguments(guest, new, options=options))
        return Scene(self.lab, self.daemon, self.caller, guest, new, message)

    def close(self) -> None:
        """Ends daemon and caller."""
        self.caller.close()
        self.daemon.stop()
