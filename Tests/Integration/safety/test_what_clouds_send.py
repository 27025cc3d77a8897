"""Connection infos as clouds really send them: members for others, ids in several places, secrets that say more than flags."""

import copy
import hashlib

import pytest
from expectations import assert_moved, assert_outcome, assert_stayed, swap_arguments
from nova import exception


def test_members_that_are_not_for_pivotd(lab, rpc, guest):
    """A keyring has line breaks, and they are nobody's business; what would change a disk is named; ids are one in the result."""
    new = lab.volumes.file()
    new.info["data"] |= {
        "keyring": "[client.cinder]\n\tkey = AQBsZXQgbWUgaW4gcGxlYXNlIQ==\n",
        "volume_id": new.id,
        "qos_specs": {"total_iops_sec": "100"},
        "access_mode": "ro",
        "logical_block_size": "4096",
    }
    old = guest.disks["vdb"]
    result = rpc.call("swap_volume", **swap_arguments(guest, new))
    told = " ".join(result["warnings"])
    assert all(name in told for name in ("qos_specs", "access_mode", "logical_block_size")), result["warnings"]
    assert "AQBs" not in told
    info = result["connection_info"]
    assert info["serial"] == info["data"]["volume_id"] == old.id
    assert_moved(guest, new)


def test_plural_members_alone(lab, rpc, guest):
    """One path, in the form of several."""
    new = lab.volumes.iscsi()
    data = new.info["data"]
    for name in ("target_portal", "target_iqn", "target_lun"):
        data[f"{name}s"] = [data.pop(name)]
    rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_moved(guest, new)


@pytest.mark.parametrize("sign", ["a secret", "a header"])
def test_an_encrypted_volume_that_is_not_said_to_be(lab, rpc, guest, sign):
    """Plain data is never written where libvirt has a secret for the volume, nor over a LUKS header."""
    new = lab.volumes.luks(with_secret=sign == "a secret")
    del new.info["data"]["encrypted"]
    if sign == "a secret":
        with open(new.path, "r+b") as file:
            file.write(bytes(4096))
    with pytest.raises(exception.InvalidVolume, match="(?i)encrypt|LUKS") as raised:
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_outcome(raised.value.kwargs, raised.value.kwargs.get("reason_code"))
    assert_stayed(guest, new)


def test_an_image_over_another(lab, rpc, guest):
    """Where the copy leaves zeroes out, the guest would read the other's bytes."""
    new = lab.volumes.overlay()
    with pytest.raises(exception.InvalidVolume, match="without a backing file"):
        rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_stayed(guest, new)


def test_a_share_that_is_not_mounted(lab, rpc, guest):
    """The answer says where it was looked for: where nova mounts it."""
    new, base = lab.volumes.file(), lab.volumes.directory / "mnt"
    arguments = swap_arguments(guest, new)
    data = {"export": "quobyte://registry/volume", "name": f"volume-{new.id}", "options": None, "mount_point_base": str(base)}
    arguments["new_connection_info"] |= {"driver_volume_type": "quobyte", "data": data}
    where = base / hashlib.md5(b"registry/volume").hexdigest()
    with pytest.raises(exception.InvalidVolume, match="not mounted") as raised:
        rpc.call("swap_volume", **arguments)
    assert str(where) in str(raised.value)
    assert_outcome(raised.value.kwargs, "new_volume_missing")
    assert_stayed(guest, new)


def test_a_share_as_quobyte_names_it(lab, rpc, guest):
    """nova strips the scheme before it makes the directory's name."""
    new = lab.volumes.nfs()
    data = copy.deepcopy(new.info["data"])
    where = new.raw.parent.with_name(hashlib.md5(b"registry/volume").hexdigest())
    where.mkdir(exist_ok=True)
    new.raw.rename(where / new.raw.name)
    new.raw = where / new.raw.name
    new.names, new.on_close = (str(new.raw),), new.raw.unlink
    new.info |= {"driver_volume_type": "quobyte", "data": data | {"export": "quobyte://registry/volume"}}
    rpc.call("swap_volume", **swap_arguments(guest, new))
    assert_moved(guest, new)
