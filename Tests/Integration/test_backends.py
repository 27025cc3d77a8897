"""Every kind of volume: one guest is moved round a ring through all of them, writing all the while."""

import re

import pytest
from expectations import assert_moved, assert_stayed, shape, swap_arguments
from lab.processes import free_port
from nova import exception
from pool import as_it_should_be

RING = {
    "loop device": lambda volumes: volumes.loop(),
    "nbd by qemu-nbd": lambda volumes: volumes.nbd(server="qemu-nbd"),
    "nbd by nbdkit": lambda volumes: volumes.nbd(server="nbdkit"),
    "iscsi": lambda volumes: volumes.iscsi(),
    "iscsi with CHAP": lambda volumes: volumes.iscsi(chap=True),
    "luks": lambda volumes: volumes.luks(),
    "luks from luks": lambda volumes: volumes.luks(),
    "luks behind nbd": lambda volumes: volumes.luks_over_nbd(),
    "rbd": lambda volumes: volumes.rbd(),
    "file": lambda volumes: volumes.file(),
}


@pytest.fixture(scope="module")
def travellers(lab):
    """The guest that travels, booted anew when a step of its way has gone wrong; [guest]."""
    return []


@pytest.fixture
def traveller(lab, travellers):
    """The guest, wherever it is by now."""
    if travellers and not as_it_should_be(travellers[0]):
        lab.remove(travellers.pop())
    if not travellers:
        travellers.append(lab.guest({"vdb": lab.volumes.file(fill=True)}).wait_ready())
    return travellers[0]


def iscsi_secrets(guest) -> list[str]:
    """The libvirt secrets for iSCSI targets."""
    return re.findall(r"^\s*(\S+)\s+iscsi\b", guest.libvirt.virsh("secret-list"), re.M)


@pytest.mark.parametrize("kind", RING)
def test_the_ring(lab, rpc, worker, traveller, kind):
    new, before = RING[kind](lab.volumes), shape(traveller)
    result = rpc.call("swap_volume", **swap_arguments(traveller, new))
    assert result["new_volume_id"] == new.id and result["copied_bytes"] > 0
    assert_moved(traveller, new)
    assert shape(traveller) == before
    password = new.info["data"].get("auth_password")
    assert bool(iscsi_secrets(traveller)) == bool(password), "a secret lives as long as its volume is used"
    assert not password or password not in worker.log()


def test_a_volume_of_the_network_for_a_transient_guest(lab, rpc, pool):
    guest, new = pool.one(persistent=False), lab.volumes.nbd()
    assert rpc.call("swap_volume", **swap_arguments(guest, new))["strategy"] == "copy"
    assert_moved(guest, new)


def test_luks_without_its_secret(lab, rpc, guest):
    new = lab.volumes.luks(with_secret=False)
    with pytest.raises(exception.InvalidVolume, match="secret"):
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_stayed(guest, new)


def test_chap_with_the_wrong_password(lab, rpc, worker, guest):
    new = lab.volumes.iscsi(chap=True)
    new.info["data"]["auth_password"] = "wrongPassword99"
    with pytest.raises((exception.VolumeRebaseFailed, exception.InvalidVolume)):
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert iscsi_secrets(guest) == [], "the secret made for the swap is left"
    assert "wrongPassword99" not in worker.log()
    assert_stayed(guest, new)


HOSTILE = {
    "quotes": "vol/x' injected='1\" injected=\"1",
    "markup": "vol/x'/></source><injected/><source>",
    "unicode": "vol/\u202einjected\u0085\ufffe",
    "NUL": "vol/injected\0",
    "long": "vol/" + "injected" * (1 << 17),
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_names_stay_out_of_the_configuration(lab, rpc, worker, guest, name):
    new = lab.volumes.nbd()
    arguments = swap_arguments(guest, new)
    # Nobody listens there: a name that is escaped well has to fail too.
    nowhere = {"port": free_port(), "export": name, "export_name": name, "name": name}
    arguments["new_connection_info"]["data"] |= nowhere
    with pytest.raises((exception.InvalidInput, exception.InvalidVolume, exception.VolumeRebaseFailed)):
        rpc.call("swap_volume", **arguments)
    assert guest.dumpxml().find(".//injected") is None and guest.dumpxml(inactive=True).find(".//injected") is None
    assert worker.running()
    assert_stayed(guest, new)
