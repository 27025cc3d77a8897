#!/bin/sh
# From `apt install` to a finished swap by the README's own commands, then what systemd, an upgrade and an absent broker do to it.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
cd "$here/.."

# The commands under a heading of the README, with this machine's broker; nobody is there to edit anything.
commands() {
    awk -v heading="$1" '/^#/ { on = $0 == heading } on && /^```/ { open = !open; next } on && open' README.md |
        sed 's/10\.0\.0\.[56]/127.0.0.1/g; s/^editor /: /'
}
run_readme() {
    commands "$1" >/tmp/commands
    [ -s /tmp/commands ] || fail "the README has no commands under $1"
    cat /tmp/commands
    sh -eu /tmp/commands || fail "the README's commands under $1"
}

step "the README's way to a running worker"
run_readme '### From the Debian package'
until_true 60 systemctl is-active pivotd
[ "$(unit Type)" = notify ] && [ "$(unit NRestarts)" = 0 ] || fail "not started as its unit says"
pid=$(unit MainPID)
[ "$(readlink "/proc/$pid/exe")" = /usr/bin/pivotd ] || fail "something else runs"
grep -Eq '^CapEff:\s0+6$' "/proc/$pid/status" || fail "other capabilities than DAC_OVERRIDE and DAC_READ_SEARCH: $(grep Cap "/proc/$pid/status")"
grep -Eq '^NoNewPrivs:\s1$' "/proc/$pid/status" && grep -Eq '^Seccomp:\s2$' "/proc/$pid/status" || fail "no sandbox"
nsenter -t "$pid" -m sh -c '! touch /etc/there 2>/dev/null && touch /var/lib/pivotd/there' || fail "it may write elsewhere, or not to its journal"
rm /var/lib/pivotd/there
systemctl status --no-pager --lines 0 pivotd
systemd-analyze verify pivotd.service || fail "systemd complains about the unit"
systemd-analyze security --no-pager --threshold 40 pivotd.service | tail -n 1

step "a guest, and the README's first swap"
old=/var/lib/nova/mnt/filer1/volume-1 new=/var/lib/nova/mnt/filer2/volume-2
mkdir -p "${old%/*}" "${new%/*}"
head -c 64M /dev/urandom >"$old"
truncate -s 64M "$new"
cat >/tmp/guest.xml <<XML
<domain type='qemu'>
  <name>instance-0000002a</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='$old'/><target dev='vdb' bus='virtio'/>
    </disk>
  </devices>
</domain>
XML
virsh --quiet define /tmp/guest.xml
virsh --quiet start instance-0000002a
run_readme '### A first swap'
virsh domblklist instance-0000002a | grep -q "$new" || fail "the guest is not on the new volume"
cmp "$old" "$new" || fail "the volumes differ"

step "an upgrade over a held swap"
export PIVOTD_TRANSPORT_URL_FILE=/etc/pivotd/transport-url
echo "{\"driver_volume_type\": \"local\", \"serial\": \"volume-2\", \"data\": {\"device_path\": \"$new\"}}" >/tmp/old.json
echo "{\"driver_volume_type\": \"local\", \"serial\": \"volume-1\", \"data\": {\"device_path\": \"$old\"}}" >/tmp/new.json
task=$(pivotd swap --instance instance-0000002a --disk vdb --old @/tmp/old.json --new @/tmp/new.json --hold --cast)
state() { pivotd status "$task" --json | grep -q "\"state\": *\"$1\""; }
until_true 60 state ready
apt-get install -qq ./pivotd_*-2_*.deb >/tmp/apt.log 2>&1 || fail "the upgrade: $(cat /tmp/apt.log)"
[ "$(unit MainPID)" != "$pid" ] || fail "the upgrade did not restart the worker"
until_true 60 state ready
pivotd pivot "$task"
pivotd status "$task" --watch >/dev/null || fail "the swap did not end well: $(pivotd explain "$task")"
virsh domblklist instance-0000002a | grep -q "$old" || fail "the guest is not back on its volume"

step "a stop"
systemctl stop pivotd
[ "$(unit Result)" = success ] && [ "$(unit ExecMainStatus)" = 0 ] || fail "not a clean stop: $(unit Result), $(unit ExecMainStatus)"

step "a broker that is away"
systemctl stop rabbitmq-server
systemctl start --no-block pivotd
until_true 30 sh -c 'journalctl --unit pivotd --since -1min | grep -q "no connection to RabbitMQ"'
[ "$(unit ActiveState)" = activating ] || fail "$(unit ActiveState) without a broker"
timeout 60 apt-get install -qq --reinstall ./pivotd_*-2_*.deb >/tmp/apt.log 2>&1 || fail "apt waits for the broker: $(cat /tmp/apt.log)"
! pivotd doctor >/tmp/doctor || fail "the doctor finds nothing"
systemctl start rabbitmq-server
until_true 60 systemctl is-active pivotd

step "a wrong configuration"
echo 'log_levle: debug' >>/etc/pivotd/pivotd.yaml
! systemctl restart pivotd 2>/dev/null || fail "started with a wrong configuration"
[ "$(unit ActiveState)/$(unit ExecMainStatus)" = failed/2 ] || fail "$(unit ActiveState)/$(unit ExecMainStatus): it must not be started again"

step "removed and purged"
apt-get purge -qq pivotd >/dev/null 2>&1
[ ! -e /var/lib/pivotd ] && [ ! -e /etc/pivotd ] || fail "purge left something behind"
! systemctl cat pivotd >/dev/null 2>&1 || fail "systemd still knows the unit"
virsh --quiet destroy instance-0000002a
echo "from apt install to a finished swap by the README, upgraded over a held one, stopped, removed and purged"
