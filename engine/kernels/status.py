"""Status codes of the kernels."""

from enum import IntEnum


class Status(IntEnum):
    """The result of a kernel. After NEW_NAME, add the name and call the kernel again; BAD_... are errors."""

    DONE = 0
    NEW_NAME = 1
    """The sequence name of this line is not in the table of names."""

    BAD_FIELDS = 2
    """Fewer than three fields."""
    BAD_RAGGED = 3
    """Not as many fields as the first line."""
    BAD_START = 4
    """The start is not a whole number."""
    BAD_END = 5
    """The end is not a whole number."""
    BAD_ORDER = 6
    """The end is less than the start."""
    BAD_LARGE = 7
    """A position beyond ``BAI_LIMIT`` or ``MAX_POSITION``."""
    BAD_LONG = 8
    """A line of more than ``MAX_LINE_BYTES`` bytes."""
    BAD_NAME = 9
    """An empty sequence name."""
    BAD_RECORD = 10
    """A BAM record with impossible values."""
    BAD_CIGAR = 11
    """A BAM record that keeps its CIGAR in the tag CG, if its blocks are needed."""

    # These are used only between kernels.
    NO_READ = 12
    """The line is blank, a comment or a header."""
    NO_PATTERN = 13
    """No pattern can describe the line."""
