"""What every transport must do, over a real broker: the unit tests check the same over the one within the process."""

import os
import re
import subprocess
from pathlib import Path

from lab.daemon import binary

TESTS = Path(binary()[0]).parent / "pivotdPackageTests.xctest"
"""All Swift tests, built beside pivotd."""
SUITE = "AMQPTransportConformanceTests"


def test_over_rabbitmq(quiet_broker):
    """The suite runs, and is not skipped."""
    argv = [TESTS, "--testing-library", "swift-testing", "--filter", SUITE]
    environment = {**os.environ, "PIVOTD_TEST_TRANSPORT_URL": quiet_broker.url}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, env=environment)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    assert re.search(r"Test run with [1-9]\d* tests? in 1 suite passed", said), said[-5000:]
    assert "skipped" not in said
