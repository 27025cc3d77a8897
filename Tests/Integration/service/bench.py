"""Workers of a test's own, on no hypervisor: what is tried is the process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import captures
from lab.clients import Raw
from lab.daemon import Pivotd
from lab.lab import Lab


@contextlib.contextmanager
def dry_worker(
    lab: Lab, config: dict | None = None, start: bool = True, state: Path | None = None, uri: str = "dry-run:"
) -> Iterator[Pivotd]:
    """A pivotd on `dry-run:` with these settings."""
    settings = config or {}
    where = {"transport_url": settings["transport_url"]} if "transport_url" in settings else {}
    daemon = lab.daemon(f"dry{len(lab.daemons)}", libvirt_uri=uri, config=settings, state=state, **where)
    try:
        if start:
            daemon.start()
        yield daemon
    finally:
        daemon.stop()


def ping(daemon: Pivotd, **message) -> dict:
    """Sends a ping whose message has these keys; returns the message."""
    return send(daemon, "oslo_rpc_server_ping", {}, **message)


def cast_swap(daemon: Pivotd, number: int = 1) -> dict:
    """Casts a swap, which the journal has to store; returns the message."""
    return send(daemon, "swap_volume", captures.swap(number), call=False)


def send(daemon: Pivotd, method: str, arguments: dict, **more) -> dict:
    """Sends a message by hand and leaves: its reply queue goes with the sender."""
    raw = Raw(daemon.transport_url, daemon.topic)
    try:
        return raw.send(raw.message(method, arguments, **more))
    finally:
        raw.close()
