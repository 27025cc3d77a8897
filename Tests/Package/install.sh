#!/bin/sh
# Installs the packages of a directory on a bare Debian, uses them, removes and purges them: install.sh DIRECTORY
# Changes the machine that it runs on: deploy/test --package runs it in a root directory that is thrown away.
set -eu
packages=$1

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
mode() { stat -c '%a %U:%G' "$1"; }
# All that is called pivotd outside what the caller has bound in.
traces() { find / -xdev -name '*pivotd*' -not -path "$packages*" -not -path '/proc/*' -not -path '/var/log/*' -print; }

export DEBIAN_FRONTEND=noninteractive
before=$(traces)
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$packages"/pivotd_*.deb "$packages"/pivotd-os-brick_*.deb >/tmp/apt.log 2>&1 ||
    { cat /tmp/apt.log && fail "not installable"; }

pivotd --version
[ "$(mode /etc/pivotd)" = "700 root:root" ] || fail "/etc/pivotd is $(mode /etc/pivotd)"
[ "$(mode /etc/pivotd/pivotd.yaml)" = "600 root:root" ] || fail "pivotd.yaml is $(mode /etc/pivotd/pivotd.yaml)"
[ "$(mode /var/lib/pivotd)" = "700 root:root" ] || fail "/var/lib/pivotd is $(mode /var/lib/pivotd)"
pivotd run --check-config
echo 'log_levle: debug' >>/etc/pivotd/pivotd.yaml
code=0
pivotd run --check-config 2>/tmp/problem || code=$?
[ "$code" -eq 2 ] && grep -q log_level /tmp/problem || fail "a wrong configuration: exit code $code, $(cat /tmp/problem)"
sed -i '$d' /etc/pivotd/pivotd.yaml

for page in pivotd pivotd-run pivotd-swap pivotd-doctor; do
    [ -e "/usr/share/man/man1/$page.1.gz" ] || fail "no manual page $page"
done
grep -q 'complete .*pivotd' /usr/share/bash-completion/completions/pivotd || fail "no completions for bash"
helper=/usr/libexec/pivotd/pivotd-os-brick
echo '{"action": "check"}' | $helper || fail "os-brick cannot work"
volume='{"driver_volume_type": "local", "data": {"device_path": "/etc/hostname"}}'
echo "{\"action\": \"connect\", \"connection_info\": $volume}" | $helper | grep -q '"path"' || fail "os-brick connects nothing"

echo 'rabbit://pivotd:SECRET@127.0.0.1/' >/etc/pivotd/transport-url
touch /var/lib/pivotd/journal
apt-get remove -y -qq pivotd pivotd-os-brick >/dev/null 2>&1
[ ! -e /usr/bin/pivotd ] || fail "removed, and still there"
[ -e /etc/pivotd/pivotd.yaml ] && [ -e /etc/pivotd/transport-url ] || fail "remove took the configuration"
[ -e /var/lib/pivotd/journal ] || fail "remove took the journal"
apt-get purge -y -qq pivotd pivotd-os-brick >/dev/null 2>&1
[ "$(traces)" = "$before" ] || fail "left behind: $(traces)"
! dpkg-query -W 'pivotd*' 2>/dev/null | grep . || fail "dpkg still knows it"
echo "installed, used, removed and purged"
