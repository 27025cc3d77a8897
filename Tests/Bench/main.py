"""The benchmarks; deploy/bench installs, builds and cleans up around them.  Nothing here fails for being slow."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import copies
import dispatch
import feel
import many
import overheads
import recoveries
import replays
import report
import thin
from bed import Bed
from lab.lab import Lab
from lab.processes import MIB, LabError
from report import Figure

NAMES = ("copy", "swap", "feel", "thin", "rbd", "dispatch", "many", "replay", "recovery")
NOT_ASKED_FOR = ("rbd",)
"""What runs only when it is named."""


def options(texts: list[str]) -> dict[str, object]:
    """{option: value} of what stands as KEY=VALUE."""
    return dict(text.split("=", 1) for text in texts)


def measure(bed: Bed, name: str, arguments: argparse.Namespace) -> Iterator[Figure]:
    """One benchmark."""
    volumes, repeat = bed.lab.volumes, arguments.repeat
    match name:
        case "copy":
            return copies.measure(bed, arguments.size * MIB, repeat, options(arguments.option))
        case "swap":
            return overheads.measure(bed, repeat)
        case "feel":
            return feel.measure(bed, repeat)
        case "thin":
            return chain(thin.measure(bed, volumes.file), thin.starts(bed, repeat))
        case "rbd":
            return thin.measure(bed, volumes.rbd)
        case "dispatch":
            return dispatch.measure(bed.lab, repeat)
        case "many":
            return many.measure(bed, repeat)
        case "replay":
            return replays.measure(bed.lab.workspace.root, arguments.calls, repeat)
        case _:
            return recoveries.measure(bed, repeat)


def parse(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="deploy/bench", add_help=False)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--only", action="append", choices=NAMES, default=[])
    parser.add_argument("--option", action="append", default=[])
    parser.add_argument("--output", type=Path, default=Path("bench.json"))
    return parser.parse_args(words)


def main(words: list[str]) -> None:
    arguments = parse(words)
    names = [name for name in NAMES if name in arguments.only or not (arguments.only or name in NOT_ASKED_FOR)]
    figures, failures, before = [], [], os.getloadavg()[0]
    with Lab(arguments.directory) as lab:
        bed = Bed(lab)
        for name in names:
            print(f"measuring: {name}", flush=True)
            try:
                figures += measure(bed, name, arguments)
            except LabError as error:
                failures.append(f"{name} could not be measured: {error}")
    load = before, os.getloadavg()[0]
    print(f"\n{report.table(figures)}\n\nmedian (least..most); load average {load[0]:.1f} before, {load[1]:.1f} after")
    told = {name: value for name, value in vars(arguments).items() if name not in ("directory", "output")}
    report.write(arguments.output, figures, told, load)
    print(f"written to {arguments.output}")
    if failures:
        sys.exit("\n".join(failures))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main(sys.argv[1:])
    except LabError as error:
        sys.exit(f"The benchmark could not be run: {error}")
