"""schemas/ holds for what crosses the boundary, and what breaks it is refused."""

import copy
import json
import random
import re
from pathlib import Path

import captures
import pytest
from captures import Capture
from expectations import assert_moved, swap_arguments
from jsonschema import Draft202012Validator
from schemas import METHODS, ROOT, SCHEMAS, check_line, problems, result_problems


def undescribed(node: object, path: str = ""):
    """The properties that are not described, nor by what they refer to; and patterns that let a newline follow."""
    if isinstance(node, list):
        for number, part in enumerate(node):
            yield from undescribed(part, f"{path}/{number}")
    if not isinstance(node, dict):
        return
    for key, part in node.get("properties", {}).items():
        if isinstance(part, dict) and not {"description", "const", "$ref"} & set(part):
            yield f"{path}.{key}"
    if isinstance(node.get("pattern"), str) and node["pattern"].endswith("$"):
        yield f"{path}: {node['pattern']}"
    for key, part in node.items():
        if key in ("properties", "patternProperties", "$defs"):
            part = list(part.values())
        if key not in ("examples", "default", "enum", "const"):
            yield from undescribed(part, f"{path}/{key}")


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema(name):
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema" and schema["title"]
    assert schema["examples"] and schema["description"], "a schema says and shows what it means"
    assert list(undescribed(schema)) == []
    for example in schema["examples"]:
        assert problems(name.removesuffix(".json"), example) == []


def readme_blocks() -> list[object]:
    """The JSON values in the README's blocks of JSON."""
    readme = ROOT / "README.md"
    if not readme.exists():
        return []
    blocks = re.findall(r"^```json\n(.*?)^```", readme.read_text(), re.M | re.S)
    return [json.loads(line) for block in blocks for line in ([block] if block.startswith("{\n") else block.splitlines())]


def test_readme():
    for value in readme_blocks():
        if "captured_at" in value:
            check_line(value)
            continue
        fitting = [name for name in SCHEMAS if not problems(name.removesuffix(".json"), value)]
        parts = ["#/$defs/result", "#/$defs/progress", "#/$defs/event"]
        fitting += [part for part in parts if not problems("swap-status", value, part)]
        assert fitting, f"an example that fits no schema: {json.dumps(value)[:300]}"


def test_fixtures():
    kinds = set()
    for path in sorted((ROOT / "Tests/Fixtures").glob("*.jsonl*")):
        kinds |= {check_line(line) for line in captures.read(path)}
    assert kinds >= {"swap_volume", "reply", "heartbeat", "failure", "garbage", "other request", "bad swap_volume"}


def test_traffic(lab, worker, rpc, raw, guest, notifications, tmp_path):
    """Everything of a run: requests, answers, heartbeats, failures, notifications."""
    new = lab.volumes.file()
    with Capture(worker, tmp_path / "all.jsonl", *captures.EVERYTHING) as capture:
        result = rpc.call("swap_volume", monitor=1, **swap_arguments(guest, new))
        status = rpc.call("get_swap", task_id=result["task_id"])
        listed = rpc.call("list_swaps", instance=guest.uuid)
        raw.send(raw.message("no_such_method", {}))
        raw.send(raw.message("swap_volume", {"instance": guest.uuid}))
        raw.publish("garbage")
        capture.wait_for(lambda lines: {"volume_swap.end", "failure", "garbage"} <= {check_line(line) for line in lines})
        assert capture.stop() == 0
    for method, answer in (("swap_volume", result), ("get_swap", status), ("list_swaps", listed)):
        assert result_problems(method, answer) == []
    kinds = {check_line(line) for line in capture.lines()}
    wanted = {"swap_volume", "get_swap", "list_swaps", "bad swap_volume", "other request"}
    assert kinds >= wanted | {"reply", "failure", "volume_swap.start", "volume_swap.end"}, kinds
    assert_moved(guest, new)


INSTANCE = captures.swap()["instance"]
WRONG = {"string": [7, {}], "integer": ["7", 7.5], "number": ["7"], "boolean": ["yes"], "object": ["text"], "array": ["text"]}
TEXTS = ["", "/etc/passwd", "no such choice", "line\n", "null\x00"]


def resolved(part: dict) -> dict:
    """A subschema with what its $ref to another file, or to a part of one, says."""
    name, _, pointer = part.get("$ref", "").partition("#")
    if not name:
        return part
    found = SCHEMAS[name]
    for key in pointer.split("/")[1:]:
        found = found[key]
    return found | part


def mutations(schema: dict, value: dict, path: tuple = ()):
    """(path, changed copy) for every property of an object schema: of another type, out of range, missing, or unknown.

    Not all of them break the schema.
    """
    for key in schema.get("required", []):
        yield (*path, key), {name: kept for name, kept in value.items() if name != key}
    if schema.get("additionalProperties") is False:
        yield (*path, "no_such_key"), value | {"no_such_key": 1}
    for key, part in schema.get("properties", {}).items():
        part = resolved(part)
        types = part.get("type", [])
        types = [types] if isinstance(types, str) else types
        wrong = [bad for name in types if name != "null" for bad in WRONG.get(name, [])]
        wrong += [part["minimum"] - 1] if "minimum" in part else []
        wrong += [part["maximum"] + 1] if "maximum" in part else []
        wrong += ["x" * (part["maxLength"] + 1)] if "maxLength" in part else []
        wrong += [3] if "enum" in part else []
        wrong += TEXTS if "enum" in part or "string" in types else [1] if types == ["null"] else []
        for bad in wrong:
            yield (*path, key), value | {key: bad}
        if part.get("properties") and key in value and isinstance(value[key], dict):
            for deeper, broken in mutations(part, value[key], (*path, key)):
                yield deeper, value | {key: broken}


def broken_requests() -> list[tuple[str, tuple, dict]]:
    """(method, path of the fault, content) of requests that break their schema."""
    found = []
    for method in METHODS:
        schema = SCHEMAS[f"request-{method}.json"]
        example = copy.deepcopy(schema["examples"][0])
        for path, args in mutations(resolved(schema["properties"]["args"]), example["args"]):
            found.append((method, path, captures.request(method, args)))
        whole = captures.request(method, example["args"])
        for path, request in mutations(SCHEMAS["request.json"], whole):
            fresh = captures.request(method, example["args"])
            found.append((method, path, request | {key: fresh[key] for key in ("_msg_id", "_unique_id") if key not in path}))
        for args in ({}, {"instance": INSTANCE}, {"mountpoint": "vdb"}, {"instance": INSTANCE, "mountpoint": "/etc/passwd"}):
            if method in ("get_swap", "abort_swap"):
                faulty = "mountpoint" if "instance" in args else "task_id"
                found.append((method, (faulty,), captures.request(method, args)))
        odd = [7, [], "x", {}, {"uuid": "x"}, {"uuid": 7, "name": "a"}, {"name": ""}, {"name": ["a"]}]
        odd += [{"uuid": INSTANCE, "name": 7}]
        odd += [{"nova_object.data": data} for data in (None, "x", {}, {"uuid": "x"}, {"name": "\n"})] + [f"{INSTANCE}\n"]
        odd += [{"nova_object.data": 7, "uuid": INSTANCE}]
        for bad in odd:
            if method == "list_swaps" or "instance" in example["args"]:
                found.append((method, ("instance",), captures.request(method, example["args"] | {"instance": bad})))
    in_the_schema = [(method, path, request) for method, path, request in found if method == request.get("method")]
    return [case for case in in_the_schema if problems(f"request-{case[0]}", case[2])]


def outcomes(path: Path, requests: list[dict]) -> list[str]:
    """What a dry run made of each of these requests."""
    done = captures.replay(captures.write(path, map(captures.line, requests)))
    told = dict(re.findall(r"^#(\d+) \S+ (.*?)  [\d.]+ s$", done.stdout, re.M))
    return [told.get(str(number), "nothing") for number in range(1, len(requests) + 1)]


def test_what_breaks_a_schema_is_refused(tmp_path):
    """As InvalidInput that names the field; a version as UnsupportedVersion; what names no caller goes to the dead letters."""
    broken = broken_requests()
    assert len(broken) > 300
    reached = {path[-1] for _, path, _ in broken}
    assert reached >= {"device_path", "ports", "encrypted", "_timeout", "namespace", "task_id", "limit"}
    told = outcomes(tmp_path / "broken.jsonl", [request for _, _, request in broken])
    wrong = []
    for (method, path, request), outcome in zip(broken, told, strict=True):
        wanted = {
            "version": ["InvalidInput", "UnsupportedVersion"],
            "namespace": ["InvalidInput", "UnsupportedVersion"],
            "_msg_id": ["rejected"],
            "_reply_q": ["rejected"],
        }.get(path[-1], ["InvalidInput"])
        names = path[-1] if "UnsupportedVersion" not in outcome else ""
        if not any(name in outcome for name in wanted) or names not in outcome:
            wrong.append(f"{method} {'.'.join(path)}: {outcome} {json.dumps(request)[:1500]}")
    assert not wrong, "\n".join(wrong)


ODD = [
    None, True, 0, -1, 7.0, 1.5, 2**33, 1e30, "", " ", "7", "vdb", "/dev/vdb", "VDB", "vdb\n", "é" * 255, "é" * 4096,
    "\x01", "\ufffe", "a" * 300, "a" * 5000, "/x", "raw",
    "auto", "copying", INSTANCE, [], [1], ["a"], [None], {}, {"a": 1},
]  # fmt: skip
STRAY = ["device_path", "hosts", "port", "encrypted", "target_lun", "multiattach", "serial", "resize_to", "limit", "uuid"]
STRAY += ["instance"]


def places(value: object, path: tuple = ()):
    """The paths of all members of objects within a value."""
    for key, member in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from places(member, (*path, key))


def shaken(choice: random.Random, request: dict) -> dict:
    """A copy of a request in which a member or two are something else, are gone, or are new."""
    request = copy.deepcopy(request)
    for _ in range(choice.choice([1, 1, 2])):
        path = choice.choice([path for path in places(request) if path[0] in ("args", "version", "namespace", "_timeout")])
        holder, odd = request, copy.deepcopy(choice.choice(ODD))
        for key in path[:-1]:
            holder = holder[key]
        if isinstance(holder[path[-1]], dict) and choice.random() < 0.5:
            holder[path[-1]][choice.choice(STRAY)] = odd
        elif choice.random() < 0.2:
            del holder[path[-1]]
        else:
            holder[path[-1]] = odd
    return request


@pytest.mark.parametrize("seed", range(3))
def test_whatever_breaks_a_schema_is_refused(seed, tmp_path):
    """As before, with changes made at random."""
    choice = random.Random(seed)
    examples = [example for method in METHODS for example in SCHEMAS[f"request-{method}.json"]["examples"]]
    requests = [shaken(choice, captures.request(e["method"], e["args"])) for e in examples for _ in range(40)]
    told = list(zip(requests, outcomes(tmp_path / "shaken.jsonl", requests), strict=True))
    broken = [(outcome, request) for request, outcome in told if problems(f"request-{request['method']}", request)]
    whole = [(outcome, request) for request, outcome in told if not problems(f"request-{request['method']}", request)]
    assert len(broken) > 100
    refusals = ("InvalidInput", "UnsupportedVersion", "rejected")
    ran = [case for case in broken if not any(refusal in case[0] for refusal in refusals)]
    assert not ran, ran
    shape = re.compile("InvalidInput: .*(longer than|control character|must be a|must be true)")
    assert not [case for case in whole if shape.search(case[0])]


def test_what_keeps_to_a_schema_is_not_refused_for_its_shape(tmp_path):
    examples = [example for method in METHODS for example in SCHEMAS[f"request-{method}.json"]["examples"]]
    fresh = [example | captures.request(example["method"], example["args"]) for example in examples]
    done = captures.replay(captures.write(tmp_path / "good.jsonl", map(captures.line, fresh)))
    refused = [row for row in done.stdout.splitlines() if "InvalidInput" in row]
    fitting = ("no task", "no swap", "ended", "no connector helper")
    assert not [row for row in refused if not any(words in row for words in fitting)], refused


def test_configuration_is_in_step():
    """The schema has the keys and defaults of the flags."""
    text = captures.pivotd("run", "--help").stdout
    flags = dict(re.findall(r"^  --([a-z-]+) <[^>]*>\s+(.*?)(?=^  -|^[A-Z])", text, re.M | re.S))
    flags = {name.replace("-", "_"): " ".join(help.split()) for name, help in flags.items() if name != "config"}
    properties = SCHEMAS["configuration.json"]["properties"]
    assert set(flags) == set(properties)
    for name, part in properties.items():
        told = re.search(r"\(default: (.*)\)\.$", flags[name]).group(1)
        if name in ("host", "transport_url") or "default" not in part:
            continue
        default = part["default"]
        wanted = ", ".join(default) if isinstance(default, list) else json.dumps(default).strip('"')
        assert told.replace(",", ", ").split() == wanted.replace(",", ", ").split() or told == wanted, name


@pytest.mark.parametrize(
    "broken",
    [
        {"no_such_key": 1},
        {"max_concurrent_swaps": 0},
        {"log_format": "xml"},
        {"prefetch": "many"},
        {"allowed_paths": ["x"]},
        {"granularity_kib": 3},
        {"limits": [{"match": {"side": "source"}}]},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_broken_configurations_are_refused(broken, tmp_path):
    assert problems("configuration", broken)
    file = tmp_path / "pivotd.yaml"
    file.write_text(json.dumps(broken))
    done = captures.pivotd("run", "--config", file)
    assert done.returncode == 2 and next(iter(broken)) in done.stderr
