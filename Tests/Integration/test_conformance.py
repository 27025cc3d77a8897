"""What every hypervisor of pivotd does alike (Tests/Support/HypervisorConformance), with a real QEMU behind libvirt."""

import os
import subprocess
from pathlib import Path

import pytest
from lab.daemon import binary


def test_libvirt_conforms(lab, guest):
    tests = Path(binary()[0]).parent / "pivotdPackageTests.xctest"
    if not tests.exists():
        pytest.skip("there are no unit tests beside pivotd")
    new = lab.volumes.file()
    settings = {
        "PIVOTD_TEST_LIBVIRT_URI": lab.libvirt.uri,
        "PIVOTD_TEST_DOMAIN": guest.uuid,
        "PIVOTD_TEST_VOLUME": str(new.raw),
    }
    words = [tests, "--testing-library", "swift-testing", "--filter", "LibvirtHypervisorTests/conformsWithQEMU"]
    done = subprocess.run(words, env=os.environ | settings, timeout=120, capture_output=True, text=True)
    assert done.returncode == 0 and "with 1 test " in done.stdout + done.stderr, done.stdout + done.stderr
    assert new.named_by(guest.disk())
