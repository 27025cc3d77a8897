"""What /metrics shows, and the rules and the dashboard that are made of it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import exposition
import pytest
import yaml
from bus.dry import dry_swap
from lab.clients import Rpc
from lab.processes import until
from service.bench import dry_worker

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy/prometheus"
PROMTOOL = shutil.which("promtool")


def promtool(*arguments, text: str | None = None) -> None:
    """Runs promtool, which must find nothing."""
    done = subprocess.run(
        [PROMTOOL, *map(str, arguments)], input=text, capture_output=True, text=True, timeout=120, cwd=PROMETHEUS
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def page(lab) -> Iterator[str]:
    """The metrics of a worker after a successful swap, one that failed, one that was refused, and notifications."""
    failing = dry_swap()
    uri = f"dry-run:?fail=instance:{failing['instance']},copy"
    with dry_worker(lab, uri=uri) as worker, contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc:
        rpc.call("swap_volume", **dry_swap())
        for arguments in (failing, dry_swap() | {"mountpoint": "../x"}):
            assert rpc.later("swap_volume", **arguments).error() is not None
        until(lambda: worker.metrics().get('pivotd_notifications_total{kind="sent"}', 0) >= 4, 20, "not notified")
        yield worker.get("/metrics")[1]


def test_the_page_is_as_prometheus_wants_it(page):
    families = exposition.parse(page)
    assert exposition.lint(families) == []
    if PROMTOOL:
        promtool("check", "metrics", text=page)
    if importlib.util.find_spec("prometheus_client"):
        from prometheus_client.parser import text_string_to_metric_families

        read = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
        assert len(read) == sum(len(family.samples) for family in families.values())


def test_what_is_counted(page):
    families = exposition.parse(page)
    swaps = {tuple(sorted(labels.items())): value for _, labels, value in families["pivotd_swaps_total"].samples}
    assert swaps[(("result", "completed"),)] == 1
    failed = {dict(key)["reason"]: value for key, value in swaps.items() if ("result", "failed") in key and value}
    assert failed == {"invalid_argument": 1, "no_space": 1}
    ((_, labels, copied),) = families["pivotd_copied_bytes_total"].samples
    assert labels == {"driver": "lvm", "strategy": "copy"} and copied >= 1 << 30
    assert families["pivotd_connection_up"].labels["connection"] == {"requests", "replies", "notifications", "libvirt"}
    bounds = families["pivotd_swap_duration_seconds"].labels["le"]
    assert "1000000" in bounds and families["pivotd_copy_duration_seconds"].labels["le"] == bounds


def test_the_readme_names_every_metric(page):
    """And no other."""
    section = (ROOT / "README.md").read_text().partition("\n## Monitoring\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)", row)}
    assert named == set(exposition.parse(page))


def test_bytes_are_counted_while_they_are_copied(lab):
    with (
        dry_worker(lab, uri="dry-run:?rate=64&size=64") as worker,
        contextlib.closing(Rpc(worker.transport_url, worker.topic)) as rpc,
    ):
        series = 'pivotd_copied_bytes_total{driver="lvm",strategy="copy"}'
        call = rpc.later("swap_volume", **dry_swap())
        first = until(lambda: worker.metrics().get(series, 0), 30, "nothing is copied")
        until(lambda: worker.metrics()[series] > first, 30, "it does not grow")
        assert worker.metrics()["pivotd_copies_running"] == 1
        assert worker.metrics()["pivotd_swaps_running_oldest_age_seconds"] > 0
        rpc.call("pause_queue")
        assert worker.metrics()["pivotd_queue_paused"] == 1
        rpc.call("abort_swap", task_id=rpc.call("list_swaps")["swaps"][0]["task_id"])
        call.error()
        until(lambda: worker.metrics()["pivotd_copies_running"] == 0, 20, "still counted as running")
        assert worker.metrics()["pivotd_swaps_running_oldest_age_seconds"] == 0


# The rules and the dashboard.

SELECTOR = re.compile(r"\b((?:pivotd|process)_[a-z_]+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'([a-z_]+)(=~|!~|!=|=)"([^"]*)"')
SCRAPED = {"job": "pivotd", "instance": "$instance"}
"""The labels that Prometheus adds."""


def alerts() -> list[dict]:
    """All alerting rules."""
    return [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]


def dashboard() -> dict:
    """Grafana's dashboard."""
    return json.loads((PROMETHEUS / "dashboard.json").read_text())


def strangers(expression: str, families: dict[str, exposition.Family]) -> list[str]:
    """What an expression selects by, and the page does not have."""
    series = {name: family for family in families.values() for name, _, _ in family.samples}
    missing, grouped = [], set(SCRAPED)
    for name, matchers in SELECTOR.findall(expression):
        if name not in series:
            missing.append(name)
            continue
        labels = series[name].labels
        grouped |= set(labels)
        for label, operator, value in MATCHER.findall(matchers):
            if label in SCRAPED:
                missing += [f"{label}={value}"] if value != SCRAPED[label] else []
            else:
                values = value.split("|") if operator in ("=~", "!~") else [value]
                missing += [f"{name}{{{label}={one}}}" for one in values if one not in labels.get(label, ())]
    by = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(",")}
    return missing + sorted(by - grouped)


def test_the_alerts_are_about_what_there_is(page):
    families = exposition.parse(page)
    assert {rule["alert"]: found for rule in alerts() if (found := strangers(rule["expr"], families))} == {}
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning"), rule
        assert SELECTOR.search(rule["expr"]) or rule["expr"].startswith("up{"), rule
        assert set(rule["annotations"]) == {"summary", "description"} and all(rule["annotations"].values()), rule


def test_the_alerts_fire():
    """Each has a test, which promtool runs where it is installed."""
    tests = (PROMETHEUS / "alerts_test.yaml").read_text()
    named = re.findall(r'alertname="(\w+)"', tests)
    assert set(named) == {rule["alert"] for rule in alerts()}
    if PROMTOOL:
        promtool("check", "rules", "alerts.yaml")
        promtool("test", "rules", "alerts_test.yaml")


def test_the_dashboard_shows_what_there_is(page):
    families = exposition.parse(page)
    panels = dashboard()["panels"]
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == ["Readiness", "Swaps", "Copy rates", "Queue", "Bus", "Journal", "libvirt"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    queries = [(panel["title"], target["expr"]) for panel in panels if panel["type"] != "row" for target in panel["targets"]]
    assert {title: found for title, query in queries if (found := strangers(query, families))} == {}
    shown = {name for _, query in queries for name, _ in SELECTOR.findall(query)}
    hidden = [name for name, family in families.items() if not shown & {sample for sample, _, _ in family.samples}]
    assert hidden == [], "metrics that no panel shows"
