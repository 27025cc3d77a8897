# What deploy/demo and deploy/test share; sourced by both.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$root/Tests/Support${PYTHONPATH:+:$PYTHONPATH}"
python=/usr/bin/python3

say() { printf '\033[1m== %s\033[0m\n' "$*"; }

die() {
    echo "$*" >&2
    exit 1
}

# The Swift toolchain is the one thing that has to be there already.
require_swift() {
    command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin:/usr/libexec/swift/bin
    command -v swift >/dev/null || die "No swift on the PATH: install a Swift 6.2 toolchain first (https://www.swift.org/install)."
}

# A fresh private directory, short enough for the sockets that are put below it.
private_directory() { mktemp -d "${TMPDIR:-/tmp}/pivotd-$1-XXXXXX"; }

# Ends and removes everything that a lab has left in its directory.
sweep() { [ ! -d "$1" ] || "$python" -m lab sweep "$1"; }
