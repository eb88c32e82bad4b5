# SPDX-License-Identifier: GPL-2.0-only
"""Lays modules of our own over a kernel's, so that modprobe takes ours."""

import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

from .elf import ModuleFile


def below(directory):
    """The modules below a directory."""
    return [ModuleFile(p) for p in sorted(pathlib.Path(directory).rglob("*.ko"))]


class ModuleTree:
    """ROOT/lib/modules/VERSION, and layers for it; PREFIX is that of the binutils."""

    def __init__(self, cache, version, root, prefix=""):
        self.cache, self.version, self.root, self.prefix = cache, version, root, prefix
        self.directory = root / "lib/modules" / version

    def stock(self):
        """The kernel's own vfio modules."""
        found = (self.directory / "kernel/drivers/vfio").rglob("*.ko*")
        return [ModuleFile(p) for p in sorted(found)]

    def installed(self):
        """The vfio modules that modprobe takes, whoever put them there."""
        shown = subprocess.run(
            ["/sbin/modprobe", "-d", str(self.root), "-S", self.version, "--show-depends",
             "-a", "vfio-pci", "vfio_iommu_type1"],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        files = [line.split()[1] for line in shown.splitlines() if "insmod" in line]
        return [ModuleFile(f) for f in dict.fromkeys(files)
                if pathlib.Path(f).name.startswith("vfio")]

    def stage(self, files, layer):
        """Copies modules to LAYER/updates, without debugging information."""
        updates = layer / "updates"
        updates.mkdir(parents=True)
        for file in files:
            target = updates / file.path.name
            if target.exists():
                raise ValueError(f"two modules of the name {file.path.name}")
            subprocess.run([f"{self.prefix}strip", "--strip-debug", "-o", target, file.path], check=True)

    def indexed(self, files):
        """A layer with depmod's files. depmod takes long, so the result is kept for
        as long as no module changes in what depmod looks at."""
        order = self.directory / "modules.order"
        key = hashlib.sha256(f"{self.directory} {order.stat().st_mtime_ns}".encode())
        for file in files:
            key.update(f"{file.name} {file.interface}".encode())
        target = self.cache / f"modules-{key.hexdigest()[:16]}"
        if target.exists():
            return target

        with tempfile.TemporaryDirectory(dir=self.cache) as scratch:
            layer = pathlib.Path(scratch) / "lib/modules" / self.version
            layer.mkdir(parents=True)
            self.stage(files, layer)
            for listing in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
                shutil.copy(self.directory / listing, layer)
            (layer / "kernel").symlink_to(self.directory / "kernel")
            subprocess.run(["/sbin/depmod", "-b", scratch, self.version], check=True)
            (layer / "kernel").unlink()
            shutil.rmtree(layer / "updates")
            try:
                os.rename(layer, target)
            except OSError:
                if not target.exists():
                    raise
        return target
