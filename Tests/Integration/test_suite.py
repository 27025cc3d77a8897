"""The suite itself."""

import os
import subprocess
import sys
from pathlib import Path


def test_without_a_seed_all_processes_collect_the_same_tests():
    """Without a binary the collected tests end at once."""
    words = [sys.executable, "-m", "pytest", "-n", "2", "faults/test_random.py"]
    options = {"cwd": Path(__file__).parent, "env": os.environ | {"PIVOTD": ""}}
    done = subprocess.run(words, capture_output=True, text=True, timeout=150, **options)
    assert "PIVOTD does not name" in done.stdout and "Different tests" not in done.stdout, done.stdout[-2000:]
