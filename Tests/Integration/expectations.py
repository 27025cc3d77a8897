"""What must hold after a swap: the invariants that every test of one ends with."""

from __future__ import annotations

import copy
import xml.etree.ElementTree as ET

from lab.guest import Guest
from lab.volumes import Volume

SOURCE_DEPENDENT = ("source", "backingStore", "mirror", "auth")
"""Children of a <disk> that belong to its volume; everything else has to stay as it is."""


def swap_arguments(guest: Guest, new: Volume, target: str = "vdb", **more) -> dict:
    """The arguments of swap_volume that move a guest's disk onto `new`; `more` adds to them or replaces them."""
    old = guest.disks[target]
    arguments = {
        "instance": guest.uuid,
        "old_connection_info": copy.deepcopy(old.info),
        "new_connection_info": copy.deepcopy(new.info),
        "mountpoint": f"/dev/{target}",
        "old_volume_id": old.id,
        "new_volume_id": new.id,
    }
    return arguments | more


def disk_without_source(disk: ET.Element) -> str:
    """A <disk> less what belongs to its volume, as comparable text."""
    kept = copy.deepcopy(disk)
    for name in SOURCE_DEPENDENT:
        for child in kept.findall(name):
            kept.remove(child)
    kept.attrib.pop("type", None)
    kept[:] = sorted(kept, key=lambda child: child.tag)
    ET.indent(kept, "")
    return ET.canonicalize(ET.tostring(kept, encoding="unicode"), strip_text=True)


def shape(guest: Guest, target: str = "vdb") -> dict[str, str]:
    """What a swap must not change of a disk, live and stored."""
    kinds = {"live": False, "stored": True} if guest.persistent else {"live": False}
    return {kind: disk_without_source(guest.disk(target, inactive)) for kind, inactive in kinds.items()}


def assert_runs_on(guest: Guest, volume: Volume, target: str = "vdb", forgotten_mirror: bool = False) -> None:
    """Both configurations name the volume, no job is left, the domain is as persistent as it was, and every write is there."""
    assert guest.job(target) is None, "a block job is left"
    assert guest.is_persistent() == guest.persistent, "the domain's persistence has changed"
    live = guest.disk(target)
    assert volume.named_by(live), ET.tostring(live, encoding="unicode")
    assert forgotten_mirror or live.find("mirror") is None, "the live configuration still has a <mirror>"
    if guest.persistent:
        stored = guest.disk(target, inactive=True)
        assert volume.named_by(stored), ET.tostring(stored, encoding="unicode")
    if guest.info().get("State") == "running":
        guest.write_on(target)
    lost = volume.missing_writes(guest.written(target))
    assert not lost, f"{len(lost)} reported sectors are not on the volume, from {lost[0]}"


OUTCOME_KEYS = {"task_id": str, "reason_code": str, "retryable": bool, "in_use": str, "left_behind": list}


def assert_outcome(failure: dict, code: str, in_use: str = "old", left_behind: str | None = None) -> None:
    """What a failure's kwargs say for programs: the cause, the volume in use, what is left behind (named by `left_behind`)."""
    assert {key: type(failure.get(key)) for key in OUTCOME_KEYS} == OUTCOME_KEYS, failure
    assert (failure["reason_code"], failure["in_use"]) == (code, in_use), failure
    if left_behind is None:
        assert failure["left_behind"] == [], failure
    else:
        assert left_behind in " ".join(failure["left_behind"]), failure


def assert_moved(guest: Guest, new: Volume, target: str = "vdb", same_bytes: bool = True) -> None:
    """The guest's disk is on `new` and no longer on its old volume; from here on the guest's disk is `new`.

    The old volume is removed.
    """
    old = guest.disks[target]
    assert_runs_on(guest, new, target)
    last_on_old = old.newest()
    guest.write_on(target)
    assert old.newest() == last_on_old, "the guest still writes to the old volume"
    if same_bytes:
        assert new.bulk(old.size) == old.bulk(), "old and new volume differ beyond the guest's own writes"
    guest.disks[target] = new
    old.close()


def assert_stayed(guest: Guest, new: Volume, target: str = "vdb", failure: str = "") -> None:
    """The guest's disk is where it was, and `new` gets no writes; `new` is removed.

    `failure` is why the swap failed: it may tell of a <mirror> that libvirt itself cannot forget.
    """
    assert_runs_on(guest, guest.disks[target], target, forgotten_mirror="a <mirror> on disk" in failure)
    if new.raw:
        last_on_new = new.newest()
        guest.write_on(target)
        assert new.newest() == last_on_new, "the guest writes to the volume that it was not moved to"
    new.close()
