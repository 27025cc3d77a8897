"""Whatever is wrong with notifications, swaps and their replies go on as if there were none."""

from bus.dry import SETTINGS, dry_swap
from lab.clients import Notifications, Raw
from lab.processes import until


def queues(lab) -> list[str]:
    """The names of the broker's queues."""
    return lab.rabbit.control("list_queues", "-p", "lab", "name", "--no-table-headers").split()


def warnings(worker) -> int:
    """How often the log says that notifications are in trouble."""
    return worker.log().count("notifications may be lost")


def assert_swaps_go_on(worker, rpc) -> None:
    """A swap is answered, and the worker is ready; its page says what is wrong."""
    assert rpc.call("swap_volume", **dry_swap(), timeout=30)["hypervisor"] == "dry-run"
    status, page = worker.get("/readyz")
    assert status == 200 and "notifications: " in page, page
    assert warnings(worker) == 1, worker.log()[-2000:]
    assert worker.metrics()["pivotd_notification_problems_total"] >= 1


def test_they_are_off_by_default(lab, second_worker):
    worker, rpc = second_worker(
        SETTINGS | {"notifications": None, "notification_topic": "unwanted"}, libvirt_uri="dry-run:"
    )
    assert rpc.call("swap_volume", **dry_swap())
    assert not [name for name in queues(lab) if name.startswith("unwanted")]
    assert "notifications" not in worker.get("/readyz")[1]


def beside_a_durable_queue(lab, second_worker, name: str):
    """A broker's client that has declared this queue, and a worker that would declare it otherwise and goes on."""
    raw = Raw(lab.rabbit.url, "unused")
    raw.channel.queue_declare(name, durable=True, auto_delete=False)
    worker, rpc = second_worker(SETTINGS | {"notification_topic": name.split(".")[0]}, libvirt_uri="dry-run:")
    until(lambda: warnings(worker), 20, "no warning")
    assert_swaps_go_on(worker, rpc)
    return raw, worker


def test_a_queue_with_other_options(lab, second_worker):
    """A durable queue where pivotd would declare another: it is used as it is, and none is made that others would not get."""
    raw, worker = beside_a_durable_queue(lab, second_worker, "taken.info")
    assert "inequivalent arg 'durable' for queue 'taken.info'" in worker.get("/readyz")[1]
    assert until(lambda: raw.get("taken.info"), 20, "no notification in the queue that was there")
    assert warnings(worker) == 1
    assert "taken.error" not in queues(lab), "a queue was made that those who use the other one cannot declare"
    raw.channel.queue_delete("taken.info")
    until(lambda: "notifications: " not in worker.get("/readyz")[1], 60, "the page still tells of what was mended")
    assert {"taken.info", "taken.error"} <= set(queues(lab))
    raw.close()


def test_the_other_queue_with_other_options(lab, second_worker):
    """Found before anything is declared."""
    raw, _ = beside_a_durable_queue(lab, second_worker, "half.error")
    assert "half.info" not in queues(lab)
    raw.channel.queue_delete("half.error")
    raw.close()


def test_a_user_who_may_not_declare_them(lab, second_worker):
    with lab.rabbit.user("limited", configure="^(?!secret_topic).*") as url:
        worker, rpc = second_worker(
            SETTINGS | {"notification_topic": "secret_topic"}, libvirt_uri="dry-run:", transport_url=url
        )
        try:
            until(lambda: warnings(worker), 20, "no warning")
            assert_swaps_go_on(worker, rpc)
        finally:
            worker.stop()


def test_their_connection_is_closed_again_and_again(lab, second_worker):
    """Replies are on another connection, and the stop does not wait for notifications."""
    worker, rpc = second_worker(SETTINGS | {"notification_topic": "cut"}, libvirt_uri="dry-run:")
    listener = Notifications(lab.rabbit.url, topic="cut")

    def connections() -> list[list[str]]:
        listing = lab.rabbit.control("list_connections", "pid", "client_properties", "--no-table-headers")
        return [line.split("\t") for line in listing.splitlines() if "(notifications)" in line]

    until(lambda: worker.log().count('"connection":"notifications"'), 20, "no connection for notifications")
    for _ in range(3):
        for pid, _properties in until(connections, 20, "not connected again"):
            lab.rabbit.control("close_connection", pid, "test")
        assert rpc.call("swap_volume", **dry_swap(), timeout=10)
    assert worker.get("/readyz")[0] == 200
    until(lambda: len(listener.of(state="completed")) >= 1, 60, "notifications do not come back")
    listener.close()
    assert worker.terminate() == 0


def test_the_length_limit_of_their_queues(lab, second_worker):
    worker, rpc = second_worker(
        SETTINGS | {"notification_topic": "short", "notification_queue_max_length": 3}, libvirt_uri="dry-run:"
    )
    until(lambda: "short.info" in queues(lab), 20, "no queue")
    for _ in range(4):
        rpc.call("swap_volume", **dry_swap())
    until(lambda: worker.metrics().get('pivotd_notifications_total{kind="sent"}', 0) >= 8, 20, "not sent")
    listing = lab.rabbit.control("list_queues", "-p", "lab", "name", "messages", "--no-table-headers")
    assert dict(line.split() for line in listing.splitlines())["short.info"] == "3"
