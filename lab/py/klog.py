# SPDX-License-Identifier: GPL-2.0-only
"""Finds in a kernel log what must never be there."""

import re

TROUBLE = re.compile("|".join([
    r"Kernel panic", r"kernel BUG at", r"\bBUG: ", r"\bWARNING: ", r"\bOops: ",
    r"general protection fault", r"unable to handle",
    r"refcount_t: ", r"scheduling while atomic", r"list_(add|del) corruption",
    r"INFO: task .* blocked for more than", r"soft lockup", r"hard LOCKUP",
    r"rcu: INFO: .*stall", r"INFO: (possible|inconsistent|lockdep|suspicious)",
    r"\[ INFO: ", r"KASAN: ", r"UBSAN: ", r"KCSAN: ", r"DEADLOCK",
    r"Unexpected (fixed|pinned)", r"Bad page ", r"VFS: Busy inodes",
    r"suspicious RCU usage", r"ODEBUG: ", r"kmemleak: .*(disabled|suspected)",
    r"kobject.*tried to init", r"invalid module format",
]))
BEFORE, AFTER, AT_MOST = 3, 40, 3

# A data race that KCSAN reports, between two lines of ====.
RACE = re.compile(r"^.*BUG: KCSAN: .*\n(?:.*\n)*?.*={40}.*\n?", re.M)
# What is in the stacks of those that are ours to look into.
OURS = re.compile(r"\[(?:vfio|vfio_\w+)\]")


# One of the two accesses: its kind, and the function it is in.
ACCESS = re.compile(r"^(read|write|read-write)\b.*\n +([\w.]+)", re.M)
# Intel's IOMMU driver fills and empties its tables without a lock, for callers who deal
# with other addresses, and remembers in a byte that there was something to map.
TABLES = re.compile(r"intel_iommu_|dma_pte_|pfn_to_dma_pte|cache_tag_flush_")
# The PCI core keeps one bit beside others that do not change, which are read.
PCI_BIT = re.compile(r"pci_cfg_access_(try)?(un)?lock")


def meant(race):
    """Is this a race that the base kernel means to have, whoever is its caller?"""
    accesses = ACCESS.findall(race)
    if len(accesses) == 2 and all(TABLES.match(where) for _, where in accesses):
        return True
    kinds = [kind for kind, where in accesses if not PCI_BIT.match(where)]
    return len(accesses) == 2 and kinds == ["read"]


def split_races(text):
    """(the log without the races of others, the number of those). Parts of the kernel
    that are watched race among themselves, and mean to. Else a race is ours if code of
    drivers/vfio is in either stack, be it far from the access: it may lack a lock."""
    others = 0

    def judge(race):
        nonlocal others
        if OURS.search(race[0]) and not meant(race[0]):
            return race[0]
        others += 1
        return ""

    return RACE.sub(judge, text), others


def excerpts(text):
    """The places of the log that show trouble, as blocks of text."""
    lines = split_races(text)[0].splitlines()
    found, covered = [], -1
    for number, line in enumerate(lines):
        if number <= covered or not TROUBLE.search(line):
            continue
        covered = number + AFTER
        found.append("\n".join(lines[max(0, number - BEFORE):covered + 1]))
        if len(found) == AT_MOST:
            break
    return found
