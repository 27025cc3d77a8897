"""schemas/, and what they say to a message."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import captures
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

ROOT = Path(__file__).parents[2]
ASYNCAPI = ROOT / "schemas/asyncapi.json"
SCHEMAS = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "schemas").glob("*.json")) if path != ASYNCAPI}
REGISTRY = Registry().with_resources((name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items())
METHODS = [name[len("request-") : -len(".json")] for name in SCHEMAS if name.startswith("request-")]


@functools.cache
def validator(name: str, part: str = "") -> Draft202012Validator:
    """The validator of a schema, or of a part of it."""
    return Draft202012Validator({"$ref": f"{name}.json{part}"}, registry=REGISTRY)


def problems(name: str, value: object, part: str = "") -> list[str]:
    """What a schema says against a value."""
    return [f"{error.json_path}: {error.message[:200]}" for error in validator(name, part).iter_errors(value)]


def result_problems(method: str, result: object) -> list[str]:
    """What the schemas say against the result of a method."""
    if method == "swap_volume":
        return problems("swap-status", result, "#/$defs/result")
    host = {"get_connector": "connector", "list_volumes": "volumes", "get_capabilities": "capabilities"}
    host |= dict.fromkeys(("pause_queue", "resume_queue", "drain"), "queue")
    if method in host:
        return problems("host", result, f"#/$defs/{host[method]}")
    if method == "check_swap":
        return problems("swap-check", result)
    tasks = result["swaps"] if method in ("list_swaps", "pivot_swap") else [result]
    return [problem for task in tasks for problem in problems("swap-status", task)]


def check_line(line: dict) -> str:
    """Checks a captured line and all within it; returns what kind of message it is."""
    assert problems("capture-line", line) == []
    inner = captures.content(line)
    if inner is None:
        return "garbage"
    assert problems("envelope", line["body"]) == []
    if "event_type" in inner:
        assert problems("notification", inner) == []
        return inner["event_type"]
    if "method" in inner:
        if inner["method"] in METHODS:
            return f"bad {inner['method']}" if problems(f"request-{inner['method']}", inner) else inner["method"]
        return "other request"
    assert problems("reply", inner) == []
    if inner["failure"]:
        assert problems("failure", json.loads(inner["failure"])) == []
        return "failure"
    return "reply" if inner["ending"] else "heartbeat"
