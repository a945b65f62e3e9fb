#!/usr/bin/env python3
"""overlay-qcow2.py BACKING OVERLAY: an empty qcow2 file on top of a raw image.

What `qemu-img create -b` does; spares the machine qemu-utils. Layout: clusters of 64 KiB, in order
header, refcount table, refcount block, L1 table (docs/interop/qcow2.txt of QEMU)."""
import os
import struct
import sys

CLUSTER_BITS = 16
CLUSTER = 1 << CLUSTER_BITS
HEADER_BYTES = 72  # version 2
BACKING_FORMAT_EXTENSION = 0xE2792ACA


def main(backing, overlay):
    name = backing.encode()
    size = os.path.getsize(backing)
    l1_entries = -(-size // (CLUSTER // 8 * CLUSTER))
    assert l1_entries * 8 <= CLUSTER
    extensions = struct.pack(">II", BACKING_FORMAT_EXTENSION, 3) + b"raw".ljust(8, b"\0") + struct.pack(">II", 0, 0)
    header = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", 2, HEADER_BYTES + len(extensions), len(name), CLUSTER_BITS,
                         size, 0, l1_entries, 3 * CLUSTER, CLUSTER, 1, 0, 0)
    with open(overlay, "wb") as f:
        f.write(header + extensions + name)
        f.seek(CLUSTER)
        f.write(struct.pack(">Q", 2 * CLUSTER))
        f.seek(2 * CLUSTER)
        f.write(struct.pack(">4H", 1, 1, 1, 1))
        f.truncate(4 * CLUSTER)


if __name__ == "__main__":
    main(*sys.argv[1:])
