"""Guests that tests share: booting one takes seconds, so a guest that is as it should be is used again."""

from __future__ import annotations

from lab.guest import Guest
from lab.lab import Lab
from lab.processes import LabError


def as_it_should_be(guest: Guest) -> bool:
    """Whether the guest runs, is as persistent as it was made, has no job, and is on the volume that it is believed to be on."""
    try:
        if not guest.running() or guest.is_persistent() != guest.persistent or guest.job():
            return False
        if guest.disk("vdb").find("mirror") is not None:
            return False
        kinds = (False, True) if guest.persistent else (False,)
        return all(guest.disks["vdb"].named_by(guest.disk("vdb", inactive)) for inactive in kinds)
    except LabError:
        return False


class GuestPool:
    """Hands out running guests with one filled 32 MiB file as vdb, or whatever volume they were moved to since."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.guests: list[Guest] = []

    def take(self, count: int = 1, persistent: bool = True) -> list[Guest]:
        """`count` different guests, writing."""
        self.discard_broken()
        fitting = [guest for guest in self.guests if guest.persistent == persistent][:count]
        booted = [
            self.lab.guest({"vdb": self.lab.volumes.file(fill=True)}, persistent=persistent)
            for _ in range(count - len(fitting))
        ]
        self.guests += booted
        for guest in booted:
            guest.wait_ready()
        return fitting + booted

    def one(self, persistent: bool = True) -> Guest:
        """A guest."""
        return self.take(1, persistent)[0]

    def discard_broken(self) -> None:
        """Removes guests that a failed test has left in another state."""
        for guest in [guest for guest in self.guests if not as_it_should_be(guest)]:
            self.retire(guest)

    def shrink(self) -> None:
        """Keeps one guest of each kind: they write all the time, and many take the whole machine."""
        for persistent in (False, True):
            for guest in [guest for guest in self.guests if guest.persistent == persistent][1:]:
                self.retire(guest)

    def retire(self, guest: Guest) -> None:
        """Takes a guest out that others should not get: its volume is not of the usual size any more."""
        self.guests.remove(guest)
        self.lab.remove(guest)
