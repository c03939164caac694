"""Check the header and the indexes of a bigWig file before a library follows them.

The library trusts the sizes in a file. A damaged one can make it end the whole process, because it asks for more memory
than there is, or skip data without an error. Source of the format: Kent et al. 2010, doi 10.1093/bioinformatics/btq351,
supplement.
"""

import os
import struct
from typing import BinaryIO, Final, Literal

import numpy as np

BIGWIG_MAGIC: Final = 0x888FFC26
_CHROM_TREE_MAGIC: Final = 0x78CA8C91
_INDEX_MAGIC: Final = 0x2468ACE0
_HEADER: Final = "IHHQQQHHQQIQ"
_ZOOM_HEADER: Final = "IIQQ"
_CHROM_TREE_HEADER: Final = "IIIIQ"
_INDEX_HEADER: Final = "IIQIIIIQI"
_LEAF: Final = np.dtype([("bounds", "u4", 4), ("offset", "u8"), ("size", "u8")])
_BRANCH: Final = np.dtype([("bounds", "u4", 4), ("child", "u8")])
_Order = Literal["<", ">"]

# A block holds at most 65,535 items of 32 bytes.
_MAX_BLOCK_BYTES: Final = 1 << 22
_MAX_KEY_BYTES: Final = 1 << 16
_MAX_NODES_PER_BYTE: Final = 1 / 24  # every node below the root has an entry of 24 bytes in another


def is_bigwig_head(head: bytes) -> bool:
    """Return whether these are the first bytes of a bigWig file, in either byte order."""
    return head[:4] in (BIGWIG_MAGIC.to_bytes(4, "little"), BIGWIG_MAGIC.to_bytes(4, "big"))


def check_bigwig(file: BinaryIO) -> None:
    """Check that everything the header and the indexes point to lies in the file.

    Raises
    ------
    ValueError
        The file is damaged or truncated. The message says where.
    OSError
        The file cannot be read.
    """
    size = file.seek(0, os.SEEK_END)
    order: _Order = "<" if _read(file, 0, 4) == BIGWIG_MAGIC.to_bytes(4, "little") else ">"
    _, _, n_zooms, chroms, data, index, _, _, _, summary, block_bytes, _ = _unpack(file, 0, order + _HEADER)
    if max(chroms, data, index, summary) >= size or min(chroms, data, index) < struct.calcsize("<" + _HEADER):
        raise ValueError("the header points beyond the end of the file")
    if block_bytes > _MAX_BLOCK_BYTES:
        raise ValueError(f"the header states blocks of {block_bytes:,} bytes")
    _check_chrom_tree(file, chroms, size, order)
    indexes = [index]
    for i in range(n_zooms):
        at = struct.calcsize("<" + _HEADER) + i * struct.calcsize("<" + _ZOOM_HEADER)
        indexes.append(_unpack(file, at, order + _ZOOM_HEADER)[3])
    for at in indexes:
        _check_index(file, at, size, order)


def _check_chrom_tree(file: BinaryIO, at: int, size: int, order: _Order) -> None:
    magic, _, key_bytes, _, n_chroms = _unpack(file, at, order + _CHROM_TREE_HEADER)
    if magic != _CHROM_TREE_MAGIC or not 0 < key_bytes <= _MAX_KEY_BYTES or n_chroms * key_bytes > size:
        raise ValueError("the table of chromosomes is damaged")


def _check_index(file: BinaryIO, at: int, size: int, order: _Order) -> None:
    """Visit all nodes of an index, and check where they point."""
    damaged = ValueError("an index is damaged, or points beyond the end of the file")
    header = _unpack(file, at, order + _INDEX_HEADER)
    if header[0] != _INDEX_MAGIC:
        raise damaged
    # The header has 44 bytes and 4 that are reserved.
    nodes, n_visited = [at + struct.calcsize("<" + _INDEX_HEADER) + 4], 0
    while nodes:
        node = nodes.pop()
        n_visited += 1
        if n_visited > 1 + size * _MAX_NODES_PER_BYTE:  # a loop
            raise damaged
        is_leaf, _, n_items = _unpack(file, node, order + "BBH")
        kind = (_LEAF if is_leaf else _BRANCH).newbyteorder(order)
        items = np.frombuffer(_read(file, node + 4, n_items * kind.itemsize), kind)
        if is_leaf:
            ends = items["offset"].astype(np.float64) + items["size"]  # float64: the sum may not fit in 64 bits
            is_wrong = (ends > size) | (items["size"] == 0)
        else:
            is_wrong = items["child"] >= size
            nodes += items["child"].tolist()
        if is_wrong.any():
            raise damaged


def _unpack(file: BinaryIO, at: int, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, _read(file, at, struct.calcsize(layout)))


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    data = file.read(size)
    if len(data) < size:
        raise ValueError("the file ends too early")
    return data
