"""Messages made by hand: what no well-behaved client would send, and replies seen as they are."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.parse
import uuid

import amqp

from ..daemon import HOST
from ..processes import PATIENCE


class Raw:
    """A connection with a reply queue of its own, over py-amqp."""

    def __init__(self, transport_url: str, topic: str, server: str = HOST, exchange: str = "openstack"):
        self.url = urllib.parse.urlsplit(transport_url)
        self.exchange, self.routing_key = exchange, f"{topic}.{server}"
        self.reply_queue = f"reply_{uuid.uuid4().hex}"
        self.lock = threading.RLock()
        self.connect()

    def connect(self) -> None:
        """Connects and declares the reply queue, also after the broker was gone."""
        self.connection = amqp.Connection(
            host=f"{self.url.hostname}:{self.url.port}",
            userid=self.url.username,
            password=self.url.password,
            virtual_host=self.url.path.lstrip("/"),
            heartbeat=0,
            connect_timeout=10,
        )
        self.connection.connect()
        self.channel = self.connection.channel()
        self.channel.queue_declare(self.reply_queue, durable=True, auto_delete=False, arguments={"x-expires": 600000})

    def publish(
        self, body: str | bytes, exchange: str | None = None, routing_key: str | None = None, headers: dict | None = None
    ) -> None:
        """Publishes a body as it is, to the worker's own queue unless told otherwise."""
        properties = {"content_type": "application/json", "content_encoding": "utf-8"}
        message = amqp.Message(body, application_headers=headers or {}, **properties)
        where = {"exchange": self.exchange if exchange is None else exchange, "routing_key": routing_key or self.routing_key}
        with self.lock:
            self.channel.basic_publish(message, **where)

    def message(self, method: str, arguments: dict, call: bool = True, unique_id: str | None = None, **more) -> dict:
        """An inner message as oslo.messaging would make it; `more` adds keys or replaces them."""
        made = {
            "method": method,
            "args": arguments,
            "version": "1.0",
            "namespace": None,
            "_unique_id": unique_id or uuid.uuid4().hex,
            "_context_request_id": "req-raw",
            "_context_is_admin": True,
        }
        if call:
            made |= {"_msg_id": uuid.uuid4().hex, "_reply_q": self.reply_queue, "_timeout": None}
        return made | more

    @staticmethod
    def envelope(message: dict | str) -> str:
        """The 2.0 envelope around an inner message."""
        text = message if isinstance(message, str) else json.dumps(message)
        return json.dumps({"oslo.version": "2.0", "oslo.message": text})

    def send(self, message: dict, bare: bool = False) -> dict:
        """Publishes an inner message, in an envelope or without; returns it."""
        self.publish(json.dumps(message) if bare else self.envelope(message))
        return message

    def get(self, queue: str | None = None):
        """The next message of a queue, or None."""
        with self.lock:
            return self.channel.basic_get(queue or self.reply_queue, no_ack=True)

    def replies(self, msg_id: str, timeout: float = 60, finals: int = 1, quiet: float = 0) -> list[dict]:
        """The replies to one message, in order, until `finals` final ones have come and `quiet` seconds more have passed."""
        found: list[dict] = []
        deadline, enough = time.monotonic() + PATIENCE * timeout, None
        while time.monotonic() < deadline and (enough is None or time.monotonic() < enough + quiet):
            message = self.get()
            if not message:
                time.sleep(0.02)
                continue
            outer = json.loads(message.body)
            assert outer.get("oslo.version") == "2.0" and isinstance(outer.get("oslo.message"), str), message.body
            inner = json.loads(outer["oslo.message"])
            if inner.get("_msg_id") != msg_id:
                continue
            found.append(inner)
            if enough is None and sum(1 for reply in found if reply.get("ending")) >= finals:
                enough = time.monotonic()
        return found

    def final(self, msg_id: str, timeout: float = 60) -> dict:
        """The one final reply to a message."""
        finals = [reply for reply in self.replies(msg_id, timeout) if reply.get("ending")]
        assert finals, f"no final reply within {timeout} s"
        return finals[0]

    def close(self) -> None:
        """Removes the reply queue and closes the connection."""
        with contextlib.suppress(Exception):
            self.channel.queue_delete(self.reply_queue)
        with contextlib.suppress(Exception):
            self.connection.close()
