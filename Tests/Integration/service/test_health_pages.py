"""The health pages say what is wrong in words, and nothing that visitors do touches the swaps."""

import contextlib
import resource
import socket

import captures
from lab.clients import Raw, Rpc
from lab.hangs import hung
from lab.processes import descendants, until
from service.bench import dry_worker


def connections(worker, count: int) -> list[socket.socket]:
    """So many connections to the worker's pages, as far as it lets them in."""
    made = []
    for _ in range(count):
        with contextlib.suppress(OSError):
            made.append(socket.create_connection(("127.0.0.1", worker.http), timeout=10))
    return made


def test_visitors_without_manners(lab):
    """Idle connections without end, and heads that are too long: swaps are answered, and so is who asks properly."""
    with dry_worker(lab) as worker, contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (256, 256))
        idle = connections(worker, 400)
        loud = connections(worker, 4)
        for visitor in loud:
            with contextlib.suppress(OSError):
                visitor.sendall(b"GET /livez HTTP/1.1\r\nX: " + b"x" * (1 << 18))
        assert rpc.call("list_swaps") == {"swaps": []}
        until(lambda: worker.get("/readyz")[0] == 200, 30, lambda: f"{worker.get('/readyz')}")
        assert worker.running()
        for visitor in idle + loud:
            visitor.close()


def test_no_descriptors_left(lab):
    """EMFILE ends nothing: when there are descriptors again, the pages are there too."""
    with dry_worker(lab) as worker, contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (8, 4096))
        visitors = connections(worker, 20)
        assert rpc.call("list_swaps") == {"swaps": []}
        resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (1024, 4096))
        until(lambda: worker.get("/readyz")[0] == 200, 30, lambda: f"{worker.get('/readyz')}")
        for visitor in visitors:
            visitor.close()


def test_a_port_that_is_taken(lab):
    with dry_worker(lab, start=False) as worker, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", worker.http))
        other.listen()
        worker.start(ready=False)
        until(lambda: "in use" in worker.log() and '"ready"' in worker.log(), 60, worker.log)
        with contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
            assert rpc.call("list_swaps") == {"swaps": []}
        other.close()
        worker.wait_ready(120)


def test_why_there_is_no_broker(lab):
    wrong = lab.rabbit.url.replace("pivot:", "pivot:not")
    with dry_worker(lab, {"transport_url": wrong}, start=False) as worker:
        worker.start(ready=False)
        until(lambda: "refused the user name" in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')}")
        assert worker.get("/livez")[0] == 200
    nobody = "rabbit://pivot:x@127.0.0.1:1/lab"
    with dry_worker(lab, {"transport_url": nobody}, start=False) as worker:
        worker.start(ready=False)
        until(lambda: "connection refused" in worker.get("/readyz")[1], 30, lambda: f"{worker.get('/readyz')}")


def test_a_broker_that_does_not_answer(lab):
    """It is said long before a heartbeat is missed."""
    with dry_worker(lab, {"heartbeat_timeout_threshold": 600}, uri="dry-run:?rate=1") as worker:
        # A long call: the worker keeps telling its caller that it is alive.
        raw = Raw(worker.transport_url, worker.topic)
        raw.send(raw.message("swap_volume", captures.swap(), _timeout=2))
        until(lambda: worker.metrics().get('pivotd_replies_total{kind="heartbeat"}', 0) > 0, 30, "no heartbeat")
        with hung(lab.rabbit.process.pid, *descendants(lab.rabbit.process.pid)):
            until(lambda: "has not been confirmed" in worker.get("/readyz")[1], 60, lambda: f"{worker.get('/readyz')}")
            assert worker.get("/readyz")[0] == 503
        until(lambda: worker.get("/readyz")[0] == 200, 60, lambda: f"{worker.get('/readyz')}")
        raw.close()
