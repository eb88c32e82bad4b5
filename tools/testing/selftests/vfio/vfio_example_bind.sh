#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Gives a PCI device to vfio-pci and tells what there is to open.
# usage: vfio_example_bind.sh ADDRESS
set -e
device=/sys/bus/pci/devices/$1

modprobe vfio-pci
echo vfio-pci >"$device/driver_override"
[ ! -e "$device/driver" ] || echo "$1" >"$device/driver/unbind"
echo "$1" >/sys/bus/pci/drivers_probe

group=$(basename "$(readlink "$device/iommu_group")")
echo "group: /dev/vfio/$group"
echo "with it go: $(ls "$device/iommu_group/devices" | xargs)"
file=/dev/vfio/devices/$(ls "$device/vfio-dev")
[ ! -e "$file" ] || echo "device: $file"
