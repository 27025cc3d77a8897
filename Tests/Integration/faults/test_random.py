"""Random faults at random moments, seeded: `deploy/test --faults N --seed S`."""

from __future__ import annotations

import json
import random
import time

import pytest
from expectations import assert_moved, assert_runs_on, assert_stayed
from faults.scene import Scene, Stage
from lab.guest import Guest
from lab.hangs import hung
from lab.lab import Lab
from lab.volumes import Volume
from pool import GuestPool

GUESTS = {True: 3, False: 1}
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


def hang_destinations(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    """The servers of all new volumes that have one stand still; pivotd may be killed meanwhile."""
    servers = [scene.new.server.pid for scene in scenes if scene.new.server]
    with hung(*servers):
        time.sleep(dice.uniform(0, 5))
        if dice.random() < 0.4:
            kill_pivotd(lab, stage, scenes, dice)
        if dice.random() < 0.3:
            kill_libvirtd(lab, stage, scenes, dice)
        time.sleep(dice.uniform(0, 5))


def hang_flushes(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    """The pivots of the new volumes behind nbdkit hang; one of them is aborted, libvirtd may be killed."""
    gates = [scene.new.gate for scene in scenes if scene.new.gate]
    for gate in gates:
        gate.close(after=dice.choice([0, 1, 2]))
    time.sleep(dice.uniform(0, 3))
    abort_one(lab, stage, scenes, dice)
    if dice.random() < 0.5:
        dice.choice([kill_libvirtd, kill_pivotd, kill_pivotd_and_libvirtd])(lab, stage, scenes, dice)
    time.sleep(dice.uniform(0, 3))
    for gate in gates:
        gate.open()


def hang_libvirtd(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    """Sometimes for longer than pivotd's connection to it is kept without a sign of life."""
    with hung(lab.libvirt.process.pid):
        time.sleep(dice.choice([dice.uniform(0, 5), dice.uniform(0, 5), 40]))
        if dice.random() < 0.3:
            stage.daemon.kill()
    if not stage.daemon.running():
        stage.daemon.start()


def hang_guests(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    """One or all of them, now and then for longer than libvirt waits for its lock; pivotd may be killed meanwhile."""
    chosen = dice.choice([scenes, [dice.choice(scenes)]])
    with hung(*[scene.guest.qemu_pid() for scene in chosen]):
        time.sleep(dice.choice([dice.uniform(0, 5), dice.uniform(0, 5), 35]))
        if dice.random() < 0.4:
            stage.daemon.kill()
            stage.daemon.start(timeout=90)


def abort_one(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    """Whether it is too late or not."""
    scene = dice.choice(scenes)
    for swap in scene.swaps()[:1]:
        stage.caller.send(stage.caller.message("abort_swap", {"task_id": swap["task_id"]}))


def nothing(lab: Lab, stage: Stage, scenes: list[Scene], dice: random.Random) -> None:
    """Two swaps may want one volume all the same."""


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
    hang_destinations: 4,
    hang_flushes: 4,
    hang_libvirtd: 3,
    hang_guests: 3,
    abort_one: 2,
    nothing: 1,
}
"""What may happen, and how often for each other."""


def options_of_a_swap(dice: random.Random, persistent: bool) -> dict:
    """A strategy and a speed."""
    options = {"strategy": dice.choice(["auto", "copy", "rebase"]), "synchronous_writes": dice.random() < 0.3}
    if options["strategy"] == "rebase" or not options["synchronous_writes"]:
        del options["synchronous_writes"]
    if dice.random() < 0.2:
        options[dice.choice(["timeout_s", "stall_timeout_s"])] = dice.choice([2, 4])
    if dice.random() < 0.7:
        options["bandwidth_mib_s"] = dice.choice([8, 16, 32])
    return options


def check(scene: Scene, contested: bool = False) -> str:
    """The verdict on one swap, once nothing hangs any more; returns what became of it.

    Of a contested new volume nothing is expected when the swap has failed: it may be another guest's.
    """
    reply = scene.reply(repeats=True)
    scene.settled(90)
    succeeded = reply["failure"] is None
    in_use = None if succeeded else json.loads(reply["failure"])["kwargs"]["in_use"]
    guest, old = scene.guest, scene.guest.disks["vdb"]
    if guest.running():
        if succeeded:
            assert_moved(guest, scene.new)
        else:
            assert in_use in ("old", "unknown"), reply["failure"]
            if contested:
                assert_runs_on(guest, old)
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


def new_volume(lab: Lab, strategy: str, dice: random.Random) -> Volume:
    """A file, or where a path is not needed an export whose server and whose flushes can be made to hang."""
    return lab.volumes.nbd(gated=True) if strategy != "rebase" and dice.random() < 0.6 else lab.volumes.file()


def rival_of(stage: Stage, scenes: list[Scene], guest: Guest, dice: random.Random) -> Scene | None:
    """Now and then a swap of another guest onto the new volume of one of these, under another name."""
    exports = [scene for scene in scenes if scene.new.server]
    if not exports or dice.random() > 0.3:
        return None
    wanted = dice.choice(exports).new
    info = wanted.other_name(host=dice.choice(["127.0.0.1", "127.1", "localhost"]))
    scene = stage.scene(guest, wanted, strategy="copy")
    scene.message["args"] |= {"new_connection_info": info, "new_volume_id": info["serial"]}
    return scene


def test_a_round(lab, stage, pool: GuestPool, seed: int):
    dice = random.Random(seed)
    fault = dice.choices(list(FAULTS), FAULTS.values())[0]
    guests = [guest for persistent, count in GUESTS.items() for guest in pool.take(count, persistent)]
    scenes = []
    for guest in guests[1:]:
        options = options_of_a_swap(dice, guest.persistent)
        scenes.append(stage.scene(guest, new_volume(lab, options["strategy"], dice), **options))
    rival = rival_of(stage, scenes, guests[0], dice)
    if rival is None:
        scenes.append(stage.scene(guests[0], new_volume(lab, "auto", dice)))
    asked = scenes + [rival] * (rival is not None)
    for scene in dice.sample(asked, len(asked)):
        scene.send()
    moment = dice.uniform(0, 2)
    told = ", ".join(f"{scene.new.kind} {scene.message['args']['options']}" for scene in asked)
    print(f"seed {seed}: {fault.__name__} after {moment:.2f} s, {'with' if rival else 'without'} a rival; {told}")
    time.sleep(moment)
    fault(lab, stage, scenes, dice)
    for scene in asked:
        contested = rival is not None and scene.new is rival.new
        print(f"  {scene.guest.name}: {check(scene, contested)}")
    if rival:
        winners = [scene for scene in asked if scene.new is rival.new and scene.guest.disks["vdb"] is rival.new]
        assert len(winners) < 2, "two guests are on one volume"
        if not winners:
            rival.new.close()
    time.sleep(1)
    for guest in guests:
        if guest.running():
            assert_runs_on(guest, guest.disks["vdb"], forgotten_mirror=True)  # for good
