"""The text of /metrics, read strictly, and what `promtool check metrics` would say of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"')
SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^}]*)\})? (\S+)")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}
NOT_BASE_UNITS = {
    *("milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "weeks", "ms", "us", "ns", "sec"),
    *("bits", "kilobytes", "megabytes", "gigabytes", "terabytes", "kib", "mib", "gib", "kb", "mb", "gb", "percent"),
}


@dataclass
class Family:
    """The samples under one HELP and TYPE."""

    name: str
    type: str
    help: str
    samples: list[tuple[str, dict[str, str], float]] = field(default_factory=list)

    @property
    def labels(self) -> dict[str, set[str]]:
        """{label: its values}."""
        values: dict[str, set[str]] = {}
        for _, labels, _ in self.samples:
            for name, value in labels.items():
                values.setdefault(name, set()).add(value)
        return values


def parse(text: str) -> dict[str, Family]:
    """The families of a page; an AssertionError for anything that a strict reader would refuse or overlook."""
    assert text.endswith("\n"), "the last line has no end"
    families: dict[str, Family] = {}
    helps: dict[str, str] = {}
    current = None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in helps, f"second HELP: {line}"
            helps[name] = words
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert NAME.fullmatch(name) and kind in TYPES and name not in families, line
            assert list(helps)[-1:] == [name], f"HELP is not just before: {line}"
            current = families[name] = Family(name, kind, helps[name])
        else:
            match = SAMPLE.fullmatch(line)
            assert match and current, f"not a sample: {line}"
            assert belongs(match[1], current), f"in the group of {current.name}: {line}"
            current.samples.append((match[1], labels(match[2] or "", line), float(match[3])))
    keys = [(name, tuple(sorted(labels.items()))) for family in families.values() for name, labels, _ in family.samples]
    assert len(keys) == len(set(keys)), "a series occurs twice"
    return families


def belongs(sample: str, family: Family) -> bool:
    """Whether a sample's name is one of the family's."""
    suffixes = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
    return sample in {family.name + suffix for suffix in suffixes}


def labels(text: str, line: str) -> dict[str, str]:
    """The labels between the braces."""
    found = LABEL.findall(text)
    assert ",".join(f'{name}="{value}"' for name, value in found) == text, f"labels: {line}"
    assert len({name for name, _ in found}) == len(found), f"a label occurs twice: {line}"
    return dict(found)


def lint(families: dict[str, Family]) -> list[str]:
    """What breaks Prometheus' conventions."""
    problems = []
    for name, family in families.items():
        words = set(name.split("_"))
        said = [
            ("has no help text", not family.help.strip()),
            ("has no samples", not family.samples),
            ("is a counter without _total", family.type == "counter" and not name.endswith("_total")),
            ("is no counter but ends in _total", family.type != "counter" and name.endswith("_total")),
            ("ends like a part of a histogram", name.endswith(("_bucket", "_sum", "_count"))),
            ("has its type in its name", bool(words & {"counter", "gauge", "histogram", "summary"})),
            ("is not in snake_case", name != name.lower()),
            ("is not in base units", bool(words & NOT_BASE_UNITS)),
            ("has le without being a histogram", family.type != "histogram" and "le" in family.labels),
            ("has a label that is not in snake_case", any(label != label.lower() for label in family.labels)),
            ("is a counter that is negative", family.type == "counter" and any(value < 0 for _, _, value in family.samples)),
        ]
        problems += [f"{name} {what}" for what, is_so in said if is_so]
        if family.type == "histogram":
            problems += histogram_problems(family)
    return problems


def histogram_problems(family: Family) -> list[str]:
    """What is wrong with a histogram's buckets."""
    problems = []
    series: dict[tuple, list[tuple[float, float]]] = {}
    counts = {}
    for name, labels, value in family.samples:
        key = tuple(sorted((label, text) for label, text in labels.items() if label != "le"))
        if name.endswith("_bucket"):
            series.setdefault(key, []).append((float(labels["le"]), value))
        elif name.endswith("_count"):
            counts[key] = value
    if set(series) != set(counts):
        problems.append(f"{family.name} lacks buckets or a count")
    for key, buckets in series.items():
        bounds, values = [bound for bound, _ in buckets], [value for _, value in buckets]
        if bounds != sorted(set(bounds)) or values != sorted(values):
            problems.append(f"{family.name}{dict(key)} has unsorted buckets")
        if bounds[-1:] != [float("inf")] or values[-1:] != [counts.get(key)]:
            problems.append(f"{family.name}{dict(key)} does not end in +Inf with the count")
    return problems
