"""Fixtures of the tests that are about the bus alone."""

import pytest
from bus.dry import SETTINGS
from lab.rabbit import Rabbit


@pytest.fixture(scope="module")
def quiet_broker(lab):
    """A broker whose messages are not recorded."""
    broker = Rabbit(lab.workspace, name="quiet").start()
    yield broker
    broker.stop()


@pytest.fixture
def dry_worker(second_worker):
    """A worker without libvirt, and its client."""
    return second_worker(SETTINGS, libvirt_uri="dry-run:?rate=100000")
