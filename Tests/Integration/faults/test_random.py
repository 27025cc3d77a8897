"""Random faults at random moments, seeded: `deploy/test --faults N --seed S`."""

from __future__ import annotations

import json
import random
import time

import pytest
from expectations import assert_moved, assert_stayed
from faults.scene import Scene, Stage
from lab.lab import Lab
from pool import GuestPool

GUESTS = {True: 2, False: 1}
"""How many persistent and transient guests a round moves."""


def kill_pivotd(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    stage.daemon.kill()
    time.sleep(dice.uniform(0, 0.3))
    stage.daemon.start()


def kill_pivotd_twice(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    stage.daemon.kill()
    stage.daemon.start(ready=False)
    time.sleep(dice.uniform(0, 0.5))
    kill_pivotd(lab, stage, scenes, dice)


def terminate_pivotd(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    assert stage.daemon.terminate() == 0
    stage.daemon.start()


def kill_libvirtd(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    lab.libvirt.restart_hard(pause=dice.uniform(0, 0.5))


def kill_pivotd_and_libvirtd(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    stage.daemon.kill()
    lab.libvirt.restart_hard(pause=0)
    stage.daemon.start()


def kill_broker(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    lab.rabbit.restart_hard(pause=dice.uniform(0, 0.5))


def send_again(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    for scene in dice.choices(scenes, k=4):
        scene.send()


def send_again_and_kill_pivotd(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    send_again(lab, stage, scenes, dice)
    kill_pivotd(lab, stage, scenes, dice)


def kill_qemu(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    dice.choice(scenes).guest.kill_qemu()


FAULTS = {
    kill_pivotd: 6,
    kill_pivotd_twice: 3,
    terminate_pivotd: 2,
    kill_libvirtd: 3,
    kill_pivotd_and_libvirtd: 2,
    kill_broker: 2,
    send_again: 1,
    send_again_and_kill_pivotd: 2,
    kill_qemu: 1,
}
"""What may happen, and how often for each other."""


def options_of_a_swap(dice: random.Random, persistent: bool) -> dict:
    """A strategy and a speed."""
    options = {"strategy": dice.choice(["auto", "copy", "rebase"]), "synchronous_writes": dice.random() < 0.3}
    if options["strategy"] == "rebase" or not options["synchronous_writes"]:
        del options["synchronous_writes"]
    if dice.random() < 0.7:
        options["bandwidth_mib_s"] = dice.choice([8, 16, 32])
    return options


def check(scene: Scene) -> str:
    """The verdict on one swap; returns what became of it."""
    reply = scene.reply(repeats=True)
    succeeded = reply["failure"] is None
    guest, old = scene.guest, scene.guest.disks["vdb"]
    if guest.running():
        if succeeded:
            assert_moved(guest, scene.new)
        else:
            assert_stayed(guest, scene.new, failure=reply["failure"])
    elif not succeeded and "keep both volumes" in reply["failure"]:
        # libvirtd 9.0 that is killed at the very pivot may disown the guest: nobody can be asked which volume it is on.
        volumes = [volume for volume in (old, scene.new) if not volume.missing_writes(guest.written())]
        assert volumes, "writes are lost with the guest"
        assert guest.is_persistent() == guest.persistent
    else:
        volume = scene.new if succeeded else old
        assert not volume.missing_writes(guest.written()), "writes are lost with the guest"
        assert guest.is_persistent() == guest.persistent
        if guest.persistent:
            assert volume.named_by(guest.disk(inactive=True)), "the stored configuration names another volume"
    return "moved" if succeeded else json.loads(reply["failure"])["message"][:100]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a round; each round has a seed of its own, so that it can be played again alone."""
    first = metafunc.config.getoption("--seed")
    metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--rounds")))


@pytest.mark.timeout(240)
def test_a_round(lab, stage, pool: GuestPool, seed: int):
    dice = random.Random(seed)
    fault = dice.choices(list(FAULTS), FAULTS.values())[0]
    guests = [guest for persistent, count in GUESTS.items() for guest in pool.take(count, persistent)]
    scenes = [stage.scene(guest, **options_of_a_swap(dice, guest.persistent)) for guest in guests]
    for scene in scenes:
        scene.send()
    moment = dice.uniform(0, 2)
    print(f"seed {seed}: {fault.__name__} after {moment:.2f} s; " + ", ".join(str(s.message["args"]["options"]) for s in scenes))
    time.sleep(moment)
    fault(lab, stage, scenes, dice)
    for scene in scenes:
        print(f"  {scene.guest.name}: {check(scene)}")
