"""Fixtures of the fault suite."""

from __future__ import annotations

import pytest
from faults.scene import Stage
from lab.rabbit import BROKER_PASSWORD


@pytest.fixture(scope="session")
def shared_stage(lab):
    """The stage that `stage` hands out."""
    stage = Stage(lab)
    yield stage
    stage.close()
    assert BROKER_PASSWORD not in stage.daemon.log(), "the broker's password is in the log"


@pytest.fixture
def stage(lab, shared_stage: Stage) -> Stage:
    """A running pivotd with durable queues, and its caller; whatever another test has left dead is started again."""
    if not lab.rabbit.process.running():
        lab.rabbit.start()
    if not lab.libvirt.process.running():
        lab.libvirt.start()
    if not shared_stage.daemon.running():
        shared_stage.daemon.start()
    shared_stage.daemon.wait_ready()
    return shared_stage


@pytest.fixture
def own_stage(lab):
    """Makes a stage of the test's own: own_stage({settings}, state=...)."""
    made: list[Stage] = []

    def make(config: dict | None = None, **options) -> Stage:
        made.append(Stage(lab, config, **options))
        return made[-1]

    yield make
    for stage in made:
        stage.close()
