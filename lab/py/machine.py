# SPDX-License-Identifier: GPL-2.0-only
"""The machines of lab/kernels: a Debian kernel, and what QEMU makes for it to run on."""

import dataclasses
import pathlib

LAB = pathlib.Path(__file__).resolve().parent.parent
BUILD = LAB.parent / "build"
DEFAULT = "debian"


@dataclasses.dataclass(frozen=True)
class Board:
    qemu: str
    machine: str    # QEMU's -machine
    iommus: list    # which it can have; the first if nothing is said
    words: list     # of the kernel's command line
    bus: str = "pcie.0"         # its first one, for the lab's own devices
    transport: str = "pci"      # of the lab's own devices, of virtio
    # Presets of lab/devices that its QEMU does not have.
    lacks: frozenset = frozenset()

    def slot(self, number):
        """Where a device goes, for its QEMU's -device."""
        return f",bus={self.bus},addr={number}" if self.bus else ""


BOARDS = {
    "amd64": Board(
        qemu="qemu-system-x86_64",
        machine="q35",
        iommus=["intel", "intel-48", "intel-ats", "amd", "virtio", "none"],
        # On a busy host the boot's check of the timer interrupt gives up too early.
        words=["console=ttyS0", "no_timer_check", "iommu=nopt"]),
    # There is no firmware, so the kernel has a device tree and no ACPI, and slots of root
    # ports are pciehp's. The kernel asks for ACS only after it has found the ports: without
    # config_acs a port is in one IOMMU group with what is behind it, goes to the address
    # space of who uses that, and loses its own MSIs there, for errors and hot plug. MSIs go
    # through the IOMMU to the interrupt controller's ITS. An access of a width that a device
    # does not take ends in an abort, which the kernel does not survive if it was its own.
    "arm64": Board(
        qemu="qemu-system-aarch64",
        machine="virt,gic-version=3,its=on",
        iommus=["smmuv3", "none"],
        words=["console=ttyAMA0", "iommu.passthrough=0",
               "pci=config_acs=0011101@pci:1b36:000c"]),
    # Big-endian. Each PCI function is on a bus of its own, which has a number of its own for
    # a domain: 0001:00:00.0, 0002:00:00.0 and so on, in the order of --device. There are no
    # ports and no bridges, and so no groups of several; the functions have no I/O ports and
    # no INTx, and BARs are reached by instructions only: without their newer kind (MIO,
    # facility 153), which QEMU does not have, nothing can map one. QEMU 7.2 has no PCI
    # device for it but virtio's, 10 has what a PCIe machine has, but none of those made for
    # tests. The CPU "qemu" has no facility for PCI, "max" has.
    "s390x": Board(
        qemu=str(BUILD / "s390x/qemu/qemu-system-s390x"),
        machine="s390-ccw-virtio",
        iommus=["zpci"],
        words=[],
        bus="", transport="ccw",
        lacks=frozenset([
            "edu", "edu-far", "pci-testdev", "pci-testdev-4g", "bad-rom", "ivshmem",
            "ivshmem-1g", "e1000", "rtl8139", "bridge-pair", "edu-bridge", "vga", "hda",
            "sdhci", "megasas", "lsi", "empty-port", "nvme-ports"])),
}


@dataclasses.dataclass(frozen=True)
class Machine:
    name: str
    arch: str
    flavour: str
    prefix: str     # of the cross compiler

    @property
    def native(self):
        """It runs the programs of the machine we are on."""
        return not self.prefix

    @property
    def board(self):
        return BOARDS[self.arch]

    @property
    def kernel(self):
        return BUILD / "kernels" / self.name

    @property
    def build(self):
        """Has the modules that were built for it."""
        return BUILD if self.name == DEFAULT else BUILD / self.name

    @property
    def selftests(self):
        return (BUILD if self.native else BUILD / self.arch) / "selftests"

    @property
    def root(self):
        """The root of its file system."""
        return pathlib.Path("/") if self.native else BUILD / self.arch / "root"


def read_table():
    """{name: Machine}"""
    machines = {}
    for line in (LAB / "kernels").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            name, arch, flavour, prefix = line.split()
            machines[name] = Machine(name, arch, flavour, prefix.strip("-") and prefix)
    return machines
