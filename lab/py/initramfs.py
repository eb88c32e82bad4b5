# SPDX-License-Identifier: GPL-2.0-only
"""Builds an initramfs: busybox, some modules and a script that becomes /init. Cached by
what goes into it."""

import hashlib
import os
import pathlib
import stat
import subprocess

from .elf import ModuleFile

# What it takes to mount the host's root file system.
MODULES = ["virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay"]


def _cpio(members):
    """A newc archive of (name, mode, content) members."""
    out = bytearray()
    for ino, (name, mode, content) in enumerate(members + [("TRAILER!!!", 0, b"")], 1):
        raw = name.encode() + b"\0"
        fields = [ino, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(raw), 0]
        out += b"070701" + b"".join(b"%08x" % f for f in fields) + raw
        out += bytes(-len(out) % 4)
        out += content
        out += bytes(-len(out) % 4)
    return bytes(out)


def _modules(version, root, names):
    """Files of the modules and of all they need, in loading order."""
    files = {}
    for module in names:
        shown = subprocess.run(
            ["/sbin/modprobe", "-d", str(root), "-S", version, "--show-depends", module],
            check=True, stdout=subprocess.PIPE, text=True).stdout
        for line in shown.splitlines():
            verb, _, file = line.partition(" ")
            if verb == "insmod":
                files[file.split()[0]] = True
    return list(files)


def build(cache, version, root, busybox, init, names=MODULES, programs=()):
    """Returns the path of the initramfs for a kernel; cache is a directory. Files are
    paths: busybox, init, which becomes the first process, and programs, for bin."""
    modules = _modules(version, root, names)
    key = hashlib.sha256(pathlib.Path(__file__).read_bytes())
    for file in [busybox, init, *programs, *modules]:
        info = os.stat(file)
        key.update(f"{file} {info.st_mtime_ns} {info.st_size}\n".encode())
    target = cache / f"initramfs-{key.hexdigest()[:16]}"
    if target.exists():
        return target

    directory, executable = stat.S_IFDIR | 0o755, stat.S_IFREG | 0o755
    members = [(d, directory, b"") for d in
               ("bin", "proc", "sys", "dev", "lower", "rw", "root", "modules")]
    for program in [busybox, *programs]:
        members.append((f"bin/{program.name}", executable, program.read_bytes()))
    members.append(("init", executable, pathlib.Path(init).read_bytes()))
    for number, file in enumerate(modules):
        module = ModuleFile(file)
        members.append((f"modules/{number:02}-{module.name}.ko", executable, module.image))
    scratch = target.with_suffix(f".{os.getpid()}")
    scratch.write_bytes(_cpio(members))
    scratch.rename(target)
    return target
