"""Fixtures of the tests that are about the bus alone."""

import pytest
from bus.dry import SETTINGS


@pytest.fixture
def dry_worker(second_worker):
    """A worker without libvirt, and its client."""
    return second_worker(SETTINGS, libvirt_uri="dry-run:?rate=100000")
