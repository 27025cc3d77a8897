"""Every failure class of the contract, raised at a stock client as the real Python exception, with nothing touched."""

import time
import uuid

import pytest
from expectations import assert_outcome, assert_runs_on, assert_stayed, swap_arguments
from nova import exception
from oslo_messaging.rpc import dispatcher


def test_no_such_instance(lab, rpc, guest):
    unknown = str(uuid.uuid4())
    with pytest.raises(exception.InstanceNotFound) as raised:
        rpc.call("swap_volume", **swap_arguments(guest, lab.volumes.file(), instance=unknown))
    assert raised.value.kwargs["instance_id"] == unknown and raised.value.kwargs["code"] == 404
    assert str(raised.value).startswith(f"Instance {unknown} could not be found.")
    assert_outcome(raised.value.kwargs, "instance_not_found", in_use="none")


def test_instance_not_running(lab, rpc):
    shut_off = lab.guest({"vdb": lab.volumes.file()}, start=False)
    with pytest.raises(exception.InstanceNotRunning) as raised:
        rpc.call("swap_volume", **swap_arguments(shut_off, lab.volumes.file()))
    assert raised.value.kwargs["instance_id"] == shut_off.uuid and raised.value.kwargs["code"] == 400
    assert_outcome(raised.value.kwargs, "instance_not_running", in_use="none")
    assert shut_off.disks["vdb"].named_by(shut_off.disk("vdb", inactive=True))
    lab.remove(shut_off)


def test_no_such_disk(lab, rpc, guest):
    with pytest.raises(exception.DiskNotFound) as raised:
        rpc.call("swap_volume", **swap_arguments(guest, lab.volumes.file(), mountpoint="/dev/vdz"))
    assert raised.value.kwargs["code"] == 404 and "vdz" in raised.value.kwargs["location"]
    assert raised.value.kwargs["reason_code"] == "disk_not_found" and not raised.value.kwargs["retryable"]


def changed(key: str, **data):
    """A change of a connection_info's data, for the table below."""
    return lambda arguments: arguments[key]["data"].update(data)


def without(*path: str):
    """Removes an argument, or a key within one."""

    def remove(arguments: dict) -> None:
        for key in path[:-1]:
            arguments = arguments[key]
        del arguments[path[-1]]

    return remove


def with_value(key: str, value):
    """Gives an argument another value."""
    return lambda arguments: arguments.update({key: value})


BAD_INPUT = {
    "no instance": without("instance"),
    "instance null": with_value("instance", None),
    "instance a number": with_value("instance", 7),
    "instance empty": with_value("instance", ""),
    "no mountpoint": without("mountpoint"),
    "mountpoint empty": with_value("mountpoint", ""),
    "mountpoint a list": with_value("mountpoint", ["vdb"]),
    "no old connection_info": without("old_connection_info"),
    "no new connection_info": without("new_connection_info"),
    "connection_info a text": with_value("new_connection_info", "vol"),
    "connection_info without type": without("new_connection_info", "driver_volume_type"),
    "connection_info without data": without("new_connection_info", "data"),
    "path not absolute": changed("new_connection_info", device_path="volumes/v.img"),
    "path a number": changed("new_connection_info", device_path=7),
    "path with NUL": changed("new_connection_info", device_path="/dev/loop0\0x"),
    "format unknown": changed("new_connection_info", format="vmdk' evil='"),
    "resize_to negative": with_value("resize_to", -1),
    "resize_to a text": with_value("resize_to", "two"),
    "resize_to absurd": with_value("resize_to", 1 << 60),
    "options a list": with_value("options", ["strategy"]),
    "option unknown": with_value("options", {"bandwith_mib_s": 1}),
    "strategy unknown": with_value("options", {"strategy": "teleport"}),
    "bandwidth negative": with_value("options", {"bandwidth_mib_s": -1}),
    "bandwidth a text": with_value("options", {"bandwidth_mib_s": "fast"}),
    "granularity no power of two": with_value("options", {"strategy": "copy", "granularity_kib": 3}),
    "timeout negative": with_value("options", {"timeout_s": -5}),
    "flag a text": with_value("options", {"synchronous_writes": "maybe"}),
    "rebase with a granularity": with_value("options", {"strategy": "rebase", "granularity_kib": 64}),
}


@pytest.mark.parametrize("change", BAD_INPUT.values(), ids=BAD_INPUT.keys())
def test_bad_input(lab, rpc, guest, change):
    new = lab.volumes.file()
    arguments = swap_arguments(guest, new)
    change(arguments)
    with pytest.raises(exception.InvalidInput) as raised:
        rpc.call("swap_volume", **arguments)
    assert raised.value.kwargs["code"] == 400 and raised.value.kwargs["reason"]
    assert raised.value.kwargs["reason_code"] == "invalid_argument" and not raised.value.kwargs["retryable"]
    assert_stayed(guest, new)


@pytest.mark.parametrize("way", ["outside", "dotted", "symlink"])
def test_forbidden_paths(lab, rpc, guest, way):
    """A destination outside allowed_paths, said plainly, with `..`, and behind a symbolic link in an allowed place."""
    decoy = lab.volumes.file(path=lab.workspace.directory("forbidden") / f"{uuid.uuid4()}.img")
    inside = lab.volumes.directory
    link = inside / f"link-{uuid.uuid4()}"
    link.symlink_to(decoy.path)
    path = {"outside": decoy.path, "dotted": inside / ".." / "forbidden" / decoy.path.name, "symlink": link}[way]
    arguments = swap_arguments(guest, decoy)
    arguments["new_connection_info"]["data"]["device_path"] = str(path)
    with pytest.raises(exception.InvalidInput) as raised:
        rpc.call("swap_volume", **arguments)
    assert_outcome(raised.value.kwargs, "path_not_allowed")
    assert decoy.newest() == 0
    assert_stayed(guest, decoy)


def test_rebase_cannot_reach_a_network_volume(lab, rpc, guest):
    new = lab.volumes.nbd()
    with pytest.raises(exception.InvalidInput):
        rpc.call("swap_volume", **swap_arguments(guest, new, options={"strategy": "rebase"}))
    assert_stayed(guest, new)


def test_rebase_cannot_grow(lab, rpc, guest):
    new = lab.volumes.file(size=2 * guest.disks["vdb"].size)
    with pytest.raises(exception.InvalidVolume):
        rpc.call("swap_volume", **swap_arguments(guest, new, options={"strategy": "rebase"}))
    assert_stayed(guest, new)


def test_a_smaller_volume(lab, rpc, guest):
    new = lab.volumes.file(size=guest.disks["vdb"].size // 2)
    with pytest.raises(exception.InvalidVolume) as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert raised.value.kwargs["code"] == 400
    assert_outcome(raised.value.kwargs, "new_volume_too_small")
    assert_stayed(guest, new)


def test_an_unknown_kind_of_volume(lab, rpc, guest):
    new = lab.volumes.file()
    arguments = swap_arguments(guest, new)
    arguments["new_connection_info"] |= {"driver_volume_type": "carrier_pigeon", "data": {"coop": 7}}
    with pytest.raises(exception.InvalidVolume, match="carrier_pigeon"):
        rpc.call("swap_volume", **arguments)
    assert_stayed(guest, new)


def test_an_old_volume_that_the_disk_does_not_show(lab, rpc, guest):
    new, other = lab.volumes.file(), lab.volumes.file()
    with pytest.raises(exception.InvalidVolume):
        rpc.call("swap_volume", **swap_arguments(guest, new, old_connection_info=other.info))
    assert_stayed(guest, new)


def test_a_new_volume_that_does_not_exist(lab, rpc, guest):
    new = lab.volumes.file()
    arguments = swap_arguments(guest, new)
    arguments["new_connection_info"]["data"]["device_path"] = str(lab.volumes.directory / "nothing-here.img")
    with pytest.raises((exception.InvalidVolume, exception.InvalidInput)):
        rpc.call("swap_volume", **arguments)
    assert_stayed(guest, new)


def test_a_new_volume_that_another_guest_uses(lab, rpc, pool):
    guest, other = pool.take(2)
    with pytest.raises(exception.InvalidVolume):
        rpc.call("swap_volume", **swap_arguments(guest, other.disks["vdb"]))
    assert_runs_on(guest, guest.disks["vdb"])
    assert_runs_on(other, other.disks["vdb"])


def test_a_volume_with_two_writers(lab, rpc):
    shared = lab.volumes.file()
    shared.info["multiattach"] = True
    guests = [lab.guest({"vdb": shared}, shareable=True) for _ in range(2)]
    new = lab.volumes.file()
    with pytest.raises(exception.InvalidVolume) as raised:
        rpc.call("swap_volume", **swap_arguments(guests[0], new))
    assert_outcome(raised.value.kwargs, "multiattach")
    for guest in guests:
        assert guest.job() is None and shared.named_by(guest.disk())
        lab.remove(guest)
    new.close()


@pytest.mark.parametrize(
    "error, told, code", [("EIO", "Input/output error", "io_error"), ("ENOSPC", "No space left on device", "no_space")]
)
def test_a_destination_that_cannot_be_written(lab, rpc, guest, error, told, code):
    broken = ["error-pwrite=" + error, "error-pwrite-rate=100%"]
    new = lab.volumes.nbd(filters=["error"], parameters=broken)
    with pytest.raises(exception.VolumeRebaseFailed, match="^Volume rebase failed: ") as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert raised.value.kwargs["code"] == 500
    reason = raised.value.kwargs["reason"]
    assert "vdb" in reason and told in reason, reason
    assert_outcome(raised.value.kwargs, code)
    swap = rpc.call("get_swap", task_id=raised.value.kwargs["task_id"])
    assert (swap["reason_code"], swap["in_use"], swap["strategy"]) == (code, "old", "copy"), swap
    assert_stayed(guest, new)


def test_a_foreign_job_is_not_touched(lab, rpc):
    overlay = lab.volumes.overlay()
    guest = lab.guest({"vdb": overlay}).wait_ready()
    guest.libvirt.virsh("blockpull", guest.uuid, "vdb", "1")
    new = lab.volumes.file()
    with pytest.raises(exception.VolumeRebaseFailed) as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_outcome(raised.value.kwargs, "foreign_job")
    assert guest.job() == "Block Pull", "the foreign job is gone"
    assert overlay.named_by(guest.disk())
    lab.remove(guest)
    new.close()


def test_a_swap_that_takes_too_long(lab, rpc, guest):
    new = lab.volumes.file()
    options = {"strategy": "copy", "bandwidth_mib_s": 1, "timeout_s": 2}
    began = time.monotonic()
    with pytest.raises(exception.VolumeRebaseFailed) as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new, options=options))
    assert_outcome(raised.value.kwargs, "timed_out")
    assert time.monotonic() - began >= 2
    assert_stayed(guest, new)


def test_no_such_method(rpc):
    with pytest.raises(dispatcher.NoSuchMethod, match="explode"):
        rpc.call("explode", timeout=10)


def test_unsupported_version(rpc, guest):
    for version in ("1.9", "2.0"):
        with pytest.raises(dispatcher.UnsupportedVersion, match=version):
            rpc.call("list_swaps", timeout=10, version=version)
