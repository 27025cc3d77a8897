# Functions of the packages' tests, which source this file.
# shellcheck shell=sh

fail() {
    [ ! -d /run/systemd/system ] || journalctl --no-pager --lines 40 --unit pivotd >&2
    echo "FAILED: $*" >&2
    exit 1
}

step() { echo "-- $*"; }

mode() { stat -c '%a %U:%G' "$1"; }

# until_true SECONDS COMMAND...: waits until the command succeeds.
until_true() {
    seconds=$1
    shift
    while ! "$@" >/dev/null 2>&1; do
        seconds=$((seconds - 1))
        [ "$seconds" -gt 0 ] || fail "never: $*"
        sleep 1
    done
}

# The value of a property of pivotd's unit.
unit() { systemctl show --value --property "$1" pivotd; }
