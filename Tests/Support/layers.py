"""Checks that a folder of the core uses only the folders below it.

Each type belongs to the folder that declares it; a file that names a type of a folder above its own is an error.
"""

import re
import sys
from pathlib import Path

CORE = Path(__file__).parents[2] / "Sources/VolumeSwap"
FOLDERS = ["Service", "Swap", "Journal", "Request", "Volumes", "Hypervisor", "Domain", "Common"]
"""From the top to the bottom."""

TYPE = re.compile(r"^(?:package )?(?:final |indirect )?(?:class|struct|enum|protocol|typealias) ([A-Z]\w+)", re.MULTILINE)


def code(path: Path) -> str:
    """A file's text without its comments."""
    return re.sub(r"//.*", "", path.read_text())


def main() -> int:
    """Prints what is out of order; returns the exit code."""
    files = {path: path.relative_to(CORE).parts[0] for path in sorted(CORE.rglob("*.swift"))}
    homes = {name: folder for path, folder in files.items() for name in TYPE.findall(code(path))}
    faults = [f"{path}: not in a folder of the core" for path, folder in files.items() if folder not in FOLDERS]
    for path, folder in files.items():
        if folder not in FOLDERS:
            continue
        above = FOLDERS[: FOLDERS.index(folder)]
        used = sorted(set(re.findall(r"\b[A-Z]\w+\b", code(path))))
        faults += [f"{path}: uses {name} of {homes[name]}" for name in used if homes.get(name) in above]
    print("\n".join(faults), end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
