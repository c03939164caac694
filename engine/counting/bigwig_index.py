"""Check the header and the indexes of a bigWig file before a library follows them.

The library trusts the sizes in a file. A damaged one can make it end the whole process, because it asks for more memory
than there is, or skip data without an error. Source of the format: Kent et al. 2010, doi 10.1093/bioinformatics/btq351,
supplement.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, Final, Literal, cast

import numpy as np
import numpy.typing as npt
from isal import isal_zlib
from isal.isal_zlib import IsalError

BIGWIG_MAGIC: Final = 0x888FFC26
# The type stub of isal declares this class as an instance.
_IsalError = cast("type[Exception]", IsalError)
_CHROM_TREE_MAGIC: Final = 0x78CA8C91
_INDEX_MAGIC: Final = 0x2468ACE0
_HEADER: Final = "IHHQQQHHQQIQ"
_ZOOM_HEADER: Final = "IIQQ"
_CHROM_TREE_HEADER: Final = "IIIIQ"
_HEADER_BYTES: Final = struct.calcsize("<" + _HEADER)
_CHROM_TREE_HEADER_BYTES: Final = 32
_INDEX_HEADER_BYTES: Final = 48
_LEAF: Final = np.dtype([("bounds", "u4", 4), ("offset", "u8"), ("size", "u8")])
_BRANCH: Final = np.dtype([("bounds", "u4", 4), ("child", "u8")])
# A block holds at most 65,535 items of 32 bytes.
_MAX_BLOCK_BYTES: Final = 1 << 22
_MAX_KEY_BYTES: Final = 1 << 16


def is_bigwig_head(head: bytes) -> bool:
    """Return whether these are the first bytes of a bigWig file, in either byte order."""
    return head[:4] in (BIGWIG_MAGIC.to_bytes(4, "little"), BIGWIG_MAGIC.to_bytes(4, "big"))


def check_bigwig(file: BinaryIO) -> int:
    """Check that everything the header and the indexes point to lies in the file.

    Returns
    -------
    int
        The number of bases by which data reach beyond the ends of chromosomes, summed over the chromosomes. Some
        programs write such data.

    Raises
    ------
    ValueError
        The file is damaged or truncated. The message says where.
    OSError
        The file cannot be read.
    """
    return _Checker(file).check()


class _Checker:
    """Reads numbers from a bigWig file, and checks them."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self._order: Literal["<", ">"] = "<" if self._read(0, 4) == BIGWIG_MAGIC.to_bytes(4, "little") else ">"

    def check(self) -> int:
        _, _, n_zooms, chroms, data, index, _, _, _, summary, block_bytes, _ = self._unpack(0, _HEADER)
        if max(chroms, data, index, summary) >= self._size or min(chroms, data, index) < _HEADER_BYTES:
            raise ValueError("the header points beyond the end of the file")
        if block_bytes > _MAX_BLOCK_BYTES:
            raise ValueError(f"the header states blocks of {block_bytes:,} bytes")
        ids, lengths = self._check_chrom_tree(chroms)
        ends = self._check_index(index, is_compressed=block_bytes > 0)
        for i in range(n_zooms):
            self._check_index(self._unpack(_HEADER_BYTES + i * struct.calcsize("<" + _ZOOM_HEADER), _ZOOM_HEADER)[3])
        return sum(max(0, ends.get(chrom, 0) - length) for chrom, length in zip(ids, lengths, strict=True))

    def _check_chrom_tree(self, at: int) -> tuple[list[int], list[int]]:
        """Check that the names of chromosomes have numbers of their own; return these, and the lengths."""
        magic, _, key_bytes, value_bytes, n_chroms = self._unpack(at, _CHROM_TREE_HEADER)
        damaged = ValueError("the table of chromosomes is damaged")
        if (magic, value_bytes) != (_CHROM_TREE_MAGIC, 8) or not 0 < key_bytes <= _MAX_KEY_BYTES:
            raise damaged
        key = ("key", f"V{key_bytes}")
        leaf, branch = np.dtype([key, ("id", "u4"), ("length", "u4")]), np.dtype([key, ("child", "u8")])
        items = np.concatenate([*self._leaves(at + _CHROM_TREE_HEADER_BYTES, leaf, branch)])
        if not len(items) == len(np.unique(items["id"])) == n_chroms:  # guard: bigwig-chromosomes
            raise damaged
        return items["id"].tolist(), items["length"].tolist()

    def _check_index(self, at: int, is_compressed: bool = False) -> dict[int, int]:
        """Check that all blocks of data lie in the file; return where the last one of each chromosome ends (bp).

        If they are compressed, also check that they are not damaged: the library would print a backtrace.
        """
        last: dict[int, int] = {}
        damaged = ValueError("an index is damaged, or points beyond the end of the file")
        if self._unpack(at, "I")[0] != _INDEX_MAGIC:
            raise damaged
        for items in self._leaves(at + _INDEX_HEADER_BYTES, _LEAF, _BRANCH):
            ends = items["offset"].astype(np.float64) + items["size"]  # float64: the sum may need over 64 bits
            if (ends > self._size).any() or (items["size"] == 0).any():
                raise damaged
            for at, size in items[["offset", "size"]].tolist() if is_compressed else ():
                try:
                    isal_zlib.decompress(self._read(at, size))
                except _IsalError:
                    raise ValueError("a block of data is damaged") from None
            for chrom, end in items["bounds"][:, 2:].tolist():
                last[chrom] = max(last.get(chrom, 0), end)
        return last

    def _leaves(self, root: int, leaf: np.dtype[np.void], branch: np.dtype[np.void]) -> Iterator[npt.NDArray[np.void]]:
        """Visit all nodes of a tree, and yield the items of each leaf."""
        nodes, n_visited = [root], 0
        while nodes:
            node = nodes.pop()
            n_visited += 1
            if n_visited > 1 + self._size // branch.itemsize:  # a tree has an entry for each node but the root
                raise ValueError("an index has a loop")
            is_leaf, _, n_items = self._unpack(node, "BBH")
            kind = (leaf if is_leaf else branch).newbyteorder(self._order)
            items = np.frombuffer(self._read(node + 4, n_items * kind.itemsize), kind)
            if is_leaf:
                yield items
            else:
                nodes += items["child"].tolist()

    def _unpack(self, at: int, layout: str) -> tuple[int, ...]:
        layout = self._order + layout
        return struct.unpack(layout, self._read(at, struct.calcsize(layout)))

    def _read(self, at: int, size: int) -> bytes:
        if at + size > self._size:
            raise ValueError("the file ends too early")
        self._file.seek(at)
        return self._file.read(size)
