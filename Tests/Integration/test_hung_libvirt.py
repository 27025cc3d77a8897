"""Guests whose QEMU does not answer: libvirt's calls on them hang, and nobody else's do."""

import contextlib
import json
import signal

from expectations import assert_moved, swap_arguments
from lab.processes import send_signal, until

HUNG = 5
"""As many calls as libvirtd works on for one connection."""


@contextlib.contextmanager
def stopped(guests):
    """Their QEMUs stand still."""
    pids = [guest.qemu_pid() for guest in guests]
    for pid in pids:
        send_signal(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            send_signal(pid, signal.SIGCONT)


def test_five_hung_guests_do_not_keep_a_sixth_from_its_swap(lab, pool, second_worker):
    daemon, rpc = second_worker()
    *hung, sixth = pool.take(HUNG + 1)
    news = [lab.volumes.file() for _ in hung]
    with stopped(hung):
        for guest, new in zip(hung, news):
            rpc.cast("swap_volume", **swap_arguments(guest, new))
        until(lambda: daemon.metrics().get("pivotd_hung_domains") == HUNG, 60, lambda: f"{daemon.get('/readyz')}")
        status, body = daemon.get("/readyz")
        assert status == 200
        assert all(guest.name in body for guest in hung) and sixth.name not in body, body
        assert "blockInfo" in body, "the call that is out is not named"

        new = lab.volumes.file()
        rpc.call("swap_volume", **swap_arguments(sixth, new))
        assert_moved(sixth, new)
        assert daemon.get("/readyz")[0] == 200
    until(lambda: daemon.metrics().get("pivotd_hung_domains") == 0, 60, lambda: f"still hung: {daemon.get('/readyz')}")
    assert daemon.get("/readyz") == (200, "ok\n")
    told = [json.loads(line)["message"] for line in daemon.log().splitlines()]
    for guest in hung:
        of_guest = [line for line in told if line.startswith(f"domain {guest.name} ")]
        for what in ("does not answer", "answers again"):
            lines = [line for line in of_guest if line.startswith(f"domain {guest.name} {what}")]
            assert len(lines) == 1, "\n".join(of_guest)
    assert told.count("connected to libvirt") == 1, "the hung guests cost the connection that everybody needs"
    until(lambda: all(swap["finished_at"] for swap in rpc.call("list_swaps")["swaps"]), 120, "swaps of guests that answer again")
