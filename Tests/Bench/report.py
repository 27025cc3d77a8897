"""What was measured: a table to read and a file to compare."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from lab.processes import run


@dataclass
class Figure:
    """One quantity, measured several times, and perhaps another program's beside it.

    unit: of all samples.  reference: the other program's name.  wanted: the least ratio to it (a number), or a text.
    """

    what: str
    unit: str
    samples: list[float]
    reference: str = ""
    reference_samples: list[float] = field(default_factory=list)
    wanted: float | str = ""

    @property
    def ratio(self) -> float | None:
        """pivotd's median over the other's."""
        if not self.reference_samples:
            return None
        return statistics.median(self.samples) / statistics.median(self.reference_samples)

    def row(self) -> list[str]:
        """The figure in the table."""
        wanted = f">= {self.wanted:.2f}" if isinstance(self.wanted, float) else self.wanted
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        return [self.what, self.unit, spread(self.samples), spread(self.reference_samples), ratio, wanted, self.reference]

    def json(self) -> dict:
        """The figure in the file."""
        made = {"what": self.what, "unit": self.unit, "pivotd": summary(self.samples)}
        if self.reference_samples:
            made |= {"reference": {"name": self.reference, **summary(self.reference_samples)}, "ratio": self.ratio}
        return made | ({"wanted": self.wanted} if self.wanted else {})


def number(value: float) -> str:
    """Three digits that say something."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def spread(samples: list[float]) -> str:
    """Median, and least and most when there are several."""
    if not samples:
        return ""
    median = number(statistics.median(samples))
    return median if len(samples) == 1 else f"{median} ({number(min(samples))}..{number(max(samples))})"


def summary(samples: list[float]) -> dict:
    """The same for the file, with every sample."""
    return {"median": statistics.median(samples), "min": min(samples), "max": max(samples), "samples": samples}


def table(figures: list[Figure]) -> str:
    """All figures, for people."""
    rows = [["what", "unit", "pivotd", "reference", "ratio", "wanted", "reference is"], *(figure.row() for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def machine() -> dict:
    """Where it was measured."""
    qemu = run("qemu-img", "--version").split("\n")[0]
    libvirt = run("virsh", "--version").strip()
    return {"processors": os.cpu_count(), "kernel": platform.release(), "qemu": qemu, "libvirt": libvirt}


def write(path: Path, figures: list[Figure], arguments: dict, load: tuple[float, float]) -> None:
    """Writes the file."""
    content = {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine(),
        "load_average": {"before": load[0], "after": load[1]},
        "arguments": arguments,
        "figures": [figure.json() for figure in figures],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")
