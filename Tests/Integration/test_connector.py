"""Volumes that only a connector helper can attach, over the bus: what it is asked for, and when."""

from __future__ import annotations

import copy
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from expectations import assert_moved, assert_outcome, assert_runs_on, assert_stayed, swap_arguments
from lab.processes import until
from nova import exception
from steering import swaps_of, wait_for_state

SHIPPED = Path(__file__).parents[2] / "deploy" / "connector" / "pivotd-os-brick"

HELPER = """\
#!{python}
import json, subprocess, sys, time
request = json.load(sys.stdin)
data = request["connection_info"]["data"]
stored = subprocess.run(["virsh", "-c", {uri!r}, "dumpxml", "--inactive", data["instance"]], capture_output=True, text=True)
with open({calls!r}, "a") as calls:
    calls.write(json.dumps([request["action"], request["connection_info"]["serial"], stored.stdout]) + "\\n")
if request["action"] == "connect":
    time.sleep(data.get("late", 0))
    if "trouble" in data:
        sys.exit(data["trouble"])
    print(json.dumps({{"path": data["device"]}}))
"""


@pytest.fixture
def fabric(lab, second_worker):
    """A worker with a helper; (client, what the helper was asked for)."""
    helper, calls = lab.workspace.path("helper"), lab.workspace.path("helper.calls")
    helper.write_text(HELPER.format(python=sys.executable, uri=lab.libvirt.uri, calls=str(calls)))
    helper.chmod(0o700)
    calls.write_text("")
    _, rpc = second_worker({"connector_helper": str(helper), "connector_timeout_s": 20})
    return rpc, lambda: [json.loads(line) for line in calls.read_text().splitlines()]


@pytest.fixture
def traveller(lab):
    """A guest of the test's own: what it is on afterwards is no volume for other tests."""
    guest = lab.guest({"vdb": lab.volumes.file(fill=True)}).wait_ready()
    yield guest
    lab.remove(guest)


def attached_by_helper(volume, guest, **data):
    """Makes a volume one of a fabric: its place is for the helper alone to tell."""
    device = volume.info["data"]["device_path"]
    volume.info = copy.deepcopy(volume.info) | {"driver_volume_type": "fibre_channel"}
    volume.info["data"] = {"target_wwn": ["500a098280feeba5"], "target_lun": 1, "device": device, "instance": guest.uuid, **data}
    return volume


def test_a_check_does_not_call_the_helper(lab, traveller, fabric):
    """It sees what can be seen without: the size of the new volume cannot."""
    (rpc, calls), guest = fabric, traveller
    new = attached_by_helper(lab.volumes.loop(), guest)
    result = rpc.call("check_swap", **swap_arguments(guest, new))
    assert result["acceptable"] and result["new_bytes"] is None and result["old_bytes"] == guest.disks["vdb"].size
    assert "the connector has to attach it first" in " ".join(result["warnings"])
    missing = rpc.call("check_swap", **swap_arguments(guest, new, mountpoint="vdz"))
    assert missing["failure"]["class"] == "DiskNotFound"
    assert calls() == [] and swaps_of(rpc, guest) == []
    assert_stayed(guest, new)


@pytest.mark.parametrize("told", ["the path is in old_connection_info", "it is not"])
def test_onto_a_fabric_and_away_from_it(lab, traveller, fabric, told):
    (rpc, calls), guest = fabric, traveller
    first, second = attached_by_helper(lab.volumes.loop(), guest), lab.volumes.file()
    device = first.info["data"]["device"]
    result = rpc.call("swap_volume", **swap_arguments(guest, first))
    assert result["connection_info"]["data"]["device_path"] == device
    assert [call[:2] for call in calls()] == [["connect", first.id]], "the old volume is a file: nothing to disconnect"
    old = guest.disks["vdb"].id
    assert_moved(guest, first)

    arguments = swap_arguments(guest, second)
    if told.startswith("the path"):
        arguments["old_connection_info"] = result["connection_info"]
    else:
        arguments["old_connection_info"]["serial"] = old  # the disk keeps its first volume's serial, as with nova
    rpc.call("swap_volume", **arguments)
    action, serial, stored = calls()[-1]
    assert [action, len(calls())] == ["disconnect", 2] and serial in (first.id, old)
    assert str(second.raw) in stored and device not in stored, "disconnected before the stored configuration named the new volume"
    assert_moved(guest, second)


def test_a_swap_that_fails_is_disconnected(lab, guest, fabric):
    rpc, calls = fabric
    new = attached_by_helper(lab.volumes.loop(size=16 << 20), guest)
    with pytest.raises(exception.InvalidVolume, match="too small"):
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert [call[:2] for call in calls()] == [["connect", new.id], ["disconnect", new.id]]
    assert_stayed(guest, new)


def test_nothing_is_disconnected_that_another_guest_is_on(lab, pool, fabric):
    """The fabric hands out the device that another guest runs on: to disconnect it would pull that one's disk."""
    rpc, calls = fabric
    guest = pool.one()
    other = lab.guest({"vdb": lab.volumes.loop(fill=True)}).wait_ready()
    new = attached_by_helper(lab.volumes.loop(), guest, device=str(other.disks["vdb"].path))
    with pytest.raises(exception.InvalidVolume) as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert raised.value.kwargs["reason_code"] == "new_volume_in_use", raised.value.kwargs
    assert raised.value.kwargs["left_behind"], "that it stays connected is not told"
    assert [call[0] for call in calls()] == ["connect"]
    assert_runs_on(other, other.disks["vdb"])
    assert_runs_on(guest, guest.disks["vdb"])
    lab.remove(other)


def test_a_swap_that_was_done_already_is_released_too(lab, traveller, fabric):
    """Its guest is on the new volume when the call comes (again), and the old one is still connected."""
    (rpc, calls), guest = fabric, traveller
    first, second = attached_by_helper(lab.volumes.loop(), guest), lab.volumes.file()
    rpc.call("swap_volume", **swap_arguments(guest, first))
    assert_moved(guest, first)
    arguments = swap_arguments(guest, second, old_connection_info=first.info)
    words = ["--reuse-external", "--transient-job", "--format", "raw", "--wait", "--pivot"]
    lab.libvirt.virsh("blockcopy", guest.uuid, "vdb", "--dest", second.path, *words, timeout=60)
    assert rpc.call("swap_volume", **arguments)["copied_bytes"] == 0
    assert [call[:2] for call in calls()][1:] == [["disconnect", first.id]]
    assert_moved(guest, second)


def test_a_crash_after_a_connect(lab, traveller, fabric, second_worker):
    """Whether it connects again or lets go first: in the end the new volume is connected and used, once."""
    (_, calls), guest = fabric, traveller
    daemon, rpc = second_worker({"connector_helper": str(lab.workspace.path("helper")), "amqp_durable_queues": False})
    new = attached_by_helper(lab.volumes.loop(), guest, late=4)
    rpc.cast("swap_volume", **swap_arguments(guest, new))
    until(calls, 20, "the helper is not called")
    daemon.restart_hard()
    wait_for_state(rpc, guest, "completed", timeout=60)
    asked = [call[:2] for call in calls()]
    assert asked[0] == asked[-1] == ["connect", new.id]
    assert_moved(guest, new)


def test_iscsi_goes_through_the_helper_too(lab, traveller, fabric):
    """Its targets may admit the host's own name only."""
    (rpc, calls), guest = fabric, traveller
    new = attached_by_helper(lab.volumes.loop(), guest)
    new.info["driver_volume_type"] = "iscsi"
    new.info["data"] |= {"target_portal": "192.0.2.1:3260", "target_iqn": f"iqn.2010-10.org.openstack:{new.id}"}
    result = rpc.call("swap_volume", **swap_arguments(guest, new))
    assert result["connection_info"]["data"]["device_path"] == new.info["data"]["device"]
    assert [call[:2] for call in calls()] == [["connect", new.id]]
    assert_moved(guest, new)


@pytest.mark.parametrize(
    ("data", "told"), [({"trouble": "no path to the fabric"}, "no path to the fabric"), ({"late": 60}, "killed")]
)
def test_a_helper_in_trouble(lab, guest, second_worker, fabric, data, told):
    """What it may have connected before it failed is given back."""
    rpc, calls = fabric
    if "late" in data:
        helper = lab.workspace.path("helper")
        _, rpc = second_worker({"connector_helper": str(helper), "connector_timeout_s": 1})
    new = attached_by_helper(lab.volumes.loop(), guest, **data)
    with pytest.raises(exception.InvalidVolume, match=told) as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_outcome(raised.value.kwargs, "connector_failed")
    assert [call[:2] for call in calls()] == [["connect", new.id], ["disconnect", new.id]]
    assert_stayed(guest, new)


@pytest.mark.parametrize(
    ("device", "links", "found"),
    [
        ("sdb", {"by-path/ip-192.0.2.1:3260-iscsi-iqn.2010-10.org.openstack:1-lun-1": "sdb"}, True),
        ("dm-3", {"by-id/dm-name-mpatha": "dm-3", "by-id/dm-uuid-mpath-36001405": "dm-3"}, True),
        ("nvme1n1", {"by-id/nvme-Linux_0123456789": "nvme1n1", "by-id/nvme-uuid.1b4e28ba": "nvme1n1"}, True),
        ("nvme1n2", {"by-id/nvme-eui.0025388b": "nvme1n1", "by-id/nvme-nvme.1d0f-4c69-00000002": "nvme1n2"}, True),
        ("nvme1n1", {"by-id/nvme-Linux_0123456789": "nvme1n1"}, False),
        ("nvme1n1", {"by-id/nvme-eui.0025388b-part1": "nvme1n1p1"}, False),
        ("vdb", {"by-id/virtio-1": "vdb", "by-path/virtio-pci-0000:00:04.0": "vdb"}, False),
    ],
)
def test_the_shipped_helper_names_a_device_by_what_stays_with_its_volume(tmp_path, device, links, found):
    """The last link is the one, where there is one."""
    for directory in ("by-path", "by-id"):
        (tmp_path / "disk" / directory).mkdir(parents=True)
    for link, target in links.items():
        (tmp_path / target).touch()
        (tmp_path / "disk" / link).symlink_to(tmp_path / target)
    path = tmp_path / device
    path.touch()
    name = runpy.run_path(str(SHIPPED))["stable"](str(path), devices=str(tmp_path), tries=1)
    assert name == str(tmp_path / "disk" / list(links)[-1] if found else path)


NOBODY = 12345


@pytest.fixture
def places(tmp_path):
    """Where any user may make directories, and where only root may."""
    own = Path("/run") / f"pivotd-test-{os.getpid()}"
    own.mkdir(mode=0o755)
    tmp_path.chmod(0o1777)
    yield {"any user's": tmp_path, "root's": own}
    shutil.rmtree(own)


def make_locks(locks, target, kind, mode):
    """A directory for locks as a user may have prepared it; None for none."""
    target.mkdir()
    if kind == "link":
        locks.symlink_to(target)
    elif kind is not None:
        locks.mkdir()
        locks.chmod(mode)
        os.chown(locks, NOBODY if kind == "foreign" else 0, -1)


@pytest.mark.parametrize(
    ("place", "kind", "mode", "is_safe"),
    [
        ("any user's", None, 0, True),
        ("any user's", "own", 0o700, True),
        ("any user's", "own", 0o1777, False),
        ("any user's", "foreign", 0o755, False),
        ("any user's", "link", 0, False),
        ("root's", "foreign", 0o755, True),  # as nova's own
        ("root's", "foreign", 0o777, False),
        ("root's", "link", 0, False),
    ],
)
def test_the_shipped_helper_keeps_no_locks_where_a_user_may_have_put_links(tmp_path, places, place, kind, mode, is_safe):
    locks, config, device = places[place] / "locks", tmp_path / "os-brick.conf", tmp_path / "device"
    make_locks(locks, tmp_path / "target", kind, mode)
    config.write_text(f"[os_brick]\nlock_path = {locks}\n")
    device.touch()
    info = {"driver_volume_type": "local", "data": {"device_path": str(device)}}
    for request in ({"action": "check"}, {"action": "connect", "connection_info": info}):
        argv = [sys.executable, SHIPPED, "--config-file", config]
        done = subprocess.run(argv, input=json.dumps(request), capture_output=True, text=True, timeout=60)
        assert (done.returncode == 0) is is_safe, f"{request['action']}: {done.stderr}"
        assert is_safe or f"{locks}, for the locks" in done.stderr
    assert list((tmp_path / "target").iterdir()) == []
    if kind is None:
        assert locks.stat().st_mode & 0o777 == 0o700


def test_the_shipped_helper_keeps_its_own_locks_to_itself(places):
    """Those that it is not told to share: below /run, where only root makes directories, and in none of another user's."""
    helper = runpy.run_path(str(SHIPPED))
    assert helper["LOCKS"] == "/run/pivotd-os-brick"
    locks = places["root's"] / "locks"
    locks.mkdir(mode=0o700)
    helper["require_trusted"].__globals__["LOCKS"] = str(locks)
    helper["require_trusted"](str(locks))
    os.chown(locks, NOBODY, -1)
    with pytest.raises(PermissionError, match="another user's"):
        helper["require_trusted"](str(locks))
