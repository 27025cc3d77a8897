"""What a caller sees must not depend on the hypervisor: libvirt and `dry-run:` through the same questions."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from expectations import assert_runs_on, swap_arguments
from lab.clients import Rpc
from lab.processes import until
from nova import exception

SIZES = {"libvirt": 32 << 20, "dry-run": 1 << 30}
"""Bytes of a disk, and of a new volume."""


@dataclass
class House:
    """A worker, one of its running domains with a disk vdb, and new volumes for it."""

    kind: str
    rpc: Rpc
    instance: str
    arguments: Callable[..., dict]

    def call(self, method: str = "swap_volume", **arguments):
        """Calls and returns the result."""
        return self.rpc.call(method, **arguments)

    def swap(self, **more) -> dict:
        """Swaps the disk; returns the result."""
        return self.rpc.call("swap_volume", **self.arguments(**more))

    def newest(self) -> dict:
        """The domain's newest swap."""
        swaps = self.rpc.call("list_swaps", instance=self.instance)["swaps"]
        return swaps[0] if swaps else {"state": None}


@pytest.fixture(scope="module")
def rehearsal(lab):
    """A pivotd with a simulated hypervisor, with one domain for each test."""
    domains = lab.workspace.path("domains.json")
    known = [
        {"uuid": str(uuid.uuid4()), "name": f"dry-{n}", "disks": [{"target": "vdb", "path": f"/volumes/d{n}.img"}]}
        for n in range(20)
    ]
    domains.write_text(json.dumps(known))
    uri = f"dry-run:?rate=4000&domains={domains}"
    daemon = lab.daemon("rehearsal", libvirt_uri=uri).start()
    rpc = Rpc(lab.rabbit.url, "rehearsal")
    yield rpc, known
    rpc.close()
    assert daemon.terminate() == 0


@pytest.fixture(params=["libvirt", "dry-run"])
def house(request, lab):
    """The same house twice: once of stone, once of paper."""
    if request.param == "libvirt":
        guest, rpc = request.getfixturevalue("pool").one(), request.getfixturevalue("rpc")
        volumes = [guest.disks["vdb"]]

        def real(**more) -> dict:
            volumes.append(lab.volumes.file())
            return swap_arguments(guest, volumes[-1], **more)

        yield House("libvirt", rpc, guest.uuid, real)
        [guest.disks["vdb"]] = [volume for volume in volumes if volume.named_by(guest.disk())]
        assert_runs_on(guest, guest.disks["vdb"])
        for volume in volumes:
            if volume is not guest.disks["vdb"]:
                volume.close()
        return
    rpc, known = request.getfixturevalue("rehearsal")
    domain = known.pop()

    def arguments(**more) -> dict:
        def info(path: str) -> dict:
            return {"driver_volume_type": "local", "data": {"device_path": path}}

        ids = {"old_volume_id": str(uuid.uuid4()), "new_volume_id": str(uuid.uuid4())}
        old, new = info(domain["disks"][0]["path"]), info(f"/volumes/{uuid.uuid4()}.img")
        made = {"instance": domain["uuid"], "mountpoint": "/dev/vdb", "old_connection_info": old, "new_connection_info": new}
        return copy.deepcopy(made | ids | more)

    yield House("dry-run", rpc, domain["uuid"], arguments)


RESULT = {
    "task_id": str, "instance_uuid": str, "disk": str, "old_volume_id": str, "new_volume_id": str, "strategy": str,
    "hypervisor": str, "connection_info": dict, "capacity_bytes": int, "copied_bytes": int, "duration_s": float, "attempts": int,
    "resized": type(None), "warnings": list,
}  # fmt: skip


@pytest.mark.parametrize("strategy", ["auto", "copy", "rebase"])
def test_a_swap(house, strategy):
    arguments = house.arguments(options={"strategy": strategy})
    result = house.call(**arguments)
    assert {key: type(value) for key, value in result.items()} == RESULT
    assert result["hypervisor"] == house.kind and result["instance_uuid"] == house.instance and result["disk"] == "vdb"
    assert result["connection_info"]["data"]["device_path"] == arguments["new_connection_info"]["data"]["device_path"]
    assert result["capacity_bytes"] == SIZES[house.kind] and result["attempts"] == 1
    assert house.newest()["state"] == "completed" and house.newest()["result"] == result


def test_the_same_call_again_is_a_success_that_copies_nothing(house):
    arguments = house.arguments()
    first = house.call(**arguments)
    again = house.call(**arguments)
    assert again["task_id"] != first["task_id"] and again["copied_bytes"] == 0


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"instance": str(uuid.uuid4())}, exception.InstanceNotFound),
        ({"mountpoint": "/dev/vdz"}, exception.DiskNotFound),
        ({"mountpoint": "../vdb"}, exception.InvalidInput),
        ({"resize_to": -1}, exception.InvalidInput),
        ({"options": {"strategy": "teleport"}}, exception.InvalidInput),
        ({"old_connection_info": {"driver_volume_type": "local", "data": {"device_path": "/other"}}}, exception.InvalidVolume),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else next(iter(value)),
)
def test_a_refusal(house, change, expected):
    with pytest.raises(expected):
        house.swap(**change)
    assert house.swap()["disk"] == "vdb", "a refusal leaves a disk that can be moved"


def test_watched_steered_and_aborted(house):
    call = house.rpc.later("swap_volume", **house.arguments(options={"bandwidth_mib_s": 1}))
    until(lambda: house.newest()["state"] == "copying" and house.newest()["progress"]["total_bytes"], 30, "no copy")
    task = house.newest()["task_id"]
    progress = house.call("get_swap", task_id=task)["progress"]
    assert 0 <= progress["copied_bytes"] <= progress["total_bytes"]
    house.call("set_bandwidth", task_id=task, bandwidth_mib_s=2)
    house.call("abort_swap", task_id=task)
    failure = call.error(20)
    assert isinstance(failure, exception.VolumeRebaseFailed) and "aborted by request" in str(failure)
    assert house.newest()["state"] == "aborted"
    assert house.swap()["disk"] == "vdb"


def test_one_after_the_other(house):
    first = house.rpc.later("swap_volume", **house.arguments(options={"bandwidth_mib_s": SIZES[house.kind] >> 21}))
    until(lambda: house.call("list_swaps", instance=house.instance)["swaps"], 20, "not accepted")
    second = house.rpc.later("swap_volume", **house.arguments())
    assert first.result()["disk"] == "vdb"
    failure = second.error()  # the first has moved the disk away from what the second believes
    assert isinstance(failure, exception.InvalidVolume)
