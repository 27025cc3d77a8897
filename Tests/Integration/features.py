"""What libvirt and QEMU can do here, found without pivotd: by libvirt's version, and by QEMU's monitor."""

import json
import re

from lab.guest import Guest
from lab.libvirt import Libvirt

LIBVIRT_FLAGS = {"transient_job": (3, 5), "synchronous_writes": (8, 0), "keep_tpm": (8, 9)}
QEMU = {"blockdev_reopen": (7, 0), "block_job_change": (8, 2), "target_is_zero": (10, 1)}
ABORTING_QEMU = ((10, 1), (11, 0))


def answer(supported: bool, basis: str) -> dict:
    """As get_capabilities and doctor give it."""
    return {"supported": supported, "basis": basis}


def version(libvirt: Libvirt, program: str) -> tuple[int, ...]:
    """The version of "libvirt" or "QEMU"."""
    told = re.search(rf"(?:library|hypervisor): {program} ([\d.]+)", libvirt.virsh("version"))
    return tuple(int(number) for number in told[1].split("."))


def survives(qemu: tuple[int, ...]) -> bool:
    """Whether QEMU does not abort in a copy whose guest's writes go to both volumes."""
    return not ABORTING_QEMU[0] <= qemu < ABORTING_QEMU[1]


def of_the_host(libvirt: Libvirt, flags: str) -> dict:
    """What is told while no guest runs; `flags`: whether those of libvirt's calls are asked for."""
    have, qemu = version(libvirt, "libvirt"), version(libvirt, "QEMU")
    told = {name: answer(have >= since, flags) for name, since in LIBVIRT_FLAGS.items()}
    told["resize_drops_slices"] = answer(have >= (10, 0), "version")
    told["write_blocking"] = answer(survives(qemu), "version")
    return told | {name: answer(qemu >= since, "version") for name, since in QEMU.items()}


def with_a_guest(guest: Guest) -> dict:
    """What is told while this guest runs."""

    def ask(command: str) -> list | dict:
        return json.loads(guest.libvirt.virsh("qemu-monitor-command", guest.uuid, json.dumps({"execute": command})))["return"]

    commands = {command["name"] for command in ask("query-commands")}
    schema = {entry["name"]: entry for entry in ask("query-qmp-schema")}
    numbers = ask("query-version")["qemu"]
    qemu = tuple(numbers[name] for name in ("major", "minor", "micro"))
    arguments = {member["name"] for member in schema[schema["blockdev-mirror"]["arg-type"]]["members"]}
    return of_the_host(guest.libvirt, "asked") | {
        "blockdev_reopen": answer("blockdev-reopen" in commands, "asked"),
        "block_job_change": answer("block-job-change" in commands, "asked"),
        "write_blocking": answer(survives(qemu), "asked"),
        "target_is_zero": answer("target-is-zero" in arguments, "asked"),
    }
