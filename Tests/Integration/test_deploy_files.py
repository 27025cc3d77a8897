"""The files in deploy/ are what they say."""

import json
import re
import subprocess
from pathlib import Path

from lab.daemon import binary, run_client
from lab.processes import until
from service.bench import dry_worker

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_example_configuration_names_every_key():
    """And no other: `pivotd run --help` is the list."""
    done = run_client([*binary(), "run", "--help"])
    flags = set(re.findall(r"^\s+--([a-z][a-z-]+)", done.stdout, re.M)) - {"config", "check-config", "help", "version"}
    example = (DEPLOY / "pivotd.yaml").read_text()
    assert {flag.replace("-", "_") for flag in flags} == set(re.findall(r"^#([a-z_]+):", example, re.M))


def test_the_example_configuration_is_accepted(lab):
    """Every line of it, uncommented: what is wrong with a value is told before anything is connected to."""
    lines = (DEPLOY / "pivotd.yaml").read_text().splitlines()
    taken = [line.removeprefix("#") for line in lines if re.match(r"#([a-z_]+:|  - )", line)]
    taken = [line for line in taken if not line.startswith("transport_url_file")]
    config = lab.workspace.path("example.yaml")
    config.write_text("\n".join(taken) + "\n")
    argv = [*binary(), "run", "--config", config, "--state-dir", config, "--http-address", ""]
    done = run_client(argv)
    assert done.returncode != 0, "a file is no state directory"
    assert str(config) in done.stderr and "unknown" not in done.stderr and "configuration" not in done.stderr, done.stderr


def test_a_configuration_is_checked_without_starting(lab):
    config = lab.workspace.path("checked.yaml")

    def check(text: str):
        config.write_text(text)
        return run_client([*binary(), "run", "--check-config", "--config", config])

    valid = check(f'transport_url: {lab.rabbit.url}\nlibvirt_uri: "dry-run:"\n')
    assert (valid.returncode, valid.stdout, valid.stderr) == (0, "the configuration is valid\n", "")
    invalid = check(f'transport_url: {lab.rabbit.url}\nlibvirt_uri: "dry-run:?rate=fast"\n')
    assert invalid.returncode == 2 and "rate" in invalid.stderr and not invalid.stdout, invalid
    several = check("max_concurrent_swaps: 0\nlog_levle: info\n")
    assert several.returncode == 2 and "max_concurrent_swaps" in several.stderr and "log_level" in several.stderr, several
    queues = check(f"transport_url: {lab.rabbit.url}\nrabbit_stream_fanout: true\n")
    assert queues.returncode == 2 and "rabbit_transient_quorum_queue" in queues.stderr, queues


def test_the_notices_name_every_package_in_its_version():
    """What is linked in may be given away only with its licence."""
    packages = re.findall(r'\.package\(url: "https://(\S+)", (\w+): "(\S+)"\)', (DEPLOY.parent / "Package.swift").read_text())
    assert {kind for _, kind, _ in packages} == {"exact"}, "built from what was tested"
    pins = json.loads((DEPLOY.parent / "Package.resolved").read_text())["pins"]
    linked = {pin["location"].removeprefix("https://").removesuffix(".git") for pin in pins}
    assert {address for address, _, _ in packages} == linked, "what packages use themselves, too"
    notices = (DEPLOY / "THIRD-PARTY-NOTICES").read_text()
    for address, _, version in packages:
        assert f"{address.rsplit('/', 1)[1]} {version} <https://{address}>" in notices, f"run deploy/third-party: {address}"
    done = subprocess.run([DEPLOY / "third-party", "--check"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_container_is_built_from_what_was_tested():
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Containerfile").read_text(), re.M)
    assert len(bases) == 2
    for base in bases:
        assert re.fullmatch(r"docker\.io/library/[a-z]+:[\w.-]+@sha256:[0-9a-f]{64}", base), "by digest"
    tried = re.search(r"^\| Swift \| (\S+) \|", (DEPLOY.parent / "README.md").read_text(), re.M)[1]
    assert bases[0].startswith(f"docker.io/library/swift:{tried}-bookworm@")


def test_the_troubleshooting_table_quotes_what_pivotd_says():
    readme = (DEPLOY.parent / "README.md").read_text()
    table = re.search(r"^## Troubleshooting\n(.*?)^## ", readme, re.M | re.S)[1]
    quoted = re.findall(r"^\| `([^`]+)` \|", table, re.M)
    sources = "\n".join(path.read_text() for path in (DEPLOY.parent / "Sources").rglob("*.swift"))
    assert len(quoted) >= 12 and [text for text in quoted if text not in sources] == []


def test_the_container_is_healthy_when_the_worker_is_ready(lab):
    """With the port of the default put where the test's is."""
    words = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.M)
    with dry_worker(lab, {"transport_url": "rabbit://nobody:x@127.0.0.1:1/"}, start=False) as worker:
        command = json.loads(words[1].replace("/9178", f"/{worker.http}"))

        def health() -> int:
            return subprocess.run(command, timeout=30, capture_output=True).returncode

        assert health() != 0, "nothing listens"
        worker.start(ready=False)
        until(lambda: worker.get("/readyz")[0] == 503, 30, "no page")
        assert health() != 0, "there is no broker"
    with dry_worker(lab) as worker:
        command = json.loads(words[1].replace("/9178", f"/{worker.http}"))
        assert health() == 0


def test_the_unit_starts_again_for_ever_but_not_with_a_wrong_configuration():
    unit = (DEPLOY / "pivotd.service").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", unit, re.M))
    assert settings["StartLimitIntervalSec"] == "0" and unit.index("StartLimitIntervalSec") < unit.index("[Service]")
    assert settings["RestartPreventExitStatus"] == "2" and settings["Restart"] == "always"
    assert "time-sync.target" in settings["After"].split()
    assert int(settings["LimitNOFILE"]) >= 4096
    readme = (DEPLOY.parent / "README.md").read_text()
    assert re.findall(r"WatchdogSec=(\d+)", readme) == [settings["WatchdogSec"]]
    assert run_client([*binary(), "run", "--max-concurrent-swaps", "0"]).returncode == 2
