#!/usr/bin/env bash
# Tries the packages of a directory (of the revisions 1 and 2) under a systemd of their own, with a broker and libvirt beside them: by the
# README's commands (operator.sh), and by the Ansible role (role.sh).  In the lab's root directory of a Debian, made by
# `deploy/test --on DEBIAN --prepare`:
#
#   deploy/on-debian --throwaway --bind DIRECTORY debian12 Tests/Package/booted.sh DIRECTORY [operator.sh|role.sh]
set -euo pipefail
packages=$1 tests=("${@:2}")
[ ${#tests[@]} -gt 0 ] || tests=(operator.sh role.sh)
cd "$(dirname "$0")/../.."

# The system that is booted has no network: what the tests need beyond the packages is installed before.
wanted=(ansible-core dbus iproute2 libvirt-clients libvirt-daemon-system procps python3-apt python3-os-brick qemu-system-x86 rabbitmq-server
    sudo systemd)
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${wanted[@]}" >/tmp/apt.log 2>&1 || {
    cat /tmp/apt.log >&2
    exit 1
}
printf '%s\n' 'APT::Get::Assume-Yes "true";' 'Quiet "2";' 'Dpkg::Use-Pty "false";' >/etc/apt/apt.conf.d/90yes

# Nothing on this machine confines QEMU, and libvirt may not divide its control groups.
cat >>/etc/libvirt/qemu.conf <<'CONF'
security_driver = "none"
cgroup_controllers = []
namespaces = []
CONF

mkdir -p /srv/test
cp -r Tests/Package README.md deploy/ansible deploy/rabbitmq /srv/test/
cp "$packages"/*.deb /srv/test/
exec Tests/Package/boot /srv/test/Package/all.sh "${tests[@]}"
