"""Calls to ten workers while the nodes of their cluster, and they, go away in turn: `deploy/test --cluster N --seed S`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster.run import Run
from figures import Figures
from lab.clients import chosen_ids
from lab.lab import lab_directory
from lab.processes import Workspace


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a run; each run has a seed of its own, so that it can be played again alone."""
    first = metafunc.config.getoption("--seed")
    metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--rounds")))


@contextlib.contextmanager
def logs_kept_on_failure(workspace: Workspace) -> Iterator[None]:
    """The lab is swept away after a run: what tells why it failed is put aside before."""
    try:
        yield
    except BaseException:
        kept = Path(tempfile.mkdtemp(prefix="pivotd-cluster-"))
        print(f"logs and journals are kept in {kept}")
        for name in ("log", "daemons"):
            if workspace.path(name).exists():
                shutil.copytree(workspace.path(name), kept / name)
        for log in workspace.root.glob("node*/log"):
            shutil.copytree(log, kept / log.parent.name)
        raise


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """A directory for servers that are started for one run."""
    made = Workspace(lab_directory() / "cluster")
    yield made
    made.sweep()


@pytest.mark.storm
@pytest.mark.timeout(3000)
def test_a_storm(workspace: Workspace, figures: Figures, seed: int):
    with logs_kept_on_failure(workspace), chosen_ids():
        run = Run(workspace, seed)
        run.blow()
        run.look_up()
        run.check()
        figures.lines.append(run.figures())
