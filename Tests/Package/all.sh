#!/bin/sh
# What Tests/Package/booted.sh runs in the system that it has booted: all.sh TEST...
set -eu
cd "$(dirname "$0")"
. ./common.sh
export DEBIAN_FRONTEND=noninteractive HOME=/root

step "a broker and libvirt"
systemctl start rabbitmq-server libvirtd
until_true 60 virsh -c qemu:///system list
for test in "$@"; do "./$test"; done
