"""Stock oslo.messaging whose calls keep their ids when they are sent again, and all replies that ever came to them."""

from __future__ import annotations

import contextlib
import threading
import time
import types
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from unittest import mock

from .rpc import Rpc

# isort: split
from oslo_messaging._drivers import amqp as driver_ids
from oslo_messaging._drivers import amqpdriver


@dataclass(frozen=True)
class Reply:
    """A final reply as it came off the bus, and when (monotonic)."""

    body: dict
    at: float


@dataclass
class Call:
    """A call under ids of its own, which stay the same however often it is sent."""

    server: str
    arguments: dict
    method: str = "swap_volume"
    message_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    unique_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    sent: list[float] = field(default_factory=list)
    """When it was sent (monotonic)."""
    answers: int = 0
    """How many of the times oslo.messaging has handed an answer to its caller."""
    finals: list[Reply] = field(default_factory=list)
    """All final replies, those that oslo.messaging drops included."""
    errors: list[str] = field(default_factory=list)
    """What the sends without an answer have ended with."""


class _Ids(threading.local):
    """The call that this thread sends; stands for the module `uuid` in oslo.messaging's driver."""

    call: Call | None = None

    def uuid4(self):
        return types.SimpleNamespace(hex=self.call.message_id) if self.call else uuid.uuid4()

    def add_unique_id(self, message: dict) -> None:
        message[driver_ids.UNIQUE_ID] = self.call.unique_id if self.call else uuid.uuid4().hex


class ResendingRpc(Rpc):
    """A client of a topic's workers; to be used within `chosen_ids`."""

    ids = _Ids()
    calls: dict[str, Call] = {}

    def send(self, call: Call, timeout: float) -> bool:
        """Sends a call, for the first time or again; returns whether an answer came, be it a failure."""
        self.transport._driver._get_reply_q()  # its name is a uuid too, and not the call's
        self.calls[call.message_id] = call
        client = self.client.prepare(server=call.server, timeout=timeout)
        before = len(call.finals)
        call.sent.append(time.monotonic())
        self.ids.call = call
        try:
            client.call({"request_id": f"req-{call.unique_id}"}, call.method, **call.arguments)
        except Exception as failure:  # noqa: BLE001  (the remote failure, or any way in which a broker goes away)
            if type(failure).__module__.startswith("oslo_messaging") or len(call.finals) == before:
                call.errors.append(f"{type(failure).__name__}: {failure}"[:200])
                return False
        finally:
            self.ids.call = None
        call.answers += 1
        return True

    def ask(self, server: str, method: str, timeout: float = 60, **arguments):
        """Any other call, of one worker."""
        return self.client.prepare(server=server, timeout=timeout).call({}, method, **arguments)


@contextlib.contextmanager
def chosen_ids() -> Iterator[None]:
    """Has oslo.messaging take the ids of `Call`, and keeps the replies before it drops any."""
    put = amqpdriver.ReplyWaiters.put

    def kept(waiters, message_id: str, reply: dict) -> None:
        call = ResendingRpc.calls.get(message_id)
        if call and reply.get("ending"):
            call.finals.append(Reply(dict(reply), time.monotonic()))
        put(waiters, message_id, reply)

    with (
        mock.patch.object(amqpdriver, "uuid", ResendingRpc.ids),
        mock.patch.object(driver_ids, "_add_unique_id", ResendingRpc.ids.add_unique_id),
        mock.patch.object(amqpdriver.ReplyWaiters, "put", kept),
    ):
        yield
    ResendingRpc.calls.clear()
