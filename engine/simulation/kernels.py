"""The inner loop of the simulator, which writes reads as text."""

import numpy as np
import numpy.typing as npt

from deepchrome.engine.kernels.jit import entry_point

READ_LENGTH_BP = 36
# Room for one line without the chromosome name: 2 numbers of 9 digits, 12 other bytes, and 2 bytes to spare.
MAX_BYTES_BESIDES_NAME = 2 * 9 + 14


@entry_point
def format_reads(
    keys: npt.NDArray[np.int64],
    offsets: npt.NDArray[np.int64],
    names: npt.NDArray[np.uint8],
    name_lengths: npt.NDArray[np.int64],
    out: npt.NDArray[np.uint8],
) -> int:
    """Write reads as lines of tagAlign; return the number of bytes written.

    Parameters
    ----------
    keys
        int64 (n,): 2 x (offset of the chromosome + start) + (1 on the minus strand). Any order.
    offsets
        int64 (c,): start of each chromosome when all are laid end to end (bp), ascending; ``offsets[0]`` is 0.
    names, name_lengths
        uint8 (c, longest) and int64 (c,): the chromosomes' names in ASCII, and their lengths. ``longest`` is the length
        of the longest name.
    out
        uint8, at least n x (longest + ``MAX_BYTES_BESIDES_NAME``) bytes.
    """
    at = 0
    chrom = 0
    for key in keys:
        position = key >> 1
        while chrom > 0 and position < offsets[chrom]:
            chrom -= 1
        while chrom + 1 < len(offsets) and position >= offsets[chrom + 1]:
            chrom += 1
        for i in range(name_lengths[chrom]):
            out[at] = names[chrom, i]
            at += 1
        start = position - offsets[chrom]
        for number in (start, start + READ_LENGTH_BP):
            out[at] = 9  # tab
            digits = 1
            bound = 10
            while number >= bound:
                digits += 1
                bound *= 10
            at += digits
            end = at
            rest = number
            for _ in range(digits):
                out[end] = 48 + rest % 10
                rest //= 10
                end -= 1
            at += 1
        for byte in (9, 78, 9, 49, 48, 48, 48, 9, 45 if key & 1 else 43, 10):  # N, 1000, the strand
            out[at] = byte
            at += 1
    return at
