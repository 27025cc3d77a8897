"""Clients of deploy/client, and a dry run that fails."""

from __future__ import annotations

import contextlib

import pytest
from bus.dry import SETTINGS
from pivotd_client import Client

FAILING = {"vdc": "copy", "vdd": "guest", "vde": "define"}
"""{disk: the step of its swap that fails}"""


@pytest.fixture(scope="session")
def clients(lab, shared_worker):
    """Clients of `worker`: one that gets nova's exceptions, and one as if nova were not installed."""
    with contextlib.ExitStack() as stack:
        made = {
            name: Client(lab.rabbit.url, remote_modules=modules, answer_s=90) for name, modules in (("nova", None), ("plain", []))
        }
        yield {name: stack.enter_context(client) for name, client in made.items()}


@pytest.fixture(params=["nova", "plain"])
def client(request, clients, worker) -> Client:
    """Each of them."""
    return clients[request.param]


@pytest.fixture
def nova(clients, worker) -> Client:
    """The first of them."""
    return clients["nova"]


@pytest.fixture(scope="module")
def rehearsal(lab):
    """A client of a dry run whose swaps fail by the name of the disk."""
    rules = "&".join(f"fail=disk:{disk},{step}" for disk, step in FAILING.items())
    settings = SETTINGS | {"store_retry_s": 0}
    daemon = lab.daemon(f"rehearsal{len(lab.daemons)}", libvirt_uri=f"dry-run:?{rules}", config=settings).start()
    with Client(lab.rabbit.url, topic=daemon.topic, poll_s=1, answer_s=90) as client:
        yield client
    daemon.stop()
