#!/bin/sh
# The Ansible role in deploy/ansible on this machine, with a broker and libvirt that run here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
cd "$here/../ansible"
first=$(ls "$here"/../pivotd_*-1_*.deb) second=$(ls "$here"/../pivotd_*-2_*.deb) connector=$(ls "$here"/../pivotd-os-brick_*-1_*.deb)
secret=Xq7-not-to-be-seen
log=/tmp/role.log
export ANSIBLE_NOCOLOR=1 ANSIBLE_LOCALHOST_WARNING=0 LC_ALL=C.UTF-8

# play PASSWORD PACKAGE SETTINGS [ARGUMENT...]: runs the playbook, with this mapping of settings.
play() {
    cat >/tmp/variables.json <<JSON
{"pivotd_package": "$2", "pivotd_config": $3,
 "pivotd_transport_url": "rabbit://pivotd:$1@127.0.0.1:5672/openstack"}
JSON
    shift 3
    code=0
    ansible-playbook playbook.yml --inventory /tmp/hosts.yml --extra-vars @/tmp/variables.json -vvv --diff "$@" >/tmp/play.log 2>&1 || code=$?
    cat /tmp/play.log >>"$log"
    return "$code"
}
recap() { grep -E '^here +: ' /tmp/play.log; }
# changed NUMBER|some: how many tasks have changed something.
changed() {
    case $1:$(recap) in
        some:*changed=0*) fail "nothing has changed: $(recap)" ;;
        some:*) ;;
        *changed="$1 "*) ;;
        *) cat /tmp/play.log && fail "not $1 changes: $(recap)" ;;
    esac
}
must() { "$@" || { cat /tmp/play.log && fail "the play: $(recap)"; }; }
must_fail() { ! "$@" || fail "accepted: $*"; }

cat >/tmp/hosts.yml <<'YAML'
compute:
  hosts:
    here:
      ansible_connection: local
      ansible_python_interpreter: /usr/bin/python3
YAML
for user in pivotd pivotd-scheduler; do
    rabbitmqctl --quiet add_user "$user" "$secret-1" 2>/dev/null || rabbitmqctl --quiet change_password "$user" "$secret-1"
done
rabbitmqctl --quiet import_definitions "$here/../rabbitmq/definitions.json"
: >"$log"

step "--check on a host without pivotd"
must play "$secret-1" "$first" '{}' --check
[ ! -e /usr/bin/pivotd ] && [ ! -e /etc/pivotd ] || fail "--check has changed something"

step "the first run, and the second"
must play "$secret-1" "$first" '{"log_level": "info", "limits": [{"match": {"side": "source"}, "concurrent": 2}]}'
changed some
[ "$(mode /etc/pivotd/pivotd.yaml)" = "600 root:root" ] || fail "pivotd.yaml is $(mode /etc/pivotd/pivotd.yaml)"
[ "$(mode /etc/pivotd/transport-url)" = "600 root:root" ] || fail "transport-url is $(mode /etc/pivotd/transport-url)"
grep -q "$secret-1" /etc/pivotd/transport-url && ! grep -q "$secret" /etc/pivotd/pivotd.yaml || fail "the password is elsewhere"
systemctl is-active pivotd && systemctl is-enabled pivotd
pid=$(unit MainPID)
must play "$secret-1" "$first" '{"log_level": "info", "limits": [{"match": {"side": "source"}, "concurrent": 2}]}'
changed 0
[ "$(unit MainPID)" = "$pid" ] || fail "a run that changed nothing restarted pivotd"

step "--check --diff of a change"
before=$(cat /etc/pivotd/*)
must play "$secret-2" "$first" '{"log_level": "debug"}' --check
grep -q '^+log_level: debug' /tmp/play.log || fail "--diff does not show the new setting"
[ "$(cat /etc/pivotd/*)" = "$before" ] && [ "$(unit MainPID)" = "$pid" ] || fail "--check has changed something"

step "what pivotd refuses"
must_fail play "$secret-1" "$first" '{"log_levle": "debug"}'
grep -q 'log_level' /tmp/play.log || fail "it does not say what is wrong"
must_fail play "$secret-1:@/" "$first" '{"log_level": "info", "limits": [{"match": {"side": "source"}, "concurrent": 2}]}'
grep -q 'the one before stays in force' /tmp/play.log || fail "it does not say what is wrong with the URL"
must_fail play "$secret-1" "$first" "{\"transport_url\": \"rabbit://127.0.0.1/\"}"
[ "$(cat /etc/pivotd/*)" = "$before" ] && [ "$(unit MainPID)" = "$pid" ] || fail "what was refused has replaced what was there"

step "a reload, a restart"
must play "$secret-1" "$first" '{"log_level": "debug", "allowed_paths": ["/var/lib/nova/mnt"]}'
[ "$(unit MainPID)" = "$pid" ] || fail "restarted for settings that a reload applies"
until_true 30 sh -c 'journalctl --unit pivotd | grep -q "configuration reloaded: took .*log_level=debug"'
must play "$secret-1" "$first" '{"log_level": "debug", "progress_interval_s": 7}'
[ "$(unit MainPID)" != "$pid" ] || fail "not restarted for a setting that needs it"
pid=$(unit MainPID)

step "another password"
rabbitmqctl --quiet change_password pivotd "$secret-2"
must play "$secret-2" "$first" '{"log_level": "debug", "progress_interval_s": 7}'
[ "$(unit MainPID)" != "$pid" ] || fail "not restarted for another password"

step "the connector, and the next revision"
must play "$secret-2" "$second" '{}' --extra-vars "{pivotd_connector: true, pivotd_connector_package: $connector}"
grep -q '^connector_helper: /usr/libexec/pivotd/pivotd-os-brick$' /etc/pivotd/pivotd.yaml || fail "the connector is not configured"
dpkg-query -W -f '${Version}\n' pivotd | grep -q -- '-2$' || fail "not upgraded"
! grep -Eq '^CapEff:\s0+6$' "/proc/$(unit MainPID)/status" || fail "it runs without the drop-in for the connector"

step "a broker that is away"
systemctl stop rabbitmq-server
must_fail play "$secret-2" "$second" '{}'
grep -q 'FAIL broker' /tmp/play.log || fail "the doctor does not name the broker"
systemctl start rabbitmq-server

grep -q 'PLAY RECAP' "$log" || fail "no output was looked at"
! grep -q "$secret" "$log" || fail "the password is in the output: $(grep -m 3 "$secret" "$log" | cut -c 1-300)"
echo "the role works"
