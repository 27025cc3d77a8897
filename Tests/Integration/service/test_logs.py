"""What the log says of swaps, of who steers them, and of what goes wrong again and again."""

import collections
import contextlib
import json
import re
import socket
import threading

from bus.dry import dry_swap
from lab.clients import Raw, Rpc
from lab.processes import until
from service.bench import dry_worker


def lines(worker) -> list[dict]:
    """The lines of a worker that logs JSON."""
    return [json.loads(line) for line in worker.log().splitlines()]


def test_a_swap_in_the_log(lab):
    failing = dry_swap()
    uri = f"dry-run:?rate=512&fail=instance:{failing['instance']},start"
    settings = {"log_level": "debug"}
    with dry_worker(lab, settings, uri=uri) as worker, contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
        good = dry_swap()
        task = rpc.call("swap_volume", **good)["task_id"]
        for arguments in (failing, dry_swap() | {"mountpoint": "../x"}):
            rpc.later("swap_volume", **arguments).error()
        mine = [line for line in lines(worker) if line.get("task_id") == task]
        swaps = [line for line in lines(worker) if "task_id" in line]
        assert len({line["task_id"] for line in swaps}) == 3
        assert {line.get("request_id") for line in swaps} == {"req-lab"}
        tenths = [int(found[1]) for line in mine if (found := re.match(r"copied (\d+) %", line["message"]))]
        assert tenths[-1] == 100 and tenths == sorted(set(tenths)) and not any(ten % 10 for ten in tenths)
        (end,) = [line for line in mine if line["message"].startswith("swap completed")]
        assert end["level"] == "info" and end["bytes"] == 1 << 30 and end["seconds"] > 0 and end["bytes_per_second"] > 0
        assert [end["old_volume_id"], end["new_volume_id"]] == [good["old_volume_id"], good["new_volume_id"]]
        levels = [line["level"] for line in swaps if line["message"].startswith("swap failed")]
        assert levels == ["warning", "notice"]


def test_who_steers_swaps_is_in_the_log(lab):
    with dry_worker(lab) as worker, contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
        for method in ("pause_queue", "resume_queue", "drain"):
            rpc.call(method)
        raw = Raw(worker.transport_url, worker.topic)
        secret = {"_context_auth_token": "gAAAAAB-secret", "_context_user": "bob"}
        raw.send(raw.message("abort_swap", {"task_id": "none"}, **secret))
        until(lambda: "abort_swap refused" in worker.log(), 20, "not logged")
        raw.close()
        steps = [line for line in lines(worker) if re.match(r"\w+ (requested|refused)", line["message"])]
        assert [line["message"].split(":")[0] for line in steps] == [
            *("pause_queue requested", "resume_queue requested", "drain requested"),
            *("abort_swap requested", "abort_swap refused"),
        ]
        assert {line["level"] for line in steps} == {"notice"}
        assert steps[0]["user_id"] == "admin" and steps[0]["request_id"] == "req-lab"
        assert steps[3]["user"] == "bob" and steps[3]["task_id"] == "none"
        assert "gAAAAAB-secret" not in worker.log()


def test_lines_for_systemds_journal(lab):
    """They begin with their priority, unless standard error is redirected."""
    with dry_worker(lab, {"log_format": "text"}, start=False) as worker:
        worker.log_path.touch()
        status = worker.log_path.stat()
        worker.start(env={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        worker.terminate()
        logged = worker.log().splitlines()
        assert logged and all(re.match(r"<[2-7]>\d{4}-\d\d-\d\dT", line) for line in logged), logged
        assert any(line.startswith("<6>") and line.endswith(" ready") for line in logged)
        worker.start(env={"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino + 1}"})
        assert worker.log().splitlines()[-1][:1] == "2"


def test_the_same_error_again_and_again(lab):
    """A broker that hangs up at once is logged at once, but not each time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        visits = []

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    visitor, _ = server.accept()
                    visits.append(visitor)
                    visitor.close()

        threading.Thread(target=hang_up, daemon=True).start()
        url = f"rabbit://nobody:x@127.0.0.1:{server.getsockname()[1]}/"
        with dry_worker(lab, {"transport_url": url}, start=False) as worker:
            worker.start(ready=False)
            until(lambda: len(visits) >= 15, 60, lambda: f"{len(visits)} visits: {worker.log()}")
            reasons = [line["reason"] for line in lines(worker) if line["message"].startswith("no connection to RabbitMQ")]
            # There are three connections: to consume, to reply, to notify.
            assert reasons and max(collections.Counter(reasons).values()) <= 3, reasons
