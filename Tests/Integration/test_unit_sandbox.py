"""The connector helper under the restrictions of the shipped unit, without and with the drop-in that is for it.

There is no systemd in a test: its mount namespace, capabilities and no_new_privs are laid on by unshare and setpriv.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lab.processes import run

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT, DROP_IN = DEPLOY / "pivotd.service", DEPLOY / "pivotd.service.d" / "connector.conf"

# Each of these on gives a service a mount namespace of its own.
NAMESPACED = {
    "ProtectSystem": "no",
    "ProtectHome": "no",
    "PrivateTmp": "no",
    "ProtectKernelTunables": "no",
    "ProtectKernelModules": "no",
    "ProtectKernelLogs": "no",
    "ProtectControlGroups": "no",
    "ProtectProc": "default",
    "ProcSubset": "all",
    "PrivateDevices": "no",
    "PrivateMounts": "no",
}
READ_ONLY = """
mount --make-rslave /
for place in / /sys /run /etc; do
    mount --bind -o ro "$place" "$place" 2>/dev/null || mount -o remount,bind,ro "$place" || true
done
mount -o remount,bind,ro / && mount -o remount,bind,ro /sys && exec "$@"
"""


def settings(*files: Path) -> dict[str, list[str]]:
    """Every setting with all the values that it is given, in order."""
    found: dict[str, list[str]] = {}
    for file in files:
        for key, value in re.findall(r"^(\w+)=(.*)$", file.read_text(), re.M):
            found.setdefault(key, []).append(value)
    return found


def sandbox(*files: Path) -> list[str]:
    """The command that lays the restrictions of these files on the one that follows."""
    found = settings(*files)
    capabilities = {word.removeprefix("CAP_").lower() for line in found["CapabilityBoundingSet"] for word in line.split()}
    allowed = ",".join(["-all", *(f"+{name}" for name in sorted(capabilities))])
    words = ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={allowed}"]
    if any(found.get(key, [off])[-1] != off for key, off in NAMESPACED.items()):
        words = ["unshare", "-m", "--propagation", "slave", "sh", "-c", READ_ONLY, "sh", *words]
    return words


def helper(words: list[str], info: dict, settings_file: Path) -> subprocess.CompletedProcess:
    """Asks the shipped helper to connect a volume."""
    request = json.dumps({"action": "connect", "connection_info": info})
    argv = [*words, sys.executable, DEPLOY / "connector" / "pivotd-os-brick", "--config-file", settings_file]
    return subprocess.run(list(map(str, argv)), input=request, capture_output=True, text=True, timeout=120)


@pytest.fixture
def share(lab):
    """A place to mount on, and what undoes it."""
    place = lab.workspace.directory("share")
    lab.workspace.note("mounts", str(place))
    yield place
    run("umount", "-l", place, check=False)


@pytest.fixture
def brick(lab):
    """os-brick's settings: its locks are where they are on a host, below /run."""
    locks = Path("/run") / lab.workspace.root.name
    file = lab.workspace.path("os-brick.conf")
    file.write_text(f"[os_brick]\nlock_path = {locks}\n")
    yield file
    run("rm", "-rf", locks)


def test_the_unit_alone_keeps_the_helper_from_its_work(lab, share, brick):
    volume = lab.volumes.file()
    words = sandbox(UNIT)
    done = helper(words, volume.info, brick)
    assert done.returncode != 0 and "Read-only file system" in done.stderr, f"its locks are in /run: {done.stderr}"
    assert subprocess.run([*words, "mount", "-t", "tmpfs", "none", share], capture_output=True).returncode != 0


def test_the_drop_in_lets_it_work(lab, share, brick):
    volume = lab.volumes.file()
    words = sandbox(UNIT, DROP_IN)
    done = helper(words, volume.info, brick)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["path"] == volume.info["data"]["device_path"]

    run(*words, "mount", "-t", "tmpfs", "none", share)
    assert str(share) in Path("/proc/mounts").read_text(), "a share that is mounted there is not seen from outside"
    writes = "for file in /sys/class/scsi_host/*/scan /sys/module/loop/uevent; do [ ! -e $file ] || : >>$file; done"
    run(*words, "sh", "-c", writes)
    run(*words, "sh", "-c", ": <>/dev/loop-control")


def test_the_drop_in_allows_what_system_calls_and_devices_need():
    """What unshare and setpriv cannot lay on."""
    found = settings(DROP_IN)
    assert "@mount" in " ".join(found["SystemCallFilter"]).split()
    assert "RestrictAddressFamilies" not in found, "the unit's own list has what udev and the kernel's iSCSI need, too"
    devices = dict(line.split() for line in found["DeviceAllow"])
    assert devices["block-*"] == "rwm" and {"char-misc", "char-sg", "char-nvme"} <= devices.keys()
    assert "NoNewPrivileges" not in found
