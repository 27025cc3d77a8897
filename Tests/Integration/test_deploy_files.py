"""The files in deploy/ are what they say."""

import re
from pathlib import Path

from lab.daemon import binary, run_client

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_the_example_configuration_names_every_key():
    """And no other: `pivotd run --help` is the list."""
    done = run_client([*binary(), "run", "--help"])
    flags = set(re.findall(r"^\s+--([a-z][a-z-]+)", done.stdout, re.M)) - {"config", "help", "version"}
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
