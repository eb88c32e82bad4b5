# SPDX-License-Identifier: GPL-2.0-only
"""Turns names of lab/devices into arguments for QEMU."""

import re

# The machine's own devices sit from slot 0x1c on; root ports get the slots from
# 2 on, in the order in which devices are asked for, so that the firmware
# numbers their buses 1, 2, 3...; the rest is put on the root bus from 0x10 on.
FIRST_PORT, FIRST_SLOT, LAST_SLOT = 0x02, 0x10, 0x1b
PLACE = re.compile(r",bus=(\{port\}|pcie\.0),addr=[^,]*(,multifunction=on)?")


def read_table(path):
    """{name: (description, [argument line, ...])}"""
    table, name = {}, None
    for line in path.read_text().splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            table[name][1].append(line.strip())
        else:
            name, _, description = line.partition(" ")
            table[name] = (description.strip(), [])
    return table


def _size(text):
    return int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1]]


class Builder:
    """Collects the arguments of every device of one machine."""

    def __init__(self, table, run_dir, places=True):
        """PLACES: there are ports and slots; otherwise QEMU puts devices where it likes."""
        self.table, self.run_dir, self.places = table, run_dir, places
        self.arguments = []
        self._names = {}
        self._ports = 0
        self._slots = 0

    def _port(self):
        slot = FIRST_PORT + self._ports
        self._ports += 1
        if slot >= FIRST_SLOT:
            raise ValueError("too many devices on root ports")
        port = f"port{self._ports}"
        self.arguments += ["-device", f"pcie-root-port,id={port},bus=pcie.0,"
                           f"addr={slot:#x},chassis={self._ports},slot={self._ports},x-speed=5"]
        return port

    def _slot(self):
        slot = FIRST_SLOT + self._slots
        self._slots += 1
        if slot > LAST_SLOT:
            raise ValueError("too many devices on the root bus")
        return f"{slot:#x}"

    def _image(self, owner, size):
        path = self.run_dir / f"{owner}.img"
        with open(path, "wb") as file:
            file.truncate(_size(size))
        return str(path)

    def add(self, name):
        """Adds a preset; its second instance gets the identifier NAME.2."""
        if name not in self.table:
            raise ValueError(f"no device preset '{name}' (see lab/vm --list-devices)")
        number = self._names[name] = self._names.get(name, 0) + 1
        owner = name if number == 1 else f"{name}.{number}"
        made = {"id": owner}

        def fill(match):
            key, _, argument = match[1].partition(":")
            if key not in made:
                made[key] = {"port": self._port,
                             "slot": self._slot,
                             "image": lambda: self._image(owner, argument)}[key]()
            return made[key]

        for line in self.table[name][1]:
            if not self.places:
                line = PLACE.sub("", line)
            line = re.sub(r"\{([^}]*)\}", fill, line)
            if line.startswith("-"):
                self.arguments += line.split(" ", 1)
