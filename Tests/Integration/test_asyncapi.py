"""schemas/asyncapi.json: an index of schemas/ by channel, which leaves nothing out and names nothing that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from bus.dry import SETTINGS
from jsonschema import Draft202012Validator
from lab.clients import Rpc
from schemas import ASYNCAPI, METHODS, REGISTRY, SCHEMAS
from service.bench import dry_worker

DOCUMENT = json.loads(ASYNCAPI.read_text())
MESSAGES = DOCUMENT["components"]["messages"]
EVENTS = SCHEMAS["notification.json"]["properties"]["event_type"]["enum"]


def references(node: object) -> Iterator[str]:
    """All $refs."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for part in node.values():
            yield from references(part)
    elif isinstance(node, list):
        for part in node:
            yield from references(part)


def resolved(reference: str) -> object:
    """What a $ref of the document means."""
    name, _, pointer = reference.partition("#")
    node = SCHEMAS[name] if name else DOCUMENT
    for key in pointer.strip("/").split("/") if pointer else ():
        node = node[key.replace("~1", "/").replace("~0", "~")]
    return node


def test_every_reference_resolves():
    assert DOCUMENT["asyncapi"] == "3.0.0"
    for reference in references(DOCUMENT):
        assert resolved(reference), reference


def test_every_message_is_said_and_every_schema_of_the_bus_is_used():
    used = {reference.partition("#")[0] for reference in references(MESSAGES)}
    wanted = {f"request-{method}.json" for method in METHODS} | {"reply.json", "failure.json", "notification.json"}
    assert wanted <= used, wanted - used
    carried = {
        message["$ref"].rpartition("/")[2] for one in DOCUMENT["channels"].values() for message in one["messages"].values()
    }
    assert carried == set(MESSAGES)
    for name in ("host", "topic", "fanout"):
        assert set(DOCUMENT["channels"][name]["messages"]) == set(METHODS), name
    assert set(DOCUMENT["channels"]["notifications"]["messages"]) == set(EVENTS)


def test_every_method_is_an_operation_with_its_reply():
    operations = dict(DOCUMENT["operations"])
    sent = operations.pop("notify")
    assert sent["action"] == "send" and {ref.rpartition("/")[2] for ref in references(sent["messages"])} == set(EVENTS)
    assert set(operations) == set(METHODS)
    for method, operation in operations.items():
        assert operation["action"] == "receive"
        assert operation["messages"] == [{"$ref": f"#/channels/host/messages/{method}"}]
        replies = [ref.rpartition("/")[2] for ref in references(operation["reply"]["messages"])]
        assert replies == [f"{method}_reply", "failure", "heartbeat"]


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_validate(name):
    """Its own examples, and for a request those of its schema."""
    schema = MESSAGES[name]["payload"]["schema"]
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, registry=REGISTRY)
    examples = [example["payload"] for example in MESSAGES[name].get("examples", [])]
    if name in METHODS:
        assert examples
        examples += SCHEMAS[f"request-{name}.json"]["examples"]
    for example in examples:
        validator.validate(example)


def test_a_reply_is_its_method_s(lab):
    """A worker's methods are those of the document, and what one answers is the reply that belongs to it."""
    with dry_worker(lab, SETTINGS) as worker:
        rpc = Rpc(worker.transport_url, worker.topic)
        told = rpc.call("get_capabilities")
        rpc.close()
    assert set(METHODS) == set(DOCUMENT["operations"]) - {"notify"}
    assert set(told["methods"]) == {*METHODS, "oslo_rpc_server_ping"}
    reply = {"result": told, "failure": None, "ending": True, "_msg_id": "1", "_unique_id": "2"}
    fitting = [
        name
        for name, message in MESSAGES.items()
        if name.endswith("_reply") and Draft202012Validator(message["payload"]["schema"], registry=REGISTRY).is_valid(reply)
    ]
    assert "get_capabilities_reply" in fitting and "swap_volume_reply" not in fitting, fitting
