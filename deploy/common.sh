# Functions shared by deploy/bench, deploy/demo and deploy/test, which source this file.
# shellcheck shell=bash

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$root/Tests/Support${PYTHONPATH:+:$PYTHONPATH}"
python=/usr/bin/python3

say() { printf '\033[1m== %s\033[0m\n' "$*"; }

die() {
    echo "$*" >&2
    exit 1
}

# The Swift toolchain is the only prerequisite.
require_swift() {
    command -v swift >/dev/null || PATH=$PATH:/opt/swift/usr/bin:/usr/libexec/swift/bin
    command -v swift >/dev/null || die "No swift on the PATH: install a Swift 6.2 toolchain first (https://www.swift.org/install)."
}

# A new private directory, with a path short enough for the sockets in it.
private_directory() { mktemp -d "${TMPDIR:-/tmp}/pivotd-$1-XXXXXX"; }

# Ends and removes everything that a lab left in its directory.
sweep() { [ ! -d "$1" ] || "$python" -m lab sweep "$1"; }

# run_swept DIRECTORY COMMAND...: runs the command, ends it if this script is ended, sweeps the directory, and exits with its code.
run_swept() {
    swept=$1 child=
    shift
    trap end_swept EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    "$@" &
    child=$!
    local code=0
    wait "$child" || code=$?
    child=
    exit "$code"
}

end_swept() {
    local code=$?
    trap - EXIT INT TERM HUP
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    fi
    sweep "$swept" || true
    exit "$code"
}

# The Python environment is reused until its requirements or its Python change.
venv=$root/.venv-tests
make_venv() {
    local stamp
    stamp=$("$python" --version && cat Tests/requirements.txt)
    if [ "$(cat "$venv/stamp" 2>/dev/null)" != "$stamp" ]; then
        "$python" -m venv --clear "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r Tests/requirements.txt
        printf '%s\n' "$stamp" >"$venv/stamp"
    fi
}
export -f make_venv
export venv python
