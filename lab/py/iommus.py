# SPDX-License-Identifier: GPL-2.0-only
"""The IOMMUs that a machine can have."""

import dataclasses


@dataclasses.dataclass
class Iommu:
    about: str
    # QEMU's -device; none if empty.
    device: str = ""
    # For the kernel's command line; modprobe takes parameters of modules from it, too.
    words: str = ""
    # What the initramfs has to load, before any device finds its driver.
    modules: list = dataclasses.field(default_factory=list)
    # What the kernel calls it, a pattern for names in /sys/class/iommu.
    name: str = ""
    # "FILE MASK VALUE" below /sys/class/iommu/NAME: what tells it from its relatives.
    registers: list = dataclasses.field(default_factory=list)
    # What it adds to QEMU's -machine.
    machine: str = ""


def _intel(about, address_bits=39, device_iotlb=False):
    # QEMU 7.2 has 39 address bits if nothing is said, QEMU 10 has 48.
    more = ",device-iotlb=on" if device_iotlb else ""
    return Iommu(
        about, f"intel-iommu,intremap=on,caching-mode=on,aw-bits={address_bits}{more}",
        "intel_iommu=on", name="dmar*", registers=[
            f"intel-iommu/cap 0x3f0000 {address_bits - 1 << 16:#x}",
            f"intel-iommu/ecap 0x4 {4 if device_iotlb else 0:#x}"])


IOMMUS = {
    "intel": _intel("Intel's VT-d with 39 address bits, caching mode and interrupt remapping"),
    "intel-48": _intel("the same with 48 address bits", address_bits=48),
    "intel-ats": _intel("the same with 39, and devices that have ATS (virtio-net) may use it",
                        device_iotlb=True),
    "amd": Iommu(
        "AMD-Vi with 64 address bits and interrupt remapping. QEMU 7.2 does not log DMA to "
        "where no translation is",
        "amd-iommu,intremap=on", name="ivhd*"),
    "virtio": Iommu(
        "virtio-iommu: 64 address bits; no interrupt remapping, so vfio_iommu_type1 is told "
        "to allow unsafe interrupts. A device has no group before it first gets a driver",
        "virtio-iommu-pci,bus=pcie.0,addr=1", "vfio_iommu_type1.allow_unsafe_interrupts=1",
        modules=["virtio_iommu"],
        # That of the PCI device.
        name="0000:00:01.0"),
    "smmuv3": Iommu("arm64: Arm's SMMUv3", machine=",iommu=smmuv3", name="smmu3.*"),
    "zpci": Iommu("s390x: that of zPCI, one for each function", name="s390-iommu.*"),
    "none": Iommu("no IOMMU"),
}
