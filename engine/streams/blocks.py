"""Reusable buffers for blocks of reads.

A block goes through these steps. Any thread may do any step:

1. ``source.take(block)`` reads the next bytes of the file. Only one thread at a time does this.
2. ``source.finish(members, block)`` inflates bgzip members into the block. Several threads may do this at the same
   time. Plain text and ordinary gzip need no work here, because ``take`` already filled the block.
3. ``block.prepend(carry)`` puts the incomplete last line or record of the previous block in front.
4. The kernels count the complete lines or records, and the rest becomes the carry of the next block.

A block is reused for later parts of the file, so its bytes stay in the CPU cache from inflating to counting.
"""

import numpy as np

from deepchrome.engine.streams.byte_streams import COMPRESSED_BYTES

# The fastest of 0.25 to 4 MiB. Larger blocks need less synchronization; smaller ones fit the CPU cache better.
BLOCK_BYTES = 3 << 20
HEADROOM_BYTES = 1 << 17  # for the carry of nearly all files; a longer carry makes the buffer grow
LONG_HEADROOM_BYTES = 33 << 20  # for the longest BAM record that the engine accepts
MARGIN_BYTES = 64  # kernels may read this far past either end  # guard: block-margin


class Block:
    """A reusable buffer for one block: headroom for the carry, the block's own bytes, and a margin.

    Attributes
    ----------
    buffer
        uint8 array. The bytes of the block are ``buffer[first:end]``.
    first, end
        Offsets in ``buffer`` where the bytes of the source begin and end.
    packed
        Space for the compressed bgzip members of the block.
    is_last
        Whether the file ends in this block.
    """

    def __init__(self) -> None:
        self.buffer = np.zeros(HEADROOM_BYTES + BLOCK_BYTES + MARGIN_BYTES, np.uint8)
        self.packed = bytearray(4 * COMPRESSED_BYTES)
        self.first = HEADROOM_BYTES
        self.end = self.first
        self.is_last = False

    def room(self) -> memoryview:
        """Return the part of the buffer that a source fills, BLOCK_BYTES long."""
        return memoryview(self.buffer.data)[self.first : self.first + BLOCK_BYTES]

    def prepend(self, carry: bytes) -> int:
        """Copy ``carry`` right before the block's bytes, and return where it begins in the buffer."""
        if len(carry) > self.first - MARGIN_BYTES:
            # Grown once, and large enough that the system provides the pages one by one, as they are used. Growing in
            # steps would leave the smaller buffers behind in the memory of the process.
            first = max(LONG_HEADROOM_BYTES, len(carry) + MARGIN_BYTES)
            grown = np.empty(first + BLOCK_BYTES + MARGIN_BYTES, np.uint8)
            size = self.end - self.first
            grown[first : first + size] = self.buffer[self.first : self.end]
            self.buffer, self.first, self.end = grown, first, first + size
        begin = self.first - len(carry)
        self.buffer[begin : self.first] = np.frombuffer(carry, np.uint8)
        return begin
