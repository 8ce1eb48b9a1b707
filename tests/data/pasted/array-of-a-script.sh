#!/usr/bin/env bash
set -eu
IMAGES=/srv/vm

args=(
  -enable-kvm -accel kvm
  -machine q35 -m 8G
  # the second disk is slow enough without one
  -object iothread,id=io0
  -drive if=none,id=root,file="$IMAGES/root.qcow2",cache=none,aio=native
  -device virtio-blk-pci,drive=root,iothread=io0
  -device ich9-ahci,id=sata
  -drive if=none,id=more,file="$IMAGES/more.img",format=raw
  -device ide-hd,bus=sata.1,drive=more
)

exec qemu-system-x86_64 "${args[@]}"
