# SPDX-License-Identifier: GPL-2.0-only
"""The little of ELF that is needed to know a kernel module: its build-id and
its .modinfo. Compressed modules (.ko.xz) are read as well as plain ones."""

import lzma
import pathlib
import struct


class ModuleFile:
    """One kernel module on disk."""

    # How struct names the order of bytes that the file's sixth byte tells.
    ORDERS = {1: "<", 2: ">"}

    def __init__(self, path):
        self.path = pathlib.Path(path)
        data = self.path.read_bytes()
        self.image = lzma.decompress(data) if self.path.suffix == ".xz" else data
        if self.image[:5] != b"\x7fELF\x02" or self.image[5] not in self.ORDERS:
            raise ValueError(f"{path}: not a 64-bit ELF file")
        self._order = self.ORDERS[self.image[5]]
        self._sections = dict(self._read_sections())

    @property
    def name(self):
        """The name below /sys/module."""
        return self.path.name.split(".ko")[0].replace("-", "_")

    def _read_sections(self):
        table, = struct.unpack_from(f"{self._order}Q", self.image, 0x28)
        size, count, names = struct.unpack_from(f"{self._order}HHH", self.image, 0x3a)
        headers = [struct.unpack_from(f"{self._order}IIQQQQ", self.image, table + i * size)
                   for i in range(count)]
        strings = headers[names][4]
        for name, _, _, _, offset, length in headers:
            end = self.image.index(b"\0", strings + name)
            yield (self.image[strings + name:end].decode(),
                   self.image[offset:offset + length])

    @property
    def build_id_note(self):
        """The note as /sys/module/NAME/notes/.note.gnu.build-id shows it."""
        return self._sections.get(".note.gnu.build-id", b"")

    @property
    def interface(self):
        """What depmod looks at, without what every build changes."""
        fields = self._sections.get(".modinfo", b"").split(b"\0")
        return sorted(f for f in fields
                      if f.split(b"=")[0] in (b"depends", b"alias", b"softdep"))
