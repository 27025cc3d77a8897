"""A caller that outlives its broker: durable queues, confirmed sends, and every reply kept that ever came."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import urllib.parse
import uuid

import amqp

from ..daemon import HOST
from ..processes import until

CONNECTION_ERRORS = (OSError, amqp.exceptions.AMQPError, AttributeError)
"""What py-amqp raises when the broker goes away (an attribute error when it does so in the middle of a call)."""


class Caller:
    """Sends calls and collects their replies in the background."""

    def __init__(self, transport_url: str, topic: str, exchange: str, server: str = HOST):
        self.url = urllib.parse.urlsplit(transport_url)
        self.exchange, self.routing_key = exchange, f"{topic}.{server}"
        self.reply_queue = f"reply_{uuid.uuid4().hex}"
        self.replies: dict[str, list[dict]] = {}
        self.closed = threading.Event()
        self._connect().close()  # the reply queue is there before the first call
        self._thread = threading.Thread(target=self._collect, daemon=True)
        self._thread.start()

    def _connect(self) -> amqp.Connection:
        connection = amqp.Connection(
            host=f"{self.url.hostname}:{self.url.port}",
            userid=self.url.username,
            password=self.url.password,
            virtual_host=self.url.path.lstrip("/"),
            heartbeat=0,
            connect_timeout=5,
            confirm_publish=True,
        )
        connection.connect()
        arguments = {"x-expires": 600_000}
        connection.channel(1).queue_declare(self.reply_queue, durable=True, auto_delete=False, arguments=arguments)
        return connection

    def _collect(self) -> None:
        while not self.closed.is_set():
            try:
                with contextlib.closing(self._connect()) as connection:
                    channel = connection.channel(1)
                    while not self.closed.is_set():
                        message = channel.basic_get(self.reply_queue)
                        if message:
                            self._keep(message.body)
                            channel.basic_ack(message.delivery_tag)
                        else:
                            time.sleep(0.02)
            except CONNECTION_ERRORS:
                time.sleep(0.1)

    def _keep(self, body: str) -> None:
        reply = json.loads(json.loads(body)["oslo.message"])
        self.replies.setdefault(reply["_msg_id"], []).append(reply)

    def message(self, method: str, arguments: dict) -> dict:
        """A call as oslo.messaging would make it."""
        return {
            "method": method,
            "args": arguments,
            "version": "1.0",
            "_msg_id": uuid.uuid4().hex,
            "_unique_id": uuid.uuid4().hex,
            "_reply_q": self.reply_queue,
            "_timeout": None,
            "_context_request_id": "req-faults",
        }

    def send(self, message: dict) -> dict:
        """Sends a message durably and waits for the broker's confirm; tries again while there is no broker."""
        body = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(message)})

        def sent() -> bool:
            try:
                with contextlib.closing(self._connect()) as connection:
                    made = amqp.Message(body, content_type="application/json", content_encoding="utf-8", delivery_mode=2)
                    connection.channel(1).basic_publish_confirm(made, self.exchange, self.routing_key, mandatory=True)
                return True
            except CONNECTION_ERRORS:
                return False

        until(sent, 60, "the broker did not take the message", 0.2)
        return message

    def finals(self, message: dict, timeout: float = 90, quiet: float = 0.5) -> list[dict]:
        """The final replies to a message: waits for the first, and then `quiet` seconds for more."""

        def found() -> list[dict]:
            return [reply for reply in list(self.replies.get(message["_msg_id"], [])) if reply["ending"]]

        until(found, timeout, lambda: f"no final reply to {message['method']} {message['_unique_id']}")
        time.sleep(quiet)
        return found()

    def call(self, method: str, timeout: float = 30, **arguments):
        """Calls and returns the result; a failure is a RuntimeError with its message."""
        reply = self.finals(self.send(self.message(method, arguments)), timeout, quiet=0)[0]
        if reply["failure"]:
            raise RuntimeError(json.loads(reply["failure"])["message"])
        return reply["result"]

    def refusal(self, method: str, timeout: float = 30, **arguments) -> dict:
        """Calls what has to be refused; returns the failure."""
        reply = self.finals(self.send(self.message(method, arguments)), timeout, quiet=0)[0]
        assert reply["failure"], f"{method} should have been refused, but returned {reply['result']}"
        return json.loads(reply["failure"])

    def answered(self, message: dict) -> bool:
        """Whether the final reply to a message has come."""
        return any(reply["ending"] for reply in list(self.replies.get(message["_msg_id"], [])))

    def close(self) -> None:
        """Stops collecting."""
        self.closed.set()
        self._thread.join(5)
